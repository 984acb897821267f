"""What may be said in one row: outputs and feedback as they are sent, checked whole, and hashed.

The same records stand behind every way in, so a repeat by another way is recognised.
"""

import datetime as dt
import functools
import hashlib
import math
import re
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
from msgspec import Meta

from core import strict_json
from core.problems import FieldError

HASH_BYTES = 32
EARLIEST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
LATEST = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
# What one row may hold. Shorter limits are those of the columns; content is limited by the row alone.
LONGEST_ROLE = 60
MOST_TAGS = 100
LONGEST_ERROR = 20_000
LONGEST_COMMENT = 100_000
LARGEST_COUNT = 10**15

ROW_LIMITS = strict_json.Limits(n_bytes=8 * 1024 * 1024, n_values=100_000)

Id = Annotated[str, Meta(min_length=1, max_length=200)]
Text60 = Annotated[str, Meta(max_length=60)]
Text64 = Annotated[str, Meta(max_length=64)]
Text100 = Annotated[str, Meta(max_length=100)]
Text200 = Annotated[str, Meta(max_length=200)]
Tag = Annotated[str, Meta(min_length=1, max_length=100)]
Count = Annotated[int, Meta(ge=0, le=LARGEST_COUNT)]
RevisionNumber = Annotated[int, Meta(ge=1, le=2**31 - 1)]
ContentHash = Annotated[str, Meta(min_length=1, max_length=64)]


class Rejected(Exception):  # the word of the contract
    """This row is not stored; `errors` names each field that is wrong."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


class Message(msgspec.Struct):
    """One message; what else it carries (name, tool calls) is kept."""

    role: Annotated[str, Meta(min_length=1, max_length=LONGEST_ROLE)]
    content: str | list[dict[str, Any]] | None


Messages = Annotated[list[Message], Meta(min_length=1)]


class Record(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A row as it is sent. A field that is null and one that is left out say the same."""

    what: ClassVar[str]
    wanted: ClassVar[dict[str, str]]

    id: Id | None = None

    def flaws(self) -> list[FieldError]:
        """What is wrong with fields that are each well formed; a kind of row with such rules says more."""
        return []

    def body_hash(self, hash_key: bytes) -> bytes:
        """32 bytes that two rows share if they say the same; keyed, so that it betrays no text."""
        return hashlib.blake2b(_CANONICAL.encode(self), key=hash_key, digest_size=HASH_BYTES).digest()


