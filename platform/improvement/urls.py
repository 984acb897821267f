from django.urls import URLPattern, include, path

from improvement import api

app_name = "improvement"
API = [
    path("prompts/<str:name>/proposals", api.proposals, name="api-proposal-list"),
    path("proposals/<int:proposal_id>", api.proposal, name="api-proposal-detail"),
    path("proposals/<int:proposal_id>/approve", api.approval, name="api-proposal-approve"),
    path("proposals/<int:proposal_id>/reject", api.rejection, name="api-proposal-reject"),
]
PAGES: list[URLPattern] = []
urlpatterns = [path("api/v1/", include(API)), path("<slug:project>/", include(PAGES))]
