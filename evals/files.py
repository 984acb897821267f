"""Files of cases: CSV in, JSON Lines and CSV out."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from core.problems import FieldError, Invalid
from evals.cases import FIELDS
from evals.models import GoldenCase

# A spreadsheet takes a cell that begins so for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
TAG_SEPARATOR = "|"
AS_JSON = ("variables", "metadata")


def csv_rows(body: bytes) -> list[Any]:
    """The rows of a CSV file as cases are sent, each an object, or the list of what is wrong with it.

    `tags` stand with | between them; `variables` and `metadata` are JSON; an `input` or `expected` that is a JSON
    object or list is taken as one. A leading apostrophe before a formula's first character is taken off.

    Raises:
        Invalid: it is no UTF-8, or has no column `input`.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(FieldError("file", f"is not UTF-8 (byte {error.start}); save it as UTF-8")) from error
    reader = csv.reader(io.StringIO(text, newline=""))
    names = [name.strip() for name in next(reader, [])]
    if "input" not in names:
        listed = ", ".join(FIELDS)
        raise Invalid(FieldError("file", f"has no column 'input' in its first line; known columns: {listed}"))
    return [_row(names, cells) for cells in reader if any(cell.strip() for cell in cells)]


def as_csv(cases: Iterable[GoldenCase]) -> Iterator[str]:
    """The cases as lines of CSV, under one line of names; formulas are neutralised."""
    yield _line(FIELDS)
    for case in cases:
        row = as_object(case)
        yield _line([_cell(row[name]) for name in FIELDS])


def as_jsonl(cases: Iterable[GoldenCase]) -> Iterator[str]:
    """The cases as JSON Lines, as an import takes them."""
    for case in cases:
        row = {name: value for name, value in as_object(case).items() if value not in (None, {}, [])}
        yield json.dumps(row, ensure_ascii=False) + "\n"


def as_object(case: GoldenCase) -> dict[str, Any]:
    """The case as it is sent and shown."""
    return {
        "id": case.key,
        "input": case.input,
        "variables": case.variables,
        "expected": case.expected,
        "metadata": case.metadata,
        "tags": case.tags,
        "part": case.part,
    }


def _row(names: Sequence[str], cells: Sequence[str]) -> Any:
    if len(cells) > len(names):
        return [FieldError("case", f"has {len(cells)} cells under {len(names)} columns; quote cells that hold a comma")]
    row: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name, cell in zip(names, cells, strict=False):
        text = cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell
        if not text:
            continue
        if name == "tags":
            row[name] = [tag.strip() for tag in text.split(TAG_SEPARATOR) if tag.strip()]
        else:
            row[name] = _value(name, text, errors)
    return errors or row


def _value(name: str, text: str, errors: list[FieldError]) -> Any:
    is_structure = name in ("input", "expected") and text.lstrip()[:1] in ("{", "[")
    if name not in AS_JSON and not is_structure:
        return text
    try:
        return json.loads(text)
    except ValueError:
        if is_structure:
            return text
        errors.append(FieldError(name, "is no JSON"))
        return None


def _cell(value: Any) -> str:
    if value is None or value == {}:
        return ""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return TAG_SEPARATOR.join(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULA) else text


def _line(cells: Sequence[str]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line).writerow(cells)
    return line.getvalue()
