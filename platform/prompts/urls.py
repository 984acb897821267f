from django.urls import URLPattern, include, path

from prompts import api

app_name = "prompts"
API = [
    path("prompts", api.prompts, name="api-prompt-list"),
    path("prompts/<str:name>", api.prompt, name="api-prompt-detail"),
    path("prompts/<str:name>/revisions", api.revisions, name="api-revision-list"),
    path("prompts/<str:name>/parts", api.parts, name="api-prompt-parts"),
    path("prompts/<str:name>/render", api.render, name="api-prompt-render"),
]
PAGES: list[URLPattern] = []
urlpatterns = [path("api/v1/", include(API)), path("<slug:project>/", include(PAGES))]
