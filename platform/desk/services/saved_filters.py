"""Saved filters: the one place that writes them."""

import datetime as dt
import urllib.parse

from core.problems import FieldError, Missing, Unprocessable
from desk.models import SavedFilter
from projects.access import Actor

LONGEST_NAME = 80
LONGEST_QUERY = 4_000


def save(*, name: str, query: str, is_shared: bool, by: Actor, now: dt.datetime) -> SavedFilter:
    """This person's filter of this name is this one; a filter that had the name before is replaced.

    Args:
        name: what it is called, 1 to 80 characters.
        query: the filter as a query string.
        is_shared: whether others in the project see it.
        by: whose it is; a person.
        now: when.

    Raises:
        Unprocessable: the name or the filter is empty or too long.
    """
    name = " ".join(name.split())
    if by.user is None:
        raise Unprocessable("Only a signed-in person keeps filters.")
    if not 1 <= len(name) <= LONGEST_NAME or "\x00" in name:
        said = f"has {len(name)} characters; give it 1 to {LONGEST_NAME}"
        raise Unprocessable(f"The name {said}.", FieldError("name", said))
    if not urllib.parse.parse_qsl(query) or len(query) > LONGEST_QUERY:
        raise Unprocessable("There is no filter to save; choose one first.", FieldError("query", "is empty"))
    return SavedFilter.objects.update_or_create(
        project=by.project,
        user=by.user,
        name=name,
        defaults={"query": query, "is_shared": is_shared},
        create_defaults={"query": query, "is_shared": is_shared, "created_at": now},
    )[0]


def delete(*, filter_id: int, by: Actor) -> str:
    """This person's filter is gone; returns what it was called.

    Raises:
        Missing: the person has no such filter; that of somebody else is nobody's to delete.
    """
    mine = SavedFilter.objects.filter(pk=filter_id, project=by.project, user=by.user).first()
    if mine is None:
        raise Missing("saved filter")
    mine.delete()
    return mine.name
