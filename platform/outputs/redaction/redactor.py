"""A policy made ready for rows: what is found in texts, and what stands there afterwards."""

import functools
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson
import re2

from outputs.redaction import detector, folding
from outputs.redaction.detector import BLANK as _BLANK
from outputs.redaction.detector import Detector, Place, Span
from outputs.redaction.folding import Folded
from outputs.redaction.policy import Action, Pattern, Policy, compile_pattern

BLANK = _BLANK.decode()
# What is dropped may bring together what then is found; after so many rounds marks stand for it.
_MOST_ROUNDS = 4
# Places in one text that are looked at one by one, and findings in one row; beyond, a mark stands for a whole text.
MOST_PLACES = 20_000
TOO_MANY = "too_many_findings"
_SMALLEST_NUMBER = 10**8
# Roles that make a list of messages readable; any other is text like all text.
_ROLES = frozenset("system developer user assistant tool function model human ai".split())
_MESSAGE_KEYS = frozenset({"role", "content"})
_HASH_BYTES = 6


class Finding(NamedTuple):
    """What was found in one text, by which detector."""

    start: int
    end: int
    detector: str


class Found(NamedTuple):
    """A finding of one detector; where it took in its neighbours, `core` is what made it."""

    start: int
    end: int
    detector: str
    core: Span


class Redactor:
    """One policy with the key that its hashes are made with; takes texts and values of any shape.

    Args:
        policy: what becomes of what is found.
        key: of the project; hashes are made with one derived from it.
    """

    def __init__(self, policy: Policy, key: bytes) -> None:
        self.policy = policy
        self._key = hashlib.blake2b(b"redaction", key=key[:64], digest_size=32).digest()
        actions = [(name, action) for name, action in policy.actions if action is not Action.KEEP]
        self._actions = dict(actions) | {one.name: one.action for one in policy.patterns} | {TOO_MANY: Action.REPLACE}
        names = tuple(name for name in detector.names() if name in self._actions)
        self._hint = _hint(names, policy.regions) if names else None
        self._detectors = [(detector.named(name), _hint((name,), policy.regions)) for name in names]
        self._patterns = [
            (one, compile_pattern(one.pattern)) for one in policy.patterns if one.action is not Action.KEEP
        ]
        self._order = {name: place for place, name in enumerate([*detector.names(), *map(_name, policy.patterns)])}
        self._mark = re2.compile(r"\[(?:" + "|".join([*self._order, TOO_MANY]) + r")(?::[0-9a-f]{12})?\]")

    def suspects(self, encoded: bytes) -> bool:
        """Whether encoded JSON may hold anything to redact; where not, nothing need be looked at."""
        return bool(self._patterns) or (self._hint is not None and self._hint.search(encoded) is not None)

    def n_places(self, encoded: bytes, *, most: int) -> int:
        """About how many places in encoded JSON have to be looked at one by one, counted up to `most`.

        A project's own patterns are not counted.
        """
        if self._hint is None or self._hint.search(encoded) is None:
            return 0
        return _count(self._hint.finditer(encoded), most)

    def findings(self, text: str, key: str = "") -> list[Finding]:
        """What stands in a text, in order, without overlaps.

        Args:
            text: as it came.
            key: the name under which it stands, if any.
        """
        return [Finding(found.start, found.end, found.detector) for found in self._found(text, key)]

    def text(self, text: str, counts: Counter[str], key: str = "", instead: Mapping[Action, Action] = {}) -> str:
        """The text as it may be stored; redacting it again changes nothing.

        Where too much is found for it to be done one by one, a mark stands for the whole text.

        Args:
            text: as it came.
            counts: of findings by detector, added to.
            key: the name under which it stands, if any.
            instead: actions that others take the place of, for this text.
        """
        for round_ in range(2 * _MOST_ROUNDS):
            found = self._found(text, key, most=max(1, MOST_PLACES - counts.total()))
            if not found:
                break
            counts.update(one.detector for one in found)
            keeps_marks = {**instead, Action.DROP: Action.REPLACE} if round_ >= _MOST_ROUNDS else instead
            text = self._without(text, found, keeps_marks)
        return text

    def value(self, value: Any, counts: Counter[str], key: str = "") -> Any:
        """The same of any JSON value, keys included; a number that is found becomes text."""
        match value:
            case str():
                return self.text(value, counts, key)
            case bool() | None:
                return value
            case float():
                # `4111111111111111.0` is that card, too.
                return self._number(value, counts, key) if value.is_integer() and abs(value) < 2**63 else value
            case int():
                return self._number(value, counts, key)
            case list():
                return [self.value(one, counts, key) for one in value]
            case dict():
                return self._object(value, counts)
        return value

    def _object(self, value: dict[str, Any], counts: Counter[str]) -> dict[str, Any]:
        is_message = value.keys() >= _MESSAGE_KEYS
        redacted: dict[str, Any] = {}
        renamed = []
        for key, one in value.items():
            name = key if is_message and key in _MESSAGE_KEYS else self.text(key, counts)
            said = self._role(one, counts) if is_message and key == "role" else self.value(one, counts, key)
            if name == key:
                redacted[key] = said
            else:
                renamed.append((name, said))
        for name, said in renamed:
            redacted[_free(name, redacted)] = said
        return redacted

    def _role(self, role: Any, counts: Counter[str]) -> Any:
        if not isinstance(role, str) or role in _ROLES:
            return role
        return self.text(role, counts, instead={Action.DROP: Action.REPLACE})[:60]

    def _number(self, number: float, counts: Counter[str], key: str) -> Any:
        if abs(number) < _SMALLEST_NUMBER:
            return number
        said = str(int(number))
        redacted = self.text(said, counts, key)
        return number if redacted == said else redacted

    def _found(self, text: str, key: str, *, most: int = MOST_PLACES) -> list[Found]:
        """What stands in the text; where that is `most` or more, the text as a whole."""
        suspecting = self._suspecting(text, key)
        if not suspecting and not self._patterns:
            return []
        blanked = self._blanked(text)
        # Each place has more than one character, and few texts are so long.
        is_too_much = len(text) > MOST_PLACES and self.n_places(_encoded(blanked, key), most=MOST_PLACES) == MOST_PLACES
        found = [] if is_too_much else list(itertools.islice(self._all(blanked, key, suspecting), most))
        if is_too_much or len(found) == most:
            return [Found(0, len(text), TOO_MANY, (0, len(text)))]
        found.sort(key=lambda one: (one.start, -one.end))
        return list(_merged(found, self._order))

    def _suspecting(self, text: str, key: str) -> list[Detector]:
        """The detectors that may find something: first all are asked at once, then each."""
        encoded = _encoded(text, key)
        if self._hint is None or self._hint.search(encoded) is None:
            return []
        return [one for one, hint in self._detectors if hint.search(encoded) is not None]

    def _blanked(self, text: str) -> str:
        """The text with blanks where marks stand, so that nothing is found in what was redacted before."""
        if "[" not in text:
            return text
        return str(self._mark.sub(lambda match: BLANK * len(match.group()), text))

    def _all(self, blanked: str, key: str, suspecting: list[Detector]) -> Iterator[Found]:
        """Findings in no order, the blanks in them left out."""
        folded = Folded(blanked)
        place = Place(Folded(key).text, self.policy.regions)
        for one in suspecting:
            for span in one.find(folded.text, place):
                yield from _unblanked(blanked, folded.original(span), one.name)
        for pattern, compiled in self._patterns:
            for match in compiled.finditer(blanked):
                yield from _unblanked(blanked, match.span(), pattern.name)

    def _without(self, text: str, found: list[Found], instead: Mapping[Action, Action]) -> str:
        pieces, done = [], 0
        for one in found:
            pieces += [text[done : one.start], self._mark_of(one, text, instead)]
            done = one.end
        return "".join([*pieces, text[done:]])

    def _mark_of(self, found: Found, text: str, instead: Mapping[Action, Action]) -> str:
        action = self._actions[found.detector]
        match instead.get(action, action):
            case Action.DROP:
                return ""
            case Action.HASH:
                return f"[{found.detector}:{self._hash(found.detector, text[slice(*found.core)])}]"
        return f"[{found.detector}]"

    def _hash(self, name: str, said: str) -> str:
        canonical = detector.named(name).canonical(folding.plain(said)) if name in detector.names() else said
        told = f"{name} {canonical}".encode("utf-8", "replace")
        return hashlib.blake2b(told, key=self._key, digest_size=_HASH_BYTES).hexdigest()


