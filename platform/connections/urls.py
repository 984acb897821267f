from django.urls import include, path

from connections import api, views

app_name = "connections"
API = [path("connections", api.connections, name="api-connection-list")]
PAGES = [
    path("connections/", views.connection_list, name="connection-list"),
    path("connections/<str:name>/", views.connection_edit, name="connection-edit"),
]
urlpatterns = [path("api/v1/", include(API)), path("<slug:project>/", include(PAGES))]
