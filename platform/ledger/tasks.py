"""Bells of the plumbing."""

from celery import shared_task
from django.conf import settings

from core import bells, clock
from ledger import deliveries, handovers, heartbeats, idempotency


@shared_task(name="ledger.tasks.sweep")
def sweep() -> None:
    """Every consumer that has hand-overs to fetch has been rung; a repeat rings again, which is harmless."""
    for consumer in handovers.waiting_consumers():
        if consumer in settings.HANDOVER_BELLS:
            bells.ring(settings.HANDOVER_BELLS[consumer])


@shared_task(name="ledger.tasks.forget")
def forget() -> None:
    """Answers and deliveries past their time and processes unseen for a day are dropped; a repeat finds nothing."""
    now = clock.now()
    deliveries.forget(now=now)
    idempotency.forget(now=now)
    heartbeats.forget(now=now)
