"""The first rows of an import: kept without what the project takes out of its rows, and shown under any mapping."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from core import strict_json
from core.problems import FieldError
from outputs import importers
from outputs.importers import columns
from outputs.importers.columns import Mapper
from outputs.importers.protocol import Importer
from outputs.importers.rows import Cursor, Item, Row
from outputs.models import Import
from outputs.redaction import rows as redaction_rows
from outputs.redaction.redactor import Redactor
from outputs.redaction.rows import Redaction
from outputs.redaction.rows import Said as Field
from outputs.services import rows_of_imports

ENVIRONMENT = "environment"
_METADATA = Field("metadata")


@dataclass(frozen=True)
class Said:
    """One of the first rows, and what becomes of it: fields of a record, or what is wrong."""

    index: int
    line: int
    kind: str
    fields: dict[str, Any] | None
    errors: list[dict[str, Any]]

    @property
    def texts(self) -> dict[str, str]:
        """Each field as a person reads it."""
        return {name: _text(value) for name, value in (self.fields or {}).items()}


@dataclass(frozen=True)
class Column:
    """One column of the file: what it means, and what stands under it in the first row that has it."""

    name: str
    target: str
    example: str


def preview(found: Import, mapping: Any, redaction: Redaction) -> tuple[list[Column], list[Said]]:
    """What the columns mean under this mapping (None: as guessed), and what would be stored of the first rows.

    Raises:
        Invalid: naming what is wrong with the mapping.
    """
    sample = found.sample or {"columns": [], "rows": []}
    importer = importers.named(found.format)
    if not importer.is_mapped:
        return [], [Said(**said) for row in sample["rows"] for said in row["said"]]
    mapper = columns.settled(mapping, sample["columns"], found.kind)
    said = [said for one in sample["rows"] for said in _said(_row(one), importer, mapper, redaction)]
    return listed(found, mapper.as_dict()), said


def listed(found: Import, meant: Mapping[str, str]) -> list[Column]:
    """The columns of the file in its order, with what they mean."""
    sample = found.sample or {"columns": [], "rows": []}
    values = [row["value"] for row in sample["rows"] if isinstance(row.get("value"), dict)]
    names = [*sample["columns"], *(name for name in meant if name not in sample["columns"])]
    return [Column(name, meant.get(name, ""), _example(values, name)) for name in names]


def sample(found: Import, rows: Sequence[Row], names: Sequence[str], redaction: Redaction) -> dict[str, Any]:
    """What is kept of the first rows: nothing that would not be stored, as far as their columns can be guessed.

    Of a format without a mapping it is known already what becomes of a row, so only that is kept.

    Args:
        found: the import.
        rows: the first.
        names: of the columns.
        redaction: of the project.
    """
    importer = importers.named(found.format)
    meant = columns.guessed(names, found.kind) if importer.is_mapped else {}
    kept = []
    for row in rows:
        one: dict[str, Any] = {"index": row.index, "line": row.line}
        if importer.is_mapped:
            one["errors"] = [rows_of_imports.told(error, redaction) for error in _flaws(row)]
            one["value"] = None if one["errors"] else _masked(row.value, found.kind, meant, redaction)
        else:
            one["said"] = [asdict(said) for said in _said(row, importer, Mapper(columns.OUTPUTS, {}), redaction)]
        kept.append(one)
    return {"columns": list(names), "rows": kept}


def _row(one: Mapping[str, Any]) -> Row:
    wrong = tuple(FieldError(error["field"], error["message"]) for error in one["errors"])
    return Row(one["index"], one["line"], one["value"], Cursor(), wrong)


def _said(row: Row, importer: Importer, mapper: Mapper, redaction: Redaction) -> list[Said]:
    return [_shown(row, item, redaction) for item in importer.items(row, mapper)]


def _shown(row: Row, item: Item, redaction: Redaction) -> Said:
    errors = [rows_of_imports.told(error, redaction) for error in item.errors]
    fields = None
    if item.record is not None:
        fields = msgspec.to_builtins(rows_of_imports.redacted(item.kind, item.record, redaction))
    return Said(row.index, row.line, item.kind, fields, errors)


def _flaws(row: Row) -> list[FieldError]:
    flaw = strict_json.flaw_in(row.value) if row.is_suspect else None
    return [*row.errors, *([FieldError(flaw.path or "row", flaw.message)] if flaw else [])]


def _masked(value: Any, kind: str, meant: Mapping[str, str], redaction: Redaction) -> Any:
    """A row whose columns mean this, without what would be taken out of them."""
    if not isinstance(value, dict):
        return redaction.of(None).value(value, Counter())
    named = next((value.get(column) for column, target in meant.items() if target == ENVIRONMENT), None)
    redactor = redaction.of(named if isinstance(named, str) else None)
    fields = rows_of_imports.redacted_fields(kind)
    return {column: _kept(column, found, meant.get(column, ""), fields, redactor) for column, found in value.items()}


def _kept(column: str, found: Any, target: str, fields: Mapping[str, Field], redactor: Redactor) -> Any:
    """Ids, moments and figures stay as they are, as they do in every row."""
    if not target or target.startswith(columns.METADATA):
        (kept,) = redaction_rows.redacted({column: found}, _METADATA, redactor, Counter()).values()
        return kept
    if target not in fields:
        return found
    # What cannot be read is shown as refused, and what it says is taken out all the same.
    with contextlib.suppress(ValueError):
        found = columns.read(target, found)
    return redaction_rows.redacted(found, fields[target], redactor, Counter())


def _example(values: list[dict[str, Any]], name: str) -> str:
    found = next((value[name] for value in values if value.get(name) not in (None, "")), "")
    return _text(found)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
