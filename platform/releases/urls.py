from django.urls import path

from releases import api

app_name = "releases"
urlpatterns = [
    path("prompts/<str:name>/releases", api.releases, name="api-release-list"),
    path("prompts/<str:name>/releases/<int:release_id>/rollback", api.rollback, name="api-release-rollback"),
]
