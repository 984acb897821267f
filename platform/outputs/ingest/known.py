"""Who sends and how the project takes rows in, remembered for a moment so that a busy sender is not asked for twice.

What is remembered only decides whether a body is worth reading: the transaction that stores asks again.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from core.problems import Problem
from outputs import reception, senders
from outputs.ingest import members
from outputs.ingest.asgi import Scope, header
from outputs.ingest.lines import Line
from outputs.reception import Reception
from outputs.senders import Sender

REMEMBERED_SECONDS = 2.0
MOST_REMEMBERED = 1_000

T = TypeVar("T")


class _Memory(Generic[T]):
    """Values by key, each for `REMEMBERED_SECONDS`."""

    def __init__(self) -> None:
        self._values: OrderedDict[bytes, tuple[T, float]] = OrderedDict()

    async def of(self, key: bytes, ask: Callable[[], Awaitable[T]]) -> T:
        found = self._values.get(key)
        if found is not None and time.monotonic() < found[1]:
            return found[0]
        self._values.pop(key, None)
        value = await ask()
        self._values[key] = value, time.monotonic() + REMEMBERED_SECONDS
        while len(self._values) > MOST_REMEMBERED:
            self._values.popitem(last=False)
        return value


class Known:
    """Answers who sends, and how that project takes rows in.

    Args:
        address: of PostgreSQL.
    """

    def __init__(self, address: str) -> None:
        self._asking = Line(address)
        self._senders: _Memory[Sender] = _Memory()
        self._receptions: _Memory[Reception] = _Memory()
        self._origins: _Memory[bool] = _Memory()

    async def close(self) -> None:
        """No connection is left."""
        await self._asking.close()

    async def sender(self, scope: Scope) -> Sender:
        """Who sends, as far as is known without the transaction that stores.

        Raises:
            Problem: 401 or 403.
            one of `lines.AWAY`: the database does not answer.
        """
        authorization = header(scope, b"authorization")
        if not authorization:
            return await asyncio.to_thread(members.sender_of, scope)
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Problem(401, senders.UNKNOWN)
        mark = hashlib.sha256(key.strip().encode("utf-8")).digest()
        return await self._senders.of(mark, lambda: self._by_key(key.strip()))

    async def is_welcome(self, origin: str) -> bool:
        """Whether a feedback door is open for pages of this origin.

        Raises:
            one of `lines.AWAY`: the database does not answer.
        """
        return await self._origins.of(origin.encode("latin-1"), lambda: self._ask_for(origin))

    async def reception(self, project_id: int) -> Reception:
        """How this project takes rows in; a change of its settings is known after `REMEMBERED_SECONDS`.

        Raises:
            Missing: it is gone.
            one of `lines.AWAY`: the database does not answer.
        """
        return await self._receptions.of(project_id.to_bytes(8, "big"), lambda: self._load(project_id))

    async def _by_key(self, key: str) -> Sender:
        async with self._asking.use() as connection:
            return await senders.by_key(connection, key)

    async def _ask_for(self, origin: str) -> bool:
        async with self._asking.use() as connection:
            return await senders.is_welcome(connection, origin)

    async def _load(self, project_id: int) -> Reception:
        async with self._asking.use() as connection:
            return await reception.load(connection, project_id)
