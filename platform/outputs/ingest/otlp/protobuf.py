"""Spans and log records from OTLP in protobuf."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from google.protobuf import message_factory
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from core.problems import FieldError, Invalid
from outputs.ingest.otlp import spans, wire
from outputs.ingest.otlp.spans import Budget, Event, LogRecord, Source, Span, Unfit, Unread

R = TypeVar("R", Span, LogRecord)
M = TypeVar("M", bound=Message)

# Which fields hold messages that hold attributes, as far as it matters for what they cost.
_VALUE: dict[int, Any] = {}
_PAIR = {2: _VALUE}
_VALUE.update({5: {1: _VALUE}, 6: {1: _PAIR}})
_SHAPE: wire.Shape = {9: _PAIR, 11: {3: _PAIR}, 13: {4: _PAIR}, 5: _VALUE, 6: _PAIR}
# A message of two bytes costs seventy in memory: larger ones are counted through before they are parsed.
_COUNTED_BYTES = 256 * 1024
_MOST_INNER = 100_000
# For the name of a span that does not fit, which stands at its beginning.
_MOST_LOOKED_AT = 100


def spans_of(body: bytes) -> Iterator[Span | Unread]:
    """Every span of a request, or why it does not fit.

    Raises:
        Problem: the body as a whole does not fit.
    """
    return _records(body, trace_pb2.Span, _span)


def logs_of(body: bytes) -> Iterator[LogRecord | Unread]:
    """Every log record of a request, or why it does not fit.

    Raises:
        Problem: the body as a whole does not fit.
    """
    return _records(body, logs_pb2.LogRecord, _log)


def _records(body: bytes, kind: type[M], read: Callable[[M, Source, Budget], R]) -> Iterator[R | Unread]:
    envelope, budget = wire.Envelope(body), Budget()
    for part in envelope.resources():
        resource = _parsed(part.own, Resource, "resource")
        for scoped in map(envelope.part, part.inner):
            source = _source(resource, part, _parsed(scoped.own, InstrumentationScope, "scope"), scoped, budget)
            for raw in scoped.inner:
                budget.take_record(source)
                yield _record(raw, kind, source, budget, read)


def _record(
    raw: memoryview, kind: type[M], source: Source, budget: Budget, read: Callable[[M, Source, Budget], R]
) -> R | Unread:
    try:
        return read(_message(raw, kind), source, budget)
    except Unfit as unfit:
        return Unread(_name_in(raw), FieldError(unfit.place, unfit.message))


def _message(raw: memoryview, kind: type[M]) -> M:
    if len(raw) > spans.LARGEST_RECORD:
        raise Unfit("span", f"has {len(raw)} bytes; at most {spans.LARGEST_RECORD} are taken")
    if len(raw) > _COUNTED_BYTES and wire.is_crowded(raw, _SHAPE, _MOST_INNER):
        raise Unfit("span", f"holds more than {_MOST_INNER} values; send fewer")
    try:
        return kind.FromString(bytes(raw))
    except DecodeError:
        raise _flaw_in(raw, kind) from None


def _flaw_in(raw: memoryview, kind: type[Message]) -> Unfit:
    """Where a message cannot be read, as near as its attributes."""
    names = {field.number: field for field in kind.DESCRIPTOR.fields}
    places: dict[int, int] = {}
    try:
        for number, value in itertools.islice(wire.fields(raw), _MOST_INNER):
            field = names.get(number)
            if value is None or field is None:
                continue
            place = f"{field.name}[{places.get(number, 0)}]" if field.is_repeated else field.name
            places[number] = places.get(number, 0) + 1
            if field.message_type and not _can_read(value, _class_of(field.message_type)):
                return Unfit(place + _key_in(value, field.name), "holds text that is not UTF-8, or is nested too deep")
            if field.type == field.TYPE_STRING and not _is_text(value):
                return Unfit(place, "is not UTF-8: send UTF-8")
    except wire.Malformed:
        pass
    return Unfit("span", "is no such message in protobuf, or breaks off")


def _class_of(descriptor: Any) -> type[Message]:  # of either implementation, which the types tell apart
    return message_factory.GetMessageClass(descriptor)


def _can_read(value: memoryview, kind: type[Message]) -> bool:
    try:
        kind.FromString(bytes(value))
    except DecodeError:
        return False
    return True


def _key_in(pair: memoryview, field: str) -> str:
    """The key of an attribute that cannot be read, as ` (key)`."""
    if field != "attributes":
        return ""
    key = next((bytes(value or b"") for number, value in wire.fields(pair) if number == 1), b"")
    return f" ({key[:100].decode('utf-8', 'replace')})".replace("\x00", "")


def _is_text(value: memoryview) -> bool:
    try:
        str(value, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _name_in(raw: memoryview) -> str:
    """What a span that does not fit calls itself: its name, or its id."""
    try:
        first = itertools.islice(wire.fields(raw), _MOST_LOOKED_AT)
        told = {number: bytes(value[:100]) for number, value in first if value is not None and number in (2, 5)}
    except wire.Malformed:
        return ""
    name = told.get(5, b"").decode("utf-8", "replace").replace("\x00", "")
    return f"{name} {told.get(2, b'')[:8].hex()}".strip()


def _parsed(raw: bytes, kind: type[M], place: str) -> M:
    if len(raw) > _COUNTED_BYTES:
        raise Invalid(FieldError(place, f"has {len(raw)} bytes; at most {_COUNTED_BYTES} are taken"))
    try:
        return kind.FromString(raw)
    except DecodeError:
        raise Invalid(FieldError(place, "holds text that is not UTF-8, or is no such message")) from None


def _source(
    resource: Resource, outer: wire.Part, scope: InstrumentationScope, inner: wire.Part, budget: Budget
) -> Source:
    try:
        told = {
            "name": spans.text(scope.name, "scope.name"),
            "version": spans.text(scope.version, "scope.version"),
            "attributes": _attributes(scope.attributes, budget)[0],
        }
        size = len(outer.own) + len(inner.own)
        attributes, _ = _attributes(resource.attributes, budget)
    except Unfit as unfit:
        raise Invalid(FieldError(unfit.place, unfit.message)) from None
    return spans.source_of(attributes, outer.schema_url, told, inner.schema_url, size)


def _span(found: trace_pb2.Span, source: Source, budget: Budget) -> Span:
    attributes, n_cut = _attributes(found.attributes, budget)
    events = found.events[: spans.MOST_EVENTS]
    links = found.links[: spans.MOST_LINKS]
    dropped = {
        "attributes": found.dropped_attributes_count + n_cut,
        "events": found.dropped_events_count + len(found.events) - len(events),
        "links": found.dropped_links_count + len(found.links) - len(links),
    }
    budget.take_values(len(events) + len(links))
    return Span(
        source=source,
        trace_id=spans.needed(spans.id_of(found.trace_id, "trace_id", 16), "trace_id"),
        span_id=spans.needed(spans.id_of(found.span_id, "span_id", 8), "span_id"),
        parent_span_id=spans.id_of(found.parent_span_id, "parent_span_id", 8),
        name=spans.text(found.name, "name"),
        kind=_word(spans.SPAN_KINDS, found.kind),
        start_ns=found.start_time_unix_nano,
        end_ns=found.end_time_unix_nano,
        attributes=attributes,
        events=[_event(event, place, budget) for place, event in enumerate(events)],
        links=[_link(link, place, budget) for place, link in enumerate(links)],
        status=_word(spans.STATUS_CODES, found.status.code),
        status_message=spans.text(found.status.message, "status.message"),
        trace_state=spans.text(found.trace_state, "trace_state"),
        flags=found.flags,
        dropped={name: n for name, n in dropped.items() if n},
    )


def _event(event: trace_pb2.Span.Event, place: int, budget: Budget) -> Event:
    try:
        attributes, n_cut = _attributes(event.attributes, budget)
        name = spans.text(event.name, "name")
    except Unfit as unfit:
        raise unfit.within(f"events[{place}]") from None
    return Event(name, event.time_unix_nano, attributes, event.dropped_attributes_count + n_cut)


def _link(link: trace_pb2.Span.Link, place: int, budget: Budget) -> dict[str, Any]:
    try:
        attributes, n_cut = _attributes(link.attributes, budget)
        told = {
            "trace_id": link.trace_id.hex(),
            "span_id": link.span_id.hex(),
            "trace_state": spans.text(link.trace_state, "trace_state"),
            "attributes": attributes,
            "dropped_attributes": link.dropped_attributes_count + n_cut,
        }
    except Unfit as unfit:
        raise unfit.within(f"links[{place}]") from None
    return {name: value for name, value in told.items() if value}


def _log(found: logs_pb2.LogRecord, source: Source, budget: Budget) -> LogRecord:
    attributes, _ = _attributes(found.attributes, budget)
    return LogRecord(
        source=source,
        trace_id=spans.id_of(found.trace_id, "trace_id", 16),
        span_id=spans.id_of(found.span_id, "span_id", 8),
        event=spans.text(found.event_name, "event_name") or str(attributes.get("event.name", "")),
        time_ns=found.time_unix_nano or found.observed_time_unix_nano,
        body=_value(found.body, "body", budget, 0),
        attributes=attributes,
    )


def _attributes(found: Sequence[KeyValue], budget: Budget) -> tuple[spans.Attributes, int]:
    """Attributes by name, and how many were too many."""
    taken = found[: spans.MOST_ATTRIBUTES]
    budget.take_values(len(taken))
    return spans.named(_pair(pair, place, budget, 0) for place, pair in enumerate(taken)), len(found) - len(taken)


def _pair(pair: KeyValue, place: int, budget: Budget, depth: int) -> tuple[str, Any]:
    try:
        key = spans.text(pair.key, "key")
    except Unfit as unfit:
        raise unfit.within(f"attributes[{place}]") from None
    return key, _value(pair.value, key, budget, depth)


def _value(found: AnyValue, place: str, budget: Budget, depth: int) -> Any:
    match found.WhichOneof("value"):
        case "string_value":
            return spans.text(found.string_value, place)
        case "bool_value":
            return found.bool_value
        case "int_value":
            return found.int_value
        case "double_value":
            return spans.number(found.double_value)
        case "bytes_value":
            return spans.octets(found.bytes_value)
        case "array_value" | "kvlist_value" as kind:
            return _composed(found, kind, place, budget, depth + 1)
    return None


def _composed(found: AnyValue, kind: str, place: str, budget: Budget, depth: int) -> Any:
    if depth > spans.DEEPEST:
        raise Unfit(place, f"is nested deeper than {spans.DEEPEST} levels")
    if kind == "array_value":
        values = found.array_value.values
        budget.take_values(len(values))
        return [_value(value, f"{place}[{index}]", budget, depth) for index, value in enumerate(values)]
    pairs = found.kvlist_value.values
    budget.take_values(len(pairs))
    return spans.named(_inner_pair(pair, place, budget, depth) for pair in pairs)


def _inner_pair(pair: KeyValue, place: str, budget: Budget, depth: int) -> tuple[str, Any]:
    key = spans.text(pair.key, place)
    return key, _value(pair.value, f"{place}.{key}", budget, depth)


def _word(words: tuple[str, ...], number: int) -> str:
    return words[number] if 0 <= number < len(words) else str(number)
