"""Bells of `prompts`."""

from celery import shared_task

from core import bells, clock
from prompts import queries, services

MOST_PER_SWEEP = 10


@shared_task(name="prompts.tasks.build_index")
def build_index(revision_id: int) -> bool:
    """The revision's examples are indexed; twice is harmless."""
    return services.build_index(revision_id=revision_id, now=clock.now())


@shared_task(name="prompts.tasks.sweep")
def sweep() -> None:
    """Ring again for what a lost bell left waiting, oldest first; the work itself is for whoever hears it."""
    for revision_id in queries.revisions_without_index(MOST_PER_SWEEP):
        bells.ring("prompts.tasks.build_index", revision_id)
