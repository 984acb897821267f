"""What is asked of imports."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from core.problems import Missing
from outputs.models import Import

FLAWS_SHOWN = 100
# Below, a pace says nothing about what is left.
PACE_FROM = dt.timedelta(seconds=2)


@dataclass(frozen=True)
class Progress:
    """How far an import is: share of its bytes from 0 to 1, and seconds left at its pace so far, if that is known."""

    share: float
    read_bytes: int
    left_s: float | None


def imports_of(project_id: int) -> QuerySet[Import]:
    """The imports of a project, without what takes room."""
    return Import.objects.filter(project_id=project_id).defer("sample", "mapping")


def import_of(project_id: int, import_id: int) -> Import:
    """One import.

    Raises:
        Missing: the project has none of this id.
    """
    found = Import.objects.filter(project_id=project_id, pk=import_id).first()
    if found is None:
        raise Missing("import")
    return found


def progress(found: Import, *, now: dt.datetime) -> Progress:
    """How far it is, by the bytes of the file that were read."""
    if found.state == Import.State.UPLOADING:
        share = found.received_bytes / found.size if found.size else 0.0
        return Progress(min(1.0, share), found.received_bytes, None)
    read = found.cursor.get("offset", 0) if found.cursor else 0
    share = 1.0 if found.state == Import.State.DONE else read / found.size if found.size else 0.0
    took = now - found.started_at if found.started_at else dt.timedelta()
    is_known = found.state == Import.State.RUNNING and took > PACE_FROM and share > 0
    left = took.total_seconds() * (1 - share) / share if is_known else None
    return Progress(min(1.0, share), read, left)


def flaws(found: Import) -> Iterator[dict[str, Any]]:
    """Every refused row in the order of the file, as `{"index", "line", "errors"}`."""
    for rows in found.flaws.order_by("pk").values_list("rows", flat=True).iterator(chunk_size=20):
        yield from rows


def first_flaws(found: Import) -> list[dict[str, Any]]:
    """The first of them."""
    rows: list[dict[str, Any]] = []
    for batch in found.flaws.order_by("pk").values_list("rows", flat=True)[:FLAWS_SHOWN]:
        rows += batch
        if len(rows) >= FLAWS_SHOWN:
            break
    return rows[:FLAWS_SHOWN]
