"""What a scorer is, and the one list of them."""

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from core.problems import FieldError, Invalid

# The column that holds the key of a score.
LONGEST_KEY = 100
LONGEST_ARGUMENT = 10_000


class Case(Protocol):
    """What a scorer may know of the case besides what is expected."""

    @property
    def input(self) -> Any: ...

    @property
    def metadata(self) -> Any: ...

    @property
    def tags(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class ScoreValue:
    """What one scorer says of one answer; without a value it could not say, and `reason` tells why."""

    value: float | None
    reason: str = ""


class Scorer(Protocol):
    """Judges one answer at a time, without database, network or clock; equal calls give equal values.

    Attributes:
        name: The word that a run asks for it by.
        range: Lowest and highest value.
        higher_is_better: Whether the highest value is the best one.
        is_binary: Whether only the two ends of the range occur, so that a value is a pass or a failure.
    """

    name: typing.ClassVar[str]
    range: typing.ClassVar[tuple[float, float]]
    higher_is_better: typing.ClassVar[bool]
    is_binary: typing.ClassVar[bool]

    def score(self, output: str, expected: Any, case: Case) -> ScoreValue:
        """Judge one answer; never raises for any output, expectation or case."""
        ...


Made = TypeVar("Made")

_SCORERS: dict[str, type[Scorer]] = {}


def scorer(cls: type[Made]) -> type[Made]:
    """Register a class under its `name`; its constructor's arguments become its recorded, checked arguments.

    The class turns into a frozen dataclass. A constructor that cannot take a value raises ValueError with the
    argument's name first: `tolerance: found -1; …`.
    """
    made = dataclass(frozen=True)(cls)
    found = typing.cast(type[Scorer], made)
    _SCORERS[found.name] = found
    return made


def names() -> list[str]:
    """The names of all scorers, in order."""
    return sorted(_SCORERS)


def about(name: str) -> str:
    """What a scorer does and which arguments it takes, in one line for people."""
    cls = _SCORERS[name]
    said = (cls.__doc__ or "").strip().splitlines()[0]
    arguments = ", ".join(field.name for field in dataclasses.fields(typing.cast(Any, cls)))
    return f"{said} Arguments: {arguments}." if arguments else said


def build(spec: Mapping[str, Any], *, field: str = "scorer") -> Scorer:
    """The scorer that `{"name", "args"}` asks for.

    Raises:
        Invalid: the scorer, an argument, or an argument's value is unknown; names the place below `field`.
    """
    name, args = spec.get("name"), spec.get("args") or {}
    if not isinstance(name, str) or name not in _SCORERS:
        raise Invalid(FieldError(f"{field}.name", f"is {str(name)[:60]!r}; known scorers: {', '.join(names())}"))
    if not isinstance(args, dict):
        raise Invalid(FieldError(f"{field}.args", "is no object; send the arguments by name"))
    try:
        return _SCORERS[name](**_arguments(_SCORERS[name], args, f"{field}.args"))
    except ValueError as error:
        argument, _, message = str(error).partition(": ")
        raise Invalid(FieldError(f"{field}.args.{argument}", message)) from error


def checked(spec: Mapping[str, Any], *, field: str = "scorer") -> dict[str, Any]:
    """The spec as it is stored: only arguments that differ from the defaults, so equal scorers look equal.

    Raises:
        Invalid: as `build`.
    """
    built = build(spec, field=field)
    return {"name": built.name, "args": _told_arguments(built)}


def key(spec: Mapping[str, Any]) -> str:
    """A short stable text that names a scorer and its arguments; the same for every spec of an equal scorer.

    Longer ones are cut and end in a hash of the whole, so two scorers never share a key.
    """
    built = build(spec)
    args = _told_arguments(built)
    if not args:
        return built.name
    told = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(args.items()))
    whole = f"{built.name}({told})"
    if len(whole) <= LONGEST_KEY:
        return whole
    mark = hashlib.sha256(whole.encode()).hexdigest()[:12]
    return f"{whole[: LONGEST_KEY - len(mark) - 3]}…#{mark})"


def _told_arguments(built: Scorer) -> dict[str, Any]:
    fields = dataclasses.fields(typing.cast(Any, built))  # Any: the Protocol does not say dataclass
    told = {field.name: getattr(built, field.name) for field in fields}
    return {field.name: told[field.name] for field in fields if told[field.name] != field.default}


def _arguments(cls: type[Scorer], args: dict[str, Any], place: str) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(typing.cast(Any, cls))]
    for name, value in args.items():
        if name not in known:
            listed = ", ".join(known) or "none"
            raise Invalid(FieldError(f"{place}.{str(name)[:60]}", f"is no argument of this scorer; known: {listed}"))
        if not _fits(value, hints[name]):
            wanted = _in_words(hints[name])
            raise Invalid(FieldError(f"{place}.{name}", f"is {json.dumps(value)[:60]}; send {wanted}"))
    # 1 and 1.0 are one tolerance, so they must give one key.
    return {name: float(value) if hints[name] is float else value for name, value in args.items()}


def _fits(value: Any, wanted: Any) -> bool:
    kinds = typing.get_args(wanted) or (wanted,)
    if isinstance(value, list):
        return list in [typing.get_origin(kind) for kind in kinds] and all(isinstance(text, str) for text in value)
    if isinstance(value, str) and len(value) > LONGEST_ARGUMENT:
        return False
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, int):
        return float in kinds or int in kinds
    return type(value) in kinds


def _in_words(wanted: Any) -> str:
    words = {bool: "true or false", float: "a number", int: "a whole number", type(None): "null"}
    words[str] = f"a text of at most {LONGEST_ARGUMENT} characters"
    kinds = typing.get_args(wanted) or (wanted,)
    return " or ".join(words.get(kind, "a list of texts") for kind in kinds)
