"""The shapes of the room's requests and answers."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.fields import Whole
from core.rest import StrictSerializer
from prompts import names
from reviews.models import Intake, Part, SamplingRule
from reviews.questions import KINDS, LONGEST_TEXT, MOST_QUESTIONS, MOST_TAGS
from reviews.services.items import as_rows

LONGEST_NAME = 100
MOST_OUTPUTS = 1_000
MOST_PEOPLE = 50
LONGEST_LEASE_MINUTES = 7 * 24 * 60


class Words(serializers.CharField):
    """A text, kept as it is; numbers are not taken for texts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Name(Words):
    """A name that can stand in an address."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=LONGEST_NAME, **options)

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if not names.is_name(name, LONGEST_NAME):
            raise serializers.ValidationError(f"is {name[:40]!r}; use A-Z, a-z, 0-9, full stop, _ and -")
        return name


class Share(serializers.FloatField):
    """A number above 0 and at most 1."""

    def to_internal_value(self, data: Any) -> float:
        if not isinstance(data, int | float) or isinstance(data, bool):
            self.fail("invalid")
        if not 0 < data <= 1:
            raise serializers.ValidationError(f"is {data}; send a probability above 0 and at most 1")
        return float(data)


@extend_schema_field({"type": "object", "additionalProperties": True})
class Mapping(serializers.JSONField):
    """A JSON object."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError("is no object; send {…}")
        return super().to_internal_value(data)


