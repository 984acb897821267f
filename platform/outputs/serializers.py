"""Shapes of the outputs API."""

from functools import cache
from typing import Any

from rest_framework import serializers

from core.fields import Whole as WholeNumber
from core.rest import StrictSerializer
from outputs import costs
from outputs.models import Output, OutputBody, Step, StepBody
from outputs.queries import Whole
from outputs.services.limits import FIELDS, LimitState
from outputs.traces import Span


class FeedbackShape(serializers.Serializer[Any]):
    """What was said about an output."""

    id = serializers.CharField(source="external_id")
    kind = serializers.CharField()
    name = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    label = serializers.CharField()  # type: ignore[assignment]  # the contract's name; DRF has one of its own
    comment = serializers.CharField()
    user_id = serializers.CharField(source="end_user")
    source = serializers.CharField()  # type: ignore[assignment]  # likewise
    received_at = serializers.DateTimeField()


class OutputShape(serializers.Serializer[Any]):
    """An output with its texts; `prompt` and `revision` as sent where the project does not know them."""

    id = serializers.CharField()
    prompt = serializers.CharField(allow_null=True)
    revision = serializers.JSONField(allow_null=True, help_text="the number; as sent where it is not known")
    model = serializers.CharField()
    provider = serializers.CharField()
    status = serializers.ChoiceField(choices=["ok", "error"])
    environment = serializers.CharField()
    input = serializers.JSONField(allow_null=True)
    output = serializers.JSONField(allow_null=True)
    error = serializers.CharField(allow_null=True)
    variables = serializers.JSONField(allow_null=True)
    metadata = serializers.JSONField(allow_null=True)
    tags = serializers.ListField(child=serializers.CharField())
    started_at = serializers.DateTimeField(allow_null=True)
    latency_ms = serializers.FloatField(allow_null=True)
    input_tokens = serializers.IntegerField(allow_null=True)
    output_tokens = serializers.IntegerField(allow_null=True)
    cached_input_tokens = serializers.IntegerField(allow_null=True)
    cache_write_tokens = serializers.IntegerField(allow_null=True)
    reasoning_tokens = serializers.IntegerField(allow_null=True)
    cost_usd = serializers.FloatField(allow_null=True)
    cost_source = serializers.ChoiceField(
        choices=["sent", "computed"], allow_null=True, help_text="null: there is no cost"
    )
    confidence = serializers.FloatField(allow_null=True)
    trace_id = serializers.CharField()
    span_id = serializers.CharField()
    parent_span_id = serializers.CharField()
    session_id = serializers.CharField()
    user_id = serializers.CharField()
    received_at = serializers.DateTimeField()


class WholeShape(OutputShape):
    """An output with its texts and all feedback on it."""

    feedback = FeedbackShape(many=True)


class PageShape(serializers.Serializer[Any]):
    """Outputs, newest first; `next` is the address of the following page."""

    results = OutputShape(many=True)
    next = serializers.CharField(allow_null=True)


class SpanShape(OutputShape):
    """An output in its trace: how far below the first it stands, and whether the parent it names never arrived."""

    depth = serializers.IntegerField()
    is_orphan = serializers.BooleanField()


class StepShape(serializers.Serializer[Any]):
    """A span that is no answer of a model: what led to an output, or came of it."""

    id = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=[kind.name.lower() for kind in Step.Kind])
    service = serializers.CharField()
    status = serializers.ChoiceField(choices=["ok", "error"])
    environment = serializers.CharField()
    input = serializers.JSONField(allow_null=True)
    output = serializers.JSONField(allow_null=True)
    error = serializers.CharField(allow_null=True)
    metadata = serializers.JSONField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    latency_ms = serializers.FloatField(allow_null=True)
    trace_id = serializers.CharField()
    span_id = serializers.CharField()
    parent_span_id = serializers.CharField()
    session_id = serializers.CharField()
    received_at = serializers.DateTimeField()
    depth = serializers.IntegerField()
    is_orphan = serializers.BooleanField()


