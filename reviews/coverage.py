"""Which outputs a sampling rule covers: an allow-list of attributes, never a path that somebody sends."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet

from core.problems import FieldError, Invalid
from outputs.models import Output

STATUSES = {"ok": Output.Status.OK, "error": Output.Status.ERROR}
LONGEST = {"prompt": 100, "model": 200, "environment": 60, "tag": 100}
KNOWN = ("prompt", "revision", "model", "environment", "tag", "status")


def read(given: Mapping[str, Any]) -> dict[str, Any]:
    """The filter, checked; every key it has must hold for an output to be covered.

    Raises:
        Invalid: an unknown key, a value of the wrong form, or a revision without its prompt.
    """
    flaws = [FieldError(f"filter.{key}", said) for key, value in given.items() if (said := _flaw(key, value))]
    if "revision" in given and "prompt" not in given:
        flaws.append(FieldError("filter.prompt", "is missing; a revision is a number within its prompt"))
    if flaws:
        raise Invalid(*flaws)
    return dict(sorted(given.items()))


def covered(project_id: int, given: Mapping[str, Any]) -> QuerySet[Output]:
    """The project's outputs that a filter covers.

    Outputs with an error stand outside the quality population: they are covered only by `status: error`.
    """
    condition = Q(status=STATUSES[given.get("status", "ok")])
    for key, value in given.items():
        match key:
            case "prompt":
                condition &= Q(prompt__name=value)
            case "revision":
                condition &= Q(revision__number=value)
            case "tag":
                condition &= Q(tags__contains=[value])
            case "model":
                condition &= Q(model=value)
            case "environment":
                condition &= Q(environment=value)
    return Output.objects.of(project_id).filter(condition)


def _flaw(key: str, value: Any) -> str:
    if key not in KNOWN:
        return f"is nothing a rule filters by; known: {', '.join(KNOWN)}"
    if key == "status":
        return "" if value in ("ok", "error") else f"is {value!r}; send ok or error"
    if key == "revision":
        is_number = isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**31
        return "" if is_number else f"is {str(value)[:80]!r}; send the revision's number"
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST[key]:
        return f"is {str(value)[:80]!r}; send a text of 1 to {LONGEST[key]} characters"
    return ""
