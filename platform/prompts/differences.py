"""What differs between two revisions, as people read it: lines with the words in them, and named parameters. Pure."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from core import worddiff
from core.worddiff import Piece
from prompts.models import Revision

# Equal lines shown around a change; longer stretches are counted.
AROUND = 3
# Texts of more lines than this are paired by their first differing and last differing line alone: a pairing of
# thousands of lines takes seconds and is read by nobody.
MOST_LINES = 2_000
# Words are marked in lines that are read as lines; pairing the words of a page-long one takes too long.
LONGEST_MARKED = 2_000

_WORD = re.compile(r"\w+")

Message = Mapping[str, str]


@dataclass(frozen=True)
class Line:
    """One row: a message's `head`, a line that is the `same`, `cut` or `add`ed, or `n` equal lines left out (`skip`).

    `old` and `new` are the numbers of the line in its message, from 1.
    """

    kind: Literal["head", "same", "cut", "add", "skip"]
    old: int | None = None
    new: int | None = None
    pieces: Sequence[Piece] = ()
    n: int = 0

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True)
class TextDifference:
    """The messages of two revisions, line by line; `n_in` lines came and `n_out` went."""

    lines: list[Line] = field(default_factory=list)
    n_in: int = 0
    n_out: int = 0

    @property
    def is_equal(self) -> bool:
        return not (self.n_in or self.n_out)


@dataclass(frozen=True)
class Setting:
    """Something besides texts that decides what is sent: the model, a parameter, or how context is chosen."""

    name: str
    before: str
    after: str

    @property
    def kind(self) -> Literal["same", "add", "cut", "change"]:
        if self.before == self.after:
            return "same"
        if not self.before:
            return "add"
        return "change" if self.after else "cut"


def texts(before: Sequence[Message], after: Sequence[Message], *, whole: bool = False) -> TextDifference:
    """The messages line by line; messages are paired by their roles in order.

    Args:
        before: of the earlier revision; empty where there is none.
        after: of the later one.
        whole: show every equal line.
    """
    found = TextDifference()
    if before == after and not whole:
        return found
    lines = [line for old, new in _pairs(before, after) for line in _message(old, new, whole)]
    n_in, n_out = (sum(line.kind == kind for line in lines) for kind in ("add", "cut"))
    return TextDifference(lines, n_in, n_out)


def settings(before: Revision | None, after: Revision) -> list[Setting]:
    """Model, selection and parameters of both, by name; those that are the same, too."""
    old, new = {} if before is None else _settings(before), _settings(after)
    return [Setting(name, old.get(name, ""), new.get(name, "")) for name in {**new, **old}]


def _settings(revision: Revision) -> dict[str, str]:
    chosen = revision.strategy if revision.k is None else f"{revision.strategy}, {revision.k} for each input"
    named = {name: json.dumps(value, ensure_ascii=False) for name, value in sorted(revision.parameters.items())}
    return {"model": revision.model, "context": chosen, **named}


def _pairs(before: Sequence[Message], after: Sequence[Message]) -> Iterator[tuple[Message | None, Message | None]]:
    """Messages of the same role beside each other, in order; what has no counterpart stands alone."""
    roles = [message["role"] for message in before], [message["role"] for message in after]
    for _, a, b, c, d in difflib.SequenceMatcher(None, *roles, autojunk=False).get_opcodes():
        for at in range(max(b - a, d - c)):
            old = before[a + at] if a + at < b else None
            new = after[c + at] if c + at < d else None
            if old is not None and new is not None and old["role"] != new["role"]:
                yield old, None
                yield None, new
            else:
                yield old, new


def _message(old: Message | None, new: Message | None, whole: bool) -> Iterator[Line]:
    either = new if new is not None else old
    assert either is not None, "a pair has a side"  # noqa: S101  # made by _pairs
    before = [] if old is None else old["content"].split("\n")
    after = [] if new is None else new["content"].split("\n")
    if old is not None and new is not None and before == after and not whole:
        yield _head(either, None)
        yield Line("skip", n=len(after))
        return
    yield _head(either, "cut" if new is None else "add" if old is None else None)
    yield from _lines(before, after, whole)


def _head(message: Message, kind: str | None) -> Line:
    said = {"cut": " message, removed", "add": " message, new", None: " message"}[kind]
    return Line("head", pieces=[Piece("same", message["role"].capitalize() + said)])


def _lines(before: list[str], after: list[str], whole: bool) -> Iterator[Line]:
    codes = _codes(before, after)
    for place, (kind, a, b, c, d) in enumerate(codes):
        if kind == "equal":
            is_last = place == len(codes) - 1
            yield from _equal(after, a, c, d, whole=whole, is_first=place == 0, is_last=is_last)
        else:
            yield from _changed(before[a:b], after[c:d], a, c)


def _codes(before: list[str], after: list[str]) -> Sequence[tuple[str, int, int, int, int]]:
    if len(before) + len(after) <= MOST_LINES:
        return difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    same = [old == new for old, new in zip(before, after, strict=False)]
    head = same.index(False) if False in same else len(same)
    rest = min(len(before), len(after)) - head
    ends = (old == new for old, new in zip(reversed(before), reversed(after), strict=False))
    tail = next((n for n, is_same in enumerate(ends) if not is_same or n == rest), rest)
    b, d = len(before) - tail, len(after) - tail
    found = [("equal", 0, head, 0, head), ("replace", head, b, head, d), ("equal", b, len(before), d, len(after))]
    return [code for code in found if code[1] < code[2] or code[3] < code[4]]


def _equal(after: list[str], a: int, c: int, d: int, *, whole: bool, is_first: bool, is_last: bool) -> Iterator[Line]:
    """Equal lines: those beside a change, and how many lie between them."""
    head = 0 if is_first else AROUND
    tail = 0 if is_last else AROUND
    shift = a - c
    if whole or d - c <= head + tail + 1:
        head, tail = d - c, 0
    for at in range(c, c + head):
        yield _same(after[at], at + shift, at)
    if d - c > head + tail:
        yield Line("skip", n=d - c - head - tail)
    for at in range(d - tail, d):
        yield _same(after[at], at + shift, at)


def _same(text: str, old: int, new: int) -> Line:
    return Line("same", old + 1, new + 1, [Piece("same", text)])


def _changed(before: list[str], after: list[str], a: int, c: int) -> Iterator[Line]:
    """Lines that went, each followed by the one that took its place, with the words marked."""
    for at in range(max(len(before), len(after))):
        old = before[at] if at < len(before) else None
        new = after[at] if at < len(after) else None
        out, into = _marked(old, new)
        if old is not None:
            yield Line("cut", old=a + at + 1, pieces=out)
        if new is not None:
            yield Line("add", new=c + at + 1, pieces=into)


def _marked(old: str | None, new: str | None) -> tuple[list[Piece], list[Piece]]:
    """Both lines with the words that differ marked, where most of the words are shared; else unmarked."""
    if old is None or new is None or len(old) + len(new) > LONGEST_MARKED:
        return [Piece("same", old or "")], [Piece("same", new or "")]
    found = worddiff.compare(old, new)
    shared = sum(len(_WORD.findall(piece.text)) for piece in found.pieces if piece.kind == "same")
    if shared < max(found.n_in, found.n_out) / 2:
        return [Piece("same", old)], [Piece("same", new)]
    return [p for p in found.pieces if p.kind != "in"], [p for p in found.pieces if p.kind != "out"]