class LimitRequest(StrictSerializer):
    """How much a project may send; null, and what is not named, does not limit."""

    rows_per_second = WholeNumber(required=False, allow_null=True, default=None)
    burst_rows = WholeNumber(required=False, allow_null=True, default=None)
    bytes_per_second = WholeNumber(required=False, allow_null=True, default=None)
    rows_per_month = WholeNumber(required=False, allow_null=True, default=None)


class LimitShape(serializers.Serializer[Any]):
    """As it was set."""

    rows_per_second = serializers.IntegerField(allow_null=True)
    burst_rows = serializers.IntegerField(allow_null=True)
    bytes_per_second = serializers.IntegerField(allow_null=True)
    rows_per_month = serializers.IntegerField(allow_null=True)


class MonthShape(serializers.Serializer[Any]):
    """New rows of the running month (UTC)."""

    rows = serializers.IntegerField()
    quota = serializers.IntegerField(allow_null=True)


class LimitsShape(serializers.Serializer[Any]):
    """The limits of a project, and what is used of them."""

    limit = LimitShape()
    month = MonthShape()


def shown_limits(state: LimitState) -> dict[str, Any]:
    """As the API gives it."""
    limit = {name: getattr(state.limit, name) for name in FIELDS}
    return {"limit": limit, "month": {"rows": state.month_rows, "quota": state.limit.rows_per_month}}


class TraceShape(serializers.Serializer[Any]):
    """The outputs and steps of one trace, each after its parent; `is_whole` is false where there are more."""

    trace_id = serializers.CharField()
    outputs = SpanShape(many=True)
    steps = StepShape(many=True)
    is_whole = serializers.BooleanField()


class CountShape(serializers.Serializer[Any]):
    """How many outputs."""

    count = serializers.IntegerField()


def shown(output: Output, body: OutputBody | None) -> dict[str, Any]:
    """An output as the API gives it; texts that retention has dropped are null."""
    said = body or OutputBody(output_id=output.pk, received_on=output.received_on)
    fields = {name: getattr(output, name) for name in _SAME_NAMES} | {name: getattr(said, name) for name in _TEXTS}
    return _shape().to_representation(
        {
            **fields,
            "id": output.external_id,
            "prompt": output.prompt.name if output.prompt else said.prompt_name or None,
            "revision": output.revision.number if output.revision else said.revision_ref or None,
            "status": Output.Status(output.status).name.lower(),
            "user_id": output.end_user,
            "cost_source": costs.source_of(output),
        }
    )


def shown_span(span: Span, output: Output, body: OutputBody | None) -> dict[str, Any]:
    """The output of a span as the API gives it."""
    return {**shown(output, body), "depth": span.depth, "is_orphan": span.is_orphan}


def shown_step(span: Span, step: Step, body: StepBody | None) -> dict[str, Any]:
    """The step of a span as the API gives it; texts that retention has dropped are null."""
    said = body or StepBody(step_id=step.pk, received_on=step.received_on)
    fields = {name: getattr(step, name) for name in _SAME_IN_STEPS} | {
        name: getattr(said, name) for name in ("input", "output", "error", "metadata")
    }
    return _step_shape().to_representation(
        {
            **fields,
            "id": step.external_id,
            "kind": Step.Kind(step.kind).name.lower(),
            "status": Output.Status(step.status).name.lower(),
            "depth": span.depth,
            "is_orphan": span.is_orphan,
        }
    )


def shown_whole(found: Whole) -> dict[str, Any]:
    """An output with its feedback as the API gives it."""
    return {**shown(found.output, found.body), "feedback": FeedbackShape(found.feedback, many=True).data}


@cache
def _shape() -> OutputShape:
    """One for all rows: to make it copies each of its fields, which takes ten times as long as to use it."""
    return OutputShape()


@cache
def _step_shape() -> StepShape:
    """Likewise."""
    return StepShape()


_TEXTS = ("input", "output", "error", "variables", "metadata")
_SAME_NAMES = (
    "model provider environment tags started_at latency_ms input_tokens output_tokens"
    " cached_input_tokens cache_write_tokens reasoning_tokens cost_usd confidence"
    " trace_id span_id parent_span_id session_id received_at"
).split()
_SAME_IN_STEPS = (
    "name service environment started_at latency_ms trace_id span_id parent_span_id session_id received_at".split()
)
