"""What a convention finds in a span, and from where, so that nothing that was not used is lost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core import strict_json
from outputs.ingest.otlp.spans import Attributes, Span
from outputs.models import Step
from outputs.records import ROW_LIMITS

# The kind of a span that is an answer of a model.
ANSWER = -1


@dataclass(frozen=True)
class Found:
    """A value of one of our fields.

    Args:
        value: of the field.
        attributes: whose values it tells completely; they need not be kept beside it.
        events: likewise, by their place in the span.
    """

    value: Any
    attributes: Sequence[str] = ()
    events: Sequence[int] = ()


Reading = dict[str, Found]


class Convention(Protocol):
    """One way in which instrumentations name what they tell. A new one is one file, and its place in the list."""

    name: str

    def recognises(self, span: Span) -> bool:
        """Whether it has anything to say about this span."""

    def read(self, span: Span) -> Reading:
        """Our fields, as far as this convention tells them: those of `SpanRecord` and `StepRecord`, and `kind`."""


def first(attributes: Attributes, *names: str) -> Found | None:
    """The first of these attributes that says anything."""
    for name in names:
        value = attributes.get(name)
        if value is not None and value != "":
            return Found(value, (name,))
    return None


def count(attributes: Attributes, *names: str) -> Found | None:
    """The first of these attributes that is a count; a number in a text is one, too."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 16:
            return Found(int(value), (name,))
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10**15:
            return Found(value, (name,))
    return None


def counts(attributes: Attributes, names: Mapping[str, Sequence[str]]) -> Reading:
    """A count for each of our fields that one of its attributes tells."""
    return {field: found for field, theirs in names.items() if (found := count(attributes, *theirs))}


def words(attributes: Attributes, names: Mapping[str, Sequence[str]]) -> Reading:
    """A text for each of our fields that one of its attributes tells."""
    reading = {}
    for field, theirs in names.items():
        found = first(attributes, *theirs)
        if found is not None and isinstance(found.value, str | int | float):
            reading[field] = Found(str(found.value), found.attributes)
    return reading


def structured(value: Any) -> Any:
    """What a text of JSON says; anything else as it is, and so is a text that is not good JSON."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return strict_json.parse(value.encode(), ROW_LIMITS)
    except strict_json.Refused:
        return value


def said(fields: Mapping[str, Found | None]) -> Reading:
    """Those that were found."""
    return {name: found for name, found in fields.items() if found is not None}


def kind(value: int | Step.Kind, *attributes: str) -> Found:
    """What sort of thing the span is."""
    return Found(int(value), attributes)


def merged(readings: Iterable[Reading]) -> Reading:
    """Of each field the first that was found: more specific conventions come first."""
    together: Reading = {}
    for reading in readings:
        for name, found in reading.items():
            together.setdefault(name, found)
    return together
