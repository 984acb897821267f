"""What this room does in the background."""

import time

from celery import shared_task

from core import bells, clock
from outputs.services import partitions, search

LONGEST_SECONDS = 60


@shared_task(name="outputs.tasks.make_partitions")
def make_partitions() -> None:
    """The bodies' partitions stand two months ahead; a repeat makes nothing."""
    partitions.make_partitions(now=clock.now())


@shared_task(name="outputs.tasks.index_texts")
def index_texts() -> None:
    """Every output that waited can be searched; after a minute the rest is left to the next bell."""
    stop_at = time.monotonic() + LONGEST_SECONDS
    while search.index_waiting(now=clock.now()):
        if time.monotonic() > stop_at:
            bells.ring_now("outputs.tasks.index_texts")
            return
