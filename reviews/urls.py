"""Routes of the room, and of the verdict on an output, which stands below the output's own address."""

from django.urls import URLPattern, include, path

from outputs import paths  # noqa: F401 # <sent_id:…> below
from reviews import agreement_api, api, exchange_api
from reviews.views import adjudication, queues, review, rubrics

app_name = "reviews"
API = [
    path("rubrics", api.rubric_list, name="api-rubric-list"),
    path("queues", api.queue_list, name="api-queue-list"),
    path("queues/<str:name>", api.queue_detail, name="api-queue-detail"),
    path("queues/<str:name>/items", api.item_list, name="api-item-list"),
    path("queues/<str:name>/intakes/<int:intake_id>", api.intake_detail, name="api-intake-detail"),
    path("queues/<str:name>/rules", api.rule_list, name="api-rule-list"),
    path("queues/<str:name>/agreement", agreement_api.queue_agreement, name="api-queue-agreement"),
    path("queues/<str:name>/aggregate", agreement_api.queue_aggregate, name="api-queue-aggregate"),
    path("queues/<str:name>/next", api.queue_next, name="api-queue-next"),
    path("queues/<str:name>/export", exchange_api.queue_export, name="api-queue-export"),
    path("queues/<str:name>/reviews/import", exchange_api.reviews_import, name="api-reviews-import"),
    path("precedents/search", exchange_api.precedent_search, name="api-precedent-search"),
    path("items/<int:item_id>/review", api.item_review, name="api-item-review"),
    path("items/<int:item_id>/skip", api.item_skip, name="api-item-skip"),
    path("items/<int:item_id>/release", api.item_release, name="api-item-release"),
    path("items/<int:item_id>/verdict", api.item_verdict, name="api-item-verdict"),
    path("verdicts", api.verdict_list, name="api-verdict-list"),
    path("outputs/<sent_id:external_id>/verdict", api.output_verdict, name="api-output-verdict"),
]
PAGES: list[URLPattern] = [
    path("review/", review.review_home, name="review-home"),
    path("review/<str:queue>/next/", review.review_next, name="review-next"),
    path("review/<str:queue>/ahead/", review.review_ahead, name="review-ahead"),
    path("review/<str:queue>/undo/", review.review_undo, name="review-undo"),
    path("review/<str:queue>/<int:item>/", review.review_item, name="review-item"),
    path("review/<str:queue>/<int:item>/submit/", review.review_submit, name="review-submit"),
    path("review/<str:queue>/<int:item>/skip/", review.review_skip, name="review-skip"),
    path("review/<str:queue>/<int:item>/release/", review.review_release, name="review-release"),
    path("review/<str:queue>/<int:item>/take/", review.review_take, name="review-take"),
    path("review/<str:queue>/<int:item>/draft/", review.review_draft, name="review-draft"),
    path("review/<str:queue>/<int:item>/heartbeat/", review.review_heartbeat, name="review-heartbeat"),
    path("queues/", queues.queue_list, name="queue-list"),
    # A plus stands in no name, so `+new` hides no queue and no rubric.
    path("queues/+new/", queues.queue_form, name="queue-new"),
    path("queues/<str:name>/", queues.queue_detail, name="queue-detail"),
    path("queues/<str:name>/edit/", queues.queue_form, name="queue-form"),
    path("queues/<str:name>/rules/+new/", queues.rule_form, name="rule-form"),
    path("queues/<str:name>/take-in/", queues.queue_take_in, name="queue-take-in"),
    path("queues/<str:name>/intakes/<int:intake_id>/stop/", queues.intake_stop, name="intake-stop"),
    path("queues/<str:name>/adjudicate/", adjudication.adjudicate, name="adjudicate"),
    path("rubrics/", rubrics.rubric_list, name="rubric-list"),
    path("rubrics/+new/", rubrics.rubric_form, name="rubric-new"),
    path("rubrics/+preview/", rubrics.rubric_preview, name="rubric-preview"),
    path("rubrics/<str:name>/", rubrics.rubric_detail, name="rubric-detail"),
    path("rubrics/<str:name>/edit/", rubrics.rubric_form, name="rubric-form"),
]
urlpatterns = [path("api/v1/", include(API)), path("<slug:project>/", include(PAGES))]
