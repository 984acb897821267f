"""What finds one sort of thing that should not be stored, and where detectors are known by name."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, TypeVar

import re2

# Stands in the place of a mark while detectors look: no letter, no digit, no space, and in no text that is stored.
BLANK = b"\x00"
# What stands before something that begins a word in encoded JSON: text begins after a quote, and `\n` ends in a letter.
EDGE = rb"(?:[^0-9A-Za-z]|\\[bfnrt])"
# The same before a number, which is no fraction.
NUMBER_EDGE = rb"(?:[^0-9A-Za-z.]|\\[bfnrt])"
_CONTEXT_CHARACTERS = 50
# Each character of a folded text is one byte: ASCII as it is, a letter of another script that puts spaces between
# words as LETTER, anything else as OTHER.
LETTER, OTHER = "\xc0", "\x80"
_WORD = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_\xc0")

Span = tuple[int, int]


class Place(NamedTuple):
    """Where a text stands.

    Args:
        key: the name under which it stands in its object, folded, or "".
        regions: countries whose national telephone numbers count, as ISO 3166 codes.
    """

    key: bytes = b""
    regions: tuple[str, ...] = ()


class Detector(Protocol):
    """Finds one sort of thing in texts. All its patterns are RE2's, so it takes time linear in the text.

    `name` is what it is called in policies and marks, `words` on pages, `note` what it leaves alone. Of two that find
    something equally long the one with the lower `rank` decides.
    """

    name: str
    rank: int
    words: str
    note: str

    def hint(self, regions: tuple[str, ...]) -> bytes:
        """An RE2 pattern over encoded JSON: where it matches nothing, `find` finds nothing. It may match too much."""

    def find(self, text: bytes, place: Place) -> Iterator[Span]:
        """Where such things stand in a folded text (`folding.Folded`); they may overlap."""

    def canonical(self, found: str) -> str:
        """The same for two findings that mean the same."""


D = TypeVar("D", bound=type)
_DETECTORS: dict[str, Detector] = {}


def register(kind: D) -> D:
    """The class decorator that makes a detector known."""
    detector: Detector = kind()
    _DETECTORS[detector.name] = detector
    return kind


def named(name: str) -> Detector:
    return _DETECTORS[name]


def names() -> list[str]:
    """All that are known, in the order in which they decide between findings of equal length."""
    return sorted(_DETECTORS, key=lambda name: _DETECTORS[name].rank)


def stands_alone(text: bytes, start: int, end: int) -> bool:
    """Whether no letter, digit or underscore touches it."""
    return not (start and text[start - 1] in _WORD) and not (end < len(text) and text[end] in _WORD)


def is_near(words: "re2._Regexp", text: bytes, start: int, place: Place) -> bool:
    """Whether the key, or the text shortly before `start`, says one of `words`."""
    return bool(words.search(place.key + b" " + text[max(0, start - _CONTEXT_CHARACTERS) : start]))


def shape(pattern: str) -> "re2._Regexp":
    """A pattern over folded text."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(pattern.encode("latin-1"), options)


def alternatives(patterns: Iterable[bytes]) -> bytes:
    return b"(?:" + b"|".join(patterns) + b")"
