"""The outbox: what must leave the house is a row, claimed under a lease and told at least once, always under one id."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, QuerySet

from ledger.models import Delivery

# Seconds after each failed attempt; after the one behind the last pause a delivery is dead. About 20 hours in all.
PAUSES = (10, 60, 300, 1_800, 7_200, 21_600, 43_200)
MOST_ATTEMPTS = len(PAUSES) + 1
# Longer than any channel takes for what it claims at once.
LEASE_SECONDS = 60
KEPT_FOR = dt.timedelta(days=30)
WORKER_LOST = "worker_lost: whoever tried last ended, or stalled, before it could say how it went"

_CLAIM = """
    UPDATE ledger_delivery SET attempts = attempts + 1, token = token + 1, lease_until = %(until)s
    WHERE id IN (
        SELECT id FROM ledger_delivery
        WHERE channel = %(channel)s AND state = 'waiting' AND due_at <= %(now)s
            AND (lease_until IS NULL OR lease_until < %(now)s)
        ORDER BY due_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    RETURNING id, token, target, body"""


@dataclass(frozen=True)
class Parcel:
    """One claimed delivery, and the token under which may be said how it went."""

    id: int
    token: int
    target: int
    body: str


def post(deliveries: Iterable[Delivery]) -> None:
    """These wait from their `due_at` on, in the running transaction; what a target was told already is left out."""
    Delivery.objects.bulk_create(deliveries, ignore_conflicts=True, batch_size=1_000)


def claim(channel: str, *, limit: int, now: dt.datetime) -> list[Parcel]:
    """Up to `limit` that are due, oldest first, for `LEASE_SECONDS`; others skip them meanwhile.

    One whose last attempt ended without a word is dead from here on.
    """
    _due(channel, now).filter(attempts__gte=MOST_ATTEMPTS).update(
        state=Delivery.State.DEAD, reason=WORKER_LOST, ended_at=now, lease_until=None
    )
    until = now + dt.timedelta(seconds=LEASE_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"channel": channel, "now": now, "until": until, "limit": limit})
        return [Parcel(*row) for row in sorted(cursor.fetchall())]


def is_due(channel: str, *, now: dt.datetime) -> bool:
    """Whether there is something to claim."""
    return _due(channel, now).exists()


def delivered(parcel: Parcel, *, now: dt.datetime) -> bool:
    """It arrived; says whether whoever held the parcel still did."""
    return _end(parcel, Delivery.State.DELIVERED, "", now)


def failed(parcel: Parcel, *, reason: str, now: dt.datetime, is_final: bool = False) -> bool:
    """It waits for the next attempt, or is dead after the last; says whether whoever held the parcel still did.

    Args:
        reason: why, in words for whoever looks after the target.
        is_final: another attempt would change nothing.
    """
    attempts = _held(parcel).values_list("attempts", flat=True).first()
    if attempts is None:
        return False
    if is_final or attempts >= MOST_ATTEMPTS:
        return _end(parcel, Delivery.State.DEAD, reason, now)
    due_at = now + dt.timedelta(seconds=PAUSES[attempts - 1])
    return bool(_held(parcel).update(due_at=due_at, lease_until=None, reason=reason))


def send_again(delivery: Delivery, *, now: dt.datetime) -> bool:
    """One that ended waits once more, with all its attempts and its old id; says whether it had ended."""
    ended = Delivery.objects.filter(pk=delivery.pk).exclude(state=Delivery.State.WAITING)
    return bool(ended.update(state=Delivery.State.WAITING, attempts=0, due_at=now, ended_at=None))


def drop(channel: str, target: int) -> int:
    """The target is gone, and with it what it was and was to be told; returns how many."""
    return Delivery.objects.filter(channel=channel, target=target).delete()[0]


def forget(*, now: dt.datetime) -> int:
    """Drop what ended more than `KEPT_FOR` ago; returns how many. A repeat finds nothing more to drop."""
    ended = Delivery.objects.exclude(state=Delivery.State.WAITING)
    return ended.filter(ended_at__lt=now - KEPT_FOR).delete()[0]


def _due(channel: str, now: dt.datetime) -> QuerySet[Delivery]:
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    return Delivery.objects.filter(free, channel=channel, state=Delivery.State.WAITING, due_at__lte=now)


def _held(parcel: Parcel) -> QuerySet[Delivery]:
    return Delivery.objects.filter(pk=parcel.id, token=parcel.token, state=Delivery.State.WAITING)


def _end(parcel: Parcel, state: Delivery.State, reason: str, now: dt.datetime) -> bool:
    return bool(_held(parcel).update(state=state, reason=reason, ended_at=now, lease_until=None))
