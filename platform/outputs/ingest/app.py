"""The ingest face: `POST /api/v1/outputs` and `POST /api/v1/feedback`.

A request is checked from the outside in: who sends, how much, is it JSON, is each row right. Only then does
it join a transaction, and only its commit is answered with a 2xx.
"""

import asyncio
import contextlib
import datetime as dt
import functools
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings

from core import clock, rest
from core.problems import FieldError, Invalid, Problem, Unavailable
from ledger import handovers, idempotency
from outputs import records, senders
from outputs.ingest import answers, batches, bodies, lines, members, store
from outputs.ingest.answers import Answer
from outputs.ingest.asgi import Receive, Scope, Send, header
from outputs.ingest.batcher import Batcher, Widths
from outputs.ingest.batches import Batch, Kind
from outputs.ingest.bodies import Incoming, Limits, Room, Share
from outputs.ingest.lines import AWAY, Line
from outputs.ingest.ringer import Ringer
from outputs.ingest.store import FEEDBACK, OUTPUTS, Submission
from outputs.senders import Sender
from outputs.services import feedback, outputs
from outputs.services.repeats import Ask

logger = logging.getLogger(__name__)

ROUTES = {"/api/v1/outputs": OUTPUTS, "/api/v1/feedback": FEEDBACK}
# `GET /api/v1/outputs` is Django's.
READ_ELSEWHERE = {"/api/v1/outputs": ("GET", "HEAD", "OPTIONS")}
KINDS = {
    OUTPUTS: Kind(records.OutputRecord, outputs.arrival_of),
    FEEDBACK: Kind(records.FeedbackRecord, feedback.arrival_of),
}
LONGEST_KEY = 200
# A known key's next requests are read without asking the database first; the transaction that stores asks
# anyway.
KNOWN_SECONDS = 2.0
MOST_KNOWN = 1_000
# A larger body is read in a thread, so that small ones are answered meanwhile; one at a time, for the memory it takes.
IN_THREAD_BYTES = 512 * 1024


def is_ours(scope: Scope) -> bool:
    """Whether this request is for the ingest face and not for Django's."""
    path = scope["path"]
    return scope["type"] == "http" and path in ROUTES and scope["method"] not in READ_ELSEWHERE.get(path, ())


class Ingest:
    """The ASGI application; `start` before the first request, `stop` after the last."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        widths: Widths | None = None,
        now: Callable[[], dt.datetime] = clock.now,
    ) -> None:
        self.limits = limits or Limits()
        self._widths = widths or Widths()
        self._now = now
        self._known: OrderedDict[bytes, tuple[Sender, float]] = OrderedDict()

    async def start(self) -> None:
        """Requests can be served. The database need not answer yet: it is asked when it is needed."""
        address = lines.address()
        self._large = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest-large")
        self._room = Room(self.limits.held_bytes)
        self._asking = Line(address)
        self._ringer = Ringer([settings.HANDOVER_BELLS[name] for name in handovers.consumers_of(outputs.TOPIC)])
        self._batcher = Batcher(address, now=self._now, on_stored=self._ringer.want, widths=self._widths)
        self._ringer.start()
        self._batcher.start()

    async def stop(self) -> None:
        """Nothing runs any more and no connection is left."""
        await self._batcher.stop()
        await self._ringer.stop()
        await self._asking.close()
        self._large.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(receive)
        try:
            with self._room.share() as share:
                answer = await self._answer(scope, incoming, share)
        except bodies.Gone:
            return
        except Exception as error:
            answer = answers.of_problem(_problem_of(error))
        with contextlib.suppress(bodies.Gone):
            await answers.give(send, answer, incoming, self.limits)

    async def _answer(self, scope: Scope, incoming: Incoming, share: Share) -> Answer:
        _refuse_other_methods(scope)
        sender = await self._sender(scope)
        in_lines = batches.is_lines(header(scope, b"content-type"))
        body = await bodies.read(scope, incoming, self.limits, share)
        body = await bodies.inflated(scope, body, self.limits, share)
        kind = ROUTES[scope["path"]]
        ask = _ask(scope, sender, body)
        batch = await self._read(body, KINDS[kind], sender, in_lines=in_lines)
        del body
        if batch.rejected and not batch.rows:
            raise store.nothing_stored(batch.rejected)
        return await self._batcher.submit(Submission(sender=sender, kind=kind, batch=batch, ask=ask))

    async def _read(self, body: bytes, kind: Kind, sender: Sender, *, in_lines: bool) -> Batch:
        reading = functools.partial(
            batches.read, body, kind, lines=in_lines, project_id=sender.project_id, hash_key=sender.hash_key
        )
        if len(body) <= IN_THREAD_BYTES:
            return reading()
        return await asyncio.get_running_loop().run_in_executor(self._large, reading)

    async def _sender(self, scope: Scope) -> Sender:
        """Who sends, as far as is known without the transaction that stores.

        Raises:
            Problem: 401 or 403.
            Unavailable: the database does not answer.
        """
        authorization = header(scope, b"authorization")
        if not authorization:
            return await asyncio.to_thread(members.sender_of, scope)
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Problem(401, senders.UNKNOWN)
        return await self._sender_by_key(key.strip())

    async def _sender_by_key(self, key: str) -> Sender:
        mark = hashlib.sha256(key.encode("utf-8")).digest()
        sender, until = self._known.get(mark, (None, 0.0))
        if sender is not None and time.monotonic() < until:
            return sender
        self._known.pop(mark, None)
        async with self._asking.use() as connection:
            sender = await senders.by_key(connection, key)
        self._known[mark] = (sender, time.monotonic() + KNOWN_SECONDS)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return sender


def _refuse_other_methods(scope: Scope) -> None:
    if scope["method"] != "POST":
        allowed = (*READ_ELSEWHERE.get(scope["path"], ()), "POST")
        raise NotAllowed(scope["method"], allowed)


def _ask(scope: Scope, sender: Sender, body: bytes) -> Ask | None:
    """The request's Idempotency-Key with all that makes two requests the same; the body counts uncompressed.

    Raises:
        Invalid: a key that is no key.
    """
    key = header(scope, b"idempotency-key")
    if not key:
        return None
    if len(key) > LONGEST_KEY or not key.isprintable():
        raise Invalid(
            FieldError("Idempotency-Key", f"has {len(key)} characters; send 1 to {LONGEST_KEY} printable ones")
        )
    query = scope.get("query_string", b"").decode("latin-1")
    path = f"{scope['path']}?{query}" if query else scope["path"]
    digest = idempotency.digest(scope["method"], path, body)
    return Ask(project_id=sender.project_id, actor=sender.identity, key=key, digest=digest)


def _problem_of(error: Exception) -> Problem:
    """What a failure is to whoever asked; a fault of ours is logged and says that nothing was stored."""
    if isinstance(error, AWAY):
        logger.warning("the database does not answer: %s", error)
        return Unavailable("The database does not answer; nothing was stored. Try again.", retry_after=2)
    known = rest.as_problem(error)
    if known is None:
        logger.error("a request failed", exc_info=error)
        return Problem(500, "Something broke here; nothing of this request was stored.")
    return known


class NotAllowed(Problem):
    """405 with the methods that are."""

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(405, f"{method[:20]} is not possible here; use {' or '.join(allowed)}.")
        self.allowed = allowed

    def headers(self) -> dict[str, str]:
        return {**super().headers(), "Allow": ", ".join(self.allowed)}