@extend_schema_field(
    {
        "type": "array",
        "minItems": 1,
        "maxItems": MOST_QUESTIONS,
        "items": {
            "type": "object",
            "required": ["key", "type"],
            "properties": {
                "key": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,59}$"},
                "type": {"type": "string", "enum": list(KINDS)},
                "text": {"type": "string"},
                "options": {"type": "array", "items": {}},
                "range": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
                "required": {"type": "boolean"},
                "show_if": {
                    "type": "object",
                    "required": ["question", "is"],
                    "properties": {"question": {"type": "string"}, "is": {}},
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
    }
)
class Questions(serializers.JSONField):
    """The questions of a rubric; `reviews.questions` reads them."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, list):
            raise serializers.ValidationError("is no list; send [{…}, …]")
        return super().to_internal_value(data)


class QualityRequest(StrictSerializer):
    question = Words(max_length=60)
    map = Mapping()


class RubricRequest(StrictSerializer):
    name = Name()
    questions = Questions()
    quality = QualityRequest()
    guideline = Words(max_length=LONGEST_TEXT, allow_blank=True, default="")


class QualityShown(serializers.Serializer[Any]):
    question = serializers.CharField()
    map = serializers.DictField(child=serializers.FloatField())


class RubricShown(serializers.Serializer[Any]):
    name = serializers.CharField()
    version = serializers.IntegerField()
    questions = Questions()
    quality = QualityShown()
    guideline = serializers.CharField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()


class RubricPage(serializers.Serializer[Any]):
    results = RubricShown(many=True)
    next = serializers.CharField(allow_null=True)


class QueueRequest(StrictSerializer):
    name = Name()
    rubric = Words(max_length=100)
    overlap = Whole(min_value=1, max_value=MOST_PEOPLE, required=False)
    blind = serializers.BooleanField(required=False)
    lease_minutes = Whole(min_value=1, max_value=LONGEST_LEASE_MINUTES, required=False)
    adjudicators = serializers.ListField(child=Words(max_length=254), max_length=MOST_PEOPLE, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.pop("blind", True):
            raise serializers.ValidationError({"blind": ["is false; reviewing is always blind, others stay hidden"]})
        return attrs


class QueueShown(serializers.Serializer[Any]):
    name = serializers.CharField()
    rubric = serializers.CharField(source="rubric.name")
    rubric_version = serializers.IntegerField(source="rubric.version")
    overlap = serializers.IntegerField()
    lease_minutes = serializers.IntegerField()
    adjudicators = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()

    def get_adjudicators(self, queue: Any) -> list[str]:
        return sorted(user.email for user in queue.adjudicators.all())


class QueuePage(serializers.Serializer[Any]):
    results = QueueShown(many=True)
    next = serializers.CharField(allow_null=True)


class CountersShown(serializers.Serializer[Any]):
    open = serializers.IntegerField()
    disputed = serializers.IntegerField()
    settled = serializers.IntegerField()
    mine = serializers.IntegerField()


class QueueWithCounters(QueueShown):
    counters = CountersShown()


class ItemsRequest(StrictSerializer):
    outputs = serializers.ListField(child=Words(max_length=200), min_length=1, max_length=MOST_OUTPUTS, required=False)
    filter = Mapping(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError("send either outputs (a list of ids) or filter (all that match)")
        return attrs


class FieldErrorShown(serializers.Serializer[Any]):
    field = serializers.CharField()
    message = serializers.CharField()


class RejectedRow(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    errors = FieldErrorShown(many=True)  # type: ignore[assignment]  # DRF takes declared fields off the class


class ItemsAdded(serializers.Serializer[Any]):
    added = serializers.IntegerField(source="n_added")
    duplicates = serializers.IntegerField(source="n_duplicates")
    rejected = serializers.SerializerMethodField()

    @extend_schema_field(RejectedRow(many=True))
    def get_rejected(self, added: Any) -> list[dict[str, object]]:
        return as_rows(added.rejected)


class IntakeShown(serializers.Serializer[Any]):
    """How far the walk over all matching outputs came."""

    id = serializers.IntegerField()
    queue = serializers.CharField(source="queue.name")
    filter = serializers.DictField(child=serializers.CharField())
    state = serializers.ChoiceField(Intake.State.choices)
    share = serializers.FloatField(help_text="of the walk that is behind it, 0 to 1")
    seen = serializers.IntegerField(source="n_seen")
    added = serializers.IntegerField(source="n_added")
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    ended_at = serializers.DateTimeField(allow_null=True)


class IntakeAccepted(IntakeShown):
    url = serializers.URLField(help_text="where its progress is told")


class RuleRequest(StrictSerializer):
    kind = serializers.ChoiceField(SamplingRule.Kind.choices, default=SamplingRule.Kind.PROBABILITY)
    rate = Share()
    filter = Mapping(default=dict)


class RuleShown(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.CharField()
    rate = serializers.FloatField()
    filter = Mapping()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()


class RulePage(serializers.Serializer[Any]):
    results = RuleShown(many=True)
    next = serializers.CharField(allow_null=True)


class Nothing(StrictSerializer):
    """A request that says nothing."""


class AskedRubric(serializers.Serializer[Any]):
    name = serializers.CharField()
    version = serializers.IntegerField()
    questions = Questions()


class OutputToJudge(serializers.Serializer[Any]):
    id = serializers.CharField(source="external_id")
    prompt = serializers.CharField(allow_null=True)
    revision = serializers.JSONField(allow_null=True)
    model = serializers.CharField()
    provider = serializers.CharField()
    environment = serializers.CharField()
    started_at = serializers.DateTimeField(allow_null=True)
    received_at = serializers.DateTimeField()
    trace_id = serializers.CharField()
    session_id = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    input = serializers.JSONField(allow_null=True)
    output = serializers.JSONField(allow_null=True)
    error = serializers.CharField(allow_null=True)
    variables = serializers.JSONField(allow_null=True)
    metadata = serializers.JSONField(allow_null=True)


class AssignedShown(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="task.item.pk")
    queue = serializers.CharField(source="task.item.queue.name")
    lease = serializers.UUIDField()
    lease_until = serializers.DateTimeField()
    rubric_version = serializers.IntegerField(source="task.rubric.version")
    rubric = AskedRubric(source="task.rubric")
    outputs = OutputToJudge(source="task.outputs", many=True)


class ReviewRequest(StrictSerializer):
    lease = serializers.UUIDField()
    rubric_version = Whole(min_value=1)
    answers = Mapping()
    correction = Words(max_length=LONGEST_TEXT, allow_blank=True, allow_null=True, default=None)
    tags = serializers.ListField(child=Words(max_length=100), max_length=MOST_TAGS, default=list)
    comment = Words(max_length=LONGEST_TEXT, allow_blank=True, default="")


class ReviewShown(serializers.Serializer[Any]):
    """A review, without a word about what others said or what became of the item."""

    id = serializers.IntegerField()
    item = serializers.IntegerField(source="item_id")
    rubric_version = serializers.IntegerField(source="item.rubric.version")
    answers = Mapping()
    correction = serializers.CharField(allow_null=True)
    tags = serializers.ListField(child=serializers.CharField())
    comment = serializers.CharField()
    at = serializers.DateTimeField()


class SkipRequest(StrictSerializer):
    reason = Words(max_length=2_000)


class SkipShown(serializers.Serializer[Any]):
    item = serializers.IntegerField(source="item_id")
    reason = serializers.CharField()
    at = serializers.DateTimeField()


class ReleaseRequest(StrictSerializer):
    reason = Words(max_length=2_000, allow_blank=True, required=False)


class ReleaseShown(serializers.Serializer[Any]):
    item = serializers.IntegerField(source="pk")


class VerdictRequest(StrictSerializer):
    answers = Mapping()
    correction = Words(max_length=LONGEST_TEXT, allow_blank=True, allow_null=True, default=None)
    rationale = Words(max_length=LONGEST_TEXT)

    def validate_rationale(self, rationale: str) -> str:
        if not rationale.strip():
            raise serializers.ValidationError("says nothing; write why this verdict holds")
        return rationale


class VerdictFilter(serializers.Serializer[Any]):
    """The query of a list of verdicts; `core.paging` refuses what is not named here."""

    since = serializers.DateTimeField(required=False)
    part = serializers.ChoiceField(Part.choices, required=False)
    queue = serializers.CharField(required=False)
    prompt = serializers.CharField(required=False)


class VerdictShown(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    item = serializers.IntegerField(source="item_id")
    queue = serializers.CharField(source="item.queue.name")
    rubric = serializers.CharField(source="item.rubric.name")
    rubric_version = serializers.IntegerField(source="item.rubric.version")
    output = serializers.CharField(source="output_external_id")
    prompt = serializers.CharField(source="prompt.name", allow_null=True, default=None)
    answers = Mapping()
    quality = serializers.FloatField()
    correction = serializers.CharField(allow_null=True)
    rationale = serializers.CharField()
    part = serializers.ChoiceField(Part.choices)
    settled_by = serializers.CharField()
    by = serializers.CharField()
    settled_at = serializers.DateTimeField()


class VerdictPage(serializers.Serializer[Any]):
    results = VerdictShown(many=True)
    next = serializers.CharField(allow_null=True)
