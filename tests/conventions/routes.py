"""The routes that exist, read from the running code: Django's resolver and the ingest face."""

import re
from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver

from config import views
from outputs.ingest import schema as ingest

PREFIX = "api/v1/"


def of_api() -> set[tuple[str, str]]:
    """(method, path below /api/v1/) of every API endpoint of both faces."""
    django = {
        (method, path.removeprefix(PREFIX))
        for path, pattern in _patterns(get_resolver().url_patterns)
        if path.startswith(PREFIX)
        for method in getattr(pattern.callback, "scopes", {"undeclared": None})
    }
    plain = {
        (method.upper(), path.removeprefix("/" + PREFIX))
        for path, operations in ingest.paths().items()
        for method in operations
    }
    return django | plain


def of_ingest_face() -> set[tuple[str, str]]:
    """(method, path below /api/v1/) of what never reaches Django, names left out."""
    return {
        (method.upper(), without_names(path.removeprefix("/" + PREFIX)))
        for path, operations in ingest.paths().items()
        for method in operations
    }


def of_pages() -> set[str]:
    """Paths of everything else but the admin."""
    return {path for path, _ in with_views()}


def with_views() -> Iterator[tuple[str, URLPattern]]:
    """Every page with its pattern."""
    for path, pattern in _patterns(get_resolver().url_patterns):
        if not path.startswith((PREFIX, "admin/", "^api/")):
            yield path, pattern


def of_schema() -> set[tuple[str, str]]:
    """(method, path below /api/v1/) of the OpenAPI document."""
    return {
        (method.upper(), path.removeprefix("/" + PREFIX))
        for path, operations in views.openapi()["paths"].items()
        for method in operations
        if path.startswith(("/" + PREFIX, "/v1/"))
    }


def address(path: str) -> str:
    """Where a path of the access table is: below /api/v1/, unless it begins with a slash."""
    return path if path.startswith("/") else f"/{PREFIX}{path}"


def without_names(path: str) -> str:
    """`prompts/<str:name>` and `prompts/{prompt}` alike become `prompts/{}`."""
    return re.sub(r"<[^>]+>|\{[^}]+\}", "{}", path)


def _patterns(entries: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in entries:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _patterns(entry.url_patterns, path)
        else:
            yield path, entry
