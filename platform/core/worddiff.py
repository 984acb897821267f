"""The difference of two texts in words, as people read it, within a bounded time whatever the texts are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

# How far the search for the shortest difference goes. Beyond it the pairing is by lines, and beyond that only what both
# begin and end with is paired: such texts are not read word by word, and the search would take minutes.
MOST_CHANGES = 600
MOST_STEPS = 2_000_000

# A word or a mark with the space behind it: spaces by themselves would be paired with any others.
_PIECE = re.compile(r"(?:\w+|[^\w\s])\s*|\s+")
_WORD = re.compile(r"\w+")

# Ends of equal runs: (from, to) in the old words and (from, to) in the new ones.
Run = tuple[int, int, int, int]


@dataclass(frozen=True)
class Piece:
    """Some text that both have (`same`), that is gone (`out`) or that is new (`in`)."""

    kind: Literal["same", "out", "in"]
    text: str


@dataclass(frozen=True)
class Difference:
    """The pieces in reading order, and how many words came and went."""

    pieces: list[Piece]
    n_in: int
    n_out: int


def compare(before: str, after: str) -> Difference:
    """The difference from one text to the other; white space counts as text but not as a word.

    The pieces that are not `in` make the first text, those that are not `out` the second, to the character.
    """
    pieces = list(_pieces(before, after))
    return Difference(pieces, n_in=_words(pieces, "in"), n_out=_words(pieces, "out"))


def _pieces(before: str, after: str) -> Iterator[Piece]:
    old, new = _PIECE.findall(before), _PIECE.findall(after)
    runs, is_whole = _equal_runs(old, new)
    if not is_whole:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
        runs, _ = _equal_runs(old, new)
    a = c = 0
    for start, end, new_start, new_end in [*runs, (len(old), len(old), len(new), len(new))]:
        yield from _change("".join(old[a:start]), "".join(new[c:new_start]), "".join(old[start:end]))
        a, c = end, new_end


def _change(out: str, into: str, same: str) -> Iterator[Piece]:
    """What went and what came, and what follows; the space that both end with belongs to what follows."""
    space = _common_space(out, into)
    if out.removesuffix(space):
        yield Piece("out", out.removesuffix(space))
    if into.removesuffix(space):
        yield Piece("in", into.removesuffix(space))
    if space + same:
        yield Piece("same", space + same)


def _common_space(one: str, other: str) -> str:
    space = one[len(one.rstrip()) :]
    while space and not other.endswith(space):
        space = space[1:]
    return space


def _equal_runs(old: list[str], new: list[str]) -> tuple[list[Run], bool]:
    """What both have, in order: head, middle and tail; and whether the middle was searched through."""
    rest = min(len(old), len(new))
    head = next((at for at in range(rest) if old[at] != new[at]), rest)
    rest -= head
    tail = next((at for at in range(rest) if old[-1 - at] != new[-1 - at]), rest)
    middle = _search(old[head : len(old) - tail], new[head : len(new) - tail])
    runs = [
        (0, head, 0, head),
        *((a + head, b + head, c + head, d + head) for a, b, c, d in middle or []),
        (len(old) - tail, len(old), len(new) - tail, len(new)),
    ]
    return _joined(runs), middle is not None


def _joined(runs: list[Run]) -> list[Run]:
    """The runs that hold something, neighbours as one."""
    found: list[Run] = []
    for run in runs:
        if run[0] == run[1]:
            continue
        if found and found[-1][1] == run[0] and found[-1][3] == run[2]:
            run = (found[-1][0], run[1], found.pop()[2], run[3])
        found.append(run)
    return found


def _search(old: list[str], new: list[str]) -> list[Run] | None:
    """Myers' shortest edit script, given up where it needs more than the bounds allow."""
    if not old or not new:
        return []
    steps = 0
    # furthest[k] is how far into `old` one comes on the diagonal k; one row is kept for each number of changes.
    furthest = {1: 0}
    rows: list[dict[int, int]] = []
    for n_changes in range(MOST_CHANGES + 1):
        rows.append(furthest.copy())
        for k in range(-n_changes, n_changes + 1, 2):
            down = k == -n_changes or (k != n_changes and furthest[k - 1] < furthest[k + 1])
            a = start = furthest[k + 1] if down else furthest[k - 1] + 1
            c = a - k
            while a < len(old) and c < len(new) and old[a] == new[c]:
                a, c = a + 1, c + 1
            furthest[k] = a
            steps += 1 + a - start
            if a >= len(old) and c >= len(new):
                return _walk_back(rows, len(old), len(new))
        if steps > MOST_STEPS:
            break
    return None


def _walk_back(rows: list[dict[int, int]], a: int, c: int) -> list[Run]:
    """The equal runs on the way that the search found, from its end to its beginning."""
    runs: list[Run] = []
    for n_changes in range(len(rows) - 1, -1, -1):
        row, k = rows[n_changes], a - c
        down = k == -n_changes or (k != n_changes and row[k - 1] < row[k + 1])
        before = k + 1 if down else k - 1
        from_a = row[before] if n_changes else 0
        from_c = from_a - before if n_changes else 0
        start = from_a + (0 if down else 1) if n_changes else 0
        runs.append((start, a, start - k, c))
        a, c = from_a, from_c
    return runs[::-1]


def _words(pieces: list[Piece], kind: str) -> int:
    return sum(len(_WORD.findall(piece.text)) for piece in pieces if piece.kind == kind)
