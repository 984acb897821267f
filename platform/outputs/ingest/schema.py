"""The ingest routes in the OpenAPI document, made from the records that check them."""

from typing import Any

import msgspec

from outputs import importers
from outputs.ingest.batches import JSON, NDJSON
from outputs.ingest.otlp.exchange import PROTOBUF
from outputs.records import FeedbackRecord, OutputRecord, Record

REJECTED = {
    "type": "array",
    "description": "The rows that were not stored, by their place in the body, from 0.",
    "items": {
        "type": "object",
        "required": ["index", "errors"],
        "properties": {
            "index": {"type": "integer"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["field", "message"],
                    "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                },
            },
        },
    },
}
STORED = {
    "type": "object",
    "required": ["accepted", "duplicates", "rejected"],
    "properties": {
        "accepted": {"type": "integer", "description": "new rows"},
        "duplicates": {"type": "integer", "description": "rows that were stored before, word for word"},
        "rejected": REJECTED,
    },
}
INT64 = {"type": "string", "description": "a whole number, as text"}
RPC_STATUS = {
    "type": "object",
    "description": "google.rpc.Status",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
}
TAKEN = {
    "type": "object",
    "required": ["id", "url", "state"],
    "properties": {
        "id": {"type": "integer"},
        "url": {"type": "string", "description": "tells how far it is"},
        "state": {"type": "string"},
        "format": {"type": "string"},
        "kind": {"type": "string"},
        "name": {"type": "string"},
        "received_bytes": {"type": "integer"},
    },
}
REFUSALS = {
    "400": "Not JSON of ours, or not one of the rows can be stored; `rejected` then names each.",
    "401": "The key is not known or was revoked.",
    "403": "The key has not the scope `ingest`.",
    "408": "The body did not arrive in time.",
    "413": "More than 20 MB after decompression, or too many rows.",
    "415": "Another Content-Type or Content-Encoding than those named.",
    "422": "The Idempotency-Key was used for another request.",
    "429": "The project sent more than it may (`/api/v1/ingest-limits`); nothing was read. See Retry-After.",
    "503": "Too much is arriving, or the database does not answer; see Retry-After.",
}


def paths() -> dict[str, Any]:
    """The path items of the ingest face, complete in themselves."""
    return {
        "/api/v1/outputs": {"post": _post(OutputRecord, "Store what production said")},
        "/api/v1/feedback": {"post": _post(FeedbackRecord, "Store what was said about outputs")},
        "/api/v1/imports": {"post": _upload()},
        "/api/v1/imports/{import}/pieces/{offset}": {"put": _piece()},
        "/v1/traces": {"post": _otlp("traces", "Spans", "Store spans (OTLP/HTTP) as outputs and steps")},
        "/v1/logs": {"post": _otlp("logs", "LogRecords", "Store what was said in spans (OTLP/HTTP logs)")},
    }


def _post(kind: type[Record], summary: str) -> dict[str, Any]:
    row = _row(kind)
    return {
        "operationId": f"{kind.what}_store",
        "tags": [kind.what],
        "summary": summary,
        "description": (
            "One object, an array, or one object per line. Valid rows are stored and bad ones named. A 201"
            " means that everything it counts is committed; a repeat under the same `id` is a duplicate and"
            " changes nothing, another body under a known `id` is rejected."
        ),
        "parameters": [
            {
                "in": "header",
                "name": "Idempotency-Key",
                "schema": {"type": "string", "maxLength": 200},
                "description": "The same key and body get the stored answer again, for 48 hours.",
            },
            {"in": "header", "name": "Content-Encoding", "schema": {"type": "string", "enum": ["gzip"]}},
        ],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": {"oneOf": [row, {"type": "array", "items": row}]}},
                NDJSON: {"schema": {"type": "string", "description": "one object per line"}},
            },
        },
        "responses": {
            "201": {"description": "Committed.", "content": {JSON: {"schema": STORED}}},
            **{
                status: {
                    "description": text,
                    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
                for status, text in REFUSALS.items()
            },
        },
    }


