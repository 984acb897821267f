from django.urls import path

from improvement import api

app_name = "improvement"
urlpatterns = [
    path("prompts/<str:name>/proposals", api.proposals, name="api-proposal-list"),
    path("proposals/<int:proposal_id>", api.proposal, name="api-proposal-detail"),
]
