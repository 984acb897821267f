"""Pages about the site itself: is it up, can it serve, what does its API look like."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from rest_framework.renderers import JSONRenderer

from core.problems import Unavailable
from core.rest import bare_answer


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """`/healthz`: the process is up."""
    return HttpResponse("ok", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """`/readyz`: the database answers. Workers do not count: a stopped worker never stops ingest."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return bare_answer(Unavailable("The database does not answer.", retry_after=2))
    return HttpResponse("ready", content_type="text/plain")


@require_safe
def api_schema(request: HttpRequest) -> HttpResponse:
    """`/api/schema/`: the OpenAPI document, as JSON."""
    return HttpResponse(OpenApiJsonRenderer().render(openapi()), content_type="application/vnd.oai.openapi+json")


@require_safe
def api_docs(request: HttpRequest) -> HttpResponse:
    """`/api/docs/`: the same document as a page that needs no script."""
    return render(request, "config/api_docs.html", {"groups": sorted(_groups(openapi()).items())})


def openapi() -> dict[str, Any]:
    """The OpenAPI document of both faces."""
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]  # drf-spectacular ships no types
    return found


@dataclass(frozen=True)
class Operation:
    """One method of one path, as the page shows it."""

    method: str
    path: str
    summary: str
    description: str
    parameters: list[dict[str, Any]]
    request: str
    answers: list[tuple[str, str]]


def _groups(schema: dict[str, Any]) -> dict[str, list[Operation]]:
    """Operations by the first word after `/api/v1/`."""
    groups: dict[str, list[Operation]] = defaultdict(list)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            groups[path.removeprefix("/api/v1/").split("/")[0]].append(_operation(schema, path, method, operation))
    return dict(groups)


def _operation(schema: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> Operation:
    first, _, rest = operation.get("description", "").partition("\n")
    return Operation(
        method=method.upper(),
        path=path,
        summary=operation.get("summary") or first,
        description=rest.strip() if not operation.get("summary") else operation.get("description", ""),
        parameters=operation.get("parameters", []),
        request=_shape(schema, operation.get("requestBody", {}).get("content", {})),
        answers=[
            (status, answer.get("description") or "")
            for status, answer in sorted(operation["responses"].items())
            if status != "default"
        ],
    )


def _shape(schema: dict[str, Any], content: dict[str, Any]) -> str:
    """A body's schema as indented JSON with its references resolved one level."""
    if not content:
        return ""
    found = next(iter(content.values())).get("schema", {})
    name = found.get("$ref", "").rpartition("/")[2]
    whole = schema["components"]["schemas"].get(name, found)
    return JSONRenderer().render(whole, accepted_media_type="application/json; indent=2").decode()
