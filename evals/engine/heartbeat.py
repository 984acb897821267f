"""The side thread that keeps the leases of what a drain has in hand."""

import logging
import threading
from collections.abc import Iterable
from typing import Self

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from core import clock
from evals.services import work
from evals.services.work import Work

logger = logging.getLogger(__name__)


class Heartbeat:
    """Renews the leases of all work in hand four times per lease, however busy the event loop is.

    As a context manager it beats inside the block.
    """

    def __init__(self) -> None:
        self._held: dict[int, int] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._over.set()
        self._thread.join()

    def hold(self, works: Iterable[Work]) -> None:
        """These are in hand from now on."""
        with self._lock:
            self._held.update({one.result_id: one.token for one in works})

    def drop(self, works: Iterable[Work]) -> None:
        """These are stored or given up."""
        with self._lock:
            for one in works:
                self._held.pop(one.result_id, None)

    def _beat(self) -> None:
        try:
            while not self._over.wait(settings.LEASE_SECONDS / 4):
                self._renew()
        finally:
            connection.close()

    def _renew(self) -> None:
        with self._lock:
            leases = list(self._held.items())
        if not leases:
            return
        try:
            work.renew(leases, now=clock.now())
        except (DatabaseError, InterfaceError) as error:
            # The next beat tries again; a lease outlives three missed beats.
            logger.warning("leases were not renewed: %s", str(error).strip())
            connection.close()
