"""Lists in pages, newest first, by a cursor that costs the same on the last page as on the first."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import models
from rest_framework.request import Request

from core.problems import FieldError, Invalid

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000

Row = TypeVar("Row", bound=models.Model)


def page(request: Request, rows: models.QuerySet[Row], shown: Callable[[Row], Any]) -> dict[str, Any]:
    """One page of `rows` by falling id as `{"results", "next"}`.

    Query parameters: `limit` (1 to 1000, default 100) and `cursor` (from the `next` of the page before).
    """
    return page_of(request, rows, lambda found: [shown(row) for row in found])


def page_of(
    request: Request,
    rows: models.QuerySet[Row],
    show: Callable[[list[Row]], list[Any]],
    *,
    fitting: Callable[[list[Row]], int] = len,
) -> dict[str, Any]:
    """As `page`, for rows that are shown together, with what belongs to them loaded at once.

    Args:
        request: with `limit` and `cursor`.
        rows: all of them.
        show: makes the results of the rows of one page.
        fitting: how many of the first rows fit on one page, at least one, where that depends on their size.
    """
    limit = whole_number(request, "limit", default=DEFAULT_LIMIT, largest=LARGEST_LIMIT)
    cursor = whole_number(request, "cursor", default=0, largest=2**63 - 1)
    if cursor:
        rows = rows.filter(pk__lt=cursor)
    found = list(rows.order_by("-pk")[: limit + 1])
    here = found[: fitting(found[:limit])] if found else []
    return {
        "results": show(here),
        "next": _next_url(request, cursor=here[-1].pk) if len(here) < len(found) else None,
    }


def whole_number(request: Request, name: str, *, default: int, largest: int) -> int:
    """The query parameter `name` as a number from 1 to `largest`.

    Raises:
        Invalid: it is none.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= largest):
        raise Invalid(FieldError(name, f"is {text[:40]!r}; send a whole number from 1 to {largest}"))
    return int(text)


def refuse_unknown(request: Request, known: set[str]) -> None:
    """Raise `Invalid` for a query parameter that this list does not have; a typo must not widen a result."""
    unknown = [name for name in request.query_params if name not in known | {"limit", "cursor"}]
    if unknown:
        raise Invalid(
            *(FieldError(name, f"is no parameter here; known: {', '.join(sorted(known))}") for name in unknown)
        )


def _next_url(request: Request, *, cursor: int) -> str:
    query = request.query_params.copy()
    query["cursor"] = str(cursor)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
