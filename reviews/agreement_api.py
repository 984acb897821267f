"""How far reviewers of a queue agree, and what their answers come to."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core import paging
from core.problems import Invalid
from core.rest import FigureShown, field_errors
from projects.access import Scope
from projects.endpoint import actor_of, endpoint
from reviews import answer_queries, exports, queries
from reviews.agreement import Level
from reviews.answer_queries import METHODS, Asked


class AgreementShown(serializers.Serializer[Any]):
    """How far people agree on one question."""

    raw = FigureShown()
    kappa = FigureShown()
    alpha = FigureShown()
    level = serializers.CharField(source="measured", allow_null=True)


# An object whose names are the keys of questions, which no serializer says.
BY_QUESTION = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["raw", "kappa", "alpha", "level"],
        "properties": {
            **{name: {"$ref": "#/components/schemas/FigureShown"} for name in ("raw", "kappa", "alpha")},
            "level": {
                "type": "string",
                "enum": [*(level.value for level in Level), None],
                "nullable": True,
                "description": "how answers differ; null: they are not compared",
            },
        },
    },
}


class AggregateFilter(serializers.Serializer[Any]):
    """The query of an aggregate; `core.paging` refuses what is not named here."""

    method = serializers.ChoiceField(METHODS, default="majority")
    question = serializers.CharField(required=False, help_text="its key; else the question that carries the quality")
    since = serializers.DateTimeField(required=False, help_text="items that came in then or later")
    until = serializers.DateTimeField(required=False, help_text="items that came in before")


class SettledShown(serializers.Serializer[Any]):
    output_id = serializers.CharField()
    answer = serializers.JSONField(allow_null=True, help_text="null: undecided, as after a tie")
    posterior = serializers.FloatField(allow_null=True, help_text="of the answer; null for a majority, which has none")


class ReliabilityShown(serializers.Serializer[Any]):
    reviewer = serializers.CharField()
    confusion = serializers.JSONField(
        allow_null=True, help_text="by true option the probability of each answer; null for a majority"
    )
    accuracy = FigureShown(help_text="against what adjudicators decided")


class AggregateShown(serializers.Serializer[Any]):
    items = SettledShown(many=True)
    reviewers = ReliabilityShown(many=True)


@extend_schema(methods=["GET"], responses={200: BY_QUESTION})
@endpoint(GET=Scope.READ)
def queue_agreement(request: Request, name: str) -> Response:
    """By question of the queue's rubric how far people agree."""
    paging.refuse_unknown(request, set())
    found = answer_queries.agreement_of(queries.queue_named(actor_of(request).project.pk, name))
    return Response({key: AgreementShown(one).data for key, one in found.items()})


@extend_schema(methods=["GET"], parameters=[AggregateFilter], responses=AggregateShown)
@endpoint(GET=Scope.READ)
def queue_aggregate(request: Request, name: str) -> Response:
    """What the answers to one question come to, output by output, and how far each reviewer can be trusted."""
    actor = actor_of(request)
    query = AggregateFilter(data=request.query_params)
    paging.refuse_unknown(request, set(query.fields))
    queue = queries.queue_named(actor.project.pk, name)
    if not query.is_valid():
        raise Invalid(*field_errors(query.errors))
    conditions = dict(query.validated_data)
    method = conditions.pop("method")
    asked = Asked(exports.sight_of(queue, actor).is_whole, **conditions)
    found = answer_queries.aggregate(queue, method=method, asked=asked)
    return Response(AggregateShown(found).data)
