"""Who sends to the asynchronous face: the rules of `projects.authentication` in one statement.

The tests hold both against each other. What is asked before a body is read only decides whether it is worth
reading; the same question is asked again in the transaction that stores, so a revoked key opens nothing at
once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from core.problems import Problem
from projects import secrets
from projects.access import ROLE_SCOPES, Scope

SCOPE = Scope.INGEST
UNKNOWN = "This key is not known or was revoked: send Authorization: Bearer <key>."
NOT_SIGNED_IN = "Sign in, or send Authorization: Bearer <key>."
NOT_ALLOWED = f"This needs the scope {SCOPE.value!r}, which you do not have in this project."

# A key of a person holds only while the person is active and a member, and never exceeds the person's role.
_KEYS = """
    SELECT key.id, key.project_id, project.hash_key, key.user_id, key.name,
        %(scope)s = ANY(key.scopes) AND (key.user_id IS NULL OR membership.role = ANY(%(roles)s)) AS may
    FROM projects_apikey AS key
    JOIN projects_project AS project ON project.id = key.project_id
    LEFT JOIN projects_user AS person ON person.id = key.user_id
    LEFT JOIN projects_membership AS membership
        ON membership.user_id = key.user_id AND membership.project_id = key.project_id
    WHERE key.revoked_at IS NULL
        AND (key.user_id IS NULL OR (person.is_active AND membership.id IS NOT NULL))
        AND """
_KEY_BY_DIGEST = _KEYS + "key.digest = %(digest)s"
_KEYS_BY_ID = _KEYS + "key.id = ANY(%(ids)s)"
_MEMBERS = """
    SELECT membership.id, membership.role = ANY(%(roles)s) AS may FROM projects_membership AS membership
    JOIN projects_user AS person ON person.id = membership.user_id
    WHERE membership.id = ANY(%(ids)s) AND person.is_active"""

_WORDS: dict[str, Any] = {
    "scope": SCOPE.value,
    "roles": [role for role, scopes in ROLE_SCOPES.items() if scopes >= {SCOPE}],
}


@dataclass(frozen=True)
class Sender:
    """Somebody who may send to a project: a key, or a signed-in member.

    Args:
        project_id: where to.
        hash_key: keys the hashes of the project's rows.
        identity: as `projects.access.Actor.identity`.
        key_id: of the key, or None.
        membership_id: of the member without a key, or None.
    """

    project_id: int
    hash_key: bytes
    identity: str
    key_id: int | None = None
    membership_id: int | None = None


async def by_key(connection: AsyncConnection[Any], key: str) -> Sender:
    """The sender that a key's text is.

    Raises:
        Problem: 401, in the same words for every reason, so that guessing reveals nothing; 403 without the
            scope.
    """
    if not key.isascii():
        raise Problem(401, UNKNOWN)
    cursor = await connection.execute(_KEY_BY_DIGEST, {**_WORDS, "digest": secrets.digest(key)})
    row = await cursor.fetchone()
    if row is None:
        raise Problem(401, UNKNOWN)
    key_id, project_id, hash_key, user_id, name, may = row
    if not may:
        raise Problem(403, NOT_ALLOWED)
    identity = f"key:{name}" if user_id is None else f"user:{user_id}"
    return Sender(project_id=project_id, hash_key=hash_key, identity=identity, key_id=key_id)


async def refused(connection: AsyncConnection[Any], senders: Iterable[Sender]) -> dict[Sender, Problem]:
    """Those of the senders that may no longer send, in the running transaction, and why."""
    asked = set(senders)
    keys = await _still(connection, _KEYS_BY_ID, [s.key_id for s in asked if s.key_id is not None])
    members = await _still(connection, _MEMBERS, [s.membership_id for s in asked if s.membership_id is not None])
    found = {}
    for sender in asked:
        may = members.get(sender.membership_id) if sender.key_id is None else keys.get(sender.key_id)
        if may is None:
            found[sender] = Problem(401, UNKNOWN if sender.key_id is not None else NOT_SIGNED_IN)
        elif not may:
            found[sender] = Problem(403, NOT_ALLOWED)
    return found


async def _still(connection: AsyncConnection[Any], statement: str, ids: list[int]) -> dict[int | None, bool]:
    """Whether each id that still stands has the scope."""
    if not ids:
        return {}
    cursor = await connection.execute(statement, {**_WORDS, "ids": ids})
    return {row[0]: row[-1] for row in await cursor.fetchall()}