class OutputRecord(Record):
    """One answer of production."""

    what: ClassVar[str] = "output"
    wanted: ClassVar[dict[str, str]] = {
        "id": "text of 1 to 200 characters, or leave it out",
        "prompt": "a prompt's name, at most 100 characters",
        "revision": "a revision's number or content hash",
        "model": "text of at most 200 characters",
        "provider": "text of at most 100 characters",
        "input": 'text, messages [{"role", "content"}], or an object of variables',
        "output": 'text, a message {"role", "content"}, or null with `error`',
        "error": f"text of at most {LONGEST_ERROR} characters",
        "variables": "an object of variables by name",
        "started_at": "a moment from 1970 to 2199 in ISO 8601, as 2026-01-31T12:00:00Z",
        "latency_ms": "milliseconds, at least 0",
        "input_tokens": "a whole number, at least 0",
        "output_tokens": "a whole number, at least 0",
        "cached_input_tokens": "a whole number, at least 0: those of input_tokens that were read from a cache",
        "cache_write_tokens": "a whole number, at least 0: those of input_tokens that were written to a cache",
        "reasoning_tokens": "a whole number, at least 0: those of output_tokens that were thought, not said",
        "cost_usd": "an amount of at least 0 and below 1e9",
        "trace_id": "text of at most 64 characters",
        "span_id": "text of at most 64 characters",
        "parent_span_id": "text of at most 64 characters",
        "session_id": "text of at most 200 characters",
        "user_id": "text of at most 200 characters",
        "environment": "text of at most 60 characters",
        "confidence": "a number from 0 to 1",
        "tags": f"a list of at most {MOST_TAGS} texts of 1 to 100 characters",
        "metadata": "an object",
    }

    input: str | list[Any] | dict[str, Any]
    output: str | dict[str, Any] | None = None
    error: Annotated[str, Meta(max_length=LONGEST_ERROR)] | None = None
    variables: dict[str, Any] | None = None
    prompt: Text100 | None = None
    revision: RevisionNumber | ContentHash | None = None
    model: Text200 | None = None
    provider: Text100 | None = None
    started_at: dt.datetime | None = None
    latency_ms: Annotated[float, Meta(ge=0, le=1e15)] | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cached_input_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    cost_usd: Annotated[float, Meta(ge=0, lt=1e9)] | None = None
    trace_id: Text64 | None = None
    span_id: Text64 | None = None
    parent_span_id: Text64 | None = None
    session_id: Text200 | None = None
    user_id: Text200 | None = None
    environment: Text60 | None = None
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    tags: Annotated[list[Tag], Meta(max_length=MOST_TAGS)] | None = None
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        """Two ways of saying the same become one, so that they hash alike."""
        if self.started_at is not None:
            self.started_at = _in_utc(self.started_at)
        self.tags = self.tags or None
        self.metadata = self.metadata or None
        self.variables = self.variables or None
        self.error = self.error or None

    def flaws(self) -> list[FieldError]:
        found = []
        if isinstance(self.input, list) and not (self.input and all(map(_is_plain_message, self.input))):
            place = _misfit(self.input, Messages)
            if place is not None:
                found.append(FieldError("input" + place, f"is no list of messages; send {self.wanted['input']}"))
        if isinstance(self.output, dict) and (place := _misfit(self.output, Message)) is not None:
            found.append(FieldError("output" + place, f"is no message; send {self.wanted['output']}"))
        if self.output is None and self.error is None:
            found.append(FieldError("output", "is missing; send text, a message, or null with `error`"))
        if self.started_at is not None and not EARLIEST <= self.started_at < LATEST:
            found.append(FieldError("started_at", f"is out of range; send {self.wanted['started_at']}"))
        return found


class SpanRecord(OutputRecord):
    """One answer of production as a span tells it: often without its texts, which may follow or never come."""

    # Narrower in its parent, where a sender types it by hand.
    input: str | list[Any] | dict[str, Any] | None = None  # type: ignore[assignment]

    def flaws(self) -> list[FieldError]:
        """As of an output, but nothing captured is no flaw."""
        missing = self.output is None and self.error is None
        return [flaw for flaw in super().flaws() if not (missing and flaw.field == "output")]


class StepRecord(Record):
    """One span of a trace that is no answer of a model. Read from what a sender's library wrote, never by hand."""

    what: ClassVar[str] = "step"

    id: Id
    trace_id: Text64
    span_id: Text64
    parent_span_id: Text64 | None = None
    session_id: Text200 | None = None
    name: Text200 | None = None
    kind: int = 0
    service: Text200 | None = None
    environment: Text60 | None = None
    started_at: dt.datetime | None = None
    latency_ms: float | None = None
    input: Any = None
    output: Any = None
    error: Annotated[str, Meta(max_length=LONGEST_ERROR)] | None = None
    metadata: dict[str, Any] | None = None


class SayingRecord(Record):
    """Messages of an output that were sent apart from it."""

    what: ClassVar[str] = "saying"

    id: Id
    output_id: Id
    side: int
    said_ns: int
    content: list[dict[str, Any]]


