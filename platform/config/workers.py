"""What a worker's main process does beside Celery: it sweeps, gives signs of life, and notices when it is deaf.

The pool's children drain; this thread makes sure that there is always somebody who rings, even after every bell was
lost. A worker whose broker connection came back but which hears nothing any more (known of Redis reconnects) has no
way to heal itself: it ends, and whoever started it starts it again.
"""

import functools
import importlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from celery import current_app, signals
from celery.worker import state
from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from core import clock
from ledger import heartbeats

logger = logging.getLogger(__name__)

# Imported before the fork, so that every child has them at once and shares their memory.
PRELOADED = ("numpy", "scipy.stats")
# An idle worker that hears none of the bells rung for so long is deaf.
DEAF_AFTER_S = 120.0
# Sweeps ring every few seconds while something is left to do.
STILL_RINGING_S = 20.0
# The queue of the bells of runs (`CELERY_TASK_ROUTES`).
RUNS = "runs"
DEAF = 75  # EX_TEMPFAIL: try again


def kind() -> str:
    """`worker` for one that takes part in runs, `errands` for one that hears the other bells alone."""
    return "worker" if RUNS in current_app.amqp.queues.consume_from else "errands"


def is_heard(bell: Mapping[str, Any]) -> bool:
    """Whether a bell that was rung here goes to a queue that this worker hears."""
    return bell.get("routing_key") in current_app.amqp.queues.consume_from


def name() -> str:
    """This process, as it signs its heartbeats."""
    return f"worker:{socket.gethostname()}:{os.getpid()}"


class Hearing:
    """Whether bells that this process rings reach anybody, as far as an idle worker can tell.

    Where bells are rung again and again the work they ring for is not being done; a worker that has nothing in hand
    and hears none of them all the while is deaf.

    Args:
        is_idle: whether this worker has nothing in hand.
        ticking: seconds of a clock that only goes forward.
    """

    def __init__(self, *, is_idle: Callable[[], bool], ticking: Callable[[], float] = time.monotonic) -> None:
        self._is_idle = is_idle
        self._ticking = ticking
        self._unheard_since: float | None = None
        self._rang_at = 0.0

    def rang(self) -> None:
        """The broker took a bell."""
        now = self._ticking()
        if self._unheard_since is None or now - self._rang_at > STILL_RINGING_S:
            self._unheard_since = now
        self._rang_at = now

    def heard(self) -> None:
        """A bell came."""
        self._unheard_since = None

    def is_lost(self) -> bool:
        """Whether bells have been rung for long, up to now, and none came although there was nothing else to do."""
        now = self._ticking()
        if not self._is_idle() or now - self._rang_at > STILL_RINGING_S:
            self._unheard_since = None
        return self._unheard_since is not None and now - self._unheard_since > DEAF_AFTER_S


class Sweeper(threading.Thread):
    """Looks after what lost bells and lost workers left behind, every `REAPER_SECONDS`, whatever fails."""

    def __init__(self, hearing: Hearing) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._hearing = hearing
        self._over = threading.Event()

    def run(self) -> None:
        while True:
            self.round()
            if self._hearing.is_lost():
                logger.critical("this worker rings but hears no bell any more; it ends to be started again")
                os._exit(DEAF)
            if self._over.wait(settings.REAPER_SECONDS):
                return

    def stop(self) -> None:
        """The round at hand is the last one."""
        self._over.set()

    def round(self) -> None:
        """One sign of life and one sweep of each room; none of them keeps the others from theirs."""
        _attempt(_beat)
        for sweep in settings.SWEEPS:
            _attempt(functools.partial(_swept, sweep))
        # A fork may come at any moment, and no child should inherit a connection in use.
        _attempt(connection.close)


def _beat() -> None:
    heartbeats.beat(name(), kind=kind(), now=clock.now())


def _swept(path: str) -> None:
    import_string(path)()


def _attempt(step: Callable[[], object]) -> None:
    try:
        step()
    except Exception as error:
        # The database or the broker may be away; the next round comes in any case.
        logger.warning("a sweep failed and is tried again: %s", error, exc_info=True)
        connection.close()


@signals.worker_init.connect
def preload(**_: object) -> None:
    """The heavy libraries are in memory before the children are forked."""
    for module in PRELOADED:
        importlib.import_module(module)


@signals.worker_ready.connect
def start_sweeping(**_: object) -> None:
    """The sweeper runs in the main process of this worker."""
    hearing = Hearing(is_idle=lambda: not state.reserved_requests)
    signals.after_task_publish.connect(lambda **bell: hearing.rang() if is_heard(bell) else None, weak=False)
    signals.task_received.connect(lambda **_: hearing.heard(), weak=False)
    sweeper = Sweeper(hearing)
    signals.worker_shutting_down.connect(lambda **_: sweeper.stop(), weak=False)
    sweeper.start()
