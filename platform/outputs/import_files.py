"""What an import gives to be taken home: its refused rows as a file."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import orjson
from django.http import HttpResponse, StreamingHttpResponse

from core.problems import FieldError, Invalid
from outputs import import_queries
from outputs.models import Import


def flaws(found: Import, form: str) -> HttpResponse:
    """The refused rows as a file.

    Raises:
        Invalid: another form than jsonl or csv.
    """
    writers = {"jsonl": (_as_jsonl, "application/jsonl"), "csv": (_as_csv, "text/csv; charset=utf-8")}
    if form not in writers:
        raise Invalid(FieldError("format", f"is {form[:40]!r}; send jsonl or csv"))
    write, kind = writers[form]
    called = f"import-{found.pk}-rejected.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{called}"'}
    lines = write(import_queries.flaws(found))
    return StreamingHttpResponse(lines, content_type=kind, headers=headers)  # type: ignore[return-value]  # one all the same


def _as_jsonl(rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    return (orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def _as_csv(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    """A line for each error, with the row's number from 1 as a person counts."""
    yield _line(["row", "line", "field", "message"])
    for row in rows:
        for error in row["errors"]:
            yield _line([row["index"] + 1, row["line"] or "", _cell(error["field"]), _cell(error["message"])])


def _line(cells: list[Any]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
