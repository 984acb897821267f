"""Locks by name, held until the transaction ends: for what must not happen twice at once and has no row."""

import hashlib

from django.db import connection
from django.db.models import Func, TextField, Value
from django.db.models.expressions import Combinable


def key(*words: object) -> int:
    """A signed 64-bit number for these words, the same in every process."""
    text = "\x1f".join(str(word) for word in words)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def hold(*words: object) -> None:
    """Wait for the lock of this name; it falls when the running transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key(*words)])


def held(*words: object) -> Func:
    """An annotation that takes the lock while a row is read, which saves a statement.

    The row itself is read before the lock is had: only later statements see what its last holder did.
    """
    return Func(Value(key(*words)), function="pg_advisory_xact_lock", output_field=TextField())


def held_for(number: Combinable, *, seed: int) -> Func:
    """As `held`, for a lock named by a number that the row holds; `seed` keeps kinds of locks apart."""
    name = Func(number, Value(seed), function="hashint8extended")
    return Func(name, function="pg_advisory_xact_lock", output_field=TextField())
