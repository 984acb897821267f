"""A body's rows: each is read alone, so that a bad one does not cost the others."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from core import strict_json
from core.problems import FieldError, Invalid, Problem
from core.strict_json import DEFAULT_LIMITS
from outputs import records
from outputs.records import Record
from outputs.services.staging import Arrival

MOST_ROWS = 50_000
JSON = "application/json"
NDJSON = "application/x-ndjson"
_NDJSON_TYPES = {NDJSON, "application/ndjson", "application/jsonl", "application/jsonlines"}
# Blank lines cost nothing, however many there are.
_LINE = re.compile(rb"\S[^\n]*")
_FIRST = re.compile(rb"\s*\[")
_CHARSET = re.compile(r'charset\s*=\s*"?([^\s;"]+)')


@dataclass(frozen=True)
class Kind:
    """A kind of row: its record, and how a record becomes what is stored."""

    record: type[Record]
    arrival_of: Callable[..., Arrival]


@dataclass
class Batch:
    """The rows of one body: (place in the body, arrival), and for each bad row its errors by place."""

    rows: list[tuple[int, Arrival]] = field(default_factory=list)
    rejected: dict[int, "Errors"] = field(default_factory=dict)

    @property
    def n_bytes(self) -> int:
        """About what it costs to hold."""
        return sum(arrival.n_bytes for _, arrival in self.rows)


def is_lines(content_type: str) -> bool:
    """Whether this Content-Type means one row per line.

    Raises:
        Problem: 415 for what is neither JSON nor lines of JSON in UTF-8.
    """
    kind, _, parameters = content_type.lower().partition(";")
    charset = _CHARSET.search(parameters)
    if kind.strip() not in {"", JSON, *_NDJSON_TYPES} or (charset and charset.group(1) not in ("utf-8", "utf8")):
        raise Problem(415, f"Content-Type {content_type[:80]!r} is not taken: send {JSON} or {NDJSON}, in UTF-8.")
    return kind.strip() in _NDJSON_TYPES


def read(body: bytes, kind: Kind, *, lines: bool, project_id: int, hash_key: bytes) -> Batch:
    """The rows of a body, checked and made ready to be stored.

    Raises:
        Invalid: the body as a whole is not JSON of ours.
        Problem: 413 for too many rows.
    """
    batch = Batch()
    try:
        for place, record in enumerate(_records(body, kind.record, lines=lines)):
            if place >= MOST_ROWS:
                raise Problem(413, f"The body holds more than {MOST_ROWS} rows; send fewer at a time.")
            if isinstance(record, Record):
                arrival = kind.arrival_of(record, project_id=project_id, hash_key=hash_key)
                batch.rows.append((place, arrival))
            else:
                batch.rejected[place] = record
    except strict_json.Refused as refused:
        raise Invalid(FieldError(refused.path or "body", refused.message)) from None
    return batch


Errors = tuple[FieldError, ...]


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
