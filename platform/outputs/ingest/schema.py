"""The ingest routes in the OpenAPI document, made from the records that check them."""

from typing import Any

import msgspec

from outputs.ingest.batches import JSON, NDJSON
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
REFUSALS = {
    "400": "Not JSON of ours, or not one of the rows can be stored; `rejected` then names each.",
    "401": "The key is not known or was revoked.",
    "403": "The key has not the scope `ingest`.",
    "408": "The body did not arrive in time.",
    "413": "More than 20 MB after decompression, or too many rows.",
    "415": "Another Content-Type or Content-Encoding than those named.",
    "422": "The Idempotency-Key was used for another request.",
    "503": "Too much is arriving, or the database does not answer; see Retry-After.",
}


def paths() -> dict[str, Any]:
    """The path items of `POST /api/v1/outputs` and `POST /api/v1/feedback`, complete in themselves."""
    return {
        "/api/v1/outputs": {"post": _post(OutputRecord, "Store what production said")},
        "/api/v1/feedback": {"post": _post(FeedbackRecord, "Store what was said about outputs")},
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


def _row(kind: type[Record]) -> dict[str, Any]:
    """The record's own schema, with what is wanted of each field."""
    (_, components) = msgspec.json.schema_components([kind])
    row: dict[str, Any] = components[kind.__name__]
    properties = {name: {**row["properties"][name], "description": text} for name, text in kind.wanted.items()}
    return {**row, "title": kind.what, "properties": properties}
