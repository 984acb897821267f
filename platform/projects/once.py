"""A form whose answer shows a secret, sent twice: the second time makes nothing and shows what the first one made."""

import uuid
from collections.abc import Callable

from django.core.cache import cache
from django.db import connection, transaction

from core import sealing
from projects.access import Actor

# A double click, or a page that is loaded again at once; later the secret is nowhere any more.
REMEMBERED_S = 300


def made(given: str, *, by: Actor, make: Callable[[], str]) -> str:
    """What `make` returns; within a few minutes the same again, without making it, for the same token of one person.

    Both wait for each other, so that even two clicks at once make one thing. Meanwhile the secret is kept sealed,
    for that person and token alone. Where `make` raises, nothing is remembered.

    Args:
        given: The token that came with the form; anything but a UUID is none, and the form is taken as it comes.
        by: Who sent it.
        make: Makes it, and returns what its page shows.
    """
    token = _token(given)
    if token is None or by.user is None:
        return make()
    name = f"shown-once:{by.project.pk}:{by.user.pk}:{token}"
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        sealed = cache.get(name)
        if sealed is not None:
            return sealing.unseal(sealed, bound_to=name)
        text = make()
        cache.set(name, sealing.seal(text, bound_to=name), REMEMBERED_S)
    return text


def _token(given: str) -> str | None:
    try:
        return uuid.UUID(given).hex
    except ValueError:
        return None
