"""Bells of the room. The rows are the queue; a bell carries an id at most, and may be lost or doubled."""

import time

from celery import shared_task

from core import bells, clock
from reviews import queries
from reviews.services import intake, sampling, telling

LONGEST_SECONDS = 60
MOST_PER_SWEEP = 10


@shared_task(name="reviews.tasks.sample")
def sample() -> None:
    """Every hand-over that waited is drawn from; after a minute the rest is left to the next bell."""
    stop_at = time.monotonic() + LONGEST_SECONDS
    while sampling.draw_waiting(now=clock.now()):
        if time.monotonic() > stop_at:
            bells.ring_now("reviews.tasks.sample")
            return


@shared_task(name="reviews.tasks.tell")
def tell() -> None:
    """Verdicts that were settled wait to be delivered to the project's webhooks; a repeat finds nothing to hand on."""
    stop_at = time.monotonic() + LONGEST_SECONDS
    while telling.tell_waiting(now=clock.now()):
        if time.monotonic() > stop_at:
            bells.ring_now("reviews.tasks.tell")
            return


@shared_task(name="reviews.tasks.take_in")
def take_in(intake_id: int) -> None:
    """The intake has walked for a minute, or to its end; what is left is for the next bell. Twice is harmless."""
    stop_at = time.monotonic() + LONGEST_SECONDS
    while intake.take_block(intake_id=intake_id, now=clock.now()):
        if time.monotonic() > stop_at:
            bells.ring_now("reviews.tasks.take_in", intake_id)
            return


@shared_task(name="reviews.tasks.sweep")
def sweep() -> None:
    """Ring again for intakes that still walk, oldest first: whoever walked may be gone, or its bell was lost."""
    for intake_id in queries.walking(MOST_PER_SWEEP):
        bells.ring("reviews.tasks.take_in", intake_id)