class FeedbackRecord(Record):
    """What somebody or something says about an output."""

    what: ClassVar[str] = "feedback"
    wanted: ClassVar[dict[str, str]] = {
        "id": "text of 1 to 200 characters, or leave it out",
        "output_id": "the id of an output, 1 to 200 characters",
        "kind": "one of thumb, edit, comment, outcome, score",
        "name": "text of at most 100 characters",
        "value": "a number, true or false",
        "label": "text of at most 200 characters",
        "comment": f"text of at most {LONGEST_COMMENT} characters",
        "user_id": "text of at most 200 characters",
        "source": "text of at most 100 characters",
    }

    output_id: Id
    kind: Literal["thumb", "edit", "comment", "outcome", "score"]
    name: Text100 | None = None
    value: float | bool | None = None
    label: Text200 | None = None
    comment: Annotated[str, Meta(max_length=LONGEST_COMMENT)] | None = None
    user_id: Text200 | None = None
    source: Text100 | None = None

    def __post_init__(self) -> None:
        """Two ways of saying the same become one, so that they hash alike."""
        self.value = None if self.value is None else float(self.value)

    def flaws(self) -> list[FieldError]:
        if self.value is not None and not math.isfinite(self.value):
            return [FieldError("value", f"{_found(self.value)}; send {self.wanted['value']}")]
        if self.value is None and not self.label and not self.comment:
            return [FieldError("value", "is missing; send at least one of value, label, comment")]
        return []


R = TypeVar("R", bound=Record)


def read(row: bytes, kind: type[R]) -> R:
    """One row from its JSON text.

    Raises:
        Rejected: naming each field that is wrong.
    """
    try:
        value, suspect = strict_json.parse_leniently(row, ROW_LIMITS)
    except strict_json.Refused as refused:
        raise Rejected(FieldError(refused.path or "row", refused.message)) from refused
    return checked(value, kind, suspect=suspect)


def checked(value: Any, kind: type[R], *, suspect: bool) -> R:
    """One row from its parsed JSON; `suspect` is what `strict_json.parse_leniently` said of it.

    Raises:
        Rejected: naming each field that is wrong.
    """
    flaw = strict_json.flaw_in(value) if suspect else None
    if flaw is not None:
        raise Rejected(FieldError(flaw.path or "row", flaw.message))
    if not isinstance(value, dict):
        raise Rejected(FieldError("row", f"{_found(value)}; send an object with the fields of {kind.what}"))
    try:
        record = msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError):
        raise Rejected(*_field_flaws(value, kind)) from None
    flaws = record.flaws()
    if flaws:
        raise Rejected(*flaws)
    return record


_CANONICAL = msgspec.json.Encoder(order="sorted")
_PLACE = re.compile(r" - at `(?:key in )?\$(.*)`$")


def _is_plain_message(value: Any) -> bool:
    """Whether this is surely a `Message`, seen in a fraction of the time that the whole check takes."""
    return (
        type(value) is dict
        and type(role := value.get("role")) is str
        and 0 < len(role) <= LONGEST_ROLE
        and type(value.get("content")) is str
    )


def _in_utc(moment: dt.datetime) -> dt.datetime:
    """A moment without an offset is UTC, as the contract says."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=dt.UTC)
    return moment.astimezone(dt.UTC)


def _field_flaws(row: dict[str, Any], kind: type[Record]) -> list[FieldError]:
    """Each field that is wrong, found one by one once the row as a whole did not fit."""
    fields = _fields(kind)
    found = []
    for name, value in row.items():
        if name not in fields:
            known = ", ".join(kind.wanted)
            found.append(FieldError(name[:100], f"is no field of {kind.what}; known: {known}"))
        elif (place := _misfit(value, fields[name].type)) is not None:
            said = "holds what does not fit" if place else _found(value)
            found.append(FieldError(name + place, f"{said}; send {kind.wanted[name]}"))
    for name, field in fields.items():
        if field.required and name not in row:
            found.append(FieldError(name, f"is missing; send {kind.wanted[name]}"))
    return found or [FieldError("started_at", f"is out of range; send {kind.wanted.get('started_at', 'another')}")]


@functools.cache
def _fields(kind: type[Record]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(kind)}


def _misfit(value: Any, type_: Any) -> str | None:
    """Where in `value` it does not fit: a path, empty for the whole; None where it fits."""
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        return place.group(1) if place else ""
    return None


def _found(value: Any) -> str:
    """What was sent, in words that repeat nothing of it but numbers."""
    match value:
        case None:
            return "is null"
        case bool():
            return "is true" if value else "is false"
        case int() | float():
            return f"is {value:.6g}" if math.isfinite(value) else "is no number"
        case str():
            return f"is text of {len(value)} characters"
        case list():
            return f"is a list of {len(value)}"
    return "is an object"
