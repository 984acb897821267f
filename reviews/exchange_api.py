"""What goes out and comes in whole: a queue's reviews and verdicts as a file, reviews made elsewhere, precedents."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock, paging
from core.fields import Whole
from core.problems import FieldError, Invalid
from core.rest import StrictSerializer
from projects.access import Scope
from projects.endpoint import actor_of, endpoint
from reviews import elsewhere, exports, precedents, queries, texts
from reviews import serializers as shapes
from reviews.models import Part
from reviews.questions import LONGEST_TEXT
from reviews.services import elsewhere as services

MOST_PRECEDENTS = 50


class ReviewMadeElsewhere(StrictSerializer):
    """One row; `reviews.elsewhere` reads them."""

    output_id = serializers.CharField(max_length=elsewhere.LONGEST_ID)
    reviewer = serializers.CharField(max_length=elsewhere.LONGEST_REVIEWER)
    answers = shapes.Mapping()
    at = serializers.DateTimeField()
    correction = serializers.CharField(required=False, allow_null=True, max_length=LONGEST_TEXT)
    tags = serializers.ListField(child=serializers.CharField(max_length=100), required=False)
    comment = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_TEXT)


class ReviewsImported(serializers.Serializer[Any]):
    """What became of the rows: added + duplicates + rejected; `items` are outputs that the queue had not had."""

    added = serializers.IntegerField(source="n_added")
    duplicates = serializers.IntegerField(source="n_duplicates")
    items = serializers.IntegerField(source="n_items")
    rejected = serializers.SerializerMethodField()

    @extend_schema_field(shapes.RejectedRow(many=True))
    def get_rejected(self, stored: Any) -> list[dict[str, object]]:
        return services.by_row(stored.rejected)


class Judgement(serializers.Serializer[Any]):
    """A review or a verdict (`kind`) with what it is about; what does not apply to one of them is null."""

    kind = serializers.ChoiceField(["review", "verdict"])
    id = serializers.IntegerField()
    item = serializers.IntegerField()
    state = serializers.CharField(help_text="of the item: open, disputed, settled")
    output_id = serializers.CharField(allow_null=True)
    prompt = serializers.CharField(allow_null=True)
    rubric = serializers.CharField()
    rubric_version = serializers.IntegerField()
    input = serializers.JSONField(allow_null=True)
    output = serializers.JSONField(allow_null=True)
    reviewer = serializers.CharField(help_text="an address, `key:<name>`, or `elsewhere:<name>`; of a verdict: by whom")
    attempt = serializers.IntegerField(allow_null=True)
    made_elsewhere = serializers.BooleanField(allow_null=True)
    answers = shapes.Mapping()
    quality = serializers.FloatField(allow_null=True)
    correction = serializers.CharField(allow_null=True)
    tags = serializers.ListField(child=serializers.CharField(), allow_null=True)
    comment = serializers.CharField(allow_null=True)
    rationale = serializers.CharField(allow_null=True)
    part = serializers.ChoiceField(Part.choices, allow_null=True)
    settled_by = serializers.CharField(allow_null=True)
    at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True, help_text="when it was taken back or replaced")


class LabelStudioTask(serializers.Serializer[Any]):
    """A task as Label Studio imports it."""

    id = serializers.IntegerField()
    data = serializers.DictField()  # type: ignore[assignment]  # Label Studio's name
    meta = serializers.DictField()
    annotations = serializers.ListField(child=serializers.DictField())
    predictions = serializers.ListField(child=serializers.DictField())


@extend_schema_field({})
class AnyInput(serializers.JSONField):
    """A text, messages, or an object of variables, as an output's input is sent."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str | list | dict) or not data:
            raise serializers.ValidationError("says nothing; send a text, messages, or an object of variables")
        text = texts.input_text(data, None)
        if len(text) > LONGEST_TEXT:
            raise serializers.ValidationError(f"has {len(text):,} characters; send at most {LONGEST_TEXT:,}")
        return text


class PrecedentsRequest(StrictSerializer):
    input = AnyInput()
    k = Whole(min_value=1, max_value=MOST_PRECEDENTS, default=5)


class PrecedentShown(shapes.VerdictShown):
    """A verdict with the case that it decided; `similarity` is from 0 to 1."""

    similarity = serializers.FloatField()
    input = serializers.JSONField(allow_null=True, help_text="null where it is no longer kept")
    output_text = serializers.CharField(allow_null=True, help_text="what was answered; null where it is no longer kept")


class PrecedentsFound(serializers.Serializer[Any]):
    """Decided cases, the most like first."""

    results = PrecedentShown(many=True)


@extend_schema(
    methods=["GET"],
    parameters=[OpenApiParameter("format", str, enum=list(exports.FORMS), description="jsonl unless told")],
    responses={
        (200, "application/jsonl"): Judgement,
        (200, "text/csv"): str,
        (200, "application/json"): LabelStudioTask(many=True),
    },
)
@endpoint(GET=Scope.READ)
def queue_export(request: Request, name: str) -> HttpResponse:
    """All reviews and verdicts of a queue; whoever may review gets what others said here of settled items alone."""
    actor = actor_of(request)
    paging.refuse_unknown(request, {"format"})
    queue = queries.queue_named(actor.project.pk, name)
    return exports.answer(queue, request.query_params.get("format", "jsonl"), by=actor)


@extend_schema(
    methods=["POST"],
    request={"application/json": ReviewMadeElsewhere(many=True), "application/x-ndjson": ReviewMadeElsewhere},
    responses={201: ReviewsImported},
)
@endpoint(POST=Scope.EVALUATE)
def reviews_import(request: Request, name: str) -> Response:
    """Reviews made elsewhere: they count for agreement and aggregation, and settle nothing."""
    actor, now = actor_of(request), clock.now()
    queue = queries.queue_named(actor.project.pk, name)
    rows, flaws = elsewhere.read(request.data, now=now)
    stored = services.store(queue=queue, rows=rows, flaws=flaws, by=actor, now=now)
    return Response(ReviewsImported(stored).data, status=201)


@extend_schema(methods=["POST"], request=PrecedentsRequest, responses=PrecedentsFound)
@endpoint(POST=Scope.READ)
def precedent_search(request: Request) -> Response:
    """Decided cases like this one, with what people said why; of part `teach` alone."""
    if not isinstance(request.data, dict):
        raise Invalid(FieldError("body", 'is no object; send {"input", "k"}'))
    asked = PrecedentsRequest.read(request.data)
    found = precedents.like(actor_of(request).project.pk, asked["input"], k=asked["k"])
    return Response({"results": [_shown(one) for one in found]})


def _shown(found: precedents.Precedent) -> dict[str, Any]:
    return {
        **shapes.VerdictShown(found.verdict).data,
        "similarity": found.similarity,
        "input": found.input,
        "output_text": None if found.output is None else texts.output_text(found.output),
    }
