"""What a project wants done with what is found, and the policy of projects that have said nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import re2

from core.problems import FieldError, Invalid
from outputs.redaction import detector
from outputs.redaction.detectors import phone

MOST_PATTERNS = 20
MOST_REGIONS = 10
LONGEST_PATTERN = 500
LONGEST_NAME = 40
LARGEST_PROGRAM = 2_000
# What RE2 lacks beside the patterns of other engines, for whoever writes one.
LACKING = (
    "Patterns are RE2's: no look-ahead or look-behind ((?=…), (?<!…)), no backreferences (\\1), no possessive or"
    " atomic groups; in return none can take long. \\d, \\w and \\b mean ASCII; (?i) at the beginning ignores case."
)
_NAME = re2.compile(r"[a-z][a-z0-9_]*")


class Action(StrEnum):
    """What becomes of a finding."""

    KEEP = "keep"
    REPLACE = "replace"
    HASH = "hash"
    DROP = "drop"


@dataclass(frozen=True)
class Pattern:
    """A pattern of the project's own, in RE2's notation."""

    name: str
    pattern: str
    action: Action


@dataclass(frozen=True)
class Policy:
    """What becomes of what is found.

    Args:
        actions: (detector, action) of every detector, sorted.
        regions: countries whose national telephone numbers count.
        patterns: the project's own.
    """

    actions: tuple[tuple[str, Action], ...]
    regions: tuple[str, ...] = ()
    patterns: tuple[Pattern, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As it is stored, shown and sent."""
        return {
            "detectors": {name: action.value for name, action in self.actions},
            "regions": list(self.regions),
            "patterns": [
                {"name": one.name, "pattern": one.pattern, "action": one.action.value} for one in self.patterns
            ],
        }


DEFAULT = Policy(actions=tuple((name, Action.REPLACE) for name in sorted(detector.names())))


def from_stored(stored: Mapping[str, Any]) -> Policy:
    """A policy as it was saved; a detector that came later does as by default."""
    actions = {**dict(DEFAULT.actions), **{name: Action(said) for name, said in stored["detectors"].items()}}
    patterns = (Pattern(one["name"], one["pattern"], Action(one["action"])) for one in stored["patterns"])
    known = ((name, actions[name]) for name in sorted(detector.names()))
    return Policy(actions=tuple(known), regions=tuple(stored["regions"]), patterns=tuple(patterns))


def checked(
    *,
    detectors: Mapping[str, str],
    regions: Sequence[str] = (),
    patterns: Sequence[Mapping[str, str]] = (),
) -> Policy:
    """The policy that somebody asks for; detectors that are not named do as by default.

    Raises:
        Invalid: naming each field that is wrong.
    """
    flaws = [*_flaws_of_detectors(detectors), *_flaws_of_regions(regions), *_flaws_of_patterns(patterns)]
    if flaws:
        raise Invalid(*flaws)
    regions = sorted({region.upper() for region in regions})
    return from_stored({"detectors": detectors, "regions": regions, "patterns": patterns})


def _flaws_of_detectors(asked: Mapping[str, str]) -> Iterable[FieldError]:
    for name, action in asked.items():
        if name not in detector.names():
            said = f"is no detector; known: {', '.join(detector.names())}"
            yield FieldError(f"detectors.{name[:60]}", said)
        elif action not in list(Action):
            yield FieldError(f"detectors.{name}", f"is {action[:40]!r}; choose from {', '.join(Action)}")


def _flaws_of_regions(asked: Sequence[str]) -> Iterable[FieldError]:
    if len(asked) > MOST_REGIONS:
        yield FieldError("regions", f"has {len(asked)} countries; at most {MOST_REGIONS} are taken")
    for region in asked:
        if region.upper() not in phone.REGIONS:
            yield FieldError("regions", f"{region[:20]!r} is no country; send ISO 3166 codes such as DE, GB, US")


def _flaws_of_patterns(asked: Sequence[Mapping[str, str]]) -> Iterable[FieldError]:
    if len(asked) > MOST_PATTERNS:
        yield FieldError("patterns", f"has {len(asked)} patterns; at most {MOST_PATTERNS} are taken")
    names = [one["name"] for one in asked]
    for place, one in enumerate(asked):
        at, name = f"patterns[{place}]", one["name"]
        if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
            said = f"is {name[:60]!r}; send up to {LONGEST_NAME} of a-z, 0-9 and _, a letter first"
            yield FieldError(f"{at}.name", said)
        elif name in detector.names() or names.index(name) < place:
            yield FieldError(f"{at}.name", f"{name!r} is taken; choose another")
        if one["action"] not in list(Action):
            yield FieldError(f"{at}.action", f"is {one['action'][:40]!r}; choose from {', '.join(Action)}")
        flaw = _flaw_of_pattern(one["pattern"])
        if flaw:
            yield FieldError(f"{at}.pattern", flaw)


def _flaw_of_pattern(pattern: str) -> str:
    if not 1 <= len(pattern) <= LONGEST_PATTERN:
        return f"has {len(pattern)} characters; send 1 to {LONGEST_PATTERN}"
    try:
        compiled = compile_pattern(pattern)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        return f"is not taken by RE2: {reason[:200]}. {LACKING}"
    if compiled.search("") is not None:
        return "matches the empty text, so it would match everywhere; let it match at least one character"
    if compiled.programsize > LARGEST_PROGRAM:
        return f"is too large ({compiled.programsize} steps of {LARGEST_PROGRAM}); repeat less"
    return ""


def compile_pattern(pattern: str) -> "re2._Regexp":
    """The pattern, with a bound on the memory that it may take.

    Raises:
        re2.error: it is none.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 2 * 1024 * 1024
    return re2.compile(pattern, options)
