"""What would be redacted: findings shown where they stand, before a policy is saved."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from outputs.redaction.redactor import Finding, Redactor


@dataclass(frozen=True)
class Piece:
    """A part of a text; `detector` says what found it, "" for what stays."""

    text: str
    detector: str = ""


@dataclass(frozen=True)
class Place:
    """A finding in a value: the path of the text that holds it, and whether it stands in the last name of that path."""

    path: str
    is_key: bool
    finding: Finding


@dataclass(frozen=True)
class Preview:
    """A value as it would be stored, and why."""

    redacted: Any
    counts: dict[str, int]
    places: list[Place]


def of_value(redactor: Redactor, value: Any) -> Preview:
    """What the redactor would make of any JSON value."""
    counts: Counter[str] = Counter()
    redacted = redactor.value(value, counts)
    return Preview(redacted=redacted, counts=dict(sorted(counts.items())), places=list(_places(redactor, value)))


def pieces(redactor: Redactor, text: str) -> list[Piece]:
    """The text cut at its findings."""
    cut, done = [], 0
    for start, end, detector in redactor.findings(text):
        cut += [Piece(text[done:start]), Piece(text[start:end], detector)]
        done = end
    return [piece for piece in [*cut, Piece(text[done:])] if piece.text]


def _places(redactor: Redactor, value: Any, path: str = "", key: str = "") -> Iterator[Place]:
    match value:
        case str():
            yield from (Place(path, False, finding) for finding in redactor.findings(value, key))
        case dict():
            for name, one in value.items():
                below = f"{path}.{name}" if path else name
                yield from (Place(below, True, finding) for finding in redactor.findings(name))
                yield from _places(redactor, one, below, name)
        case list():
            for index, one in enumerate(value):
                yield from _places(redactor, one, f"{path}[{index}]", key)
        case int() if not isinstance(value, bool):
            if redactor.value(value, Counter(), key) != value:
                yield from (Place(path, False, finding) for finding in redactor.findings(str(value), key))
