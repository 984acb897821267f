"""What stands around both faces: the life of the process, and bodies received before a thread is taken."""

import contextlib
import logging
from collections.abc import Awaitable, Callable

from core.problems import Problem
from outputs.ingest import answers, bodies
from outputs.ingest.asgi import Application, Event, Receive, Scope, Send, header
from outputs.ingest.bodies import Incoming, Limits, Room

logger = logging.getLogger(__name__)


async def live(
    receive: Receive, send: Send, *, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]
) -> None:
    """ASGI's lifespan: `start` before the first request, `stop` after the last."""
    await receive()
    await start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await stop()
    await send({"type": "lifespan.shutdown.complete"})


class Buffered:
    """Hands on requests whose body has come in whole; the others are answered 413, 408 or 503 here.

    Args:
        inner: the application behind.
        limits: of one body and of all.
    """

    def __init__(self, inner: Application, *, limits: Limits) -> None:
        self._inner = inner
        self._limits = limits
        self._room = Room(limits.held_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _has_body(scope):
            await self._inner(scope, receive, send)
            return
        incoming = Incoming(receive)
        with self._room.share() as share, contextlib.suppress(bodies.Gone):
            try:
                body = await bodies.read(scope, incoming, self._limits, share)
            except Problem as problem:
                await answers.give(send, answers.of_problem(problem), incoming, self._limits)
            else:
                await self._inner(scope, _again(body, receive), send)


def _has_body(scope: Scope) -> bool:
    return header(scope, b"content-length") not in ("", "0") or bool(header(scope, b"transfer-encoding"))


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, in one piece; then whatever else comes."""
    waiting: list[Event] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_event() -> Event:
        return waiting.pop() if waiting else await receive()

    return next_event
