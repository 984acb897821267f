"""Whether the work in the background goes on, told to those who can do something about it."""

import datetime as dt
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import kombu
from django.conf import settings

from ledger.models import Heartbeat
from projects.access import Actor, Scope

# A worker gives a sign of life every few seconds; after this long without one it is gone or frozen.
SILENT_AFTER = dt.timedelta(seconds=30)
ASKED_EVERY_S = 10.0
BROKER_TIMEOUT_S = 1
TRANSPORT = {"socket_connect_timeout": BROKER_TIMEOUT_S, "socket_timeout": BROKER_TIMEOUT_S}


@dataclass(frozen=True)
class Alarm:
    """What stands still, in words, and what to do; empty `words` where all is well."""

    words: str = ""
    advice: str = ""

    def __bool__(self) -> bool:
        return bool(self.words)


def alarm_for(actor: Actor, *, now: dt.datetime) -> Alarm:
    """The alarm that this member can act upon, in at most one statement: engineers and admins, nobody else."""
    if not (actor.may(Scope.EVALUATE) or actor.may(Scope.ADMIN)):
        return Alarm()
    return alarm(now=now)


def alarm(*, now: dt.datetime) -> Alarm:
    """What stands still in this installation."""
    # A worker for errands alone takes part in no run, but it builds and walks: either kind is a sign of life.
    last = Heartbeat.objects.filter(kind__in=("worker", "errands")).order_by("-at").values_list("at", flat=True).first()
    if last is None:
        return Alarm(
            "No worker has ever answered.",
            "Runs, proposals and sampling wait. Start one: manage.py up does, or celery -A config worker.",
        )
    if now - last > SILENT_AFTER:
        return Alarm(
            f"No worker has answered since {last:%H:%M} UTC.",
            "What was asked for is kept, and goes on when a worker is back. Start one, and look at its log.",
        )
    if not broker.answers():
        return Alarm(
            "The broker does not answer.",
            "Workers find waiting work by looking for it every few seconds, so all of it takes longer. Start it again.",
        )
    return Alarm()


class Broker:
    """Whether the broker takes connections; asked at most every `ASKED_EVERY_S` by a process, never by two threads.

    Args:
        url: where it is.
    """

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._asked_at = -math.inf
        self._answered = True

    def answers(self) -> bool:
        """As it was when it was last asked; whoever comes while another asks is not kept waiting."""
        if time.monotonic() - self._asked_at >= ASKED_EVERY_S and self._lock.acquire(blocking=False):
            try:
                self._answered = _reached(self._url())
                self._asked_at = time.monotonic()
            finally:
                self._lock.release()
        return self._answered


broker = Broker(lambda: settings.CELERY_BROKER_URL)


def _reached(url: str) -> bool:
    if url.startswith("memory:"):
        return True
    try:
        with kombu.Connection(url, connect_timeout=BROKER_TIMEOUT_S, transport_options=TRANSPORT) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=BROKER_TIMEOUT_S)
    except Exception:  # every transport has its own family of errors, and each of them means no
        return False
    return True
