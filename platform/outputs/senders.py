"""Who sends to the asynchronous face: the rules of `projects.authentication` in one statement, and doors.

The tests hold both against each other. What is asked before a body is read only decides whether it is worth
reading; the same question is asked again in the transaction that stores, so a revoked key opens nothing at
once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from core.problems import Problem
from outputs import tokens
from projects import secrets
from projects.access import ROLE_SCOPES, Scope

SCOPE = Scope.INGEST
UNKNOWN = "This key is not known or was revoked: send Authorization: Bearer <key>."
NOT_SIGNED_IN = "Sign in, or send Authorization: Bearer <key>."
NOT_ALLOWED = f"This needs the scope {SCOPE.value!r}, which you do not have in this project."

# A key of a person holds only while the person is active and a member, and never exceeds the person's role.
_KEYS = """
    SELECT key.id, key.project_id, key.user_id, key.name,
        %(scope)s = ANY(key.scopes) AND (key.user_id IS NULL OR membership.role = ANY(%(roles)s)) AS may
    FROM projects_apikey AS key
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
_DOORS = """
    SELECT id, version, project_id, name, kinds, origins, needs_signature, secret FROM outputs_feedbackdoor
    WHERE revoked_at IS NULL AND """
_DOOR = _DOORS + "id = %s AND version = %s"
_DOORS_BY_ID = _DOORS + "id = ANY(%s)"
_WELCOME = "SELECT EXISTS (SELECT FROM outputs_feedbackdoor WHERE revoked_at IS NULL AND %s = ANY(origins))"

_WORDS: dict[str, Any] = {
    "scope": SCOPE.value,
    "roles": [role for role, scopes in ROLE_SCOPES.items() if scopes >= {SCOPE}],
}


@dataclass(frozen=True)
class Door:
    """A feedback door that stands open (`models.FeedbackDoor`)."""

    id: int
    version: int
    project_id: int
    name: str
    kinds: tuple[str, ...]
    origins: tuple[str, ...]
    needs_signature: bool
    secret: bytes


@dataclass(frozen=True)
class Sender:
    """Somebody who may send to a project: a key, a signed-in member, or a page at a feedback door.

    Args:
        project_id: where to.
        identity: as `projects.access.Actor.identity`.
        key_id: of the key, or None.
        membership_id: of the member without a key, or None.
        door: the door, or None.
    """

    project_id: int
    identity: str
    key_id: int | None = None
    membership_id: int | None = None
    door: Door | None = None


async def by_key(connection: AsyncConnection[Any], key: str) -> Sender:
    """The sender that a key's text is.

    Raises:
        Problem: 401, in the same words for every reason, so that guessing reveals nothing; 403 without the
            scope.
    """
    if not key.isascii():
        raise Problem(401, UNKNOWN)
    if key.startswith(tokens.MARK):
        return await _by_token(connection, key)
    cursor = await connection.execute(_KEY_BY_DIGEST, {**_WORDS, "digest": secrets.digest(key)})
    row = await cursor.fetchone()
    if row is None:
        raise Problem(401, UNKNOWN)
    key_id, project_id, user_id, name, may = row
    if not may:
        raise Problem(403, NOT_ALLOWED)
    identity = f"key:{name}" if user_id is None else f"user:{user_id}"
    return Sender(project_id=project_id, identity=identity, key_id=key_id)


async def _by_token(connection: AsyncConnection[Any], token: str) -> Sender:
    named = tokens.door_of(token)
    cursor = await connection.execute(_DOOR, named or (None, None))
    row = await cursor.fetchone()
    if row is None:
        raise Problem(401, UNKNOWN)
    door_id, version, project_id, name, kinds, origins, needs_signature, secret = row
    door = Door(door_id, version, project_id, name, tuple(kinds), tuple(origins), needs_signature, bytes(secret))
    return Sender(project_id=project_id, identity=f"door:{name}", door=door)


async def is_welcome(connection: AsyncConnection[Any], origin: str) -> bool:
    """Whether any open door takes pages of this origin."""
    cursor = await connection.execute(_WELCOME, [origin])
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def refused(connection: AsyncConnection[Any], senders: Iterable[Sender]) -> dict[Sender, Problem]:
    """Those of the senders that may no longer send, in the running transaction, and why."""
    asked = set(senders)
    keys = await _still(connection, _KEYS_BY_ID, [s.key_id for s in asked if s.key_id is not None])
    members = await _still(connection, _MEMBERS, [s.membership_id for s in asked if s.membership_id is not None])
    found = await _shut(connection, [sender for sender in asked if sender.door is not None])
    for sender in asked:
        if sender.door is not None:
            continue
        may = members.get(sender.membership_id) if sender.key_id is None else keys.get(sender.key_id)
        if may is None:
            found[sender] = Problem(401, UNKNOWN if sender.key_id is not None else NOT_SIGNED_IN)
        elif not may:
            found[sender] = Problem(403, NOT_ALLOWED)
    return found


async def _shut(connection: AsyncConnection[Any], senders: list[Sender]) -> dict[Sender, Problem]:
    """Those of the senders whose door was closed, or has another token."""
    doors = {sender: sender.door for sender in senders if sender.door is not None}
    if not doors:
        return {}
    cursor = await connection.execute(_DOORS_BY_ID, [[door.id for door in doors.values()]])
    open_still = {(row[0], row[1]) for row in await cursor.fetchall()}
    return {
        sender: Problem(401, UNKNOWN) for sender, door in doors.items() if (door.id, door.version) not in open_still
    }


async def _still(connection: AsyncConnection[Any], statement: str, ids: list[int]) -> dict[int | None, bool]:
    """Whether each id that still stands has the scope."""
    if not ids:
        return {}
    cursor = await connection.execute(statement, {**_WORDS, "ids": ids})
    return {row[0]: row[-1] for row in await cursor.fetchall()}
