"""The limit that `ingest.single_vs_bare` stands beside: an ASGI endpoint that checks nothing and only copies.

It parses the body, gathers what arrives meanwhile, and answers after the commit. `DATABASE_URL` says where to.
"""

import asyncio
import os
from typing import Any

import orjson
from psycopg import AsyncConnection

COPY = "COPY bench_bare (external_id, body) FROM STDIN"


class Bare:
    """Copies whatever arrives into one indexed table."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers every request with 201 once its row is committed."""
        if scope["type"] == "lifespan":
            await receive()
            self._writer = asyncio.create_task(self._write())
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        while True:
            event = await receive()
            body += event["body"]
            if not event.get("more_body"):
                break
        stored = asyncio.get_running_loop().create_future()
        self._waiting.append((orjson.loads(body)["id"], body.decode(), stored))
        self._arrived.set()
        await stored
        headers = [(b"content-length", b"2"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    async def _write(self) -> None:
        async with await AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                rows, self._waiting = self._waiting, []
                async with connection.cursor().copy(COPY) as copy:
                    for external_id, body, _ in rows:
                        await copy.write_row((external_id, body))
                for _, _, stored in rows:
                    stored.set_result(None)


application = Bare()
