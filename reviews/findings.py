"""Which outputs were judged how: a filter over outputs that rests on standing verdicts."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from core.problems import FieldError, Invalid
from outputs.queries import Selection
from reviews.models import ItemOutput

NAME = "verdict"
# What may be asked for, with the words it is shown by.
KNOWN: Mapping[str, str] = MappingProxyType(
    {
        "any": "judged",
        "low": "quality below 0.5",
        "high": "quality 0.5 or above",
        "corrected": "corrected",
        "none": "not judged",
    }
)
_CONDITIONS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "any": {},
        "low": {"item__verdicts__quality__lt": 0.5},
        "high": {"item__verdicts__quality__gte": 0.5},
        "corrected": {"item__verdicts__correction__isnull": False},
        "none": {},
    }
)


def read(said: str) -> str:
    """The value, checked.

    Raises:
        Invalid: it is none of those that are known.
    """
    if said not in KNOWN:
        raise Invalid(FieldError(NAME, f"is {said[:40]!r}; send one of {', '.join(KNOWN)}"))
    return said


def judged(project_id: int, selection: Selection, said: str) -> Selection:
    """Those of the selection that were judged as `said`, by verdicts that stand; one statement says whether few."""
    places = _places(project_id, said)
    here = Exists(places.filter(output_id=OuterRef("pk")))
    if said == "none":
        return Selection(selection.rows.filter(~here), selection.is_walked)
    return selection.among(places.values_list("output_id", flat=True).distinct(), here)


def _places(project_id: int, said: str) -> QuerySet[ItemOutput]:
    standing = Q(item__verdicts__isnull=False, item__verdicts__replaced_at=None, item__project_id=project_id)
    return ItemOutput.objects.filter(standing, **_CONDITIONS[said])
