"""Logic-less templates: `{{ name }}` is a variable, everything else is literal text.

There is nothing to call, nothing to loop and no attribute to reach, so a template cannot compute; and values
are put in once and never looked at again, so a value that looks like a template stays text.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prompts import variables

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_OPEN, _CLOSE = "{{", "}}"


class BadTemplate(ValueError):
    """Between double braces stands something else than a name."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A place that a value is put into."""

    name: str


Template = tuple[str | Variable, ...]


def parse(text: str) -> Template:
    """The template as literal texts and variables in order; its cost is linear in the text.

    Raises:
        BadTemplate: `{{…}}` holds no name of letters, digits and `_`, with what was found.
    """
    parts: list[str | Variable] = []
    at = 0
    while (start := text.find(_OPEN, at)) >= 0 and (end := text.find(_CLOSE, start)) >= 0:
        inside = text[start + len(_OPEN) : end]
        if _NAME.fullmatch(inside.strip()) is None:
            raise BadTemplate(
                f"{_OPEN}{inside[:40]}{_CLOSE} is no variable; write {{{{name}}}} with letters, digits and _,"
                " or single braces for literal text"
            )
        parts += [text[at:start], Variable(inside.strip())]
        at = end + len(_CLOSE)
    parts.append(text[at:])
    return tuple(part for part in parts if part != "")


def names(template: Template) -> Iterable[str]:
    """The variables a template needs, once each time they stand in it."""
    return (part.name for part in template if isinstance(part, Variable))


def fill(template: Template, values: Mapping[str, str]) -> str:
    """The template with its values put in, once."""
    return "".join(values[part.name] if isinstance(part, Variable) else part for part in template)


def texts(values: Mapping[str, Any], wanted: Iterable[str]) -> dict[str, str]:
    """The wanted values as texts; those that are missing are absent."""
    return {name: variables.as_text(values[name]) for name in set(wanted) if name in values}
