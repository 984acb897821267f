"""Tallies: the one place that counts what arrived. What is stored is counted in the transaction that stores it."""

import datetime as dt
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import orjson
from django.db import connection, transaction
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from core.problems import FieldError, Problem
from outputs.models import Tally

LONGEST_SENDER = 300
LONGEST_ROUTE = 60
LONGEST_INSTRUMENT = 60
LONGEST_REASON = 160
# Of one count; what is left over is counted together under `OTHER`.
MOST_REASONS = 20
OTHER = "other"
Grain = Tally.Grain
# How long counts of a grain stay what they are; then they are summed up to the next.
KEPT: Mapping[Grain, tuple[dt.timedelta, Grain]] = {
    Grain.MOMENT: (dt.timedelta(seconds=2), Grain.MINUTE),
    Grain.MINUTE: (dt.timedelta(minutes=65), Grain.HOUR),
    Grain.HOUR: (dt.timedelta(hours=49), Grain.DAY),
    Grain.DAY: (dt.timedelta(days=62), Grain.EVER),
}
AT_ONCE = 5_000
# Whoever sums up waits for nobody: another does it at the moment. The number means nothing else.
LOCK = 0x6F75747075747302
_FIRST_MOMENT = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Source:
    """Who sends, by which way in, and with which instrument; texts are cut to what a row holds.

    Args:
        project_id: where to.
        sender: as `Sender.identity`.
        route: the address, or another name of the way in.
        instrument: what the sender's software calls itself, or "".
    """

    project_id: int
    sender: str
    route: str
    instrument: str = ""


@dataclass
class Count:
    """What became of what a source sent; see `Tally`."""

    n_requests: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    refused: int = 0
    n_bytes: int = 0
    stored: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    redacted: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Count") -> None:
        """Both together."""
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
            _bound(getattr(self, name))


_COUNTERS = ("stored", "reasons", "refusals", "redacted")
_NUMBERS = tuple(found.name for found in fields(Count) if found.name not in _COUNTERS)
_COLUMNS = (
    "project_id",
    "starts_at",
    "first_at",
    "last_at",
    "sender",
    "route",
    "instrument",
    *_NUMBERS,
    *_COUNTERS,
)
_KINDS = ("bigint", *["timestamptz"] * 3, *["text"] * 3, *["bigint"] * len(_NUMBERS), *["jsonb"] * len(_COUNTERS))
_DECLARED = ", ".join(f"{name} {kind}" for name, kind in zip(_COLUMNS, _KINDS, strict=True))
# A project that is gone meanwhile counts nothing any more.
_INSERT = f"""
    INSERT INTO outputs_tally (grain, {", ".join(_COLUMNS)})
    SELECT %s, counted.* FROM jsonb_to_recordset(%s) AS counted ({_DECLARED})
    WHERE EXISTS (SELECT FROM projects_project WHERE id = counted.project_id)
    ORDER BY project_id, starts_at, sender, route, instrument"""  # noqa: S608 # constants above


def instrument_of(user_agent: str) -> str:
    """The name of the software that sends, without version: `OTel-OTLP-Exporter-Python/1.2` is the first part."""
    return instrument_named(user_agent.partition("/")[0])


@lru_cache(maxsize=2_000)
def instrument_named(text: str) -> str:
    """What an instrument calls itself in a body, as far as it is kept."""
    return "".join(character for character in text if character.isprintable())[:LONGEST_INSTRUMENT].strip()


def reasons_of(rejected: Mapping[int, Sequence[FieldError]]) -> Counter[str]:
    """Each rejected row under its first flaw, so that they add up to the rows."""
    found = Counter(reason(errors[0].field, errors[0].message) if errors else OTHER for errors in rejected.values())
    return _bound(found)


def refusal_of(problem: Problem) -> str:
    """Why a request was refused as a whole, without what was in it."""
    return f"{problem.status}: {_shape(problem.detail)}"[:LONGEST_REASON]


@lru_cache(maxsize=2_000)
def reason(name: str, message: str) -> str:
    """A flaw without what the row says: names below a field, quoted texts and numbers are personal, perhaps."""
    return f"{_field(name, is_ours='is no field' not in message)}: {_shape(message)}"[:LONGEST_REASON]


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
_QUOTED = re.compile(r"'[^']*'?|\"[^\"]*\"?|«[^»]*»?")
_NUMBER = re.compile(r"\d[\d.,:+-]*")


def _field(name: str, *, is_ours: bool) -> str:
    """A plain name, or the name that a path begins with where that is one of ours."""
    found = _NAME.match(name)
    head = found.group() if found else ""
    if head == name:
        return head or "…"
    return f"{head}…" if head and is_ours and name[len(head)] in ".[" else "…"


def _shape(message: str) -> str:
    return _NUMBER.sub("n", _QUOTED.sub("…", message[:400]))


def _bound(counter: Counter[str]) -> Counter[str]:
    """The most frequent stay; the others are counted together. The sum stays what it was."""
    if len(counter) > MOST_REASONS:
        for name, n in counter.most_common()[MOST_REASONS - 1 :]:
            if name != OTHER:
                del counter[name]
                counter[OTHER] += n
    return counter


