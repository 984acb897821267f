"""Imports: files come in as pieces, wait for a worker, and end; each step is one transaction.

The rows themselves are stored by `outputs.services.rows_of_imports`, under the lease that `claim` gives.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, Window
from django.db.models.functions import Greatest, RowNumber

from core import bells
from core.problems import Conflict, FieldError, Invalid
from outputs import importers
from outputs.importers import columns
from outputs.importers.rows import Cursor
from outputs.models import Import, ImportPiece
from outputs.services.uploads import MOST_UNFINISHED, TooManyUploads, Wanted
from projects.access import Actor
from projects.models import Project
from projects.services import audit

BELL = "outputs.tasks.take_import"
MAX_ATTEMPTS = 3
MOST_REAPED = 100
WORKER_LOST = f"worker lost: {MAX_ATTEMPTS} workers ended while this file was in their hands, at the same place"
ABANDONED = "the upload was not completed"
# An upload in one request that was not touched for so long has lost its sender, or its web process.
ONE_SHOT_LIVES = dt.timedelta(minutes=10)
RESUMABLE_LIVES = dt.timedelta(hours=24)
# A file that came whole waits so long for somebody to say what its columns mean; until then it stands as it was sent.
READY_LIVES = dt.timedelta(hours=24)

State = Import.State
_TO_DO = (State.ARRIVED, State.WAITING)


class NotComplete(Conflict):
    """The file is not here yet."""

    def __init__(self, found: Import) -> None:
        super().__init__(f"{found.received_bytes} of {found.size or 'all'} bytes are here; send the rest first.")


class NotLookedInto(Conflict):
    """No worker has looked at its first rows yet, or none needs to any more."""

    def __init__(self, found: Import) -> None:
        said = "a worker looks at its first rows; ask again" if found.state == State.ARRIVED else f"it is {found.state}"
        super().__init__(f"There is nothing to show of this import yet: {said}.", retry_after=1)


class Started(Conflict):
    """It runs, or is over."""

    def __init__(self, found: Import) -> None:
        super().__init__(f"This import is {found.state} already; send the file again for another one.")


def receive(*, chunks: Iterable[bytes], wanted: Wanted, by: Actor, now: dt.datetime) -> Import:
    """The file is here whole, and waits for a worker to look into it; a repeat is another import.

    Args:
        chunks: of the file, in order.
        wanted: its format, kind and name.
        by: who sends it.
        now: when.

    Raises:
        Invalid: the format is unknown, the file empty, or none of this format.
        TooManyUploads: the project holds enough unfinished ones.
    """
    importer = importers.named(wanted.format)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=by.project.pk)
        open_ones = Import.objects.filter(project=by.project, state__in=(State.UPLOADING, State.ARRIVED, State.READY))
        if (n := open_ones.count()) >= MOST_UNFINISHED:
            raise TooManyUploads(n)
        made = Import.objects.create(
            project=by.project,
            format=importer.name,
            kind=Import.Kind(wanted.kind),
            name=wanted.name,
            created_at=now,
            touched_at=now,
            created_by=by.name,
        )
        for chunk in chunks:
            refusal = "" if made.received_bytes else importer.refusal(chunk[:1024])
            if refusal:
                raise Invalid(FieldError("file", refusal))
            ImportPiece.objects.create(of=made, offset=made.received_bytes, body=chunk)
            made.received_bytes += len(chunk)
        if not made.received_bytes:
            raise Invalid(FieldError("file", "is empty"))
        made.size, made.state = made.received_bytes, State.ARRIVED
        made.save(update_fields=["size", "received_bytes", "state"])
        bells.ring(BELL, made.pk)
    return made


def start(*, found: Import, mapping: Any, by: Actor, now: dt.datetime) -> Import:
    """The import waits for a worker; its columns mean what `mapping` says, and else what is guessed.

    A repeat with the same mapping changes nothing.

    Raises:
        Invalid: the mapping names what is not there.
        NotComplete: the file is not here yet.
        Started: it was started with another mapping, or is over.
    """
    with transaction.atomic():
        held = Import.objects.select_for_update().get(pk=found.pk)
        if held.state == State.UPLOADING:
            raise NotComplete(held)
        meant = settled_mapping(held, mapping)
        if held.state not in (State.ARRIVED, State.READY):
            if held.mapping == meant:
                return held
            raise Started(held)
        held.state, held.mapping, held.touched_at = State.WAITING, meant, now
        held.lease_until, held.attempts, held.lease_token = None, 0, held.lease_token + 1
        held.save(update_fields=["state", "mapping", "touched_at", "lease_until", "attempts", "lease_token"])
        audit.record(by=by, verb="import.start", subject=f"import {held.pk}", now=now, after={"name": held.name})
        bells.ring(BELL, held.pk)
    return held


def cancel(*, found: Import, by: Actor, now: dt.datetime) -> Import:
    """No further row is stored; what was stored stays. A repeat changes nothing.

    Raises:
        Started: it is over already.
    """
    with transaction.atomic():
        held = Import.objects.select_for_update().get(pk=found.pk)
        if held.state == State.CANCELLED:
            return held
        if held.is_over:
            raise Started(held)
        held.state, held.ended_at, held.lease_until, held.sample = State.CANCELLED, now, None, None
        held.lease_token += 1
        held.save(update_fields=["state", "ended_at", "lease_until", "lease_token", "sample"])
        held.pieces.all().delete()
        after = {"stored": held.n_stored}
        audit.record(by=by, verb="import.cancel", subject=f"import {held.pk}", now=now, after=after)
    return held


def claim(import_id: int, *, now: dt.datetime) -> Import | None:
    """The import is this worker's for one lease; None where there is nothing to do, or others are at it."""
    free = Q(state__in=_TO_DO) & (Q(lease_until=None) | Q(lease_until__lt=now))
    left = Q(state=State.RUNNING, lease_until__lt=now)
    with transaction.atomic():
        held = Import.objects.select_for_update(skip_locked=True, of=("self",)).filter(free | left, pk=import_id)
        found = held.filter(attempts__lt=MAX_ATTEMPTS).first()
        if found is None:
            return None
        if found.state == State.WAITING:
            found.state, found.started_at = State.RUNNING, found.started_at or now
        found.lease_until, found.touched_at = now + lease(), now
        found.attempts, found.lease_token = found.attempts + 1, found.lease_token + 1
        found.save(update_fields=["state", "started_at", "lease_until", "touched_at", "attempts", "lease_token"])
    return found


