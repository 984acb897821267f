"""Rows of reviews made elsewhere, as they are sent: read one by one, each flaw named with its field; no database."""

import datetime as dt
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import dateparse

from core import strict_json
from core.problems import FieldError, Invalid
from outputs.records import EARLIEST
from reviews.questions import LONGEST_TEXT, MOST_TAGS

MOST_ROWS = 50_000
LONGEST_ID = LONGEST_REVIEWER = 200
LONGEST_TAG = 100
# Clocks differ by so much.
AHEAD = dt.timedelta(minutes=5)
FIELDS = ("output_id", "reviewer", "answers", "at", "correction", "tags", "comment")
REQUIRED = FIELDS[:4]


@dataclass(frozen=True)
class Row:
    """One review made elsewhere; `index` is its place among those that were sent, from 0."""

    index: int
    output_id: str
    reviewer: str
    answers: Mapping[str, Any]
    at: dt.datetime
    correction: str | None = None
    tags: tuple[str, ...] = ()
    comment: str = ""


def read(body: Any, *, now: dt.datetime) -> tuple[list[Row], list[FieldError]]:
    """The rows that can be taken, and what is wrong with the others; answers are held against no rubric yet.

    Args:
        body: bytes of JSON Lines, or a decoded JSON value: an array of objects, or one.
        now: a review is not from after this moment.

    Raises:
        Invalid: there is no row in it, or more than `MOST_ROWS`.
    """
    rows: list[Row] = []
    flaws: list[FieldError] = []
    for index, found in enumerate(_sent(body)):
        if index >= MOST_ROWS:
            raise Invalid(FieldError("body", f"has more than {MOST_ROWS:,} rows; send the rest in another request"))
        wrong = [found] if isinstance(found, FieldError) else list(_flaws(found, now))
        if wrong:
            flaws += [FieldError(flaw.field, flaw.message, index) for flaw in wrong]
        else:
            rows.append(_row(index, found))
    if not rows and not flaws:
        raise Invalid(FieldError("body", "holds no review; send a JSON array, or JSON Lines (application/x-ndjson)"))
    return rows, flaws


def _sent(body: Any) -> Iterator[Any]:
    if isinstance(body, bytes):
        yield from (_parsed(line) for line in body.split(b"\n") if line.strip())
    elif isinstance(body, list):
        yield from body
    elif body:
        yield body


def _parsed(line: bytes) -> Any:
    try:
        return strict_json.parse(line)
    except strict_json.Refused as refused:
        return FieldError(refused.path or "row", refused.message)


def _flaws(found: Any, now: dt.datetime) -> Iterator[FieldError]:
    """What is wrong with a row, field by field."""
    if not isinstance(found, dict):
        yield FieldError("row", f"is no object; send {{{', '.join(REQUIRED)}}}")
        return
    for name in found:
        if name == "pair":
            yield FieldError("pair", "this queue's items are single outputs; send output_id")
        elif name not in FIELDS:
            yield FieldError(str(name)[:100], f"is no field here; known: {', '.join(FIELDS)}")
    given = {name: found.get(name) for name in FIELDS}
    for name, value in given.items():
        said = _MISSING if value is None and name in REQUIRED else "" if value is None else _CHECKS[name](value)
        if said:
            yield FieldError(name, said)
    at = _moment(given["at"])
    if at is not None and not EARLIEST <= at <= now + AHEAD:
        yield FieldError("at", f"is {at.isoformat()}; send when it was made, from 1970 until now")


_MISSING = f"is missing; a review has {', '.join(REQUIRED)}"


def _row(index: int, found: Mapping[str, Any]) -> Row:
    at = _moment(found["at"])
    if at is None:
        raise ValueError("only rows without a flaw are made")
    return Row(
        index=index,
        output_id=found["output_id"],
        reviewer=found["reviewer"].strip(),
        answers=found["answers"],
        at=at,
        correction=found.get("correction"),
        tags=tuple(dict.fromkeys(found.get("tags") or ())),
        comment=found.get("comment") or "",
    )


def _moment(value: Any) -> dt.datetime | None:
    """A time of ISO 8601; without an offset it is UTC."""
    try:
        found = dateparse.parse_datetime(value) if isinstance(value, str) else None
        return None if found is None else found.astimezone(dt.UTC) if found.tzinfo else found.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        return None


def _id_flaw(value: Any) -> str:
    is_id = isinstance(value, str) and 1 <= len(value) <= LONGEST_ID
    return "" if is_id else f"is {_shown(value)}; send the id that the output was sent with"


def _reviewer_flaw(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_REVIEWER:
        return f"is {_shown(value)}; send a name of 1 to {LONGEST_REVIEWER} characters"
    hidden = next((letter for letter in value if not letter.isprintable()), None)
    if hidden is not None:
        name = unicodedata.name(hidden, f"U+{ord(hidden):04X}")
        return f"holds a character that nobody sees ({name}); leave it out"
    return ""


def _answers_flaw(value: Any) -> str:
    return "" if isinstance(value, dict) else f"is {_shown(value)}; send an object: the answers by question"


def _at_flaw(value: Any) -> str:
    return "" if _moment(value) is not None else f"is {_shown(value)}; send a time such as 2026-01-31T12:00:00Z"


def _text_flaw(value: Any) -> str:
    if not isinstance(value, str):
        return f"is {_shown(value)}; send a text"
    return "" if len(value) <= LONGEST_TEXT else f"has {len(value):,} characters; send at most {LONGEST_TEXT:,}"


def _tags_flaw(value: Any) -> str:
    is_list = isinstance(value, list) and len(value) <= MOST_TAGS
    if is_list and all(isinstance(tag, str) and 1 <= len(tag) <= LONGEST_TAG for tag in value):
        return ""
    return f"is {_shown(value)}; send up to {MOST_TAGS} texts of 1 to {LONGEST_TAG} characters"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


_CHECKS = {
    "output_id": _id_flaw,
    "reviewer": _reviewer_flaw,
    "answers": _answers_flaw,
    "at": _at_flaw,
    "correction": _text_flaw,
    "tags": _tags_flaw,
    "comment": _text_flaw,
}
