"""Routes of the room, below `/api/v1/`."""

from django.urls import URLPattern, path

from reviews import api

app_name = "reviews"
urlpatterns: list[URLPattern] = [
    path("rubrics", api.rubric_list, name="api-rubric-list"),
    path("queues", api.queue_list, name="api-queue-list"),
    path("queues/<str:name>", api.queue_detail, name="api-queue-detail"),
    path("queues/<str:name>/items", api.item_list, name="api-item-list"),
    path("queues/<str:name>/rules", api.rule_list, name="api-rule-list"),
    path("queues/<str:name>/next", api.queue_next, name="api-queue-next"),
    path("items/<int:item_id>/review", api.item_review, name="api-item-review"),
    path("items/<int:item_id>/skip", api.item_skip, name="api-item-skip"),
    path("items/<int:item_id>/release", api.item_release, name="api-item-release"),
    path("items/<int:item_id>/verdict", api.item_verdict, name="api-item-verdict"),
    path("verdicts", api.verdict_list, name="api-verdict-list"),
]
