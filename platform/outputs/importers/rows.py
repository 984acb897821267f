"""A row of a file, and what it says."""

from dataclasses import dataclass, field
from typing import Any

from core.problems import FieldError
from outputs.records import Record

Errors = tuple[FieldError, ...]


class Unreadable(Exception):  # "raises Unreadable" reads as what happens
    """From here on the file cannot be read; the message says where and why."""


@dataclass(frozen=True)
class Cursor:
    """Where reading goes on: the next row, its line, and how far into the file in bytes."""

    index: int = 0
    line: int = 1
    offset: int = 0

    def as_dict(self) -> dict[str, int]:
        return {"index": self.index, "line": self.line, "offset": self.offset}


@dataclass(frozen=True)
class Row:
    """One row of a file.

    Args:
        index: its place among the rows, from 0.
        line: the line it begins in, from 1; 0 where the format has none.
        value: a JSON value; None where the row cannot be read.
        errors: why it cannot.
        after: where reading goes on behind it.
        is_suspect: whether something in it may never be stored, as `core.strict_json` says it.
    """

    index: int
    line: int
    value: Any
    after: Cursor
    errors: Errors = ()
    is_suspect: bool = True


@dataclass(frozen=True)
class Item:
    """What a row says: a record of a kind, or what is wrong with it.

    Args:
        kind: outputs, steps or feedback.
        record: what is to be stored.
        errors: why nothing can be.
        is_along: it came along with others and is counted only where it is refused.
    """

    kind: str
    record: Record | None = None
    errors: Errors = field(default=())
    is_along: bool = False
