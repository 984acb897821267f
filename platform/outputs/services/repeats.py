"""Idempotency-Key on an asynchronous connection: the same table and rules as `ledger.idempotency`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from ledger.idempotency import KeyReused, StoredAnswer

# In a fixed order, so that two transactions with several keys wait for each other and never block each other.
_TAKE = """
    INSERT INTO ledger_idempotentanswer (project_id, actor, key, request_digest, headers)
    SELECT project_id, actor, key, digest, '{}'
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bytea[]) AS asked (project_id, actor, key, digest)
    ORDER BY project_id, actor COLLATE "C", key COLLATE "C"
    ON CONFLICT (project_id, actor, key) DO NOTHING
    RETURNING project_id, actor, key"""
_FIND = """
    SELECT project_id, actor, key, request_digest, status, headers, body FROM ledger_idempotentanswer
    WHERE (project_id, actor, key) IN (SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[]))"""
_ANSWER = """
    UPDATE ledger_idempotentanswer SET status = %s, headers = %s, body = %s
    WHERE project_id = %s AND actor = %s AND key = %s"""
_DROP = "DELETE FROM ledger_idempotentanswer WHERE project_id = %s AND actor = %s AND key = %s"


@dataclass(frozen=True)
class Ask:
    """One request with an Idempotency-Key; `digest` is `ledger.idempotency.digest` of it."""

    project_id: int
    actor: str
    key: str
    digest: bytes

    @property
    def name(self) -> tuple[int, str, str]:
        return self.project_id, self.actor, self.key


async def begin(connection: AsyncConnection[Any], asks: Sequence[Ask]) -> dict[Ask, StoredAnswer | KeyReused]:
    """Take these keys in the running transaction; returns what is known of those that were taken before.

    Waits for requests with the same keys that are under way elsewhere. No two of `asks` share a name.
    """
    columns = [[getattr(ask, field) for ask in asks] for field in ("project_id", "actor", "key", "digest")]
    taken = {tuple(row) for row in await (await connection.execute(_TAKE, columns)).fetchall()}
    repeated = {ask.name: ask for ask in asks if ask.name not in taken}
    if not repeated:
        return {}
    cursor = await connection.execute(_FIND, [list(column) for column in zip(*repeated, strict=True)])
    known: dict[Ask, StoredAnswer | KeyReused] = {}
    for project_id, actor, key, digest, status, headers, body in await cursor.fetchall():
        ask = repeated[project_id, actor, key]
        same = digest == ask.digest
        known[ask] = StoredAnswer(status=status, headers=headers, body=body) if same else KeyReused()
    return known


async def finish(connection: AsyncConnection[Any], ask: Ask, answer: StoredAnswer) -> None:
    """Store the answer beside the key that `begin` took."""
    await connection.execute(_ANSWER, [answer.status, Jsonb(answer.headers), answer.body, *ask.name])


async def give_back(connection: AsyncConnection[Any], ask: Ask) -> None:
    """A request that stored nothing leaves no answer behind and may be tried again."""
    await connection.execute(_DROP, ask.name)
