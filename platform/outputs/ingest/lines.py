"""Lines to PostgreSQL for the asynchronous face: each is opened when needed and opened anew when it broke."""

import asyncio
import contextlib
import select
from collections.abc import AsyncIterator

import psycopg
from django.db import connections
from psycopg import conninfo

from outputs.services import landing
from outputs.services.landing import Connection

CONNECT_SECONDS = 3
# Longer than a fair wait behind other writers, shorter than a sender's patience.
STATEMENT_SECONDS = 15
TRANSACTION_SECONDS = 20

# What a connection says when the server is gone, restarts, or takes no more: nothing is wrong with the rows.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError, OSError)


class Line:
    """One connection at a time, used by one task at a time."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """A working connection in autocommit mode, closed if the block fails because the server is away.

        Raises:
            one of `AWAY`: the server does not answer, or not in time.
        """
        # The wait for one's turn counts, too: behind a server that hangs nobody waits longer than this.
        async with asyncio.timeout(TRANSACTION_SECONDS), self._turn:
            try:
                yield await self._open()
            except (*AWAY, asyncio.CancelledError):
                # Whatever it was in the middle of is rolled back by the server.
                await self.close()
                raise

    async def close(self) -> None:
        """The connection is closed; the next use opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()

    async def _open(self) -> Connection:
        if self._connection is None or self._connection.closed or _was_left(self._connection):
            await self.close()
            self._connection = await landing.connect(self._address)
        return self._connection


def _was_left(connection: Connection) -> bool:
    """Whether the server has said something to a connection that asks nothing: it restarts, or it is gone."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def address() -> str:
    """The site's database as Django knows it (in tests: the test database), with our limits of time."""
    known = connections["default"].settings_dict
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    given = {libpq: known[django] for libpq, django in names.items() if known.get(django)}
    options = {name: value for name, value in known.get("OPTIONS", {}).items() if isinstance(value, str | int)}
    limits = f"-c statement_timeout={STATEMENT_SECONDS}s -c idle_in_transaction_session_timeout={TRANSACTION_SECONDS}s"
    ours = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "ratchet-ingest",
        "options": f"{options.pop('options', '')} {limits}".strip(),
    }
    return conninfo.make_conninfo(**{**ours, **options, **given, "options": ours["options"]})
