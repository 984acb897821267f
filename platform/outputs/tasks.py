"""What this room does in the background."""

from celery import shared_task

from core import clock
from outputs.services import partitions


@shared_task(name="outputs.tasks.make_partitions")
def make_partitions() -> None:
    """The bodies' partitions stand two months ahead; a repeat makes nothing."""
    partitions.make_partitions(now=clock.now())
