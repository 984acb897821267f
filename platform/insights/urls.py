from django.urls import include, path

from insights import api, views

app_name = "insights"
API = [
    path("trends", api.trend, name="api-trends"),
]
PAGES = [
    path("trends/", views.trends, name="trends"),
    path("trends/<str:figure>.<str:form>", views.trend_download, name="trend-download"),
]
urlpatterns = [path("api/v1/", include(API)), path("<slug:project>/", include(PAGES))]
