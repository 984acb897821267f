"""Answers as ASGI messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from core.problems import CONTENT_TYPE, Problem
from outputs.ingest.asgi import Send
from outputs.ingest.bodies import Incoming, Limits

# What is probably in our buffers already when a request is refused before its body is read.
AT_HAND_BYTES = 256 * 1024
AT_HAND_SECONDS = 0.05


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    def start(self, *, close: bool) -> dict[str, Any]:
        """The message that begins it; `close` ends the connection after it."""
        headers = {
            **self.headers,
            "Content-Length": str(len(self.body)),
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        if close:
            headers["Connection"] = "close"
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        return {"type": "http.response.start", "status": self.status, "headers": encoded}


def of_problem(problem: Problem) -> Answer:
    """Problem details (RFC 9457)."""
    headers = {**problem.headers(), "Content-Type": CONTENT_TYPE}
    return Answer(problem.status, orjson.dumps(problem.as_dict()), headers)


async def give(send: Send, answer: Answer, incoming: Incoming, limits: Limits) -> None:
    """The answer is sent, in a way that a sender who is still sending can read it too.

    Whoever is cut off in the middle of a body loses the answer with the connection. So a little is taken in
    before; beyond that the connection is to be closed, and the sender listened to for a moment longer.
    """
    close = not (incoming.is_complete or await incoming.discard(n_bytes=AT_HAND_BYTES, seconds=AT_HAND_SECONDS))
    await send(answer.start(close=close))
    await send({"type": "http.response.body", "body": answer.body, "more_body": close})
    if close:
        await incoming.discard(n_bytes=limits.linger_bytes, seconds=limits.linger_seconds)
        await send({"type": "http.response.body", "body": b""})
