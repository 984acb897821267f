"""Hand-over by pull: what a lower room stored is announced in the same transaction, and claimed by whoever needs it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction

from ledger.models import Handover


@dataclass(frozen=True)
class Claimed:
    """Rows that one consumer has in hand until its transaction ends."""

    project_id: int
    topic: str
    ids: list[int]


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


def waiting_consumers() -> list[str]:
    """The consumers that have something to fetch."""
    return list(Handover.objects.order_by().values_list("consumer", flat=True).distinct())


def _claim(consumer: str, limit: int) -> list[Claimed]:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM ledger_handover WHERE id IN ("
            "  SELECT id FROM ledger_handover WHERE consumer = %s ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"
            ") RETURNING id, project_id, topic, ids",
            [consumer, limit],
        )
        return [Claimed(project_id, topic, ids) for _, project_id, topic, ids in sorted(cursor.fetchall())]
