"""Bodies of OTLP as tests make them, and those that real instrumentations sent."""

import gzip
import json
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.outputs import face
from tests.outputs.face import Reply, Request

TRACES, LOGS = "/v1/traces", "/v1/logs"
PROTOBUF = "application/x-protobuf"
TRACE = "5b8efff798038103d269b633813fc60c"
START = 1_790_000_000_000_000_000


def real(folder: Path) -> list[tuple[str, str, bytes]]:
    """(name, content type, body) of every captured request."""
    found = [(path.name, face.JSON, path.read_bytes()) for path in sorted((folder / "otlp" / "json").glob("*.json"))]
    for path in sorted((folder / "otlp" / "protobuf").glob("*.pb*")):
        body = path.read_bytes()
        found.append((path.name, PROTOBUF, gzip.decompress(body) if path.suffix == ".gz" else body))
    assert len(found) == 13
    return found


def as_json(body: bytes) -> bytes:
    """A request in protobuf as protobuf's own JSON has it: base64 ids, names of enums, integers as texts."""
    return json.dumps(MessageToDict(ExportTraceServiceRequest.FromString(body))).encode()


def value_of(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case list():
            return {"arrayValue": {"values": [value_of(each) for each in value]}}
        case dict():
            return {"kvlistValue": {"values": attributes_of(value)}}
    return {}


def attributes_of(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": value_of(value)} for name, value in values.items()]


def a_span(number: int = 1, attributes: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A span in OTLP's JSON."""
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "name": f"span {number}",
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 250_000_000),
        "attributes": attributes_of(attributes or {}),
        **fields,
    }


def a_request(*spans: dict[str, Any], resource: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": attributes_of(resource or {"service.name": "shop"})},
                "scopeSpans": [{"scope": {"name": "tests"}, "spans": list(spans)}],
            }
        ]
    }


def a_record(event: str, body: Any, number: int = 1, at: int = 1, **fields: Any) -> dict[str, Any]:
    """A log record in OTLP's JSON."""
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "timeUnixNano": str(START + at),
        "eventName": event,
        "body": value_of(body),
        **fields,
    }


def a_log_request(*records: dict[str, Any]) -> dict[str, Any]:
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}


def post(body: Any, key: str, *, path: str = TRACES, content_type: str = face.JSON, **headers: str) -> Request:
    return face.post(body, key, path=path, Content_Type=content_type, **headers)


def send(body: Any, key: str, **told: Any) -> Reply:
    return face.ask(post(body, key, **told))


def rejected_in(reply: Reply) -> tuple[int, str]:
    """How many a 200 says are not stored, and why."""
    assert reply.status == 200, reply.body
    if reply.headers["content-type"] == PROTOBUF:
        partial = ExportTraceServiceResponse.FromString(reply.body).partial_success
        return partial.rejected_spans, partial.error_message
    shown = reply.document.get("partialSuccess", {})
    n = shown.get("rejectedSpans", shown.get("rejectedLogRecords", "0"))
    return int(n), shown.get("errorMessage", "")


__all__ = ["ExportLogsServiceRequest", "ExportLogsServiceResponse", "ExportTraceServiceRequest"]
