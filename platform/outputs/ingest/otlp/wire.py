"""The envelope of OTLP in protobuf: split by hand, so that each record is read alone and none costs the others.

Parsed in one go, a body of twenty megabytes could hold ten million empty spans, which would take gigabytes, and one
bad text would be the end of all. Below the envelope, `opentelemetry-proto` reads.
(https://protobuf.dev/programming-guides/encoding/)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from core.problems import FieldError, Invalid, Problem

# Of the envelope: fields of resources and scopes, records among them.
MOST_FIELDS = 200_000
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


class Malformed(Exception):
    """This is no message of protobuf."""


def fields(body: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """The fields of a message by number; of those without a length the value is left out.

    Raises:
        Malformed: it breaks off, or is something else.
    """
    place, end = 0, len(body)
    while place < end:
        tag, place = _varint(body, place)
        number, kind = tag >> 3, tag & 7
        value = None
        if kind == LENGTH:
            size, place = _varint(body, place)
            value = body[place : place + size]
            place += size
        elif kind == VARINT:
            _, place = _varint(body, place)
        elif kind in (FIXED64, FIXED32):
            place += 8 if kind == FIXED64 else 4
        else:
            raise Malformed
        if place > end or number == 0:
            raise Malformed
        yield number, value


@dataclass
class Part:
    """What an envelope holds: of its own, and inner parts."""

    own: bytes
    schema_url: str
    inner: list[memoryview] = field(default_factory=list)


class Envelope:
    """A request's outer levels: resources, scopes, and the records as bytes.

    Args:
        body: of the request.

    Raises:
        Invalid: no such message. Problem: 413, it holds too much.
    """

    def __init__(self, body: bytes) -> None:
        self._n_fields = MOST_FIELDS
        self._body = memoryview(body)

    def resources(self) -> Iterator[Part]:
        for number, value in self._fields(self._body):
            if number == 1 and value is not None:
                yield self.part(value)

    def part(self, body: memoryview) -> Part:
        """A ResourceSpans, ScopeSpans or their like of logs: 1 its own, 2 what is in it, 3 its schema."""
        own, url, inner = bytearray(), b"", []
        for number, value in self._fields(body):
            if value is None:
                continue
            if number == 1:
                own += value  # two halves of a message are merged by putting them together
            elif number == 2:
                inner.append(value)
            elif number == 3:
                url = bytes(value)
        try:
            return Part(bytes(own), url.decode("utf-8").replace("\x00", ""), inner)
        except UnicodeDecodeError:
            raise _no_message("a schema_url is not UTF-8") from None

    def _fields(self, body: memoryview) -> Iterator[tuple[int, memoryview | None]]:
        try:
            for found in fields(body):
                self._n_fields -= 1
                if self._n_fields < 0:
                    raise Problem(413, "The body holds too many spans, records or scopes; send fewer at a time.")
                yield found
        except Malformed:
            raise _no_message("is no such message in protobuf, or breaks off") from None


def is_crowded(body: memoryview, shape: "Shape", most: int) -> bool:
    """Whether a message holds more than `most` messages, seen without building any."""
    waiting = [(body, shape)]
    try:
        while waiting:
            message, inside = waiting.pop()
            for number, value in fields(message):
                most -= 1
                if most < 0:
                    return True
                if value is not None and number in inside:
                    waiting.append((value, inside[number]))
    except Malformed:
        return False  # which its reader will say better
    return False


Shape = Mapping[int, "Shape"]


def _varint(body: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    try:
        while shift < 70:
            byte = body[place]
            place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, place
            shift += 7
    except IndexError:
        raise Malformed from None
    raise Malformed


def _no_message(said: str) -> Invalid:
    return Invalid(FieldError("body", f"{said}; send an ExportTraceServiceRequest or ExportLogsServiceRequest"))