def _upload() -> dict[str, Any]:
    """A file as the body or as part of a form."""
    file = {"schema": {"type": "string", "format": "binary"}}
    words = {
        "format": {"type": "string", "enum": importers.names()},
        "kind": {"type": "string", "enum": ["outputs", "feedback"], "default": "outputs"},
        "name": {"type": "string", "maxLength": 200, "description": "of the file; its ending may say the format"},
        "mapping": {"type": "string", "description": "JSON: column → field, metadata.<name>, or null to leave it out"},
    }
    size = {"type": "integer", "minimum": 1, "description": "of a file that follows in pieces; send no body then"}
    form = {"type": "object", "required": ["file"], "properties": {"file": file["schema"], **words}}
    return {
        "operationId": "import_upload",
        "tags": ["imports"],
        "summary": "Import a file of outputs or feedback",
        "description": (
            "A worker stores its rows once it is here whole; `url` tells how far it is. The same file again is another"
            " import whose rows are all duplicates."
        ),
        "parameters": [
            *({"in": "query", "name": name, "schema": schema} for name, schema in {**words, "size": size}.items()),
            {"in": "header", "name": "Idempotency-Key", "schema": {"type": "string", "maxLength": 200}},
            {"in": "header", "name": "Content-Encoding", "schema": {"type": "string", "enum": ["gzip"]}},
        ],
        "requestBody": {"content": {"application/octet-stream": file, "multipart/form-data": {"schema": form}}},
        "responses": {"202": {"description": "Taken.", "content": {JSON: {"schema": TAKEN}}}, **_refusals()},
    }


def _piece() -> dict[str, Any]:
    """Some bytes of a file."""
    number = {"type": "integer", "minimum": 0}
    told = {
        "type": "object",
        "required": ["id", "state", "size", "received_bytes"],
        "properties": {"id": number, "state": {"type": "string"}, "size": number, "received_bytes": number},
    }
    return {
        "operationId": "import_piece",
        "tags": ["imports"],
        "summary": "Send the bytes of a file from `offset` on",
        "description": "At most 8 MB, one piece after the other; a repeat changes nothing. 409 tells `received_bytes`.",
        "parameters": [
            {"in": "path", "name": name, "required": True, "schema": number} for name in ("import", "offset")
        ],
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        "responses": {"200": {"description": "Here.", "content": {JSON: {"schema": told}}}, **_refusals()},
    }


def _refusals() -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": text, "content": problem}
        for status, text in {**REFUSALS, "413": "Larger than a file, or a piece, may be."}.items()
    }


def _otlp(signal: str, records: str, summary: str) -> dict[str, Any]:
    """A route of OTLP/HTTP, whose messages are OpenTelemetry's own."""
    partial = {"type": "object", "properties": {f"rejected{records}": INT64, "errorMessage": {"type": "string"}}}
    answer = {"type": "object", "properties": {"partialSuccess": partial}}
    told = {JSON: {"schema": RPC_STATUS}, PROTOBUF: {"schema": {"type": "string", "format": "binary"}}}
    return {
        "operationId": f"otlp_{signal}_store",
        "tags": ["otlp"],
        "summary": summary,
        "description": (
            f"An export request of OpenTelemetry for {signal}, in protobuf or JSON; the answer comes in the same. A 200"
            " means that everything but what `partialSuccess` counts is committed, or was before."
        ),
        "parameters": [
            {"in": "header", "name": "Content-Encoding", "schema": {"type": "string", "enum": ["gzip"]}},
        ],
        "requestBody": {
            "required": True,
            "content": {
                PROTOBUF: {"schema": {"type": "string", "format": "binary"}},
                JSON: {"schema": {"type": "object"}},
            },
        },
        "responses": {
            "200": {"description": "Committed.", "content": {**told, JSON: {"schema": answer}}},
            **{status: {"description": text, "content": told} for status, text in REFUSALS.items()},
        },
    }


def _row(kind: type[Record]) -> dict[str, Any]:
    """The record's own schema, with what is wanted of each field."""
    (_, components) = msgspec.json.schema_components([kind])
    row: dict[str, Any] = components[kind.__name__]
    properties = {name: {**row["properties"][name], "description": text} for name, text in kind.wanted.items()}
    return {**row, "title": kind.what, "properties": properties}
