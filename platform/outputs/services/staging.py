"""Many rows into a table in one go, each once: COPY into a temporary table, then one statement.

Every statement that inserts goes through its rows in the same order, so two transactions with the same ids wait for
each other instead of blocking each other for ever.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, errors


class Fate(enum.Enum):
    """What became of a row."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A checked row on its way into the table of its kind.

    Args:
        project_id: whose it is.
        external_id: the sender's id, or one made for it; unique in the project and kind.
        body_hash: what tells a repeat from another row under the same id.
        prompt: name of the prompt it says it came from, or "".
        revision: number or content hash of the revision it says it came from, or "".
        values: the other columns, in the order of the kind's staging table.
        n_bytes: about what it costs to hold.
    """

    project_id: int
    external_id: str
    body_hash: bytes
    prompt: str
    revision: str
    values: tuple[Any, ...]
    n_bytes: int


@dataclass(frozen=True)
class Stage:
    """A temporary table, and the statements that lead through it.

    Args:
        make: makes the temporary table for the life of a connection.
        copy: fills it; the first column is the row's place in the list.
        insert: moves its rows to where they stay and returns the places of those that are new.
        compare: returns (place, stored hash) of each row in it, for those that were there before.
    """

    make: str
    copy: str
    insert: str
    compare: str


async def store(
    connection: AsyncConnection[Any],
    stage: Stage,
    arrivals: Sequence[Arrival],
    *,
    columns: Callable[[Arrival], tuple[Any, ...]],
    parameters: Mapping[str, Any],
) -> list[Fate]:
    """Each arrival's id is in the table, in the running transaction; says what became of each.

    Of several rows under one id the first counts. A row that says the same as the stored one is a duplicate, one
    that says something else a conflict, and neither changes anything.
    """
    firsts: dict[tuple[int, str], int] = {}
    for place, arrival in enumerate(arrivals):
        firsts.setdefault((arrival.project_id, arrival.external_id), place)
    async with connection.cursor() as cursor:
        async with cursor.copy(stage.copy) as copy:
            for place in firsts.values():
                await copy.write_row((place, *columns(arrivals[place])))
        await cursor.execute(stage.insert, parameters)
        fresh = {place for (place,) in await cursor.fetchall()}
        if len(fresh) == len(arrivals):
            return [Fate.ACCEPTED] * len(arrivals)
        await cursor.execute(stage.compare)
        stored = dict(await cursor.fetchall())
    if len(stored) < len(firsts):
        raise errors.SerializationFailure("a row under one of these ids was removed meanwhile: do it again")
    return [
        _fate(arrival, place, fresh, stored[firsts[arrival.project_id, arrival.external_id]])
        for place, arrival in enumerate(arrivals)
    ]


def _fate(arrival: Arrival, place: int, fresh: set[int], stored_hash: bytes) -> Fate:
    if place in fresh:
        return Fate.ACCEPTED
    return Fate.DUPLICATE if arrival.body_hash == stored_hash else Fate.CONFLICT
