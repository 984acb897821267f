"""A body's rows: each is read alone, so that a bad one does not cost the others."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from core import strict_json
from core.problems import FieldError, Invalid, Problem
from outputs import records
from outputs.records import Record
from outputs.services.staging import Arrival

MOST_ROWS = 50_000
JSON = "application/json"
NDJSON = "application/x-ndjson"
_NDJSON_TYPES = {NDJSON, "application/ndjson", "application/jsonl", "application/jsonlines"}
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
    rejected: dict[int, tuple[FieldError, ...]] = field(default_factory=dict)

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
    if kind.strip() not in {"", JSON, *_NDJSON_TYPES} or (
        charset and charset.group(1) not in ("utf-8", "utf8")
    ):
        raise Problem(
            415, f"Content-Type {content_type[:80]!r} is not taken: send {JSON} or {NDJSON}, in UTF-8."
        )
    return kind.strip() in _NDJSON_TYPES


def read(body: bytes, kind: Kind, *, lines: bool, project_id: int, hash_key: bytes) -> Batch:
    """The rows of a body, checked and made ready to be stored.

    Raises:
        Invalid: the body as a whole is not JSON of ours.
        Problem: 413 for too many rows.
    """
    batch = Batch()
    try:
        for place, row in enumerate(_lines(body) if lines else _json(body)):
            if place >= MOST_ROWS:
                raise Problem(413, f"The body holds more than {MOST_ROWS} rows; send fewer at a time.")
            try:
                record = row(kind.record)
                arrival = kind.arrival_of(record, project_id=project_id, hash_key=hash_key)
            except records.Rejected as rejected:
                batch.rejected[place] = rejected.errors
            else:
                batch.rows.append((place, arrival))
    except strict_json.Refused as refused:
        raise Invalid(FieldError(refused.path or "body", refused.message)) from None
    return batch


Row = Callable[[type[Record]], Record]


def _lines(body: bytes) -> Iterator[Row]:
    """One row per line that is not blank."""
    if body.startswith(b"\xef\xbb\xbf"):
        raise strict_json.Refused("the body begins with a byte order mark: send plain UTF-8")
    start = 0
    while start < len(body):
        end = body.find(b"\n", start)
        line = body[start : end if end >= 0 else len(body)]
        if line and not line.isspace():
            yield _text(line)
        start = end + 1 if end >= 0 else len(body)


def _json(body: bytes) -> Iterator[Row]:
    """The elements of an array, or the one object."""
    if not body or body.isspace():
        raise strict_json.Refused("is empty: send an object, an array of objects, or lines of them")
    is_array = body.lstrip()[:1] == b"["
    texts = strict_json.elements(body) if is_array else None
    if texts is not None:
        yield from map(_text, texts)
        return
    # One object, or an array that only the careful parser can tell about.
    value, suspect = strict_json.parse_leniently(body)
    yield from (_value(element, suspect) for element in (value if isinstance(value, list) else [value]))


def _text(text: bytes) -> Row:
    return lambda kind: records.read(text, kind)


def _value(value: Any, suspect: bool) -> Row:
    return lambda kind: records.checked(value, kind, suspect=suspect)
