"""How much a project may send: the one place that says so, and that takes from the pace and quota all share."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.db.models import Sum
from psycopg import AsyncConnection

from core.problems import FieldError, Invalid
from ledger import allowances, rates
from ledger.rates import Taken
from outputs.models import IngestLimit, Tally
from projects.access import Actor
from projects.services import audit

# A pace without a burst of its own allows this many seconds of it at once.
BURST_SECONDS = 5
MOST = 1_000_000_000
MOST_BYTES = 1_000_000_000_000


@dataclass(frozen=True)
class Limit:
    """How much a project may send; None does not limit.

    Args:
        rows_per_second: on average.
        burst_rows: at once, after a pause.
        bytes_per_second: of bodies, uncompressed, on average.
        rows_per_month: new rows in a month (UTC).
    """

    rows_per_second: int | None = None
    burst_rows: int | None = None
    bytes_per_second: int | None = None
    rows_per_month: int | None = None

    @property
    def is_none(self) -> bool:
        return self == Limit()


FIELDS = tuple(Limit.__dataclass_fields__)


def limit_of(project_id: int) -> Limit:
    """The project's limit as it stands."""
    row = IngestLimit.objects.filter(project_id=project_id).values(*FIELDS).first()
    return Limit(**row) if row else Limit()


@dataclass(frozen=True)
class LimitState:
    """A project's limit and how it stands with it.

    Args:
        limit: what it is.
        month_rows: new rows of the month, and those that processes have set aside at the moment.
        pace_wait: seconds until the project may send again; 0 where it may.
    """

    limit: Limit
    month_rows: int
    pace_wait: float = 0.0


def state_of(project_id: int, *, now: dt.datetime) -> LimitState:
    """As it stands; three statements at most."""
    limit = limit_of(project_id)
    taken = allowances.taken(month_key(project_id, now)) if limit.rows_per_month is not None else None
    rows = rows_since(project_id, month_of(now)) if taken is None else taken
    keys = [rows_key(project_id), bytes_key(project_id)] if limit.rows_per_second or limit.bytes_per_second else []
    return LimitState(limit, rows, max((rates.wait_of(key, now=now) for key in keys), default=0.0))


def set_limit(*, limit: Limit, by: Actor, now: dt.datetime) -> Limit:
    """The limit stands for the actor's project and is known to every process within seconds; audited.

    What was sent this month counts against a new quota. A repeat changes nothing.

    Raises:
        Invalid: a number that limits nothing sensible.
    """
    _check(limit)
    project_id = by.project.pk
    with transaction.atomic():
        known = IngestLimit.objects.select_for_update().filter(project_id=project_id).values(*FIELDS).first() or {}
        before = Limit(**known)
        if before == limit:
            return limit
        told = {**asdict(limit), "changed_at": now, "changed_by": by.name}
        IngestLimit.objects.update_or_create(project_id=project_id, defaults=told)
        _set_rate(rows_key(project_id), limit.rows_per_second, limit.burst_rows, now)
        _set_rate(bytes_key(project_id), limit.bytes_per_second, None, now)
        _set_quota(project_id, limit.rows_per_month, now)
        changed = {name for name in FIELDS if getattr(before, name) != getattr(limit, name)}
        audit.record(
            by=by,
            verb="ingest_limit.change",
            subject="ingest limits",
            now=now,
            before={name: getattr(before, name) for name in sorted(changed)},
            after={name: getattr(limit, name) for name in sorted(changed)},
        )
    return limit


def _check(limit: Limit) -> None:
    most = {name: MOST_BYTES if name == "bytes_per_second" else MOST for name in FIELDS}
    flaws = []
    for name, highest in most.items():
        value, least = getattr(limit, name), 0 if name == "rows_per_month" else 1
        if value is not None and not least <= value <= highest:
            flaws.append(FieldError(name, f"is {value}; send {least} to {highest}, or null for no limit"))
    if limit.burst_rows is not None and limit.rows_per_second is None:
        flaws.append(FieldError("burst_rows", "belongs to rows_per_second, which is not limited"))
    if flaws:
        raise Invalid(*flaws)


def _set_rate(key: str, rate: int | None, burst: int | None, now: dt.datetime) -> None:
    if rate is None:
        rates.close_rate(key)
    else:
        rates.open_rate(key, rate=rate, burst=burst or rate * BURST_SECONDS, now=now)


def _set_quota(project_id: int, rows: int | None, now: dt.datetime) -> None:
    key = month_key(project_id, now)
    if rows is None:
        allowances.close_allowance(key)
        return
    is_new = allowances.taken(key) is None
    allowances.open_allowance(key, capacity=rows)
    if is_new:
        allowances.spend(key, rows_since(project_id, month_of(now)))


