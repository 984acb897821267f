"""Which outputs an intake takes: the filter of `GET /api/v1/outputs` and of verdicts, kept as it was said."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from core.problems import FieldError, Invalid
from outputs import filters, queries
from outputs.models import OutputQuerySet
from reviews import findings

KNOWN = (*filters.FIELDS, findings.NAME)


def read(given: Mapping[str, Any], *, now: dt.datetime) -> dict[str, str]:
    """The filter, checked, with `days` as the moment `since` that they mean now; what is empty is left out.

    Raises:
        Invalid: an unknown name, or a value of the wrong form.
    """
    said = {
        name: str(value) if _is_number(value) else value for name, value in given.items() if value not in ("", None)
    }
    flaws = [FieldError(name, flaw) for name, value in said.items() if (flaw := _flaw(name, value))]
    if flaws:
        raise Invalid(*flaws)
    wanted = filters.read(said, now=now)
    if findings.NAME in said:
        findings.read(said[findings.NAME])
    if said.pop("days", None) and wanted.since:
        said["since"] = wanted.since.isoformat()
    return dict(sorted(said.items()))


def matched(project_id: int, said: Mapping[str, str], *, now: dt.datetime) -> OutputQuerySet:
    """The project's outputs that a filter, as `read` gave it, matches."""
    selection = queries.selected(project_id, filters.read(said, now=now))
    if findings.NAME in said:
        selection = findings.judged(project_id, selection, said[findings.NAME])
    return selection.rows


def _flaw(name: str, value: Any) -> str:
    if name not in KNOWN:
        return f"is nothing outputs are filtered by; known: {', '.join(KNOWN)}"
    return "" if isinstance(value, str) else f"is {str(value)[:40]!r}; send a text"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
