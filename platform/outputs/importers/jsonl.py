"""JSON Lines: one object per line, its names as columns."""

from collections.abc import Iterator
from typing import BinaryIO

from core import strict_json
from core.problems import FieldError
from outputs import records
from outputs.importers import columns, lines, protocol
from outputs.importers.columns import Mapper
from outputs.importers.rows import Cursor, Item, Row, Unreadable


class JsonLines:
    """Each line is parsed alone, so that a bad one costs itself."""

    name = "jsonl"
    about = "JSON Lines: one object per line"
    endings = ("jsonl", "ndjson")
    is_mapped = True

    def refusal(self, head: bytes) -> str:
        return protocol.text_refusal(head)

    def rows(self, file: BinaryIO, start: Cursor) -> Iterator[Row]:
        index = start.index
        for line in lines.lines(file, number=start.line, offset=start.offset):
            if line.text is not None and not line.text.strip():
                continue
            if line.number == 1 and line.text is not None and line.text.strip() == b"[":
                raise Unreadable("line 1: begins a JSON array; send one object per line")
            yield row_of(line, index)
            index += 1

    def items(self, row: Row, mapper: Mapper) -> Iterator[Item]:
        yield columns.item(row, mapper)


def row_of(line: lines.Line, index: int) -> Row:
    """The row that a line is."""
    after = Cursor(index + 1, line.number + 1, line.end)
    if line.text is None:
        return Row(index, line.number, None, after, (FieldError("row", lines.too_long()),))
    try:
        value, is_suspect = strict_json.parse_leniently(line.text.strip(), records.ROW_LIMITS)
    except strict_json.Refused as refused:
        return Row(index, line.number, None, after, (FieldError(refused.path or "row", refused.message),))
    return Row(index, line.number, value, after, is_suspect=is_suspect)


IMPORTER = JsonLines()