@functools.lru_cache(maxsize=1_000)
def redactor(policy: Policy, key: bytes) -> Redactor:
    """The redactor of a policy and a project's key; made once."""
    return Redactor(policy, key)


@functools.lru_cache(maxsize=1_000)
def _hint(names: tuple[str, ...], regions: tuple[str, ...]) -> "re2._Regexp":
    """One pattern for these detectors: where it does not match encoded JSON, none of them finds anything."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    options.max_mem = 32 * 1024 * 1024
    hints = [detector.named(name).hint(regions) for name in names]
    return re2.compile(detector.alternatives([*hints, folding.HINT]), options)


def _encoded(text: str, key: str) -> bytes:
    """About as a JSON document shows it: quotes show what begins a text, the key what the text is."""
    return orjson.dumps([text]) if not key else orjson.dumps({key: text})


def _merged(found: list[Found], order: Mapping[str, int]) -> Iterator[Found]:
    """Findings that overlap become one, which is called by the longest; of equally long ones by the first in order."""
    group: list[Found] = []
    end = 0
    for one in found:
        if group and one.start >= end:
            yield _one_of(group, order)
            group = []
        group.append(one)
        end = max(end, one.end)
    if group:
        yield _one_of(group, order)


def _one_of(group: list[Found], order: Mapping[str, int]) -> Found:
    if len(group) == 1:
        return group[0]
    longest = max(group, key=lambda one: (one.end - one.start, -order[one.detector], -one.start))
    return longest._replace(start=min(one.start for one in group), end=max(one.end for one in group))


def _unblanked(blanked: str, span: Span, name: str) -> Iterator[Found]:
    """The finding, or what lies between the marks in it."""
    start, end = span
    if BLANK not in blanked[start:end]:
        yield Found(start, end, name, span)
        return
    for piece in blanked[start:end].split(BLANK):
        if piece and not piece.isspace():
            yield Found(start, start + len(piece), name, (start, start + len(piece)))
        start += len(piece) + 1


def _count(found: Iterable[object], most: int) -> int:
    return sum(1 for _ in itertools.islice(found, most))


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """The name, or where another key has it, the name with a number: no value is lost."""
    if name not in taken:
        return name
    number = 2
    while f"{name} ({number})" in taken:
        number += 1
    return f"{name} ({number})"


def _name(pattern: Pattern) -> str:
    return pattern.name
