"""Bells of the room. The hand-overs are the queue; a bell carries nothing and may be lost or doubled."""

import time

from celery import shared_task

from core import bells, clock
from reviews.services import sampling

LONGEST_SECONDS = 60


@shared_task(name="reviews.tasks.sample")
def sample() -> None:
    """Every hand-over that waited is drawn from; after a minute the rest is left to the next bell."""
    stop_at = time.monotonic() + LONGEST_SECONDS
    while sampling.draw_waiting(now=clock.now()):
        if time.monotonic() > stop_at:
            bells.ring_now("reviews.tasks.sample")
            return