def renew(found: Import, *, now: dt.datetime) -> bool:
    """The lease lasts longer, if it is still held."""
    return _held(found).update(lease_until=now + lease()) == 1


def give_back(found: Import, *, not_before: dt.datetime | None = None) -> bool:
    """Somebody else goes on from here, at once or at a moment; that this worker stops is no failed attempt."""
    state = State.ARRIVED if found.state == State.ARRIVED else State.WAITING
    return _held(found).update(state=state, lease_until=not_before, attempts=Greatest(F("attempts") - 1, 0)) == 1


def keep_sample(found: Import, sample: dict[str, Any]) -> bool:
    """The first rows can be looked at; the import waits for somebody to say what its columns mean."""
    return (
        _held(found).filter(state=State.ARRIVED).update(sample=sample, state=State.READY, lease_until=None, attempts=0)
        == 1
    )


def keep_mapping(found: Import, mapping: dict[str, str]) -> bool:
    """What the columns mean from the first row to the last, whoever reads them."""
    return _held(found).update(mapping=mapping) == 1


def end(found: Import, *, state: Import.State, now: dt.datetime, error: str = "") -> bool:
    """The import is done, or has failed, and nothing of its file is left. One whose lease passed on ends nothing."""
    ended: dict[str, Any] = {"state": state, "error": error[:2000], "ended_at": now, "lease_until": None}
    with transaction.atomic():
        is_ours = _held(found).update(**ended, sample=None) == 1
        if is_ours:
            found.pieces.all().delete()
    return is_ours


def reap(*, now: dt.datetime) -> list[int]:
    """Imports that nobody will finish have failed; returns the ids of those that a worker should take."""
    open_ones = Import.objects.filter(state__in=[state for state in State if state not in Import.OVER])
    _fail(open_ones.filter(attempts__gte=MAX_ATTEMPTS, lease_until__lt=now), WORKER_LOST, now)
    uploading = open_ones.filter(state=State.UPLOADING)
    _fail(uploading.filter(size=None, touched_at__lt=now - ONE_SHOT_LIVES), ABANDONED, now)
    _fail(uploading.filter(touched_at__lt=now - RESUMABLE_LIVES), ABANDONED, now)
    _fail(open_ones.filter(state=State.READY, touched_at__lt=now - READY_LIVES), "it was never started", now)
    free = Q(state__in=_TO_DO) & (Q(lease_until=None) | Q(lease_until__lt=now))
    waiting = open_ones.filter(free | Q(state=State.RUNNING, lease_until__lt=now))
    # The oldest of each project first: no project's many hide another's one.
    turn = Window(RowNumber(), partition_by="project_id", order_by="pk")
    return list(waiting.annotate(turn=turn).order_by("turn", "pk").values_list("pk", flat=True)[:MOST_REAPED])


def settled_mapping(found: Import, mapping: Any) -> dict[str, str] | None:
    """The mapping as it will be applied, complete where the columns are known.

    Raises:
        Invalid: naming each entry that is wrong.
    """
    importer = importers.named(found.format)
    if not importer.is_mapped:
        if mapping:
            raise Invalid(FieldError("mapping", f"is not for {found.format}, whose rows say themselves what they mean"))
        return None
    given = columns.checked_shape(mapping)
    if found.sample is None:
        return given  # type: ignore[return-value]  # nulls are read as "left out" once the columns are known
    return columns.settled(given, found.sample["columns"], found.kind).as_dict()


def cursor_of(found: Import) -> Cursor:
    """Where reading goes on."""
    return Cursor(**found.cursor) if found.cursor else Cursor()


def lease() -> dt.timedelta:
    """How long a claim lasts without being renewed."""
    return dt.timedelta(seconds=settings.LEASE_SECONDS)


def _fail(rows: QuerySet[Import], error: str, now: dt.datetime) -> None:
    for found in rows[:100]:
        with transaction.atomic():
            same = Import.objects.filter(pk=found.pk, state=found.state, lease_token=found.lease_token)
            ended = {"state": State.FAILED, "error": error, "ended_at": now, "lease_until": None, "sample": None}
            if same.filter(touched_at=found.touched_at).update(**ended, lease_token=F("lease_token") + 1):
                found.pieces.all().delete()


def _held(found: Import) -> QuerySet[Import]:
    return Import.objects.filter(pk=found.pk, lease_token=found.lease_token).exclude(state__in=Import.OVER)