async def count(connection: AsyncConnection[Any], counts: Mapping[Source, Count], *, now: dt.datetime) -> None:
    """These counts stand in the running transaction: one row for each source, one statement."""
    if counts:
        await connection.execute(_INSERT, _values(Grain.MOMENT, _moments(counts, now)))


def count_now(counts: Mapping[Source, Count], *, now: dt.datetime) -> None:
    """As `count`, on Django's connection."""
    if counts:
        with connection.cursor() as cursor:
            cursor.execute(_INSERT, _values(Grain.MOMENT, _moments(counts, now)))


@dataclass(frozen=True)
class _Row:
    source: Source
    starts_at: dt.datetime
    first_at: dt.datetime
    last_at: dt.datetime
    count: Count


def _moments(counts: Mapping[Source, Count], now: dt.datetime) -> list[_Row]:
    return [_Row(source, now, now, now, count) for source, count in counts.items()]


def _values(grain: Grain, rows: Iterable[_Row]) -> list[Any]:
    told = [
        {
            "project_id": row.source.project_id,
            "starts_at": row.starts_at,
            "first_at": row.first_at,
            "last_at": row.last_at,
            "sender": row.source.sender[:LONGEST_SENDER],
            "route": row.source.route[:LONGEST_ROUTE],
            "instrument": row.source.instrument[:LONGEST_INSTRUMENT],
            **{name: getattr(row.count, name) for name in (*_NUMBERS, *_COUNTERS)},
        }
        for row in rows
    ]
    return [int(grain), Jsonb(told, dumps=orjson.dumps)]


def sum_up(*, now: dt.datetime) -> int:
    """Counts that are older than their grain is kept are summed up to the next; returns how many rows went in.

    Sums stay exact: rows are taken out and their sum put in by one transaction. A repeat finds nothing, and where
    another process sums up at the moment, this one leaves it to that.
    """
    return sum(_sum_up(grain, upto, before=now - kept) for grain, (kept, upto) in KEPT.items())


def _sum_up(grain: Grain, upto: Grain, *, before: dt.datetime) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return 0
        # Minutes and hours leave together, so that an hour or a day is shown by one grain and not by two.
        whole = _start(before, upto) if grain in (Grain.MINUTE, Grain.HOUR) else before
        taken = _taken(cursor, _TAKE_OLD, [int(grain), whole, AT_ONCE])
        if not taken:
            return 0
        keys = list({(row.source, _start(row.starts_at, upto)) for row in taken})
        known = _taken(cursor, _TAKE_KNOWN, [int(upto), *_columns_of(keys)])
        cursor.execute(_INSERT, _values(upto, _summed([*known, *taken], upto)))
        return len(taken)


_TAKE_OLD = f"""
    DELETE FROM outputs_tally WHERE id IN (
        SELECT id FROM outputs_tally WHERE grain = %s AND starts_at < %s ORDER BY id LIMIT %s
    ) RETURNING {", ".join(_COLUMNS)}"""  # noqa: S608 # constants above
_TAKE_KNOWN = f"""
    DELETE FROM outputs_tally WHERE grain = %s AND (project_id, starts_at, sender, route, instrument) IN (
        SELECT * FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::text[])
    ) RETURNING {", ".join(_COLUMNS)}"""  # noqa: S608 # constants above


def _taken(cursor: Any, statement: str, parameters: list[Any]) -> list[_Row]:
    cursor.execute(statement, parameters)
    return [_row(dict(zip(_COLUMNS, values, strict=True))) for values in cursor.fetchall()]


def _row(told: Mapping[str, Any]) -> _Row:
    source = Source(told["project_id"], told["sender"], told["route"], told["instrument"])
    parts: dict[str, Any] = {name: told[name] for name in _NUMBERS}
    parts |= {name: Counter(_json(told[name])) for name in _COUNTERS}
    return _Row(source, told["starts_at"], told["first_at"], told["last_at"], Count(**parts))


def _json(value: Any) -> dict[str, int]:
    """Django's connections give JSON as text."""
    return dict(json.loads(value) if isinstance(value, str) else value)


def _columns_of(keys: Sequence[tuple[Source, dt.datetime]]) -> list[list[Any]]:
    return [
        [source.project_id for source, _ in keys],
        [starts_at for _, starts_at in keys],
        [source.sender for source, _ in keys],
        [source.route for source, _ in keys],
        [source.instrument for source, _ in keys],
    ]


def _summed(rows: Iterable[_Row], upto: Grain) -> Iterable[_Row]:
    found: dict[tuple[Source, dt.datetime], list[_Row]] = defaultdict(list)
    for row in rows:
        found[row.source, _start(row.starts_at, upto)].append(row)
    for (source, starts_at), group in found.items():
        total = Count()
        for row in group:
            total.add(row.count)
        first, last = min(row.first_at for row in group), max(row.last_at for row in group)
        yield _Row(source, starts_at, first, last, total)


def _start(moment: dt.datetime, grain: Grain) -> dt.datetime:
    """The beginning of the span of this grain that a moment lies in, in UTC."""
    at = moment.astimezone(dt.UTC)
    if grain == Grain.EVER:
        return _FIRST_MOMENT
    at = at.replace(second=0, microsecond=0)
    if grain == Grain.MINUTE:
        return at
    at = at.replace(minute=0)
    return at if grain == Grain.HOUR else at.replace(hour=0)
