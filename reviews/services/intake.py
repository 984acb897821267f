"""Intakes: all outputs that match go into a queue, however many they are, block by block."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction
from django.db.models import Max, Min

from core import bells
from core.problems import Conflict, Missing
from outputs.models import Output, OutputQuerySet
from projects.access import Actor
from projects.services import audit
from reviews import matching
from reviews.models import Intake, Queue
from reviews.services.items import OPEN_ITEMS

# Outputs walked in one transaction: short enough to wait for, long enough to be worth one.
BLOCK = 5_000

_TAKE = """
    WITH wanted AS ({population}), {open_items}
    SELECT (SELECT count(*) FROM wanted), (SELECT count(*) FROM items)
"""


class Ended(Conflict):
    """The walk is over; there is nothing to stop."""

    def __init__(self, state: str) -> None:
        super().__init__(f"This intake is {state} already; what it added stays in the queue.")


def ask(*, queue: Queue, given: Mapping[str, Any], by: Actor, now: dt.datetime) -> tuple[Intake, bool]:
    """Every output that matches now will have an item in the queue; returns the intake and whether it is new.

    A worker does it, from the oldest output to the newest of this moment. Added by hand, the items enter no
    estimate of quality. While an intake with this filter walks, asking again lets it walk on to the newest
    output; afterwards a repeat is a new walk that finds every item there and adds nothing.

    Args:
        queue: where the outputs become items.
        given: the filter, as `reviews.matching.read` takes it; empty is every output of the project.
        by: who wants it.
        now: when.

    Raises:
        Invalid: naming what is wrong with the filter.
    """
    wanted = matching.read(given, now=now)
    with transaction.atomic():
        Queue.objects.select_for_update(no_key=True).get(pk=queue.pk)
        ends = Output.objects.of(queue.project_id).aggregate(first=Min("pk"), last=Max("pk"))
        first, last = ends["first"] or 0, ends["last"] or 0
        known = queue.intakes.select_for_update().filter(filter=wanted, state=Intake.State.WALKING).first()
        if known is not None:
            known.last_output = last
            known.save(update_fields=["last_output"])
            return known, False
        made = queue.intakes.create(
            filter=wanted,
            first_output=first,
            last_output=last,
            cursor=max(0, first - 1),
            created_at=now,
            created_by=by.name,
        )
        subject = f"intake {made.pk} into queue {queue.name}"
        audit.record(by=by, verb="intake.ask", subject=subject, now=now, after={"filter": wanted})
        bells.ring("reviews.tasks.take_in", made.pk)
    return made, True


def take_block(*, intake_id: int, now: dt.datetime) -> bool:
    """The next block of outputs is in the queue, and how far the walk came; says whether more is left to walk.

    Items and cursor are stored in one transaction, so whoever goes on, after whatever ended the last one, leaves
    nothing out and adds nothing twice. False as well where the intake has ended or somebody else is at it.
    """
    with transaction.atomic():
        waiting = Intake.objects.select_related("queue").filter(pk=intake_id, state=Intake.State.WALKING)
        intake = waiting.select_for_update(of=("self",), no_key=True, skip_locked=True).first()
        if intake is None:
            return False
        outputs = Output.objects.of(intake.queue.project_id).filter(pk__gt=intake.cursor, pk__lte=intake.last_output)
        # One row, found in the index; the last block is shorter and ends at the last output.
        ends = outputs.order_by("pk").values_list("pk", flat=True)[BLOCK - 1 : BLOCK]
        end = next(iter(ends), intake.last_output)
        n_seen, n_added = _open_items(intake, end, now)
        intake.cursor = end
        intake.n_seen += n_seen
        intake.n_added += n_added
        if end == intake.last_output:
            intake.state, intake.ended_at = Intake.State.DONE, now
        intake.save()
        return intake.state == Intake.State.WALKING


def stop(*, intake_id: int, queue: Queue, by: Actor, now: dt.datetime) -> Intake:
    """The intake walks no further; the items that it added stay. A repeat changes nothing.

    Raises:
        Missing: the queue has no such intake.
        Ended: it walked to its end already.
    """
    with transaction.atomic():
        intake = queue.intakes.select_for_update().filter(pk=intake_id).first()
        if intake is None:
            raise Missing("intake")
        if intake.state == Intake.State.STOPPED:
            return intake
        if intake.state == Intake.State.DONE:
            raise Ended(intake.state)
        intake.state, intake.ended_at = Intake.State.STOPPED, now
        intake.save(update_fields=["state", "ended_at"])
        subject = f"intake {intake.pk} into queue {queue.name}"
        audit.record(by=by, verb="intake.stop", subject=subject, now=now, after={"n_added": intake.n_added})
    return intake


def _open_items(intake: Intake, end: int, now: dt.datetime) -> tuple[int, int]:
    """How many outputs after the cursor and up to `end` match, and how many of them became items."""
    matched: OutputQuerySet = matching.matched(intake.queue.project_id, intake.filter, now=now)
    block = matched.filter(pk__gt=intake.cursor, pk__lte=end).order_by().values_list("pk")
    population, arguments = block.query.sql_with_params()
    named = f"SELECT found.id AS output_id FROM ({population}) AS found (id)"  # noqa: S608  # Django's own SQL
    statement = _TAKE.format(population=named, open_items=OPEN_ITEMS)
    with connection.cursor() as cursor:
        cursor.execute(statement, [*arguments, intake.queue_id])
        n_seen, n_added = cursor.fetchone()
    return int(n_seen), int(n_added)
