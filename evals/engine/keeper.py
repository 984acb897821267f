"""The side thread that keeps the lease of one errand while it is worked on."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from core import clock
from evals.models import Errand
from evals.services import errands

logger = logging.getLogger(__name__)


@contextmanager
def kept(errand: Errand) -> Iterator[None]:
    """Inside the block the errand's lease is renewed four times per lease, however long the work takes."""
    over = threading.Event()
    thread = threading.Thread(target=_beat, args=(errand, over), name="keeper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _beat(errand: Errand, over: threading.Event) -> None:
    try:
        while not over.wait(settings.LEASE_SECONDS / 4):
            try:
                errands.renew(errand, now=clock.now())
            except (DatabaseError, InterfaceError) as error:
                # The next beat tries again; a lease outlives three missed beats.
                logger.warning("a lease was not renewed: %s", str(error).strip())
                connection.close()
    finally:
        connection.close()
