"""Files on their way in: opened, filled piece by piece, and complete. For the asynchronous face.

Nothing of a file is anywhere but in the database: web processes and workers share nothing else.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from core.problems import Conflict, FieldError, Invalid, Missing, Problem
from outputs.senders import Sender

# Of one project, touched within this time: whoever holds more open is not sending, but hoarding.
MOST_AT_ONCE = 4
FRESH = dt.timedelta(minutes=10)
MOST_UNFINISHED = 20

# One opens after the other, so that the count before each is true.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('outputs.imports'), %s)"
_COUNT = """
    SELECT count(*) FILTER (WHERE touched_at > %(fresh)s), count(*) FROM outputs_import
    WHERE project_id = %(project)s AND state IN ('uploading', 'arrived', 'ready')"""
_OPEN = """
    INSERT INTO outputs_import (project_id, format, kind, name, size, mapping, state, created_at, touched_at,
        created_by, received_bytes, error, cursor, n_rows, n_stored, n_duplicates, n_rejected, attempts, lease_token)
    VALUES (%(project)s, %(format)s, %(kind)s, %(name)s, %(size)s, %(mapping)s, 'uploading', %(now)s, %(now)s,
        COALESCE((SELECT email FROM projects_user WHERE id = %(user)s), %(identity)s),
        0, '', '{}', 0, 0, 0, 0, 0, 0)
    RETURNING id"""
_ADD = 'INSERT INTO outputs_importpiece (of_id, "offset", body) VALUES (%s, %s, %b)'
_GROW = """
    UPDATE outputs_import SET received_bytes = received_bytes + %(n)s, touched_at = %(now)s
    WHERE id = %(id)s AND state = 'uploading' AND received_bytes = %(offset)s RETURNING id"""
_COMPLETE = """
    UPDATE outputs_import SET state = %(state)s, size = received_bytes, touched_at = %(now)s,
        mapping = %(mapping)s, format = %(format)s, kind = %(kind)s, name = %(name)s
    WHERE id = %(id)s AND state = 'uploading' RETURNING id"""
_HOLD = """
    SELECT state, size, received_bytes FROM outputs_import WHERE id = %s AND project_id = %s AND size IS NOT NULL
    FOR UPDATE"""
_KNOWN = """SELECT body = %b FROM outputs_importpiece WHERE of_id = %s AND "offset" = %s"""
_ARRIVE = "UPDATE outputs_import SET state = 'arrived' WHERE id = %s"
_DROP = "DELETE FROM outputs_importpiece WHERE of_id = %s"
_FORGET = "DELETE FROM outputs_import WHERE id = %s AND state = 'uploading' RETURNING id"


class TooManyUploads(Problem):
    """The project holds enough unfinished uploads."""

    def __init__(self, n: int) -> None:
        detail = f"{n} uploads of this project are not finished; finish, start or cancel one first."
        super().__init__(429, detail, retry_after=30)


class OutOfPlace(Conflict):
    """A piece does not join what is here; `received_bytes` says where the next one belongs."""

    def __init__(self, said: str, received: int) -> None:
        super().__init__(f"{said} The next piece begins at byte {received}.")
        self.extra = {"received_bytes": received}


@dataclass(frozen=True)
class Wanted:
    """What somebody wants to import."""

    format: str
    kind: str
    name: str
    size: int | None
    mapping: dict[str, str | None] | None


@dataclass(frozen=True)
class Received:
    """How much of a file is here."""

    state: str
    size: int
    received_bytes: int


async def open_upload(connection: AsyncConnection[Any], wanted: Wanted, *, by: Sender, now: dt.datetime) -> int:
    """An import waits for its file; returns its id.

    Raises:
        TooManyUploads: the project has enough of them.
    """
    async with connection.transaction():
        await connection.execute(_LOCK, [by.project_id % 2**31])
        asked = await connection.execute(_COUNT, {"fresh": now - FRESH, "project": by.project_id})
        row = await asked.fetchone()
        n_fresh, n = row or (0, 0)
        if n_fresh >= MOST_AT_ONCE or n >= MOST_UNFINISHED:
            raise TooManyUploads(n)
        kind, _, number = by.identity.partition(":")
        said = {
            **_said(wanted),
            "project": by.project_id,
            "size": wanted.size,
            "identity": by.identity,
            "user": int(number) if kind == "user" else None,
            "now": now,
        }
        made = await (await connection.execute(_OPEN, said)).fetchone()
    assert made is not None  # noqa: S101 # an INSERT without conflict returns its row
    return int(made[0])


async def add(connection: AsyncConnection[Any], import_id: int, offset: int, body: bytes, *, now: dt.datetime) -> None:
    """The next bytes of an upload that nobody else knows of are here.

    Raises:
        Missing: it was cancelled, or taken for abandoned.
    """
    async with connection.transaction():
        await _add(connection, import_id, offset, body, now)


async def complete(connection: AsyncConnection[Any], import_id: int, wanted: Wanted, *, now: dt.datetime) -> None:
    """The file is here, and waits for a worker to store its rows; in the running transaction.

    Raises:
        Missing: it was cancelled, or taken for abandoned.
    """
    said = {**_said(wanted), "id": import_id, "state": "waiting", "now": now}
    if not await (await connection.execute(_COMPLETE, said)).fetchall():
        raise Missing("import")


async def forget(connection: AsyncConnection[Any], import_id: int) -> None:
    """An upload that broke off never was; one whose file is complete stays, whoever was told so."""
    async with connection.transaction():
        forgotten = await connection.execute(_FORGET, [import_id])
        if await forgotten.fetchall():
            await connection.execute(_DROP, [import_id])


async def put(
    connection: AsyncConnection[Any], import_id: int, offset: int, body: bytes, *, by: Sender, now: dt.datetime
) -> Received:
    """The piece stands at its place; a repeat of one that is here changes nothing.

    Raises:
        Missing: the project has no such upload.
        OutOfPlace: it does not join the piece before it, or says something else than is here.
        Invalid: it reaches beyond the end that was declared.
    """
    async with connection.transaction():
        row = await (await connection.execute(_HOLD, [import_id, by.project_id])).fetchone()
        if row is None:
            raise Missing("upload")
        state, size, received = row
        if offset < received or state != "uploading":
            return await _repeated(connection, import_id, offset, body, Received(state, size, received))
        if offset > received:
            raise OutOfPlace(f"Bytes {received} to {offset} are missing.", received)
        if offset + len(body) > size:
            said = f"reaches to byte {offset + len(body)}, and the file was said to have {size} bytes"
            raise Invalid(FieldError("body", said))
        await _add(connection, import_id, offset, body, now)
        received += len(body)
        if received == size:
            state = "arrived"
            await connection.execute(_ARRIVE, [import_id])
    return Received(state, size, received)


async def _add(connection: AsyncConnection[Any], import_id: int, offset: int, body: bytes, now: dt.datetime) -> None:
    grown = await connection.execute(_GROW, {"n": len(body), "now": now, "id": import_id, "offset": offset})
    if not await grown.fetchall():
        raise Missing("upload")
    await connection.execute(_ADD, [import_id, offset, body])


async def _repeated(
    connection: AsyncConnection[Any], import_id: int, offset: int, body: bytes, found: Received
) -> Received:
    same = await (await connection.execute(_KNOWN, [body, import_id, offset])).fetchone()
    if same is None and found.state != "uploading" and offset + len(body) <= found.received_bytes:
        return found  # its pieces may be dropped by now
    if same is None or not same[0]:
        raise OutOfPlace("Something else stands at this place.", found.received_bytes)
    return found


def _said(wanted: Wanted) -> dict[str, Any]:
    mapping = None if wanted.mapping is None else Jsonb(wanted.mapping)
    return {"format": wanted.format, "kind": wanted.kind, "name": wanted.name, "mapping": mapping}
