"""Bells wake workers; they carry an id and may be lost. The rows are the queue, and a sweep finds what is left."""

import logging

from celery import current_app
from django.db import transaction

logger = logging.getLogger(__name__)

# A bell that nobody heard for so long has been rung again by a sweep; so bells never pile up while workers are busy.
EXPIRES_S = 60


def ring(task_name: str, *ids: int) -> None:
    """After the transaction commits, tell some worker to look; at once where there is none.

    A broker that is down costs one sweep, never the request: the failure is logged and swallowed.
    """
    transaction.on_commit(lambda: ring_now(task_name, *ids))


def ring_now(task_name: str, *ids: int) -> bool:
    """Send the bell at once; says whether the broker took it."""
    try:
        current_app.send_task(task_name, args=ids, retry=False, ignore_result=True, expires=EXPIRES_S)
    except Exception as error:
        # Every transport has its own family of errors, and none of them may undo what was just committed.
        logger.warning("bell %s was not taken by the broker; the next sweep will find the work: %s", task_name, error)
        return False
    return True
