"""Spans and log records from OTLP in JSON, as strictly as JSON is read here and as widely as senders write it.

Ids are hex (as OTLP has it) or base64 (as protobuf's own JSON has it), enums numbers or names, integers texts or
numbers, names in camel or in snake case; unknown names are ignored, as OTLP asks.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from core import strict_json
from core.problems import FieldError, Invalid
from outputs.ingest.otlp import spans
from outputs.ingest.otlp.spans import Budget, Event, LogRecord, Source, Span, Unfit, Unread

R = TypeVar("R", Span, LogRecord)

# Each level of a value takes up to five brackets, the envelope eight.
_LIMITS = strict_json.Limits(depth=8 + 5 * spans.DEEPEST)
_LARGEST = 2**64 - 1
_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
Json = dict[str, Any]


def spans_of(body: bytes) -> Iterator[Span | Unread]:
    """Every span of a request, or why it does not fit.

    Raises:
        Problem: the body as a whole does not fit.
    """
    return _records(body, ("resourceSpans", "scopeSpans", "spans"), _span)


def logs_of(body: bytes) -> Iterator[LogRecord | Unread]:
    """Every log record of a request, or why it does not fit.

    Raises:
        Problem: the body as a whole does not fit.
    """
    return _records(body, ("resourceLogs", "scopeLogs", "logRecords"), _log)


def _records(
    body: bytes, names: tuple[str, str, str], read: Callable[[Json, Source, Budget], R]
) -> Iterator[R | Unread]:
    request, suspect = _parsed(body)
    budget = Budget()
    try:
        for raw, source in _enveloped(request, names, budget):
            budget.take_record(source)
            yield _record(raw, source, budget, read, suspect=suspect)
    except Unfit as unfit:
        raise Invalid(FieldError(unfit.place, unfit.message)) from None


def _parsed(body: bytes) -> tuple[Json, bool]:
    try:
        request, suspect = strict_json.parse_leniently(body, _LIMITS)
    except strict_json.Refused as refused:
        raise Invalid(FieldError(refused.path or "body", refused.message)) from None
    if not isinstance(request, dict) or isinstance(request, strict_json.RepeatedNames):
        raise Invalid(FieldError("body", "is no object with each name once; send an export request of OTLP"))
    return request, suspect


def _enveloped(request: Json, names: tuple[str, str, str], budget: Budget) -> Iterator[tuple[Any, Source]]:
    outer_name, inner_name, leaf_name = names
    for place, outer in enumerate(_objects(request, outer_name)):
        for inner_place, inner in enumerate(_objects(outer, inner_name)):
            where = f"{outer_name}[{place}].{inner_name}[{inner_place}]"
            for level in (outer, inner):
                _refuse_flaws({name: value for name, value in level.items() if not _is_list(value)}, where)
            try:
                source = _source(outer, inner, budget)
            except Unfit as unfit:
                raise unfit.within(where) from None
            yield from ((raw, source) for raw in _list(inner, leaf_name))


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _refuse_flaws(level: Json, where: str) -> None:
    flaw = strict_json.flaw_in(level)
    if flaw is not None:
        raise Invalid(FieldError(f"{where}.{flaw.path}", flaw.message))


def _record(
    raw: Any, source: Source, budget: Budget, read: Callable[[Json, Source, Budget], R], *, suspect: bool
) -> R | Unread:
    try:
        flaw = strict_json.flaw_in(raw) if suspect else None
        if flaw is not None:
            raise Unfit(flaw.path or "span", flaw.message)
        if not isinstance(raw, dict):
            raise Unfit("span", "is no object; send the fields of a span or log record")
        return read(raw, source, budget)
    except Unfit as unfit:
        return Unread(_name_in(raw), FieldError(unfit.place, unfit.message))


def _name_in(raw: Any) -> str:
    told = [raw.get("name"), raw.get("spanId", raw.get("span_id"))] if isinstance(raw, dict) else []
    words = " ".join(word[:100] for word in told if isinstance(word, str))
    return words.replace("\x00", "").encode("utf-8", "replace").decode()


def _source(outer: Json, inner: Json, budget: Budget) -> Source:
    resource = _object(outer, "resource")
    scope = _object(inner, "scope")
    attributes, _ = _attributes(resource, budget)
    told = {
        "name": _text(scope, "name"),
        "version": _text(scope, "version"),
        "attributes": _attributes(scope, budget)[0],
    }
    size = len(str(resource)) + len(str(scope))
    return spans.source_of(attributes, _text(outer, "schemaUrl"), told, _text(inner, "schemaUrl"), size)


def _span(raw: Json, source: Source, budget: Budget) -> Span:
    attributes, n_cut = _attributes(raw, budget)
    all_events, all_links = _objects(raw, "events"), _objects(raw, "links")
    events, links = all_events[: spans.MOST_EVENTS], all_links[: spans.MOST_LINKS]
    dropped = {
        "attributes": _whole(raw, "droppedAttributesCount") + n_cut,
        "events": _whole(raw, "droppedEventsCount") + len(all_events) - len(events),
        "links": _whole(raw, "droppedLinksCount") + len(all_links) - len(links),
    }
    budget.take_values(len(events) + len(links))
    status = _object(raw, "status")
    return Span(
        source=source,
        trace_id=spans.needed(_id(raw, "traceId", 16), "traceId"),
        span_id=spans.needed(_id(raw, "spanId", 8), "spanId"),
        parent_span_id=_id(raw, "parentSpanId", 8),
        name=_text(raw, "name"),
        kind=_word(raw, "kind", spans.SPAN_KINDS, "SPAN_KIND_"),
        start_ns=_whole(raw, "startTimeUnixNano"),
        end_ns=_whole(raw, "endTimeUnixNano"),
        attributes=attributes,
        events=[_event(event, place, budget) for place, event in enumerate(events)],
        links=[_link(link, place, budget) for place, link in enumerate(links)],
        status=_word(status, "code", spans.STATUS_CODES, "STATUS_CODE_"),
        status_message=_text(status, "message"),
        trace_state=_text(raw, "traceState"),
        flags=_whole(raw, "flags"),
        dropped={name: n for name, n in dropped.items() if n},
    )


def _event(raw: Json, place: int, budget: Budget) -> Event:
    try:
        attributes, n_cut = _attributes(raw, budget)
        n_dropped = _whole(raw, "droppedAttributesCount") + n_cut
        return Event(_text(raw, "name"), _whole(raw, "timeUnixNano"), attributes, n_dropped)
    except Unfit as unfit:
        raise unfit.within(f"events[{place}]") from None


def _link(raw: Json, place: int, budget: Budget) -> Json:
    try:
        attributes, n_cut = _attributes(raw, budget)
        told = {
            "trace_id": _octets(raw, "traceId", 32).hex(),
            "span_id": _octets(raw, "spanId", 16).hex(),
            "trace_state": _text(raw, "traceState"),
            "attributes": attributes,
            "dropped_attributes": _whole(raw, "droppedAttributesCount") + n_cut,
        }
    except Unfit as unfit:
        raise unfit.within(f"links[{place}]") from None
    return {name: value for name, value in told.items() if value}


def _log(raw: Json, source: Source, budget: Budget) -> LogRecord:
    attributes, _ = _attributes(raw, budget)
    return LogRecord(
        source=source,
        trace_id=_id(raw, "traceId", 16),
        span_id=_id(raw, "spanId", 8),
        event=_text(raw, "eventName") or str(attributes.get("event.name", "")),
        time_ns=_whole(raw, "timeUnixNano") or _whole(raw, "observedTimeUnixNano"),
        body=_value(raw.get("body"), "body", budget, 0),
        attributes=attributes,
    )


def _attributes(raw: Json, budget: Budget) -> tuple[spans.Attributes, int]:
    """Attributes by name, and how many were too many."""
    pairs = _list(raw, "attributes")
    taken = pairs[: spans.MOST_ATTRIBUTES]
    budget.take_values(len(taken))
    found = (_pair(pair, f"attributes[{place}]", budget, 0) for place, pair in enumerate(taken))
    return spans.named(found), len(pairs) - len(taken)


def _pair(pair: Any, place: str, budget: Budget, depth: int) -> tuple[str, Any]:
    if not isinstance(pair, dict):
        raise Unfit(place, 'is no object; send {"key", "value"}')
    key = pair.get("key", "")
    if not isinstance(key, str):
        raise Unfit(f"{place}.key", "is no text; send the attribute's name")
    return key, _value(pair.get("value"), key if place.startswith("attributes[") else f"{place}.{key}", budget, depth)


def _value(raw: Any, place: str, budget: Budget, depth: int) -> Any:
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise Unfit(place, 'is no object; send {"stringValue": …} or its like')
    for name, read in _VALUES.items():
        found = _get(raw, name)
        if found is not None:
            return read(found, place)
    for name in ("arrayValue", "kvlistValue"):
        found = _get(raw, name)
        if found is not None:
            return _composed(found, name, place, budget, depth + 1)
    return None


def _composed(raw: Any, name: str, place: str, budget: Budget, depth: int) -> Any:
    if depth > spans.DEEPEST:
        raise Unfit(place, f"is nested deeper than {spans.DEEPEST} levels")
    if not isinstance(raw, dict):
        raise Unfit(place, 'is no object; send {"values": […]}')
    values = _list(raw, "values", place)
    budget.take_values(len(values))
    if name == "arrayValue":
        return [_value(value, f"{place}[{index}]", budget, depth) for index, value in enumerate(values)]
    return spans.named(_pair(value, place, budget, depth) for value in values)


def _string_value(raw: Any, place: str) -> str:
    if not isinstance(raw, str):
        raise Unfit(place, "says stringValue and is no text")
    return raw


def _bool_value(raw: Any, place: str) -> bool:
    if isinstance(raw, bool):
        return raw
    raise Unfit(place, "says boolValue and is neither true nor false")


def _int_value(raw: Any, place: str) -> int:
    value = _as_whole(raw, place)
    if not -(2**63) <= value < 2**63:
        raise Unfit(place, "does not fit in 64 bits: send it as a text")
    return value


def _double_value(raw: Any, place: str) -> float | str:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise Unfit(place, "says doubleValue and is no number")
    try:
        value = _NOT_FINITE[raw] if raw in _NOT_FINITE and isinstance(raw, str) else float(raw)
    except ValueError:
        raise Unfit(place, "says doubleValue and is no number") from None
    return spans.number(value)


def _bytes_value(raw: Any, place: str) -> str:
    if not isinstance(raw, str):
        raise Unfit(place, "says bytesValue and is no text in base64")
    return spans.octets(_decoded(raw, place))


_VALUES: dict[str, Callable[[Any, str], Any]] = {
    "stringValue": _string_value,
    "intValue": _int_value,
    "boolValue": _bool_value,
    "doubleValue": _double_value,
    "bytesValue": _bytes_value,
}


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


_SNAKE = {
    name: _snake(name)
    for name in (
        "resourceSpans scopeSpans resourceLogs scopeLogs logRecords schemaUrl traceId spanId parentSpanId traceState"
        " startTimeUnixNano endTimeUnixNano timeUnixNano observedTimeUnixNano droppedAttributesCount"
        " droppedEventsCount droppedLinksCount eventName stringValue intValue boolValue doubleValue bytesValue"
        " arrayValue kvlistValue"
    ).split()
}


def _get(raw: Json, name: str) -> Any:
    """A field by its name in camel or in snake case; null is none."""
    found = raw.get(name)
    return raw.get(_SNAKE[name]) if found is None and name in _SNAKE else found


def _text(raw: Json, name: str) -> str:
    found = _get(raw, name)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise Unfit(name, "is no text")
    return found


def _object(raw: Json, name: str) -> Json:
    found = _get(raw, name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Unfit(name, "is no object")
    return found


def _list(raw: Json, name: str, place: str = "") -> list[Any]:
    found = _get(raw, name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise Unfit(place or name, "is no list")
    return found


def _objects(raw: Json, name: str) -> list[Json]:
    found = _list(raw, name)
    for place, each in enumerate(found):
        if not isinstance(each, dict):
            raise Unfit(f"{name}[{place}]", "is no object")
    return found


def _whole(raw: Json, name: str) -> int:
    """A whole number from 0; 0 where there is none."""
    found = _get(raw, name)
    if found is None:
        return 0
    value = _as_whole(found, name)
    if not 0 <= value <= _LARGEST:
        raise Unfit(name, "is no whole number from 0 to 2^64-1")
    return value


def _as_whole(raw: Any, place: str) -> int:
    if isinstance(raw, float) and raw.is_integer():
        return int(raw)
    if isinstance(raw, str) and len(raw) <= 20 and raw.isascii() and raw.removeprefix("-").isdecimal():
        return int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise Unfit(place, "is no whole number")
    return raw


def _word(raw: Json, name: str, words: tuple[str, ...], prefix: str) -> str:
    """An enum, by number or by name; one that is not known stays as it is."""
    found = _get(raw, name)
    if found is None:
        return words[0]
    if isinstance(found, str) and not found.isdecimal():
        return found.removeprefix(prefix).lower()[:60]
    number = _as_whole(found, name)
    return words[number] if 0 <= number < len(words) else str(number)


def _id(raw: Json, name: str, n_bytes: int) -> str:
    return spans.id_of(_octets(raw, name, 2 * n_bytes), name, n_bytes)


def _octets(raw: Json, name: str, n_hex: int) -> bytes:
    """An id's bytes: hex where it has the length of that, else base64."""
    found = _text(raw, name)
    if len(found) == n_hex:
        try:
            return bytes.fromhex(found)
        except ValueError:
            raise Unfit(name, "is neither hex nor base64") from None
    return _decoded(found, name)


def _decoded(raw: str, place: str) -> bytes:
    """Base64, in its usual letters or in those of URLs, with or without padding."""
    letters = raw.rstrip("=").translate(_USUAL)
    try:
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Unfit(place, "is neither hex nor base64") from None


_USUAL = str.maketrans("-_", "+/")
