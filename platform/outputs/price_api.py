"""Letting the costs of past outputs follow the price table."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock
from core.rest import StrictSerializer
from outputs import costs
from outputs.models import Repricing
from outputs.services import repricing
from projects.access import Scope
from projects.endpoint import actor_of, endpoint

MOMENTS = ["iso-8601", "%Y-%m-%d"]


class ApplyRequest(StrictSerializer):
    """Which outputs, by their arrival."""

    since = serializers.DateTimeField(input_formats=MOMENTS)
    until = serializers.DateTimeField(
        input_formats=MOMENTS, required=False, default=None, allow_null=True, help_text="not included; now unless told"
    )


class RepricingShown(serializers.Serializer[Any]):
    """How far it is that the costs of these outputs follow the price table."""

    id = serializers.IntegerField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    state = serializers.ChoiceField(Repricing.State.choices)
    share = serializers.FloatField(help_text="of the walk that is behind it, 0 to 1")
    seen = serializers.IntegerField(source="n_seen", help_text="outputs whose cost was not sent")
    changed = serializers.IntegerField(source="n_changed")
    unpriced = serializers.IntegerField(source="n_unpriced", help_text="of those seen")
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    ended_at = serializers.DateTimeField(allow_null=True)


class RepricingAccepted(RepricingShown):
    url = serializers.URLField(help_text="where its progress is told")


@extend_schema(
    methods=["POST"],
    summary="Apply prices to past outputs",
    description="Costs that were sent stay. While it runs, asking again begins anew; a repeat changes nothing.",
    request=ApplyRequest,
    responses={202: OpenApiResponse(RepricingAccepted, "A worker does it; `url` tells how far it is.")},
)
@endpoint(POST=Scope.ADMIN)
def apply(request: Request) -> Response:
    asked, now = ApplyRequest.read(request.data), clock.now()
    found, _ = repricing.ask(since=asked["since"], until=asked["until"] or now, by=actor_of(request), now=now)
    url = request.build_absolute_uri(reverse("outputs:api-repricing-detail", args=[found.pk]))
    return Response({**RepricingShown(found).data, "url": url}, status=202, headers={"Location": url})


@extend_schema(methods=["GET"], responses=RepricingShown)
@endpoint(GET=Scope.READ)
def repricing_detail(request: Request, repricing_id: int) -> Response:
    """How far it is that prices are applied."""
    return Response(RepricingShown(costs.repricing_of(actor_of(request).project.pk, repricing_id)).data)
