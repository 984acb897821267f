"""From a span to the rows it becomes: an output where a model answered, else a step; and what it says of quality."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from outputs import records
from outputs.ingest.otlp import moments, reading, tokens, tree
from outputs.ingest.otlp.conventions import CONVENTIONS
from outputs.ingest.otlp.moments import When
from outputs.ingest.otlp.reading import ANSWER, Reading
from outputs.ingest.otlp.spans import Span
from outputs.records import FeedbackRecord, SpanRecord, StepRecord

# Of each of our columns that takes a text, how long it may be. What is longer is cut there, and kept whole in metadata.
_LONGEST = {
    "model": 200,
    "provider": 100,
    "session_id": 200,
    "user_id": 200,
    "environment": 60,
    "prompt": 100,
    "revision": 64,
}
EVALUATION = "gen_ai.evaluation.result"


@dataclass(frozen=True)
class Mapped:
    """What a span becomes, and the feedback that it carried."""

    record: SpanRecord | StepRecord
    feedback: list[FeedbackRecord] = field(default_factory=list)


def mapped(span: Span, *, is_shadow: bool = False) -> Mapped:
    """The rows of a span. What no field of ours tells stands in `metadata`, under `otel`.

    Args:
        is_shadow: another span tells of the same answer, so this one is a step.

    Raises:
        records.Rejected: naming each field that does not fit.
    """
    known = [convention for convention in CONVENTIONS if convention.recognises(span)]
    found = reading.merged(convention.read(span) for convention in known)
    is_answer = found["kind"].value == ANSWER and not is_shadow
    used = _Used(span, found, known[0].name)
    record = _output(span, used) if is_answer else _step(span, used)
    flaws = record.flaws()
    if flaws:
        raise records.Rejected(*flaws)
    return Mapped(record, list(_feedback(span)))


class _Used:
    """Takes fields out of what was found, and knows what is left."""

    def __init__(self, span: Span, found: Reading, convention: str) -> None:
        self.span = span
        self._found = found
        self._told: set[str] = set()
        self.notes: list[str] = []
        self.convention = convention

    def value(self, name: str) -> Any:
        found = self._found.get(name)
        if found is None:
            return None
        self._told.update(found.attributes)
        return found.value

    def text(self, name: str) -> str | None:
        """A text that its column holds; one that is longer is cut, and its attribute is kept."""
        found = self._found.get(name)
        if found is None:
            return None
        value = str(found.value)
        if len(value) <= _LONGEST[name]:
            self._told.update(found.attributes)
        return value[: _LONGEST[name]] or None

    def counted(self) -> tokens.Counted:
        """The counts of tokens; where they had to be reconciled, as they were sent they are kept."""
        names = [name for name in tokens.NAMES if name in self._found]
        counted = tokens.reconciled({name: self._found[name].value for name in names})
        if counted.note:
            self.notes.append(counted.note)
        else:
            for name in names:
                if name != "total_tokens":
                    self._told.update(self._found[name].attributes)
        return counted

    def rest(self) -> dict[str, Any]:
        """The attributes that no field tells."""
        return {name: value for name, value in self.span.attributes.items() if name not in self._told}


def _output(span: Span, used: _Used) -> SpanRecord:
    when = moments.of_span(span)
    counted = used.counted()
    error, is_whole = _error(span)
    fields: dict[str, Any] = {
        "id": span.external_id,
        "input": _fitting_input(used.value("input")),
        "output": _fitting_output(used.value("output")),
        "error": error,
        "variables": used.value("variables"),
        "started_at": when.started_at,
        "latency_ms": when.latency_ms,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id or None,
        "tags": used.value("tags"),
        **counted.counts,
        **{name: used.text(name) for name in _LONGEST},
    }
    metadata = used.value("metadata") or {}
    return SpanRecord(**fields, metadata={**metadata, "otel": _kept(span, used, when, is_whole=is_whole)})


def _step(span: Span, used: _Used) -> StepRecord:
    when = moments.of_span(span)
    error, is_whole = _error(span)
    asked, answered = used.value("step_input"), used.value("step_output")
    fields: dict[str, Any] = {
        "kind": max(int(used.value("kind")), 0),
        "input": used.value("input") if asked is None else asked,
        "output": used.value("output") if answered is None else answered,
        "session_id": used.text("session_id"),
        "environment": used.text("environment"),
    }
    metadata = used.value("metadata") or {}
    return StepRecord(
        id=span.external_id,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id or None,
        name=span.name[:200] or None,
        service=str(span.source.resource.get("service.name", ""))[:200] or None,
        error=error,
        started_at=when.started_at,
        latency_ms=when.latency_ms,
        metadata={**metadata, "otel": _kept(span, used, when, is_whole=is_whole)},
        **fields,
    )


def _kept(span: Span, used: _Used, when: When, *, is_whole: bool) -> dict[str, Any]:
    """All that stands in no field of ours; call it last, when the fields are taken."""
    kept: dict[str, Any] = {
        "name": span.name,
        "kind": "" if span.kind == "unspecified" else span.kind,
        "convention": used.convention,
        "attributes": used.rest(),
        "events": [event.told() for event in span.events],
        "links": span.links,
        **span.source.told,
        "trace_state": span.trace_state,
        "flags": span.flags,
        "status": "" if span.status == "unset" else span.status,
        "status_message": "" if is_whole else span.status_message,
        "dropped": span.dropped,
        "notes": [*when.notes, *used.notes],
        **when.sent,
    }
    return {name: value for name, value in kept.items() if value}


def _error(span: Span) -> tuple[str | None, bool]:
    """Why the span failed, in whatever words there are, and whether they are the whole status message."""
    if span.status != "error":
        return None, False
    said = span.status_message or _raised(span) or str(span.attributes.get("error.type") or "")
    said = said or "The span ended with an error, and says nothing of it."
    return said[: records.LONGEST_ERROR], span.status_message == said[: records.LONGEST_ERROR]


def _raised(span: Span) -> str:
    for event in span.events:
        if event.name == "exception":
            told = (event.attributes.get(f"exception.{name}") for name in ("type", "message"))
            return ": ".join(str(word) for word in told if word)
    return ""


def _fitting_input(value: Any) -> Any:
    """An input that an output may have; anything else stands as what was asked."""
    if value is None or isinstance(value, str | dict):
        return value
    return value if isinstance(value, list) and value and all(map(_is_message, value)) else {"asked": value}


def _fitting_output(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    is_fit = isinstance(value, dict) and _is_message(value)
    return value if is_fit else {"role": "assistant", "content": [{"type": "json", "value": value}]}


def _is_message(value: Any) -> bool:
    try:
        msgspec.convert(value, records.Message)
    except msgspec.ValidationError:
        return False
    return True


def _feedback(span: Span) -> Iterator[FeedbackRecord]:
    """What the span says of its own quality: evaluations as events, annotations as attributes."""
    for place, event in enumerate(span.events):
        if event.name == EVALUATION:
            yield from _score(span, f"evaluation:{place}", evaluation_of(event.attributes))
    annotations, _ = tree.grown(span.attributes, "annotations")
    for place, told in enumerate(annotations):
        if isinstance(told, dict) and isinstance(inner := told.get("annotation", told), dict):
            said = {name: inner.get(name) for name in ("name", "label")}
            score = {"value": inner.get("score"), "comment": inner.get("explanation"), **said}
            yield from _score(span, f"annotation:{place}", score)


def evaluation_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of feedback in a GenAI evaluation."""
    return {
        "name": attributes.get("gen_ai.evaluation.name"),
        "value": attributes.get("gen_ai.evaluation.score.value"),
        "label": attributes.get("gen_ai.evaluation.score.label"),
        "comment": attributes.get("gen_ai.evaluation.explanation"),
    }


def _score(span: Span, place: str, told: Mapping[str, Any]) -> Iterator[FeedbackRecord]:
    record = score_of(span.external_id, place, told)
    if record is not None:
        yield record


def score_of(external_id: str, place: str, told: Mapping[str, Any]) -> FeedbackRecord | None:
    """A score of an output; None where it says nothing, or what no feedback can say."""
    said = {name: value for name, value in told.items() if value is not None}
    if isinstance(said.get("label"), bool | int | float):
        said["label"] = str(said["label"])
    row = {"id": f"{external_id}:{place}", "output_id": external_id, "kind": "score", "source": "opentelemetry", **said}
    try:
        return records.checked(row, FeedbackRecord, suspect=False)
    except records.Rejected:
        return None
