"""Errands: claimed under a lease, renewed, finished under its fence; given up after three attempts."""

import datetime as dt
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from evals.models import Errand

MAX_ATTEMPTS = 3
WORKER_LOST = f"worker lost: {MAX_ATTEMPTS} workers ended, or stalled, while this was in their hands"

State = Errand.State
Kind = TypeVar("Kind", bound=Errand)


def claim(kind: type[Kind], errand_id: int, *, now: dt.datetime) -> Kind | None:
    """The errand is this worker's for one lease; None where it is finished, gone, or in other hands."""
    is_free = Q(state=State.WAITING) | Q(state=State.LEASED, lease_until__lt=now)
    with transaction.atomic():
        found = kind._default_manager.select_for_update(skip_locked=True, of=("self",))
        errand = found.filter(is_free, pk=errand_id, attempts__lt=MAX_ATTEMPTS).first()
        if errand is not None:
            errand.state, errand.lease_until = State.LEASED, now + lease()
            errand.attempts, errand.lease_token = errand.attempts + 1, errand.lease_token + 1
            errand.save(update_fields=["state", "lease_until", "attempts", "lease_token"])
    return errand


def renew(errand: Errand, *, now: dt.datetime) -> bool:
    """The lease lasts longer, if it is still held; says whether it was renewed.

    A row that is being stored at this moment is left out: it needs no lease any more.
    """
    with transaction.atomic():
        if _held(errand).select_for_update(skip_locked=True).first() is None:
            return False
        return _held(errand).update(lease_until=now + lease()) == 1


def finish(errand: Errand, *, state: Errand.State, now: dt.datetime, **outcome: Any) -> bool:
    """The errand is done, or has failed, with this outcome; one whose lease has passed on takes nothing."""
    return _held(errand).update(state=state, lease_until=None, finished_at=now, **outcome) == 1


def give_up(errand: Errand) -> bool:
    """A claimed errand that could not be begun waits again as if it had not been claimed."""
    return _held(errand).update(state=State.WAITING, lease_until=None, attempts=F("attempts") - 1) == 1


def waiting(kind: type[Errand], *, now: dt.datetime) -> list[int]:
    """The ids of those to ring for; those whose third worker was lost have failed."""
    ended = kind._default_manager.filter(state=State.LEASED, lease_until__lt=now)
    ended.filter(attempts__gte=MAX_ATTEMPTS).update(
        state=State.FAILED, lease_until=None, finished_at=now, error=WORKER_LOST
    )
    is_free = Q(state=State.WAITING) | Q(state=State.LEASED, lease_until__lt=now)
    return list(kind._default_manager.filter(is_free).order_by("pk").values_list("pk", flat=True)[:100])


def lease() -> dt.timedelta:
    """How long a claim lasts without being renewed."""
    return dt.timedelta(seconds=settings.LEASE_SECONDS)


def _held(errand: Errand) -> QuerySet[Any]:
    same = type(errand)._default_manager.filter(pk=errand.pk)
    return same.filter(state=State.LEASED, lease_token=errand.lease_token)
