"""Answers as ASGI messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from core.problems import CONTENT_TYPE, Problem
from outputs.ingest.asgi import Send


@dataclass(frozen=True)
class Answer:
    """A whole answer; `close` ends the connection after it."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    close: bool = False

    def start(self) -> dict[str, Any]:
        """The message that begins it."""
        headers = {
            **self.headers,
            "Content-Length": str(len(self.body)),
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        if self.close:
            headers["Connection"] = "close"
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        return {"type": "http.response.start", "status": self.status, "headers": encoded}


def of_problem(problem: Problem, *, close: bool = False) -> Answer:
    """Problem details (RFC 9457)."""
    headers = {**problem.headers(), "Content-Type": CONTENT_TYPE}
    return Answer(problem.status, orjson.dumps(problem.as_dict()), headers, close=close)


async def send_whole(send: Send, answer: Answer) -> None:
    """The answer is sent."""
    await send(answer.start())
    await send({"type": "http.response.body", "body": answer.body})
