"""Bells of `prompts`."""

from celery import shared_task

from core import clock
from prompts import queries, services

MOST_PER_SWEEP = 10


@shared_task(name="prompts.tasks.build_index")
def build_index(revision_id: int) -> bool:
    """The revision's examples are indexed; twice is harmless."""
    return services.build_index(revision_id=revision_id, now=clock.now())


@shared_task(name="prompts.tasks.sweep")
def sweep() -> int:
    """Index what a lost bell left waiting, oldest first; says how many revisions it took."""
    waiting = queries.revisions_without_index(MOST_PER_SWEEP)
    return sum(services.build_index(revision_id=revision_id, now=clock.now()) for revision_id in waiting)
