"""Langfuse exports: `{"trace", "observations"}`, one in a file, an array of them, or one per line.

A generation is an output of the trace, any other observation a step, and the trace itself the step above them. Scores
are feedback: on their generation, or on the last one of a trace that was scored as a whole.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from core import strict_json
from core.problems import FieldError
from outputs import records
from outputs.importers import jsonl, lines, protocol
from outputs.importers.columns import Mapper
from outputs.importers.rows import Cursor, Errors, Item, Row, Unreadable
from outputs.models import Step
from outputs.records import FeedbackRecord, SpanRecord, StepRecord

OUTPUTS, STEPS, FEEDBACK = "outputs", "steps", "feedback"
# A file that is one JSON value is read whole.
LARGEST_WHOLE = 64 * 1024 * 1024
LIMITS = strict_json.Limits(n_bytes=LARGEST_WHOLE, n_values=2_000_000)
KINDS = {
    "AGENT": Step.Kind.AGENT,
    "CHAIN": Step.Kind.CHAIN,
    "TOOL": Step.Kind.TOOL,
    "RETRIEVER": Step.Kind.RETRIEVAL,
    "EMBEDDING": Step.Kind.EMBEDDING,
    "GUARDRAIL": Step.Kind.GUARDRAIL,
    "EVALUATOR": Step.Kind.EVALUATOR,
}
# Words of ours for what a provider counted; the names are those of Langfuse's own integrations.
CACHED = ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens", "prompt_details.cache_read",
          "prompt_details.cached_tokens", "input_token_details.cache_read")  # fmt: skip
WRITTEN = ("input_cache_creation", "cache_creation_input_tokens", "prompt_details.cache_creation")
REASONED = ("output_reasoning", "output_reasoning_tokens", "completion_details.reasoning",
            "completion_details.reasoning_tokens")  # fmt: skip
# What is kept in fields of its own; the rest of an observation is metadata.
_SAID = frozenset(
    "id traceId projectId type parentObservationId startTime endTime latency model input output level statusMessage"
    " environment promptName promptVersion totalCost createdAt updatedAt internalModelId inputCost outputCost"
    " inputUsage outputUsage totalUsage calculatedInputCost calculatedOutputCost calculatedTotalCost".split()
)
_SAID_OF_TRACE = frozenset(
    "id projectId name timestamp environment userId sessionId tags input output metadata scores latency createdAt"
    " updatedAt observations".split()
)


class Langfuse:
    """Traces with their observations and scores."""

    name = "langfuse"
    about = "Langfuse: traces with their observations"
    endings = ()
    is_mapped = False

    def refusal(self, head: bytes) -> str:
        begin = head.removeprefix(lines.BOM).lstrip()[:1]
        return protocol.text_refusal(head) or ("" if begin in (b"{", b"[") else "is no JSON")

    def rows(self, file: BinaryIO, start: Cursor) -> Iterator[Row]:
        first = next(lines.lines(file, number=1, offset=0), None)
        if first is not None and first.text is not None and _is_whole(first.text):
            yield from _by_line(file, start)
        else:
            yield from _whole(file, start)

    def items(self, row: Row, mapper: Mapper) -> Iterator[Item]:
        if row.errors:
            yield Item(OUTPUTS, errors=row.errors)
            return
        flaw = strict_json.flaw_in(row.value) if row.is_suspect else None
        if flaw is not None:
            yield Item(OUTPUTS, errors=(FieldError(flaw.path or "row", flaw.message),))
            return
        yield from _items(row.value)


def _is_whole(line: bytes) -> bool:
    """Whether a line is one export by itself."""
    text = line.strip()
    return text.startswith(b"{") and text.endswith(b"}") and len(text) > 2


def _by_line(file: BinaryIO, start: Cursor) -> Iterator[Row]:
    index = start.index
    for line in lines.lines(file, number=start.line, offset=start.offset):
        if line.text is None or line.text.strip():
            yield jsonl.row_of(line, index)
            index += 1


def _whole(file: BinaryIO, start: Cursor) -> Iterator[Row]:
    file.seek(0)
    text = file.read(LARGEST_WHOLE + 1).removeprefix(lines.BOM)
    if len(text) > LARGEST_WHOLE:
        raise Unreadable(f"is one JSON value of more than {LARGEST_WHOLE:,} bytes; write one trace per line")
    try:
        value, is_suspect = strict_json.parse_leniently(text, LIMITS)
    except strict_json.Refused as refused:
        raise Unreadable(f"is no JSON: {refused.message}") from None
    traces = value if isinstance(value, list) else [value]
    for index, trace in enumerate(traces):
        if index >= start.index:
            after = Cursor(index + 1, 1, len(text) * (index + 1) // len(traces))
            yield Row(index, 0, trace, after, is_suspect=is_suspect)


def _items(value: Any) -> Iterator[Item]:
    trace = value.get("trace", value) if isinstance(value, dict) else None
    observations = value.get("observations") if isinstance(value, dict) else None
    if not isinstance(trace, dict) or not isinstance(trace.get("id"), str) or not isinstance(observations, list):
        said = 'is no Langfuse export; send {"trace": {"id", …}, "observations": […]}'
        yield Item(OUTPUTS, errors=(FieldError("row", said),))
        return
    made = _Trace(trace, observations)
    yield made.root()
    for number, observation in enumerate(observations):
        yield made.item(number, observation)
    for number, score in enumerate(_list(trace.get("scores"))):
        yield made.score(number, score)


class _Trace:
    """One export on its way into records."""

    def __init__(self, trace: Mapping[str, Any], observations: list[Any]) -> None:
        self._trace = trace
        self._id = str(trace["id"])
        self._session = _text(trace.get("sessionId"))
        generations = [one for one in observations if isinstance(one, dict) and one.get("type") == "GENERATION"]
        self._generations = {str(one.get("id")) for one in generations}
        last = max(generations, key=lambda one: str(one.get("startTime")), default=None)
        self._answer = self._named(str(last.get("id"))) if last else self._id

    def root(self) -> Item:
        """The trace itself, as the step above its observations."""
        trace = self._trace
        value = {
            "id": self._named(self._id),
            "trace_id": self._id,
            "span_id": self._id,
            "session_id": self._session,
            "name": _text(trace.get("name")),
            "kind": int(Step.Kind.CHAIN),
            "environment": _text(trace.get("environment")),
            "started_at": trace.get("timestamp"),
            "latency_ms": _seconds(trace.get("latency")),
            "input": _decoded(trace.get("input")),
            "output": _decoded(trace.get("output")),
            "metadata": _rest(trace, _SAID_OF_TRACE)
            | {"user_id": trace.get("userId"), "tags": trace.get("tags"), "metadata": _decoded(trace.get("metadata"))},
        }
        return _item(STEPS, value, StepRecord, "trace", is_along=True)

    def item(self, number: int, observation: Any) -> Item:
        """A generation as an output, anything else as a step."""
        place = f"observations[{number}]"
        if not isinstance(observation, dict) or not isinstance(observation.get("id"), str):
            return Item(OUTPUTS, errors=(FieldError(place, "is no observation; send an object with an id"),))
        value = self._shared(observation)
        if observation.get("type") == "GENERATION":
            return _item(OUTPUTS, value | self._answered(observation), SpanRecord, place)
        step = value | {
            "name": _text(observation.get("name")),
            "kind": int(KINDS.get(str(observation.get("type")), Step.Kind.OTHER)),
            "input": _decoded(observation.get("input")),
            "output": _decoded(observation.get("output")),
        }
        return _item(STEPS, step, StepRecord, place)

    def score(self, number: int, score: Any) -> Item:
        """A score as feedback."""
        place = f"scores[{number}]"
        if not isinstance(score, dict):
            return Item(FEEDBACK, errors=(FieldError(place, "is no score; send an object"),), is_along=True)
        on = str(score.get("observationId") or "")
        value = {
            "id": _text(score.get("id")),
            "output_id": self._named(on) if on in self._generations else self._answer,
            "kind": "score",
            "name": _text(score.get("name")),
            "value": score.get("value"),
            "label": _text(score.get("stringValue")),
            "comment": _text(score.get("comment")),
            "user_id": _text(score.get("authorUserId")),
            "source": f"langfuse {_text(score.get('source')) or ''}".strip().lower(),
        }
        return _item(FEEDBACK, value, FeedbackRecord, place, is_along=True)

    def _shared(self, observation: Mapping[str, Any]) -> dict[str, Any]:
        span = str(observation["id"])
        is_error = observation.get("level") == "ERROR"
        said = _text(observation.get("statusMessage"))
        return {
            "id": self._named(span),
            "trace_id": self._id,
            "span_id": span,
            "parent_span_id": _text(observation.get("parentObservationId")) or self._id,
            "session_id": self._session,
            "environment": _text(observation.get("environment")),
            "started_at": observation.get("startTime"),
            "latency_ms": _between(observation),
            "error": (said or "error") if is_error else None,
            "metadata": _rest(observation, _SAID) | ({} if is_error or not said else {"statusMessage": said}),
        }

    def _answered(self, observation: Mapping[str, Any]) -> dict[str, Any]:
        usage = observation.get("usageDetails")
        used = usage if isinstance(usage, dict) else {}
        costs = observation.get("costDetails")
        return {
            "input": _input(observation.get("input")),
            "output": _output(observation.get("output")),
            "model": _text(observation.get("model")),
            "prompt": _text(observation.get("promptName")),
            "revision": observation.get("promptVersion"),
            "input_tokens": _first(used, "input") if used else observation.get("inputUsage"),
            "output_tokens": _first(used, "output") if used else observation.get("outputUsage"),
            "cached_input_tokens": _first(used, *CACHED),
            "cache_write_tokens": _first(used, *WRITTEN),
            "reasoning_tokens": _first(used, *REASONED),
            "cost_usd": _cost(observation, costs if isinstance(costs, dict) else {}),
            "user_id": _text(self._trace.get("userId")),
            "tags": self._trace.get("tags"),
        }

    def _named(self, span: str) -> str:
        """As a span by OpenTelemetry is called, so that both ways bring it once."""
        return f"{self._id}:{span}"


def _item(
    kind: str, value: dict[str, Any], record: type[records.Record], place: str, *, is_along: bool = False
) -> Item:
    said = {name: one for name, one in value.items() if one is not None}
    try:
        return Item(kind, records.checked(said, record, suspect=False), is_along=is_along)
    except records.Rejected as rejected:
        return Item(kind, errors=_within(place, rejected.errors), is_along=is_along)


def _within(place: str, errors: Errors) -> Errors:
    return tuple(FieldError(f"{place}.{error.field}", error.message) for error in errors)


def _rest(found: Mapping[str, Any], said: frozenset[str]) -> dict[str, Any]:
    """What stands in no field of its own and says something."""
    return {name: one for name, one in found.items() if name not in said and one not in (None, "", [], {})}


def _text(found: Any) -> str | None:
    return None if found is None or found == "" else found if isinstance(found, str) else str(found)


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _seconds(found: Any) -> float | None:
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return round(found * 1000, 6) if is_number and found >= 0 else None


def _between(observation: Mapping[str, Any]) -> float | None:
    """Milliseconds from start to end, as the moments say; an end before its start says nothing."""
    begin, end = (_moment(observation.get(name)) for name in ("startTime", "endTime"))
    return round((end - begin) * 1000, 3) if begin is not None and end is not None and end >= begin else None


def _moment(found: Any) -> float | None:
    try:
        moment = dt.datetime.fromisoformat(found)
    except (TypeError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _first(used: Mapping[str, Any], *names: str) -> int | None:
    found = next((used[name] for name in names if isinstance(used.get(name), int | float)), None)
    return None if found is None else int(found)


def _cost(observation: Mapping[str, Any], costs: Mapping[str, Any]) -> float | None:
    """What Langfuse reckoned; a generation without a price says zero there and means nothing."""
    found = costs.get("total", observation.get("totalCost", observation.get("calculatedTotalCost")))
    return found if found or costs else None


def _decoded(found: Any) -> Any:
    """The value that a text of JSON is, where it is one as a whole."""
    if isinstance(found, str) and found[:1] in ("{", "[", '"'):
        try:
            return strict_json.parse(found.encode("utf-8"), records.ROW_LIMITS)
        except (strict_json.Refused, UnicodeEncodeError):
            return found
    return found


def _input(found: Any) -> Any:
    """Messages where there are messages, else the text or the variables."""
    value = _decoded(found)
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = value["messages"]
    if isinstance(value, list):
        return [_message(one, "user") for one in value] if value else None
    return value if isinstance(value, dict | str) or value is None else str(value)


def _output(found: Any) -> Any:
    """The message that was answered, else its text."""
    value = _decoded(found)
    if isinstance(value, dict) and isinstance(value.get("choices"), list) and value["choices"]:
        first = value["choices"][0]
        value = first["message"] if isinstance(first, dict) and isinstance(first.get("message"), dict) else value
    if isinstance(value, list):
        if not value:
            return None
        return _message(value[0] if len(value) == 1 else {"role": "assistant", "content": value}, "assistant")
    if isinstance(value, dict):
        return _message(value, "assistant")
    return value if isinstance(value, str) or value is None else str(value)


def _message(found: Any, role: str) -> dict[str, Any]:
    """A message with a role and a content; whatever else it carries is kept."""
    if not isinstance(found, dict):
        return {"role": role, "content": found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)}
    said = found.get("role")
    return {
        **found,
        "role": said if isinstance(said, str) and 0 < len(said) <= 60 else role,
        "content": _content(found),
    }


def _content(found: Mapping[str, Any]) -> Any:
    if "content" in found:
        content = found["content"]
        if isinstance(content, list):
            return [one if isinstance(one, dict) else {"type": "text", "text": str(one)} for one in content]
        inner = _content(content) if isinstance(content, dict) else None
        is_plain = content is None or isinstance(content, str)
        return content if is_plain else inner or json.dumps(content, ensure_ascii=False)
    texts = [part.get("content", part.get("text")) for part in _list(found.get("parts")) if isinstance(part, dict)]
    said = "\n".join(text for text in texts if isinstance(text, str))
    return said or _within_answer(found)


def _within_answer(found: Mapping[str, Any]) -> str | None:
    """The text in a provider's whole answer: Gemini's candidates, the items of an OpenAI response."""
    for name in ("candidates", "output"):
        for one in _list(found.get(name)):
            inner = one.get("content") if isinstance(one, dict) else None
            said = _content(inner if isinstance(inner, dict) else {"parts": inner})
            if said:
                return str(said)
    return None


IMPORTER = Langfuse()
