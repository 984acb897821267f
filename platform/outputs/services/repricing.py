"""Repricing: costs that we reckoned, or could not, follow the price table as it is now; those that were sent stay."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection, transaction

from connections import price_queries
from core import bells
from core.problems import FieldError, Invalid
from ledger import handovers
from outputs import costs
from outputs.models import Output, Repricing
from projects.access import Actor
from projects.models import Project
from projects.services import audit

TOPIC = "outputs.repriced"
# Outputs looked at in one transaction: short enough to wait for, long enough to be worth one.
BLOCK = 5_000

# A row that changed hands meanwhile, or is gone, stays as it is.
_STORE = """
    UPDATE outputs_output AS output SET cost_usd = told.usd, cost_source = told.source
    FROM unnest(%s::bigint[], %s::numeric[], %s::smallint[]) AS told (id, usd, source)
    WHERE output.id = told.id AND (output.cost_source = %s OR output.cost_usd IS NULL)
"""

# The fence keeps the planner from walking all older outputs by their ids: the moment of arrival has a better index.
_ENDS = """
    SELECT min(id), max(id) FROM (
        SELECT id FROM outputs_output WHERE project_id = %s AND received_at >= %s AND received_at < %s OFFSET 0
    ) AS arrived
"""


def ask(*, since: dt.datetime, until: dt.datetime, by: Actor, now: dt.datetime) -> tuple[Repricing, bool]:
    """The costs of the project's outputs that arrived in [since, until) will follow its price table; says whether new.

    A worker does it, block by block. While one for the same span walks, asking again lets it begin anew, because prices
    may have changed since it began; afterwards a repeat is a new walk that changes nothing if no price changed.

    Args:
        since: of arrival, as the days of trends are.
        until: likewise; what arrives later is priced as it arrives.

    Raises:
        Invalid: the span is empty.
    """
    if since >= until:
        raise Invalid(FieldError("since", f"is {since.isoformat()}, not before until, {until.isoformat()}"))
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=by.project.pk)
        first, last = _ends(by.project.pk, since, until)
        span = {"since": since, "until": until, "state": Repricing.State.WALKING}
        place = {"first_output": first, "last_output": last, "cursor": first - 1, "n_seen": 0}
        place |= {"n_changed": 0, "n_unpriced": 0}
        repricing, is_new = Repricing.objects.select_for_update().update_or_create(
            project=by.project,
            **span,
            defaults=place,
            create_defaults={**place, "created_at": now, "created_by": by.name},
        )
        audit.record(
            by=by,
            verb="price.apply",
            subject=f"costs of outputs from {since.isoformat()} to {until.isoformat()}",
            now=now,
        )
        bells.ring("outputs.tasks.reprice", repricing.pk)
    return repricing, is_new


def reprice_block(*, repricing_id: int, now: dt.datetime) -> bool:
    """The next block of outputs costs what the price table says now; says whether more is left to walk.

    Costs, the hand-over that makes trends follow, and the cursor are stored in one transaction: whoever goes on, after
    whatever ended the last one, leaves nothing out and changes nothing twice. False as well where the walk has ended or
    somebody else is at it.
    """
    with transaction.atomic():
        waiting = Repricing.objects.filter(pk=repricing_id, state=Repricing.State.WALKING)
        repricing = waiting.select_for_update(no_key=True, skip_locked=True).first()
        if repricing is None:
            return False
        ahead = Output.objects.of(repricing.project_id).filter(pk__gt=repricing.cursor, pk__lte=repricing.last_output)
        # One row, found in the index; the last block is shorter and ends at the last output.
        ends = ahead.order_by("pk").values_list("pk", flat=True)[BLOCK - 1 : BLOCK]
        end = next(iter(ends), repricing.last_output)
        _note(repricing, _reprice(repricing, end))
        repricing.cursor = end
        if end == repricing.last_output:
            repricing.state, repricing.ended_at = Repricing.State.DONE, now
        repricing.save()
    return repricing.state == Repricing.State.WALKING


@dataclass(frozen=True)
class _Block:
    n_seen: int
    n_changed: int
    n_unpriced: int


def _note(repricing: Repricing, block: _Block) -> None:
    repricing.n_seen += block.n_seen
    repricing.n_changed += block.n_changed
    repricing.n_unpriced += block.n_unpriced


def _reprice(repricing: Repricing, end: int) -> _Block:
    rows = Output.objects.of(repricing.project_id).filter(costs.OURS, pk__gt=repricing.cursor, pk__lte=end)
    rows = rows.filter(received_at__gte=repricing.since, received_at__lt=repricing.until)
    outputs = list(rows.only(*costs.PRICED_BY).order_by("pk"))
    book = price_queries.book(repricing.project_id)
    now_costs = [costs.priced(output, book).usd for output in outputs]
    changed = [(output.pk, usd) for output, usd in zip(outputs, now_costs, strict=True) if output.cost_usd != usd]
    _store(changed)
    handovers.announce(TOPIC, project_id=repricing.project_id, ids=[pk for pk, _ in changed])
    return _Block(len(outputs), len(changed), sum(usd is None for usd in now_costs))


def _store(changed: Sequence[tuple[int, Decimal | None]]) -> None:
    if not changed:
        return
    computed = int(Output.CostSource.COMPUTED)
    ids, costs = [pk for pk, _ in changed], [usd for _, usd in changed]
    sources = [None if usd is None else computed for usd in costs]
    with connection.cursor() as cursor:
        cursor.execute(_STORE, [ids, costs, sources, computed])


def _ends(project_id: int, since: dt.datetime, until: dt.datetime) -> tuple[int, int]:
    """The first and the last id of what arrived then; (1, 0) where nothing did."""
    with connection.cursor() as cursor:
        cursor.execute(_ENDS, [project_id, since, until])
        first, last = cursor.fetchone()
    return first or 1, last or 0
