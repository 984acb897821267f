"""Many rows into a table in one go, each once: COPY into a temporary table, then one statement.

Every statement that inserts goes through its rows in the same order, so two transactions with the same ids
wait for each other instead of blocking each other for ever.
"""

import contextlib
import enum
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson
from psycopg import AsyncConnection, Error, errors
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

EMPTY_AFTER = 1_000


class Fate(enum.Enum):
    """What became of a row."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class Arrival(NamedTuple):
    """A checked row on its way into the table of its kind.

    Args:
        project_id: whose it is.
        external_id: the sender's id, or one made for it; unique in the project and kind.
        body_hash: what tells a repeat from another row under the same id.
        prompt: name of the prompt it says it came from, or "".
        revision: number or content hash of the revision it says it came from, or "".
        values: the other columns of the kind's staging table, in its order.
        body: what stays in a table of its own, in that one's order.
        redacted: how much was taken out of it, by detector.
        n_bytes: about what it costs to hold.
    """

    project_id: int
    external_id: str
    body_hash: bytes
    prompt: str
    revision: str
    values: tuple[Any, ...]
    n_bytes: int
    body: tuple[Any, ...] = ()
    redacted: Mapping[str, int] = MappingProxyType({})

    @property
    def key(self) -> tuple[int, str]:
        """What it is unique by."""
        return self.project_id, self.external_id


@dataclass(frozen=True)
class Stage:
    """A temporary table, and the statements that lead through it.

    Its first column is `batch bigint DEFAULT txid_current()`: rows of earlier transactions lie about until
    the table is emptied, because to empty it at every commit costs as much as to store forty rows.

    Args:
        make: makes the temporary table for the life of a connection.
        copy: fills it.
        insert: moves the rows of this transaction to where they stay; returns (project, external id, id) of
            new
            ones.
        compare: returns (project, external id, stored hash) of each row of this transaction.
        empty: empties it.
        few: does all of it for few rows, given as the JSON array `rows`; or "".
        compare_few: as `compare`, for the rows of the arrays `projects` and `ids`.
    """

    make: str
    copy: str
    insert: str
    compare: str
    empty: str
    few: str = ""
    compare_few: str = ""


# In every insert: the new rows are announced to whoever is registered for their topic, in the same statement.
ANNOUNCED = """
    INSERT INTO ledger_handover (consumer, topic, project_id, ids)
    SELECT consumer, %(topic)s, project_id, array_agg(id ORDER BY id)
    FROM fresh CROSS JOIN unnest(%(consumers)s::text[]) AS consumer GROUP BY consumer, project_id"""
# Where a table keeps the moment of arrival: columns by the parameter that fills them.
AT_MOMENT: Mapping[str, str] = {"received_at": "%(now)s"}
ON_DAY: Mapping[str, str] = {**AT_MOMENT, "received_on": "%(day)s"}


def declared(columns: Mapping[str, str]) -> str:
    """Columns with their types, as SQL declares them."""
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


def inserted(table: str, columns: Mapping[str, str], arrived: Mapping[str, str], *, rows: str) -> str:
    """The statement that moves rows into a table, each id once, and returns those that are new.

    Args:
        table: of the kind.
        columns: names, and what stands in them, as an expression over the row.
        arrived: likewise, for what all rows of a transaction share.
        rows: where they come from: what follows `FROM`.
    """
    names, values = ", ".join([*columns, *arrived]), ", ".join([*columns.values(), *arrived.values()])
    return f"""
        INSERT INTO {table} ({names}) SELECT {values} FROM {rows} ORDER BY project_id, external_id COLLATE "C"
        ON CONFLICT (project_id, external_id) DO NOTHING
        RETURNING project_id, external_id, id"""  # noqa: S608 # constants of the services


def stage(table: str, columns: Mapping[str, str], arrived: Mapping[str, str], *, few: str = "") -> Stage:
    """The way into the table of one kind.

    Args:
        table: where the rows stay; unique by (project, external id).
        columns: names and types, in the order of the rows that are staged.
        arrived: as `AT_MOMENT` or `ON_DAY`.
        few: as of `Stage`.
    """
    staged, names = f"stage_of_{table}", ", ".join(columns)
    same = {name: name for name in columns}
    fresh = inserted(table, same, arrived, rows=f"{staged} WHERE batch = txid_current()")
    known = f"SELECT project_id, external_id, stored.body_hash FROM {table} AS stored JOIN"  # noqa: S608 # likewise
    by_id = "USING (project_id, external_id)"
    asked = "unnest(%(projects)s::bigint[], %(ids)s::text[]) AS asked (project_id, external_id)"
    return Stage(
        make=f"CREATE TEMPORARY TABLE {staged} (batch bigint NOT NULL DEFAULT txid_current(), {declared(columns)})",
        copy=f"COPY {staged} ({names}) FROM STDIN",
        insert=f"WITH fresh AS ({fresh}), announced AS ({ANNOUNCED}) SELECT * FROM fresh",  # noqa: S608 # likewise
        compare=f"{known} {staged} {by_id} WHERE batch = txid_current()",
        empty=f"TRUNCATE {staged}",
        few=few,
        compare_few=f"{known} {asked} {by_id}",
    )


class Connection(AsyncConnection[TupleRow]):
    """A connection that has the staging tables; made by `connect`."""

    stages: Sequence[Stage] = ()
    n_staged = 0

    async def tidy(self) -> None:
        """Outside of a transaction: the staging tables are empty once many rows have gone through them."""
        if self.n_staged >= EMPTY_AFTER:
            for stage in self.stages:
                await self.execute(stage.empty)
            self.n_staged = 0


async def connect(address: str, stages: Sequence[Stage]) -> Connection:
    """A connection in autocommit mode, ready for `store` with each of these stages."""
    connection = await Connection.connect(address, autocommit=True)
    connection.stages = stages
    for stage in stages:
        await connection.execute(stage.make)
    return connection


@contextlib.asynccontextmanager
async def undone(connection: Connection) -> AsyncIterator[None]:
    """A transaction that the block begins and commits by itself; where it fails nothing of it stands."""
    try:
        yield
    except BaseException:
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            with contextlib.suppress(Error):
                await connection.rollback()
        raise


Key = tuple[int, str]


@dataclass(frozen=True)
class Stored:
    """What became of each arrival, in order, and the ids of the rows that are new."""

    fates: list[Fate]
    fresh: Mapping[Key, int]


async def store(
    connection: Connection,
    stage: Stage,
    arrivals: Sequence[Arrival],
    *,
    columns: Callable[[Arrival], tuple[Any, ...]],
    parameters: Mapping[str, Any],
) -> Stored:
    """Each arrival's id is in the table, in the running transaction; says what became of each.

    Of several rows under one id the first counts. A row that says the same as the stored one is a duplicate,
    one that says something else a conflict, and neither changes anything.
    """
    firsts = _firsts(arrivals)
    connection.n_staged += len(firsts)
    async with connection.cursor() as cursor:
        async with cursor.copy(stage.copy) as copy:
            for arrival in firsts.values():
                await copy.write_row(columns(arrival))
        await cursor.execute(stage.insert, parameters)
        fresh = _by_key(await cursor.fetchall())
        if len(fresh) == len(arrivals):
            return Stored([Fate.ACCEPTED] * len(arrivals), fresh)
        await cursor.execute(stage.compare)
        return _stored(arrivals, firsts, fresh, _by_key(await cursor.fetchall()))


async def store_few(
    connection: Connection,
    stage: Stage,
    arrivals: Sequence[Arrival],
    *,
    rows: Callable[[Arrival], Mapping[str, Any]],
    parameters: Mapping[str, Any],
) -> Stored:
    """As `store`, in one statement: for few rows to and fro costs more than anything that is done with them.

    Args:
        rows: an arrival as the JSON object that `stage.few` reads.
    """
    firsts = _firsts(arrivals)
    told = orjson.dumps([rows(arrival) for arrival in firsts.values()]).decode()
    cursor = await connection.execute(stage.few, {**parameters, "rows": told})
    fresh = _by_key(await cursor.fetchall())
    if len(fresh) == len(arrivals):
        return Stored([Fate.ACCEPTED] * len(arrivals), fresh)
    projects, external_ids = zip(*firsts, strict=True)
    cursor = await connection.execute(stage.compare_few, {"projects": list(projects), "ids": list(external_ids)})
    return _stored(arrivals, firsts, fresh, _by_key(await cursor.fetchall()))


def _firsts(arrivals: Sequence[Arrival]) -> dict[Key, Arrival]:
    """The first row under each id."""
    firsts: dict[Key, Arrival] = {}
    for arrival in arrivals:
        firsts.setdefault(arrival.key, arrival)
    return firsts


def _by_key(rows: Sequence[tuple[Any, ...]]) -> dict[Key, Any]:
    return {(project_id, external_id): value for project_id, external_id, value in rows}


def _stored(
    arrivals: Sequence[Arrival], firsts: Mapping[Key, Arrival], fresh: Mapping[Key, int], hashes: Mapping[Key, bytes]
) -> Stored:
    if len(hashes) < len(firsts):
        raise errors.SerializationFailure("a row under one of these ids was removed meanwhile: do it again")
    return Stored([_fate(arrival, firsts, fresh, hashes[arrival.key]) for arrival in arrivals], fresh)


def _fate(arrival: Arrival, firsts: Mapping[Key, Arrival], fresh: Mapping[Key, int], stored: bytes) -> Fate:
    if arrival.key in fresh and firsts[arrival.key] is arrival:
        return Fate.ACCEPTED
    return Fate.DUPLICATE if arrival.body_hash == stored else Fate.CONFLICT
