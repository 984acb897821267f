"""Spans and log records, the same from every notation, and the limits that hold for them."""

import base64
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from core.problems import FieldError, Problem

MOST_RECORDS = 20_000
# Beyond these a span's attributes, events and links are left out and counted.
MOST_ATTRIBUTES = 2_000
MOST_EVENTS = 2_000
MOST_LINKS = 1_000
LARGEST_RECORD = 8 * 1024 * 1024
DEEPEST = 32
# Of one request, so that it is read in a moment.
MOST_VALUES = 500_000
# A resource is kept with each of its spans: what it comes to, in bytes.
MOST_REPEATED = 32 * 1024 * 1024

SPAN_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUS_CODES = ("unset", "ok", "error")

Attributes = dict[str, Any]


class Unfit(Exception):  # the record does not fit
    """This record is not stored: `place` says where in it, `message` what is wrong and what to send."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.place = place
        self.message = message

    def within(self, place: str) -> "Unfit":
        """The same, seen from outside."""
        joint = "." if self.place and not self.place.startswith("[") else ""
        return Unfit(f"{place}{joint}{self.place}", self.message)


@dataclass(frozen=True)
class Unread:
    """Stands where a record stood that does not fit; `name` says which."""

    name: str
    error: FieldError


@dataclass(frozen=True)
class Source:
    """What a span or log record comes from: the process, and the library in it."""

    resource: Attributes = field(default_factory=dict)
    scope: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    n_bytes: int = 0


@dataclass(frozen=True)
class Event:
    """Something that happened in a span."""

    name: str
    time_ns: int
    attributes: Attributes
    n_dropped: int = 0

    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = {"name": self.name}
        if self.time_ns:
            told["time_unix_nano"] = str(self.time_ns)
        if self.attributes:
            told["attributes"] = self.attributes
        if self.n_dropped:
            told["dropped_attributes"] = self.n_dropped
        return told


@dataclass(frozen=True)
class Span:
    """One operation of a trace. Ids are lower-case hex, times nanoseconds since 1970 as sent."""

    source: Source
    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    events: list[Event]
    links: list[dict[str, Any]]
    status: str
    status_message: str
    trace_state: str = ""
    flags: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def external_id(self) -> str:
        """What it is stored under."""
        return f"{self.trace_id}:{self.span_id}"


@dataclass(frozen=True)
class LogRecord:
    """One log record; `event` is the name of the event that it is, or ""."""

    source: Source
    trace_id: str
    span_id: str
    event: str
    time_ns: int
    body: Any
    attributes: Attributes


class Budget:
    """What one request may still hold, counted while it is read."""

    def __init__(self) -> None:
        self._n_values = MOST_VALUES
        self._n_records = MOST_RECORDS
        self._n_repeated = MOST_REPEATED

    def take_values(self, n: int) -> None:
        """`n` attributes or values more.

        Raises:
            Problem: 413.
        """
        self._n_values -= n
        if self._n_values < 0:
            raise Problem(413, f"The body holds more than {MOST_VALUES} attributes and values; send fewer at a time.")

    def take_record(self, source: Source) -> None:
        """A span or log record more, which its source is kept with.

        Raises:
            Problem: 413.
        """
        self._n_records -= 1
        self._n_repeated -= source.n_bytes
        if self._n_records < 0:
            raise Problem(413, f"The body holds more than {MOST_RECORDS} spans or records; send fewer at a time.")
        if self._n_repeated < 0:
            raise Problem(413, "The resource is too large for so many spans; send fewer at a time.")


def named(pairs: Iterable[tuple[str, Any]]) -> Attributes:
    """Attributes by name. A name ought to stand once; of a repeat nothing is lost, it is kept as `name#2`."""
    found: Attributes = {}
    seen: Counter[str] = Counter()
    for name, value in pairs:
        unique = name
        while unique in found:
            seen[name] += 1
            unique = f"{name}#{seen[name] + 1}"
        found[unique] = value
    return found


def text(value: str, place: str) -> str:
    """The text as it is.

    Raises:
        Unfit: it cannot be stored.
    """
    if "\x00" in value:
        raise Unfit(place, "holds the character NUL, which cannot be stored: leave it out")
    return value


def number(value: float) -> float | str:
    """As JSON can say it; what is no number is a text, as protobuf's own JSON has it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def octets(value: bytes) -> str:
    """Base64, as protobuf's own JSON has it."""
    return base64.b64encode(value).decode("ascii")


def id_of(value: bytes, place: str, n_bytes: int) -> str:
    """An id in lower-case hex; "" where there is none, which zeros say, too.

    Raises:
        Unfit: of another length.
    """
    if not any(value):
        return ""
    if len(value) != n_bytes:
        raise Unfit(place, f"has {len(value)} bytes; send {n_bytes}")
    return value.hex()


def needed(id_: str, place: str) -> str:
    """The id.

    Raises:
        Unfit: there is none.
    """
    if not id_:
        raise Unfit(place, "is missing or all zeros; send the span's own")
    return id_


def source_of(resource: Attributes, resource_url: str, scope: dict[str, Any], scope_url: str, size: int) -> Source:
    """What is kept with each record of this source; nothing that is empty."""
    told: dict[str, Any] = {}
    if resource or resource_url:
        told["resource"] = {**resource, **({"schema_url": resource_url} if resource_url else {})}
    kept = {name: value for name, value in {**scope, "schema_url": scope_url}.items() if value}
    if kept:
        told["scope"] = kept
    return Source(resource, scope, told, size)
