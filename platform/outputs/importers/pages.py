"""What the pages of a Parquet file claim to hold, read from their headers before anything is unpacked.

A page of a few bytes may say that it unpacks to gigabytes, and the library believes it. Headers are Thrift structures
in the compact protocol (parquet-format, `PageHeader`: field 2 is the size unpacked, 3 the size in the file).
"""

from typing import Any, BinaryIO

from outputs.importers.rows import Unreadable

LARGEST_PAGE = 32 * 1024 * 1024
# Of columns with lists: elements of all rows of a group together.
MOST_ELEMENTS = 5_000_000
_HEADER_BYTES = 64 * 1024
_STOP = 0
_INTEGERS = (4, 5, 6)
_DEEPEST = 8


def rows_at_once(file: BinaryIO, group: Any, *, most: int, n_bytes: int) -> int:
    """How many rows of this row group may be unpacked at once, so that they take about `n_bytes`.

    A value that many rows share stands once in the file (in a dictionary) and once for each row in memory.

    Raises:
        Unreadable: a page, or the lists of a column, would be too large.
    """
    widest = 1
    for number in range(group.num_columns):
        column = group.column(number)
        if column.num_values > max(MOST_ELEMENTS, group.num_rows):
            raise Unreadable(f"column {column.path_in_schema[:100]!r} has more than {MOST_ELEMENTS:,} elements")
        if column.has_dictionary_page or column.dictionary_page_offset:
            widest += _dictionary_bytes(file, column)
        _check_pages(file, column)
    return max(1, min(most, n_bytes // widest))


def _dictionary_bytes(file: BinaryIO, column: Any) -> int:
    """The most that one value of the dictionary may have: all of it."""
    unpacked, _, _ = _header(file, column.dictionary_page_offset or column.data_page_offset)
    return unpacked


def _check_pages(file: BinaryIO, column: Any) -> None:
    begin = min(filter(None, (column.dictionary_page_offset, column.data_page_offset)), default=0)
    end = begin + column.total_compressed_size
    while begin < end:
        unpacked, packed, n_header = _header(file, begin)
        if unpacked > LARGEST_PAGE or packed > LARGEST_PAGE:
            raise Unreadable(
                f"column {column.path_in_schema[:100]!r} has a page of {max(unpacked, packed):,} bytes;"
                f" at most {LARGEST_PAGE:,} are unpacked"
            )
        begin += n_header + packed


def _header(file: BinaryIO, offset: int) -> tuple[int, int, int]:
    """Size unpacked, size in the file, and size of the header itself."""
    file.seek(offset)
    reader = _Compact(file.read(_HEADER_BYTES))
    try:
        fields = reader.struct()
        unpacked, packed = fields[2], fields[3]
    except (IndexError, KeyError):
        raise Unreadable(f"has no readable page at byte {offset:,}") from None
    if unpacked < 0 or packed < 0:
        raise Unreadable(f"has a page of negative size at byte {offset:,}")
    return unpacked, packed, reader.at


class _Compact:
    """Reads one Thrift structure: its integers are kept, everything else is stepped over."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self.at = 0

    def struct(self, depth: int = 0) -> dict[int, int]:
        if depth > _DEEPEST:
            raise IndexError
        fields: dict[int, int] = {}
        number = 0
        while (kind := self._byte()) & 0x0F != _STOP:
            number = number + (kind >> 4) if kind >> 4 else self._signed()
            value = self._value(kind & 0x0F, depth)
            if value is not None:
                fields[number] = value
        return fields

    def _value(self, kind: int, depth: int) -> int | None:
        """The value of an integer; whatever else stands here is stepped over."""
        if kind in _INTEGERS:
            return self._signed()
        match kind:
            case 1 | 2:  # true and false stand in the head of their field
                return None
            case 3 | 7 | 8:
                # What `_unsigned` reads moves us, so it is read before we move over it.
                n = {3: 1, 7: 8}.get(kind) or self._unsigned()
                self.at += n
            case 9 | 10:
                self._list(depth)
            case 12:
                self.struct(depth + 1)
            case _:  # no map stands in a page's header
                raise IndexError
        if self.at > len(self._text):
            raise IndexError
        return None

    def _list(self, depth: int) -> None:
        head = self._byte()
        n = self._unsigned() if head >> 4 == 15 else head >> 4
        if n > len(self._text):
            raise IndexError
        for _ in range(n):
            if head & 0x0F in (1, 2):
                self._byte()
            else:
                self._value(head & 0x0F, depth)

    def _byte(self) -> int:
        self.at += 1
        return self._text[self.at - 1]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise IndexError

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
