"""Signs of life of processes."""

import datetime as dt

from ledger.models import Heartbeat

FRESH = dt.timedelta(seconds=20)


def beat(name: str, *, kind: str, now: dt.datetime) -> None:
    """This process lives at this moment."""
    Heartbeat.objects.update_or_create(name=name, defaults={"kind": kind, "at": now})


def n_alive(kind: str, *, now: dt.datetime) -> int:
    """How many processes of a kind gave a sign of life in the last 20 seconds."""
    return Heartbeat.objects.filter(kind=kind, at__gte=now - FRESH).count()


def forget(*, now: dt.datetime) -> int:
    """Drop those that were last seen a day ago; returns how many."""
    return Heartbeat.objects.filter(at__lt=now - dt.timedelta(days=1)).delete()[0]
