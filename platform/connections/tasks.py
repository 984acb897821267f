"""Bells of the room: rows are the queue, a bell may be lost or doubled."""

import time

from celery import shared_task

from connections import webhook_queries
from connections.services import relay as services
from connections.services import webhooks
from core import bells, clock
from ledger import deliveries

LONGEST_SECONDS = 60


@shared_task(name="connections.tasks.relay")
def relay() -> None:
    """Every delivery that was due was tried once; after a minute the rest is left to the next bell."""
    stop_at = time.monotonic() + LONGEST_SECONDS
    while services.relay_due():
        if time.monotonic() > stop_at:
            bells.ring_now(webhooks.BELL)
            return


@shared_task(name="connections.tasks.sweep")
def sweep() -> None:
    """Ring where deliveries are due: for another attempt, or because whoever had them is gone. A repeat is harmless."""
    if deliveries.is_due(webhook_queries.CHANNEL, now=clock.now()):
        bells.ring(webhooks.BELL)
