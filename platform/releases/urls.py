from django.urls import URLPattern, include, path

from releases import api

app_name = "releases"
API = [
    path("prompts/<str:name>/releases", api.releases, name="api-release-list"),
    path("prompts/<str:name>/releases/<int:release_id>/rollback", api.rollback, name="api-release-rollback"),
]
PAGES: list[URLPattern] = []
urlpatterns = [path("api/v1/", include(API)), path("<slug:project>/", include(PAGES))]
