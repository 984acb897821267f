"""Spans in OTLP's JSON, as an instrumented application exports them; written by hand: it is only JSON."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from demo.client import Json

SERVICE = "support-desk"
_INTERNAL = 1


@dataclass(frozen=True)
class Span:
    """One step of the work on a request.

    Args:
        name: what was done.
        began_at: when.
        lasted_ms: how long.
        attributes: by the names of OpenTelemetry's semantic conventions.
        parent: the name of the span that it is part of.
    """

    name: str
    began_at: datetime
    lasted_ms: float
    attributes: Mapping[str, Any] = field(default_factory=dict)
    parent: str = ""


def request(trace: str, spans: Iterable[Span]) -> Json:
    """The body of one `POST /v1/traces` that carries these spans of the trace of this name."""
    told = [_span(trace, span) for span in spans]
    resource = {"attributes": _attributes({"service.name": SERVICE, "deployment.environment.name": "production"})}
    scope = {"name": "support_desk.tracing", "version": "1"}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": told}]}]}


def output_id(trace: str, span: str) -> str:
    """The id under which the output of this span is stored: `trace:span`, both in hexadecimal digits."""
    return f"{_hex(trace, 32)}:{_hex(trace + span, 16)}"


def _span(trace: str, span: Span) -> Json:
    return {
        "traceId": _hex(trace, 32),
        "spanId": _hex(trace + span.name, 16),
        **({"parentSpanId": _hex(trace + span.parent, 16)} if span.parent else {}),
        "name": span.name,
        "kind": _INTERNAL,
        "startTimeUnixNano": _nanoseconds(span.began_at),
        "endTimeUnixNano": _nanoseconds(span.began_at + timedelta(milliseconds=span.lasted_ms)),
        "attributes": _attributes(span.attributes),
    }


def _attributes(given: Mapping[str, Any]) -> list[Json]:
    return [{"key": name, "value": _value(value)} for name, value in given.items()]


def _value(value: Any) -> Json:
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"stringValue": value}


def _nanoseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1_000_000) * 1_000)


def _hex(name: str, n_digits: int) -> str:
    """The same name always has the same id, so that a repeat is a repeat."""
    return hashlib.sha256(name.encode()).hexdigest()[:n_digits]
