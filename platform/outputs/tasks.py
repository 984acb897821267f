"""What this room does in the background."""

import time

from celery import shared_task

from core import bells, clock
from outputs import costs, importing
from outputs.ingest import lines
from outputs.services import contents, imports, partitions, repricing, search, tallies

LONGEST_SECONDS = 60
MOST_PER_SWEEP = 10


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


@shared_task(name="outputs.tasks.sum_up_tallies")
def sum_up_tallies() -> None:
    """Counts of what arrived are summed up to minutes, hours, days; a repeat finds nothing."""
    stop_at = time.monotonic() + LONGEST_SECONDS
    while tallies.sum_up(now=clock.now()) and time.monotonic() < stop_at:
        pass


@shared_task(name="outputs.tasks.fill_contents")
def fill_contents() -> None:
    """Messages that came apart from their output are in it; after a minute the rest is left to the next bell."""
    stop_at = time.monotonic() + LONGEST_SECONDS
    while contents.fill_waiting(now=clock.now()):
        if time.monotonic() > stop_at:
            bells.ring_now("outputs.tasks.fill_contents")
            return


@shared_task(name="outputs.tasks.reprice")
def reprice(repricing_id: int) -> None:
    """The repricing has walked for a minute, or to its end; what is left is for the next bell. Twice is harmless."""
    stop_at = time.monotonic() + LONGEST_SECONDS
    while repricing.reprice_block(repricing_id=repricing_id, now=clock.now()):
        if time.monotonic() > stop_at:
            bells.ring_now("outputs.tasks.reprice", repricing_id)
            return


@shared_task(name="outputs.tasks.take_import")
def take_import(import_id: int) -> None:
    """The import was looked into, or its rows are stored; after two minutes the rest is left to the next bell."""
    if importing.take(import_id, address=lines.address()):
        bells.ring_now(imports.BELL, import_id)


@shared_task(name="outputs.tasks.sweep")
def sweep() -> None:
    """What lost its bell or worker is rung for again; imports that nobody will finish have failed."""
    for import_id in imports.reap(now=clock.now()):
        bells.ring_now(imports.BELL, import_id)
    for repricing_id in costs.walking(MOST_PER_SWEEP):
        bells.ring_now("outputs.tasks.reprice", repricing_id)
