"""The ingest face in this process, spoken to by ASGI messages: pieces, pauses and hang-ups are exact."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from outputs.ingest.app import Ingest, is_ours
from outputs.ingest.asgi import Application, Scope
from outputs.ingest.bodies import Limits

OUTPUTS = "/api/v1/outputs"
FEEDBACK = "/api/v1/feedback"
JSON = "application/json"
NDJSON = "application/x-ndjson"

T = TypeVar("T")


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Accepted, duplicates, rejected."""
        found = self.document
        return found["accepted"], found["duplicates"], len(found["rejected"])

    @property
    def rejected(self) -> dict[int, list[str]]:
        """The fields that are wrong, by row."""
        return {row["index"]: [error["field"] for error in row["errors"]] for row in self.document["rejected"]}


@dataclass
class Request:
    """A request that may be told anything: `pieces` are sent one by one; `None` among them hangs up."""

    headers: dict[str, str]
    pieces: Iterable[bytes | None]
    path: str = OUTPUTS
    method: str = "POST"
    pause: Callable[[], Awaitable[None]] | None = None
    never_ends: bool = False
    query: str = ""

    async def to(self, app: Application, is_ours: Callable[[Scope], bool] = is_ours) -> Reply | None:
        """What was answered; None where nothing was."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "method": self.method,
            "path": self.path,
            "raw_path": self.path.encode(),
            "root_path": "",
            "query_string": self.query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in self.headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        assert is_ours(scope)
        sent: list[dict[str, Any]] = []
        events = self._events()

        async def receive() -> dict[str, Any]:
            if self.pause is not None:
                await self.pause()
            event: dict[str, Any] | None = next(events, None)
            if event is None:
                await asyncio.Event().wait()  # an open connection says nothing more
            assert event is not None
            return event

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)
        return _reply(sent)

    def _events(self) -> Any:
        pieces = list(self.pieces) if isinstance(self.pieces, list) else self.pieces
        waiting: bytes | None = None
        for piece in pieces:
            if waiting is not None:
                yield {"type": "http.request", "body": waiting, "more_body": True}
            if piece is None:
                yield {"type": "http.disconnect"}
                return
            waiting = piece
        yield {"type": "http.request", "body": waiting or b"", "more_body": self.never_ends}


def post(body: Any, key: str = "", *, path: str = OUTPUTS, **headers: str) -> Request:
    """A usual request: `body` as JSON unless it is bytes; `headers` with underscores for hyphens."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"Content-Type": JSON, **({"Authorization": f"Bearer {key}"} if key else {})}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    if told.get("Content-Encoding") == "gzip":
        content = gzip.compress(content)
    return Request(told, [content], path)


def lines(rows: Sequence[Any]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def ask(*requests: Request, limits: Limits | None = None, **settings: Any) -> Reply:
    """The answer to the last of these requests, sent one after the other to a face of its own."""

    async def talk(app: Ingest) -> Reply | None:
        found = None
        for request in requests:
            found = await request.to(app)
        return found

    found = during(talk, limits=limits, **settings)
    assert found is not None, "nothing was answered"
    return found


def during(talk: Callable[[Ingest], Awaitable[T]], **settings: Any) -> T:
    """What `talk` returns, told to a running face."""

    async def live() -> T:
        app = Ingest(**settings)
        await app.start()
        try:
            return await talk(app)
        finally:
            await app.stop()

    return asyncio.run(live())


def an_output(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A row as a sender makes it."""
    return {"id": f"o{number}", "input": f"question {number}", "output": f"answer {number}", **fields}


def _reply(sent: list[dict[str, Any]]) -> Reply | None:
    if not sent:
        return None
    start, *bodies = sent
    assert start["type"] == "http.response.start"
    assert not bodies[-1].get("more_body"), "the answer was not finished"
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    body = b"".join(message["body"] for message in bodies)
    assert int(headers["content-length"]) == len(body)
    return Reply(start["status"], headers, body)
