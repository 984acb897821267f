"""Hand-over by pull: what a lower room stored is announced in the same transaction, and claimed by whoever needs it."""

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from ledger.models import Handover

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claimed:
    """Rows that one consumer has in hand until its transaction ends."""

    project_id: int
    topic: str
    ids: list[int]
    id: int = field(default=0, compare=False)


def consumers_of(topic: str) -> list[str]:
    """The names registered for a topic in settings; the lower room knows names, never code."""
    return list(settings.HANDOVER_CONSUMERS.get(topic, ()))


def announce(topic: str, *, project_id: int, ids: Sequence[int]) -> None:
    """One row per registered consumer, in the running transaction; nothing for an empty list."""
    if ids:
        Handover.objects.bulk_create(
            Handover(consumer=consumer, topic=topic, project_id=project_id, ids=list(ids))
            for consumer in consumers_of(topic)
        )


@contextmanager
def claimed(consumer: str, *, limit: int = 20) -> Iterator[list[Claimed]]:
    """Up to `limit` of the oldest hand-overs of a consumer, deleted in the transaction of the block's effects.

    If the block raises, they stay and are claimed again later: exactly once in effect. Others skip them meanwhile.
    """
    with transaction.atomic():
        yield _claim(consumer, limit)


def fetch(consumer: str, use: Callable[[list[Claimed]], object], *, now: dt.datetime, limit: int = 20) -> bool:
    """Give `use` the oldest hand-overs of a consumer, in one transaction with its effects; says whether there were any.

    Where `use` fails for them together, each is tried alone; one that fails alone is parked with the reason, so that
    nothing of one project keeps the others waiting.

    Raises:
        OperationalError, InterfaceError: the database is away; everything stays as it was.
    """
    try:
        return _used(consumer, use, limit)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("%s failed on up to %d hand-overs together; each is tried alone", consumer, limit)
    for _ in range(limit):
        _use_or_park(consumer, use, now)
    return True


def waiting_consumers() -> list[str]:
    """The consumers that have something to fetch."""
    return list(Handover.objects.filter(parked_at=None).order_by().values_list("consumer", flat=True).distinct())


def _used(consumer: str, use: Callable[[list[Claimed]], object], limit: int) -> bool:
    with claimed(consumer, limit=limit) as in_hand:
        use(in_hand)
    return bool(in_hand)


def _use_or_park(consumer: str, use: Callable[[list[Claimed]], object], now: dt.datetime) -> None:
    in_hand: list[Claimed] = []
    try:
        with claimed(consumer, limit=1) as in_hand:
            use(in_hand)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        logger.exception("hand-over %s is parked", in_hand)
        parked = Handover.objects.filter(pk__in=[one.id for one in in_hand])
        parked.update(parked_at=now, reason=f"{type(error).__name__}: {error}"[:2000])


def _claim(consumer: str, limit: int) -> list[Claimed]:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM ledger_handover WHERE id IN ("
            "  SELECT id FROM ledger_handover WHERE consumer = %s AND parked_at IS NULL"
            "  ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"
            ") RETURNING id, project_id, topic, ids",
            [consumer, limit],
        )
        return [Claimed(project_id, topic, ids, id=row) for row, project_id, topic, ids in sorted(cursor.fetchall())]
