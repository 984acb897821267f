"""CSV, as programs and spreadsheets write it: the delimiter is read off the first line."""

import csv
from collections.abc import Iterator
from typing import BinaryIO

from core.problems import FieldError
from outputs.importers import columns, lines, protocol
from outputs.importers.columns import Mapper
from outputs.importers.rows import Cursor, Errors, Item, Row, Unreadable

DELIMITERS = (",", ";", "\t", "|")
MOST_COLUMNS = 1_000
# A spreadsheet takes a cell that begins so for a formula; what is written for it carries an apostrophe in front.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# For the whole process: a cell may hold as much as a row may.
csv.field_size_limit(lines.LONGEST)


class Csv:
    """A first line of names, then rows; quoted cells may hold line ends."""

    name = "csv"
    about = "CSV with a first line of column names"
    endings = ("csv", "tsv", "txt")
    is_mapped = True

    def refusal(self, head: bytes) -> str:
        return protocol.text_refusal(head)

    def rows(self, file: BinaryIO, start: Cursor) -> Iterator[Row]:
        source = _Source(file, Cursor())
        delimiter = _delimiter(file)
        names = _names(source, delimiter)
        if start.offset:
            source = _Source(file, start)
        reader = csv.reader(source, delimiter=delimiter, strict=True)
        index = start.index
        while True:
            line = source.after.line
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                _refuse_endless(error, line)
                yield _row(source, index, line, None, (FieldError("row", _said(error)),))
            else:
                if not cells:
                    continue
                yield _row_of(source, index, line, names, cells)
            index += 1

    def items(self, row: Row, mapper: Mapper) -> Iterator[Item]:
        yield columns.item(row, mapper)


class _Source:
    """The lines that a CSV reader takes, and where the next one begins."""

    def __init__(self, file: BinaryIO, start: Cursor) -> None:
        self.after = start
        self._lines = lines.lines(file, number=start.line, offset=start.offset)

    def __iter__(self) -> "_Source":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.after = Cursor(0, line.number + 1, line.end)
        if line.text is None:
            raise Unreadable(f"line {line.number}: {lines.too_long()}; is a quote left open?")
        # A byte that is no UTF-8 becomes half a surrogate pair: the check of the row finds it.
        return line.text.decode("utf-8", errors="surrogateescape")


def _delimiter(file: BinaryIO) -> str:
    first = next(lines.lines(file, number=1, offset=0), None)
    if first is None or first.text is None:
        raise Unreadable("line 1: holds no column names")
    outside_quotes = "".join(first.text.decode("utf-8", errors="replace").split('"')[::2])
    return max(DELIMITERS, key=outside_quotes.count)


def _names(source: _Source, delimiter: str) -> list[str]:
    try:
        names = [name.strip() for name in next(csv.reader(source, delimiter=delimiter, strict=True), [])]
    except csv.Error as error:
        raise Unreadable(f"line 1: {_said(error)}") from None
    if not any(names):
        raise Unreadable("line 1: holds no column names")
    if len(names) > MOST_COLUMNS:
        raise Unreadable(f"line 1: has {len(names)} columns; at most {MOST_COLUMNS} are taken")
    if any("\udc80" <= letter <= "\udcff" for name in names for letter in name):
        raise Unreadable("line 1: is not UTF-8; save the file as UTF-8")
    repeated = next((name for name in names if name and names.count(name) > 1), "")
    if repeated:
        raise Unreadable(f"line 1: names the column {repeated[:100]!r} twice")
    return names


def _row_of(source: _Source, index: int, line: int, names: list[str], cells: list[str]) -> Row:
    if len(cells) != len(names):
        said = f"has {len(cells)} cells under {len(names)} columns; quote cells that hold a delimiter"
        return _row(source, index, line, None, (FieldError("row", said),))
    value = {name: _text(cell) for name, cell in zip(names, cells, strict=True) if name and cell}
    not_utf8 = tuple(FieldError(name, "is not UTF-8") for name, cell in value.items() if _is_escaped(cell))
    return _row(source, index, line, None if not_utf8 else value, not_utf8)


def _row(source: _Source, index: int, line: int, value: dict[str, str] | None, errors: Errors) -> Row:
    after = Cursor(index + 1, source.after.line, source.after.offset)
    is_suspect = value is not None and any("\x00" in cell for cell in value.values())
    return Row(index, line, value, after, errors, is_suspect=is_suspect)


def _text(cell: str) -> str:
    return cell[1:] if cell[0] == "'" and cell[1:].startswith(FORMULA) else cell


def _is_escaped(cell: str) -> bool:
    return not cell.isascii() and any("\udc80" <= letter <= "\udcff" for letter in cell)


def _refuse_endless(error: csv.Error, line: int) -> None:
    """Behind a cell over the limit nobody knows what is quoted."""
    if "field larger" in str(error):
        raise Unreadable(f"line {line}: a cell {lines.too_long()}; is a quote left open?") from None


def _said(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "a quote that is opened here is never closed"
    if "new-line character" in str(error):
        return "holds a carriage return outside quotes"
    return f"is no CSV: {error}"


IMPORTER = Csv()
