"""Parquet, read by row groups and pages: a value of memory at a time, whatever the file says of itself."""

import base64
import datetime as dt
import decimal
import importlib
import math
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from core.problems import FieldError
from outputs.importers import columns, pages
from outputs.importers.columns import Mapper
from outputs.importers.rows import Cursor, Item, Row, Unreadable

MAGIC = b"PAR1"
MOST_COLUMNS = 1_000
MOST_ROW_GROUPS = 20_000
LARGEST_FOOTER = 16 * 1024 * 1024
ROWS_AT_ONCE = 500
# About what one batch may take in memory.
BATCH_BYTES = 32 * 1024 * 1024


class Parquet:
    """Columns by their names; lists and structures are JSON values, times are ISO 8601."""

    name = "parquet"
    about = "Parquet"
    endings = ("parquet", "pq")
    is_mapped = True

    def refusal(self, head: bytes) -> str:
        return "" if head.startswith(MAGIC) else "is no Parquet file: it does not begin with PAR1"

    def rows(self, file: BinaryIO, start: Cursor) -> Iterator[Row]:
        # Only workers read files, and only they hold this library: it takes 60 MB.
        arrow = importlib.import_module("pyarrow")
        try:
            yield from _rows(file, start)
        except (arrow.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
            raise Unreadable(f"is no Parquet file that can be read: {_first_line(error)}") from None

    def items(self, row: Row, mapper: Mapper) -> Iterator[Item]:
        yield columns.item(row, mapper)


def _rows(file: BinaryIO, start: Cursor) -> Iterator[Row]:
    size, footer = _frame(file)
    groups = pages.groups(footer)
    parquet = importlib.import_module("pyarrow.parquet")
    opened = parquet.ParquetFile(
        file, pre_buffer=False, buffer_size=256 * 1024, thrift_string_size_limit=LARGEST_FOOTER,
        thrift_container_size_limit=1_000_000,
    )  # fmt: skip
    about = opened.metadata
    _check_shape(about)
    if len(groups) != about.num_row_groups:
        raise Unreadable("is no Parquet file that can be read: its footer is broken")
    index = 0
    for number, group in enumerate(groups):
        if index + group.n_rows <= start.index:
            index += group.n_rows
            continue
        at_once = pages.rows_at_once(file, group, most=ROWS_AT_ONCE, n_bytes=BATCH_BYTES)
        for batch in opened.iter_batches(batch_size=at_once, row_groups=[number]):
            if index + batch.num_rows > start.index:
                for place, value in enumerate(_values(batch), start=index):
                    if place >= start.index:
                        after = Cursor(place + 1, 0, size * (place + 1) // max(1, about.num_rows))
                        errors = () if value is not None else (FieldError("row", "holds text that is not UTF-8"),)
                        yield Row(place, 0, _plain(value), after, errors)
            index += batch.num_rows


def _values(batch: Any) -> list[Any]:
    """The rows of a batch; None for one that cannot be a value here."""
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError):
        if batch.num_rows == 1:
            return [None]
    return [value for place in range(batch.num_rows) for value in _values(batch.slice(place, 1))]


def _frame(file: BinaryIO) -> tuple[int, bytes]:
    """The file begins and ends as Parquet does, and its footer is no larger than we read: its size, and the footer."""
    size = file.seek(0, 2)
    if size < 12:
        raise Unreadable("is too short for a Parquet file")
    file.seek(size - 8)
    tail = file.read(8)
    file.seek(0)
    if tail[4:] != MAGIC or file.read(4) != MAGIC:
        raise Unreadable("is no complete Parquet file: it does not end with PAR1")
    n_footer = int.from_bytes(tail[:4], "little")
    if n_footer > min(LARGEST_FOOTER, size - 12):
        raise Unreadable(f"says that its footer has {n_footer:,} bytes; at most {LARGEST_FOOTER:,} are read")
    file.seek(size - 8 - n_footer)
    footer = file.read(n_footer)
    file.seek(0)
    return size, footer


def _check_shape(about: Any) -> None:
    if about.num_columns > MOST_COLUMNS:
        raise Unreadable(f"has {about.num_columns:,} columns; at most {MOST_COLUMNS:,} are taken")
    if about.num_row_groups > MOST_ROW_GROUPS:
        raise Unreadable(f"has {about.num_row_groups:,} row groups; at most {MOST_ROW_GROUPS:,} are taken")


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    if value is None or isinstance(value, str | bool | int):
        return value
    for kind, read in _PLAIN:
        if isinstance(value, kind):
            return read(value)
    return str(value)


def _bytes(value: bytes) -> str:
    """Text where it is UTF-8, as many writers leave unsaid; else base64."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (float, lambda value: value if math.isfinite(value) else None),
    (dict, lambda value: {str(name): _plain(one) for name, one in value.items()}),
    (list, lambda value: [_plain(one) for one in value]),
    (tuple, lambda value: [_plain(one) for one in value]),
    (dt.datetime, lambda value: (value if value.tzinfo else value.replace(tzinfo=dt.UTC)).isoformat()),
    (dt.date, dt.date.isoformat),
    (dt.time, dt.time.isoformat),
    (dt.timedelta, dt.timedelta.total_seconds),
    (decimal.Decimal, lambda value: float(value) if value.is_finite() else None),
    (bytes, _bytes),
)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


IMPORTER = Parquet()
