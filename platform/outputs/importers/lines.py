"""The lines of a file, each under a limit, with their places."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from outputs import records

LONGEST = records.ROW_LIMITS.n_bytes
BOM = b"\xef\xbb\xbf"
_SKIP = 1024 * 1024


class Line(NamedTuple):
    """A line with its ending; `text` is None where it is longer than the limit. `end` is where the next begins."""

    number: int
    text: bytes | None
    end: int


def lines(file: BinaryIO, *, number: int, offset: int) -> Iterator[Line]:
    """The lines from `offset` on, the first of which has this number; a byte order mark is left out."""
    file.seek(offset)
    while text := file.readline(LONGEST + 1):
        offset += len(text)
        is_long = len(text) > LONGEST and not text.endswith(b"\n")
        while is_long and (rest := file.readline(_SKIP)):
            offset += len(rest)
            if rest.endswith(b"\n"):
                break
        yield Line(number, None if is_long else text.removeprefix(BOM) if number == 1 else text, offset)
        number += 1


def too_long() -> str:
    return f"is longer than {LONGEST:,} bytes"
