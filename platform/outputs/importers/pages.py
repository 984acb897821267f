"""What a Parquet file claims to hold, read from its footer and the headers of its pages before anything is unpacked.

A page of a few bytes may say that it unpacks to gigabytes, and the library believes it. All of it is Thrift (Apache
parquet-format, `parquet.thrift`); the numbers below are those of its fields.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from outputs.importers.rows import Unreadable
from outputs.importers.thrift import Broken, Compact, Structure

LARGEST_PAGE = 32 * 1024 * 1024
# Of columns with lists: elements of all rows of a group together.
MOST_ELEMENTS = 5_000_000
_HEADER_BYTES = 64 * 1024


@dataclass(frozen=True)
class Column:
    """The part of a row group that one column takes.

    Args:
        name: its path.
        n_values: elements in it.
        n_bytes: it takes in the file.
        data: where its first page stands.
        dictionary: where its dictionary stands, or None.
    """

    name: str
    n_values: int
    n_bytes: int
    data: int
    dictionary: int | None


@dataclass(frozen=True)
class Group:
    """One row group."""

    n_rows: int
    columns: Sequence[Column]


def groups(footer: bytes) -> list[Group]:
    """The row groups that a footer tells of.

    Raises:
        Unreadable: it tells of none that can be read.
    """
    try:
        return [_group(told) for told in Compact(footer).structure()[4]]
    except (Broken, KeyError, TypeError, AttributeError):
        raise Unreadable("is no Parquet file that can be read: its footer is broken") from None


def rows_at_once(file: BinaryIO, group: Group, *, most: int, n_bytes: int) -> int:
    """How many rows of this row group may be unpacked at once, so that they take about `n_bytes`.

    A value that many rows share stands once in the file (in a dictionary) and once for each row in memory.

    Raises:
        Unreadable: a page, or the lists of a column, would be too large.
    """
    widest = 1
    for column in group.columns:
        if column.n_values > max(MOST_ELEMENTS, group.n_rows):
            raise Unreadable(f"column {column.name!r} has more than {MOST_ELEMENTS:,} elements")
        pages = list(_pages(file, column))
        if column.dictionary and pages:
            # The most that one value of the dictionary may have: all of it.
            widest += pages[0]
    return max(1, min(most, n_bytes // widest))


def _group(told: Structure) -> Group:
    return Group(n_rows=_number(told[3]), columns=[_column(chunk) for chunk in told[1]])


def _column(chunk: Structure) -> Column:
    told = chunk[3]
    name = b".".join(told[3]).decode(errors="replace")[:100]
    if 1 in chunk:
        raise Unreadable(f"column {name!r} lies in another file")
    dictionary = _number(told[11]) if told.get(11) else None
    return Column(name, _number(told[5]), _number(told[7]), _number(told[9]), dictionary)


def _number(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise Broken
    return value


def _pages(file: BinaryIO, column: Column) -> Iterator[int]:
    """What each page of the column takes unpacked."""
    begin = min(column.dictionary or column.data, column.data)
    end = begin + column.n_bytes
    while begin < end:
        unpacked, packed, n_header = _header(file, begin)
        if unpacked > LARGEST_PAGE or packed > LARGEST_PAGE:
            raise Unreadable(
                f"column {column.name!r} has a page of {max(unpacked, packed):,} bytes;"
                f" at most {LARGEST_PAGE:,} are unpacked"
            )
        yield unpacked
        begin += n_header + packed


def _header(file: BinaryIO, offset: int) -> tuple[int, int, int]:
    """Size unpacked, size in the file, and size of the header itself."""
    file.seek(offset)
    reader = Compact(file.read(_HEADER_BYTES))
    try:
        fields = reader.structure()
        return _number(fields[2]), _number(fields[3]), reader.at
    except (Broken, KeyError):
        raise Unreadable(f"has no readable page at byte {offset:,}") from None
