"""Many rows into a table in one go, each once: COPY into a temporary table, then one statement.

Every statement that inserts goes through its rows in the same order, so two transactions with the same ids
wait for each other instead of blocking each other for ever.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import AsyncConnection, errors
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
    """

    make: str
    copy: str
    insert: str
    compare: str
    empty: str


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
    firsts: dict[Key, Arrival] = {}
    for arrival in arrivals:
        firsts.setdefault(arrival.key, arrival)
    connection.n_staged += len(firsts)
    async with connection.cursor() as cursor:
        async with cursor.copy(stage.copy) as copy:
            for arrival in firsts.values():
                await copy.write_row(columns(arrival))
        await cursor.execute(stage.insert, parameters)
        fresh = {(project_id, external_id): id_ for project_id, external_id, id_ in await cursor.fetchall()}
        if len(fresh) == len(arrivals):
            return Stored([Fate.ACCEPTED] * len(arrivals), fresh)
        await cursor.execute(stage.compare)
        hashes = {(project_id, external_id): stored for project_id, external_id, stored in await cursor.fetchall()}
    if len(hashes) < len(firsts):
        raise errors.SerializationFailure("a row under one of these ids was removed meanwhile: do it again")
    return Stored([_fate(arrival, firsts, fresh, hashes[arrival.key]) for arrival in arrivals], fresh)


def _fate(arrival: Arrival, firsts: Mapping[Key, Arrival], fresh: Mapping[Key, int], stored: bytes) -> Fate:
    if arrival.key in fresh and firsts[arrival.key] is arrival:
        return Fate.ACCEPTED
    return Fate.DUPLICATE if arrival.body_hash == stored else Fate.CONFLICT
