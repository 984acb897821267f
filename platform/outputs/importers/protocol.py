"""What an importer is: something that reads a file row by row, from the start or from where another stopped."""

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from outputs.importers.columns import Mapper
from outputs.importers.rows import Cursor, Item, Row

# What no text file begins with, and what it is.
OTHER_FILES = {
    b"PK\x03\x04": "a zip file (or a spreadsheet); unpack it, or save it as CSV",
    b"\x1f\x8b": "a gzip file; unpack it, or send it with Content-Encoding: gzip",
    b"PAR1": "a Parquet file; choose the format parquet",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
    b"%PDF": "a PDF file",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet; save it as CSV",
}


class Importer(Protocol):
    """One format. `is_mapped` says that its rows have columns, which a mapping gives meaning."""

    name: str
    about: str
    endings: tuple[str, ...]
    is_mapped: bool

    def refusal(self, head: bytes) -> str:
        """Why a file that begins so is none of this format, or "" where it may be one."""

    def rows(self, file: BinaryIO, start: Cursor) -> Iterator[Row]:
        """The rows from `start` on, holding one (or one small batch) at a time.

        Raises:
            Unreadable: the rest cannot be read.
        """

    def items(self, row: Row, mapper: Mapper) -> Iterator[Item]:
        """What the row says; a row that is wrong says so in one item."""


def text_refusal(head: bytes) -> str:
    """Why a file that begins so is no text, or ""."""
    for magic, what in OTHER_FILES.items():
        if head.startswith(magic):
            return f"is {what}"
    return "holds NUL bytes and is no text" if b"\x00" in head[:1000] else ""
