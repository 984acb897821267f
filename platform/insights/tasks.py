"""Bells of the room."""

from celery import shared_task

from core import bells, clock
from insights import services

LONGEST_SECONDS = 60


@shared_task(name="insights.tasks.note")
def note() -> None:
    """Every hour that the waiting hand-overs touched stands as stale; a second bell finds none waiting."""
    if not services.note_waiting(now=clock.now(), seconds=LONGEST_SECONDS):
        bells.ring_now("insights.tasks.note")


@shared_task(name="insights.tasks.roll_up")
def roll_up() -> None:
    """Every stale hour is reckoned anew, for at most a minute; the next sweep finds the rest."""
    services.roll_up(seconds=LONGEST_SECONDS)
