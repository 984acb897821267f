"""JSON rows: one object, an array, or lines. Each row is read alone, so that a bad one does not cost the others."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from core import strict_json
from core.problems import FieldError, Invalid, Problem
from core.strict_json import DEFAULT_LIMITS
from outputs import records
from outputs.ingest import answers, routes
from outputs.ingest.answers import Answer
from outputs.ingest.asgi import Scope
from outputs.ingest.routes import Batch, Errors, Outcome
from outputs.reception import Reception
from outputs.records import Record
from outputs.services.landing import Arrival

MOST_ROWS = 50_000
# What is wrong is told in full of so many rows; of further ones only that they are.
MOST_TOLD = 1_000
_MORE = f"is wrong, too; in full that is told of the first {MOST_TOLD:,} bad rows"
JSON = "application/json"
NDJSON = "application/x-ndjson"
_NDJSON_TYPES = {NDJSON, "application/ndjson", "application/jsonl", "application/jsonlines"}
_TYPES = {"", JSON, *_NDJSON_TYPES}
# Blank lines cost nothing, however many there are.
_LINE = re.compile(rb"\S[^\n]*")
_FIRST = re.compile(rb"\s*\[")


@dataclass(frozen=True)
class Rows:
    """The route of one kind of row.

    Args:
        kind: as `store.STORES` calls it.
        record: what a row may say.
        arrival_of: makes a record ready to be stored.
        elsewhere: methods that Django answers at the same address.
    """

    kind: str
    record: type[Record]
    arrival_of: Callable[..., Arrival]
    elsewhere: tuple[str, ...] = ()

    def check(self, scope: Scope) -> None:
        _type(scope)

    def read(self, body: bytes, scope: Scope, reception: Reception) -> Batch:
        lines = _type(scope) in _NDJSON_TYPES
        rows: list[tuple[int, Arrival]] = []
        batch = Batch(rows={self.kind: rows})
        try:
            for place, record in enumerate(_records(body, self.record, lines=lines)):
                if place >= MOST_ROWS:
                    raise Problem(413, f"The body holds more than {MOST_ROWS} rows; send fewer at a time.")
                if isinstance(record, Record):
                    rows.append((place, self.arrival_of(record, reception=reception)))
                else:
                    is_told = len(batch.rejected) < MOST_TOLD
                    batch.rejected[place] = record if is_told else (FieldError(record[0].field, _MORE),)
        except strict_json.Refused as refused:
            raise Invalid(FieldError(refused.path or "body", refused.message)) from None
        return batch

    def answer(self, outcome: Outcome, scope: Scope) -> Answer:
        return routes.counts(outcome)

    def refusal(self, problem: Problem, scope: Scope) -> Answer:
        return answers.of_problem(problem)


def _type(scope: Scope) -> str:
    return routes.content_type(scope, known=_TYPES, wanted=f"{JSON} or {NDJSON}, in UTF-8")


def _records(body: bytes, kind: type[Record], *, lines: bool) -> Iterator[Record | Errors]:
    """Each row as a record, or what is wrong with it."""
    texts = _lines(body) if lines else _elements(body)
    if texts is not None:
        for text in texts:
            try:
                yield records.read(text, kind)
            except records.Rejected as rejected:
                yield rejected.errors
        return
    # One object, or an array that only the careful parser can tell about.
    value, suspect = strict_json.parse_leniently(body, DEFAULT_LIMITS if _is_array(body) else records.ROW_LIMITS)
    for element in value if isinstance(value, list) else [value]:
        try:
            yield records.checked(element, kind, suspect=suspect)
        except records.Rejected as rejected:
            yield rejected.errors


def _lines(body: bytes) -> Iterator[bytes]:
    """The lines that are not blank."""
    if body.startswith(b"\xef\xbb\xbf"):
        raise strict_json.Refused("the body begins with a byte order mark: send plain UTF-8")
    yield from (line.group() for line in _LINE.finditer(body))


def _elements(body: bytes) -> Iterator[bytes] | None:
    """The elements of a sound array, each alone; None for anything else."""
    if not body or body.isspace():
        raise strict_json.Refused("is empty: send an object, an array of objects, or lines of them")
    return strict_json.elements(body) if _is_array(body) else None


def _is_array(body: bytes) -> bool:
    return _FIRST.match(body) is not None
