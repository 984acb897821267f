"""A request's body, read under limits of size and of time, before anything looks into it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from core import strict_json
from core.problems import FieldError, Invalid, Problem, Unavailable
from outputs.ingest.asgi import Receive, Scope, header


@dataclass(frozen=True)
class Limits:
    """What the face takes.

    Args:
        body_bytes: of one body, before and after decompression.
        body_seconds: for the whole of one body to arrive.
        held_bytes: of all bodies that are held at one moment.
        linger_seconds: how long a refused sender is still listened to, so that it can read why.
        linger_bytes: likewise, how much.
    """

    body_bytes: int = strict_json.DEFAULT_LIMITS.n_bytes
    body_seconds: float = 30.0
    held_bytes: int = 96 * 1024 * 1024
    linger_seconds: float = 2.0
    linger_bytes: int = 64 * 1024 * 1024


class Gone(Exception):  # nothing went wrong on our side
    """Whoever asked has closed the connection before the body was complete; there is nobody to answer."""


class Room:
    """Counts the bytes that are held, and refuses more than there is room for; one project gets half of it at most."""

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self.n_held = 0
        self._of_project: Counter[int | None] = Counter()

    def take(self, n: int, *, project_id: int | None) -> None:
        """Hold `n` bytes more.

        Raises:
            Unavailable: too many are held at the moment, by all or by this project.
        """
        is_too_much_for_one = project_id is not None and self._of_project[project_id] + n > self.n_bytes // 2
        if self.n_held + n > self.n_bytes or is_too_much_for_one:
            raise Unavailable("Too much is arriving at once; nothing of this request was stored.", retry_after=1)
        self.n_held += n
        self._of_project[project_id] += n

    def give_back(self, n: int, *, project_id: int | None) -> None:
        """So many are held no more."""
        self.n_held -= n
        self._of_project[project_id] -= n
        if not self._of_project[project_id]:
            del self._of_project[project_id]

    @contextlib.contextmanager
    def share(self) -> Iterator["Share"]:
        """A request's part of the room, given back at the end whatever happens."""
        share = Share(self)
        try:
            yield share
        finally:
            share.give_back()


class Share:
    """What one request holds; `project_id` is set once it is known who sends, before anything is held."""

    def __init__(self, room: Room) -> None:
        self.project_id: int | None = None
        self.n_bytes = 0
        self._room = room

    def take(self, n: int) -> None:
        """Hold `n` bytes more, or raise `Unavailable`."""
        self._room.take(n, project_id=self.project_id)
        self.n_bytes += n

    def give_back(self) -> None:
        """Nothing is held any more."""
        if self.n_bytes:
            self._room.give_back(self.n_bytes, project_id=self.project_id)
        self.n_bytes = 0


class Incoming:
    """A request's body as it comes in; `is_complete` once nothing of it is left to come."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_complete = False

    async def chunk(self) -> bytes:
        """The next piece.

        Raises:
            Gone: the sender left.
        """
        event = await self._receive()
        if event["type"] == "http.disconnect":
            raise Gone
        self.is_complete = not event.get("more_body", False)
        return bytes(event.get("body", b""))

    async def discard(self, *, n_bytes: int, seconds: float) -> bool:
        """Take in what is still to come, up to these limits, and keep nothing; says whether it was all."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.is_complete and n_bytes > 0:
                    n_bytes -= len(await self.chunk())
        return self.is_complete


async def read(scope: Scope, incoming: Incoming, limits: Limits, share: Share) -> bytes:
    """The complete body as it was sent.

    Raises:
        Problem: 413 over the limit of bytes (at once where the length is declared), 408 over the limit of
            time. Unavailable: no room at the moment. Gone: the sender left.
    """
    declared = header(scope, b"content-length")
    if declared.isdecimal() and int(declared[:20]) > limits.body_bytes:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _read_all(incoming, limits, share)
    except TimeoutError:
        detail = f"The body was not complete after {limits.body_seconds:g} s; nothing of it was stored."
        raise Problem(408, detail) from None


async def inflated(scope: Scope, body: bytes, limits: Limits, share: Share) -> bytes:
    """The body without its Content-Encoding.

    Raises:
        Problem: 415 for another encoding than gzip, 413 over the limit.
        Invalid: no complete gzip stream.
    """
    encoding = header(scope, b"content-encoding").lower()
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise Problem(415, f"Content-Encoding {encoding[:40]!r} is not taken: send gzip or none.")
    try:
        text = await asyncio.to_thread(strict_json.inflate, body, limit=limits.body_bytes)
    except strict_json.TooLarge:
        raise _too_large(limits) from None
    except strict_json.Refused as refused:
        raise Invalid(FieldError("body", refused.message)) from None
    share.take(len(text))
    return text


async def _read_all(incoming: Incoming, limits: Limits, share: Share) -> bytes:
    first = await incoming.chunk()
    body = bytearray()
    piece = first
    while True:
        if len(body) + len(piece) > limits.body_bytes:
            raise _too_large(limits)
        share.take(len(piece))
        if incoming.is_complete and piece is first:
            return first  # most come in one piece, which is not copied
        body += piece
        if incoming.is_complete:
            return bytes(body)
        piece = await incoming.chunk()


def _too_large(limits: Limits) -> Problem:
    n = limits.body_bytes
    return Problem(413, f"The body is larger than {n} bytes after decompression; send fewer rows at a time.")
