"""The OpenAPI document: what drf-spectacular finds, the ingest routes, and how errors look."""

import re
from typing import Any

from drf_spectacular.openapi import AutoSchema

from outputs.ingest import schema as ingest

PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "index": {"type": "integer"},
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}
ANY_PROBLEM = {
    "description": "A problem: the request was refused, and nothing was changed.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


class NamedSchema(AutoSchema):
    """Operations are named after their path and method, so that no two collide: `queues_by_name_get`."""

    def get_operation_id(self) -> str:
        path = self.path.removeprefix("/api/v1/").replace("{", "by_").replace("}", "")
        return f"{re.sub('[^a-z0-9_]+', '_', path)}_{self.method.lower()}"


def add_ingest_routes(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """The plain-ASGI routes stand in the same document as Django's."""
    for path, operations in ingest.paths().items():
        result["paths"].setdefault(path, {}).update(operations)
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def add_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Every operation may answer with a problem."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    for operations in result["paths"].values():
        for operation in operations.values():
            if isinstance(operation, dict) and "responses" in operation:
                operation["responses"].setdefault("default", ANY_PROBLEM)
    return result