def rows_since(project_id: int, moment: dt.datetime) -> int:
    """New rows that the project's tallies count since the beginning of a span."""
    found = Tally.objects.filter(project_id=project_id, starts_at__gte=moment).aggregate(n=Sum("accepted"))
    return int(found["n"] or 0)


def rows_key(project_id: int) -> str:
    return f"ingest-rows:{project_id}"


def bytes_key(project_id: int) -> str:
    return f"ingest-bytes:{project_id}"


def month_key(project_id: int, now: dt.datetime) -> str:
    return f"ingest-month:{project_id}:{now.astimezone(dt.UTC):%Y-%m}"


def month_of(now: dt.datetime) -> dt.datetime:
    """The month's first moment, in UTC."""
    return now.astimezone(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def until_next_month(now: dt.datetime) -> float:
    """Seconds."""
    following = (month_of(now) + dt.timedelta(days=32)).replace(day=1)
    return (following - now).total_seconds()


# --- on the asynchronous face -----------------------------------------------------------------------------------

_LOAD = f"SELECT {', '.join(FIELDS)} FROM outputs_ingestlimit WHERE project_id = %s"  # noqa: S608 # constants above


async def load(connection: AsyncConnection[Any], project_id: int) -> Limit:
    """As `limit_of`."""
    row = await (await connection.execute(_LOAD, [project_id])).fetchone()
    return Limit(*row) if row else Limit()


async def take(
    connection: AsyncConnection[Any], key: str, want: float, *, owed: float, now: dt.datetime
) -> Taken | None:
    """As `ledger.rates.take`, in one statement."""
    asked: Mapping[str, Any] = {"key": key, "want": want, "owed": owed, "now": now}
    row = await (await connection.execute(rates.TAKE, asked)).fetchone()
    return None if row is None else Taken(float(row[0]), float(row[1]))


async def spend(connection: AsyncConnection[Any], key: str, n: int, *, capacity: int) -> int:
    """As `ledger.allowances.spend`; a month that begins has the whole capacity."""
    row = await (await connection.execute(allowances.SPEND, [key, n])).fetchone()
    if row is None:
        await connection.execute(allowances.OPEN, [key, capacity])
        row = await (await connection.execute(allowances.SPEND, [key, n])).fetchone()
    return 0 if row is None else int(row[0])


async def give_back(connection: AsyncConnection[Any], key: str, n: int) -> None:
    """As `ledger.allowances.give_back`."""
    await connection.execute(allowances.GIVE_BACK, [n, key])


# --- for work that can wait ------------------------------------------------------------------------------------


def pause_before(project_id: int, *, n_rows: int, n_bytes: int, now: dt.datetime) -> float:
    """Seconds that a worker has to wait before it stores so much; 0 where it may, and then it counts as sent.

    An import is slowed down, never refused: whatever it has not stored yet waits in its file. Asked for small
    parts of it, because a part that is let in is let in whole.
    """
    with transaction.atomic():
        limit = limit_of(project_id)
        if limit.rows_per_month is not None and not _spent(project_id, n_rows, limit.rows_per_month, now):
            return until_next_month(now)
        waits = [
            _wait(key, n, now)
            for key, rate, n in (
                (rows_key(project_id), limit.rows_per_second, n_rows),
                (bytes_key(project_id), limit.bytes_per_second, n_bytes),
            )
            if rate is not None
        ]
        wait = max(waits, default=0.0)
        if wait:
            transaction.set_rollback(True)
    return wait


def most_together(project_id: int, *, most: int) -> int:
    """How many rows a worker may store together: `most`, or a month's quota where that is less."""
    quota = limit_of(project_id).rows_per_month
    return most if quota is None else max(1, min(most, quota))


def settle(project_id: int, *, n_unused: int, now: dt.datetime) -> None:
    """So many of the rows that `pause_before` let in are not new, so they are not taken off the quota."""
    if n_unused > 0 and limit_of(project_id).rows_per_month is not None:
        allowances.give_back(month_key(project_id, now), n_unused)


def _wait(key: str, n: int, now: dt.datetime) -> float:
    """0 once `n` tokens are taken, of which all but the first may be owed; seconds where there is not even one."""
    taken = rates.take(key, 1, now=now)
    if taken is None:
        return 0.0
    if not taken.tokens:
        return max(taken.wait_seconds, 0.05)
    rates.owe(key, n - taken.tokens)
    return 0.0


def _spent(project_id: int, n_rows: int, capacity: int, now: dt.datetime) -> bool:
    """All of them, or none."""
    key = month_key(project_id, now)
    if allowances.taken(key) is None:
        allowances.open_allowance(key, capacity=capacity)
    granted = allowances.spend(key, n_rows)
    if granted < n_rows:
        allowances.give_back(key, granted)
    return granted == n_rows
