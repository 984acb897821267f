"""Limits that all processes share, kept in rows: budgets that are spent, and slots that are held and given back."""

import datetime as dt

from django.db import connection, transaction
from django.db.models import F, Sum

from ledger.models import Allowance, AllowanceHold

# Named, because the asynchronous face says the same on its own connections.
OPEN = "INSERT INTO ledger_allowance (key, capacity, taken) VALUES (%s, %s, 0) ON CONFLICT (key) DO NOTHING"
SPEND = (
    "WITH before AS (SELECT id, taken FROM ledger_allowance WHERE key = %s FOR UPDATE)"
    " UPDATE ledger_allowance a SET taken = LEAST(a.capacity, a.taken + %s) FROM before"
    " WHERE a.id = before.id RETURNING a.taken - before.taken"
)
GIVE_BACK = "UPDATE ledger_allowance SET taken = GREATEST(0, taken - %s) WHERE key = %s"


def open_allowance(key: str, *, capacity: int) -> None:
    """There is an allowance of this capacity under this key. A repeat changes the capacity, never what is taken.

    A capacity below what is taken becomes what is taken: nothing more is granted until it is given back.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_allowance (key, capacity, taken) VALUES (%s, %s, 0)"
            " ON CONFLICT (key) DO UPDATE SET capacity = GREATEST(excluded.capacity, ledger_allowance.taken)"
            " WHERE ledger_allowance.capacity <> excluded.capacity",
            [key, capacity],
        )


def spend(key: str, n: int) -> int:
    """Take up to `n` for good; returns how many were granted, 0 when it is used up or unknown."""
    with connection.cursor() as cursor:
        cursor.execute(SPEND, [key, n])
        row = cursor.fetchone()
    return 0 if row is None else int(row[0])


def taken(key: str) -> int | None:
    """How much is taken; None where there is no such allowance."""
    return Allowance.objects.filter(key=key).values_list("taken", flat=True).first()


def give_back(key: str, n: int) -> None:
    """Return `n` that were spent but not used."""
    if n:
        Allowance.objects.filter(key=key).update(taken=F("taken") - n)


def hold(key: str, *, holder: str, want: int, now: dt.datetime, lease: dt.timedelta, in_use: int = 0) -> int:
    """Hold up to `want` slots until the lease ends, or renew and adjust what is held; returns how many may be used.

    Slots are shared fairly: a holder keeps at most its equal share while others wait for theirs, so several
    workers of one run settle at the same width. Holds whose lease ended are taken back first. What is `in_use`
    beyond the share stays held until a later call says it is not, so that the sum never exceeds the capacity.
    """
    with transaction.atomic():
        allowance = Allowance.objects.select_for_update().filter(key=key).first()
        if allowance is None:
            return 0
        allowance.holds.filter(lease_until__lt=now).exclude(holder=holder).delete()
        others = allowance.holds.exclude(holder=holder)
        share = -(-allowance.capacity // (others.count() + 1))
        free = allowance.capacity - (others.aggregate(held=Sum("n"))["held"] or 0)
        granted = max(0, min(want, share, free))
        AllowanceHold.objects.update_or_create(
            allowance=allowance, holder=holder, defaults={"n": max(granted, in_use), "lease_until": now + lease}
        )
    return granted


def holders(key: str, *, now: dt.datetime) -> list[str]:
    """Who holds, or waits for, slots of this allowance under a lease that has not ended."""
    held = AllowanceHold.objects.filter(allowance__key=key, lease_until__gte=now)
    return list(held.order_by("holder").values_list("holder", flat=True))


def release(key: str, *, holder: str) -> None:
    """Give back everything this holder has; a repeat finds nothing."""
    AllowanceHold.objects.filter(allowance__key=key, holder=holder).delete()


def close_allowance(key: str) -> None:
    """There is no allowance under this key any more, and nobody holds any of it."""
    Allowance.objects.filter(key=key).delete()
