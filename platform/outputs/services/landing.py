"""Many rows into the tables of their kind in one go, each once: one statement over a JSON array.

Every statement goes through its rows in the order of their ids, so two transactions with the same ids wait
for each other instead of blocking each other for ever.
"""

import contextlib
import enum
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson
from psycopg import AsyncConnection, Error, errors
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

# What one statement takes; a larger request takes several, in one transaction.
MOST_ROWS = 1_000
MOST_BYTES = 4 * 1024 * 1024
# What a row costs to hold beside its own text.
ROW_BYTES = 200

Connection = AsyncConnection[TupleRow]
Key = tuple[int, str]


class Fate(enum.Enum):
    """What became of a row."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class Arrival(NamedTuple):
    """A checked row on its way into the tables of its kind.

    Args:
        project_id: whose it is.
        external_id: the sender's id, or one made for it; unique in the project and kind.
        body_hash: what tells a repeat from another row under the same id.
        row: what stays of it, as the JSON object that the kind's `Landing` reads; from `written`.
        redacted: how much was taken out of it, by detector.
    """

    project_id: int
    external_id: str
    body_hash: bytes
    row: bytes
    redacted: Mapping[str, int] = MappingProxyType({})

    @property
    def key(self) -> Key:
        """What it is unique by."""
        return self.project_id, self.external_id

    @property
    def n_bytes(self) -> int:
        """About what it costs to hold."""
        return len(self.row) + ROW_BYTES


def written(
    project_id: int, external_id: str, body_hash: bytes, said: Mapping[str, Any], body: Mapping[str, Any] = {}
) -> bytes:
    """A row as JSON, once for its way through everything.

    Args:
        project_id: as of `Arrival`.
        external_id: likewise.
        body_hash: likewise.
        said: the columns of the kind by name.
        body: those of its body, likewise; how long that is goes into `body_bytes`.
    """
    head = {name: value for name, value in said.items() if value is not None}
    head |= {"project_id": project_id, "external_id": external_id, "body_hash": "\\x" + body_hash.hex()}
    if not body:
        return orjson.dumps(head, default=str)
    text = orjson.dumps(body)
    head["body_bytes"] = len(text)
    return orjson.dumps(head, default=str)[:-1] + b"," + text[1:]


@dataclass(frozen=True)
class Body:
    """The table of what is long, beside the narrow one.

    Args:
        table: its name.
        key: its column for the id of the narrow row.
        columns: its others, with their types.
    """

    table: str
    key: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Landing:
    """The statements that lead into the tables of one kind.

    Args:
        land: stores the rows of the JSON array `rows`; returns (project, external id) of those that were known.
        compare: returns (project, external id, stored hash) of the rows named by the arrays `projects` and `ids`.
    """

    land: str
    compare: str


# Every row has these, and a kind names its others.
KEYS: Mapping[str, str] = {"project_id": "bigint", "external_id": "text", "body_hash": "bytea"}
# Where a table keeps the moment of arrival: columns by the parameter that fills them.
AT_MOMENT: Mapping[str, str] = {"received_at": "%(now)s"}
ON_DAY: Mapping[str, str] = {**AT_MOMENT, "received_on": "%(day)s"}
# In every statement: the new rows are announced to whoever is registered for their topic.
_ANNOUNCED = """
    INSERT INTO ledger_handover (consumer, topic, project_id, ids)
    SELECT consumer, %(topic)s, project_id, array_agg(id ORDER BY id)
    FROM fresh CROSS JOIN unnest(%(consumers)s::text[]) AS consumer GROUP BY consumer, project_id"""


def landing(
    table: str,
    columns: Mapping[str, str],
    arrived: Mapping[str, str],
    *,
    body: Body | None = None,
    found: Mapping[str, str] = {},
    finding: str = "",
) -> Landing:
    """The way into the tables of one kind.

    Args:
        table: where the rows stay; unique by (project, external id).
        columns: names and types of what a row says, beside `KEYS`.
        arrived: as `AT_MOMENT` or `ON_DAY`.
        body: where the rest of a row stays.
        found: columns that are looked up: names, and expressions over what `finding` adds.
        finding: joined to the rows.
    """
    own = {**KEYS, **columns}
    declared = ", ".join(f"{name} {kind}" for name, kind in {**own, **(body.columns if body else {})}.items())
    names = ", ".join([*own, *found, *arrived])
    values = ", ".join([*(f"told.{name}" for name in own), *found.values(), *arrived.values()])
    return Landing(
        land=f"""
            WITH told AS MATERIALIZED (
                SELECT * FROM jsonb_to_recordset(%(rows)s) AS told ({declared})
            ), fresh AS (
                INSERT INTO {table} ({names}) SELECT {values} FROM told {finding}
                ORDER BY told.project_id, told.external_id COLLATE "C"
                ON CONFLICT (project_id, external_id) DO NOTHING RETURNING project_id, external_id, id
            ), {_bodies(body)} announced AS ({_ANNOUNCED})
            SELECT project_id, external_id FROM told LEFT JOIN fresh USING (project_id, external_id)
            WHERE fresh.id IS NULL""",  # noqa: S608 # constants of the services
        compare=f"""
            SELECT project_id, external_id, stored.body_hash FROM {table} AS stored
            JOIN unnest(%(projects)s::bigint[], %(ids)s::text[]) AS asked (project_id, external_id)
                USING (project_id, external_id)""",  # noqa: S608 # likewise
    )


def _bodies(body: Body | None) -> str:
    if body is None:
        return ""
    names = ", ".join(body.columns)
    return f"""bodies AS (
        INSERT INTO {body.table} ({body.key}, received_on, {names})
        SELECT id, %(day)s, {names} FROM fresh JOIN told USING (project_id, external_id)
    ),"""  # noqa: S608 # likewise


async def connect(address: str) -> Connection:
    """A connection in autocommit mode, ready for `store`."""
    connection = await AsyncConnection.connect(address, autocommit=True)
    # The same few statements all day: to plan one anew costs as much as to store two rows.
    await connection.execute("SET plan_cache_mode = force_generic_plan")
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


async def store(
    connection: Connection, kind: Landing, arrivals: Sequence[Arrival], parameters: Mapping[str, Any]
) -> list[Fate]:
    """Each arrival's id is in the table, in the running transaction; says what became of each, in order.

    Of several rows under one id the first counts. A row that says the same as the stored one is a duplicate,
    one that says something else a conflict, and neither changes anything.
    """
    firsts: dict[Key, Arrival] = {}
    for arrival in arrivals:
        firsts.setdefault(arrival.key, arrival)
    known: list[Key] = []
    for rows in _portions([firsts[key] for key in sorted(firsts)]):
        text = b"[" + b",".join(arrival.row for arrival in rows) + b"]"
        cursor = await connection.execute(kind.land, {**parameters, "rows": Jsonb(text, dumps=_as_it_is)})
        known += await cursor.fetchall()
    if not known and len(firsts) == len(arrivals):
        return [Fate.ACCEPTED] * len(arrivals)
    stored = await _stored(connection, kind, known)
    return [_fate(arrival, firsts[arrival.key], stored.get(arrival.key)) for arrival in arrivals]


def _as_it_is(text: bytes) -> bytes:
    return text


def _portions(arrivals: Sequence[Arrival]) -> Iterator[list[Arrival]]:
    """As many as one statement takes, in turn."""
    portion: list[Arrival] = []
    n_bytes = 0
    for arrival in arrivals:
        if portion and (len(portion) >= MOST_ROWS or n_bytes + len(arrival.row) > MOST_BYTES):
            yield portion
            portion, n_bytes = [], 0
        portion.append(arrival)
        n_bytes += len(arrival.row)
    if portion:
        yield portion


async def _stored(connection: Connection, kind: Landing, known: Sequence[Key]) -> dict[Key, bytes]:
    """The hashes that stand under these ids."""
    if not known:
        return {}
    projects, ids = zip(*known, strict=True)
    cursor = await connection.execute(kind.compare, {"projects": list(projects), "ids": list(ids)})
    hashes = {(project_id, external_id): stored for project_id, external_id, stored in await cursor.fetchall()}
    if len(hashes) < len(known):
        raise errors.SerializationFailure("a row under one of these ids was removed meanwhile: do it again")
    return hashes


def _fate(arrival: Arrival, first: Arrival, stored: bytes | None) -> Fate:
    if arrival is first and stored is None:
        return Fate.ACCEPTED
    return Fate.DUPLICATE if arrival.body_hash == (stored or first.body_hash) else Fate.CONFLICT
