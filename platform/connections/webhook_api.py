"""The API of webhooks and of what they are told."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from connections import webhook_queries
from connections.models import Webhook
from connections.services import webhooks as services
from connections.webhook_serializers import DeliveryPage, DeliveryShown, WebhookPage, WebhookRequest, WebhookShown
from core import clock, paging
from core.problems import FieldError, Invalid
from ledger.models import Delivery
from projects.access import Scope
from projects.endpoint import actor_of, endpoint


@extend_schema(methods=["GET"], summary="Webhooks of the project", responses=WebhookPage)
@extend_schema(
    methods=["POST"],
    summary="Tell an address what happens",
    description="The same address again changes its topics, and its secret where one is sent.",
    request=WebhookRequest,
    responses={200: WebhookShown, 201: WebhookShown},
)
@endpoint(GET=Scope.ADMIN, POST=Scope.ADMIN)
def webhooks(request: Request) -> Response:
    actor = actor_of(request)
    if request.method == "POST":
        asked = WebhookRequest.read(request.data)
        saved, is_new = services.save_webhook(**asked, by=actor, now=clock.now())
        return Response(WebhookShown(saved).data, status=201 if is_new else 200)
    paging.refuse_unknown(request, set())
    rows = Webhook.objects.of(actor.project.pk)
    return Response(paging.page(request, rows, lambda row: WebhookShown(row).data))


@extend_schema(methods=["DELETE"], summary="Tell an address nothing any more", responses={204: None})
@endpoint(DELETE=Scope.ADMIN)
def webhook_detail(request: Request, webhook_id: int) -> Response:
    services.delete_webhook(webhook_id=webhook_id, by=actor_of(request), now=clock.now())
    return Response(status=204)


@extend_schema(
    summary="What webhooks were told, and are to be",
    parameters=[OpenApiParameter("state", str, enum=Delivery.State.values, description="only these")],
    responses=DeliveryPage,
)
@endpoint(GET=Scope.ADMIN)
def deliveries(request: Request) -> Response:
    paging.refuse_unknown(request, {"state"})
    rows = webhook_queries.deliveries_of(actor_of(request).project.pk, _state(request))
    return Response(paging.page(request, rows, lambda row: DeliveryShown(row).data))


@extend_schema(
    summary="Send a delivery again",
    description="Under its old id, with all its attempts; one that waits anyway is left alone.",
    request=None,
    responses=DeliveryShown,
)
@endpoint(POST=Scope.ADMIN)
def delivery_retry(request: Request, delivery_id: int) -> Response:
    delivery = services.send_again(delivery_id=delivery_id, by=actor_of(request), now=clock.now())
    return Response(DeliveryShown(delivery).data)


def _state(request: Request) -> str | None:
    state = request.query_params.get("state")
    if state is not None and state not in Delivery.State.values:
        raise Invalid(FieldError("state", f"is {state[:40]!r}; choose from {', '.join(Delivery.State.values)}"))
    return state
