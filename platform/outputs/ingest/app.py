"""The ingest face: the addresses of `ROUTES`, at which outputs and what belongs to them arrive.

A request is checked from the outside in: who sends, how much, is it JSON, is each row right. Only then does
it join a transaction, and only its commit is answered with a 2xx.
"""

import contextlib
import datetime as dt
import functools
import logging
from collections.abc import Callable, Mapping

from django.conf import settings

from core import clock, rest
from core.problems import FieldError, Invalid, Problem, Unavailable
from ledger import handovers, idempotency
from outputs import records
from outputs.ingest import answers, bodies, doors, lines
from outputs.ingest.answers import Answer
from outputs.ingest.asgi import Receive, Scope, Send, header
from outputs.ingest.batcher import Batcher, Widths
from outputs.ingest.batches import Rows
from outputs.ingest.bodies import Incoming, Limits, Room, Share
from outputs.ingest.counting import Refusals
from outputs.ingest.known import Known
from outputs.ingest.lines import AWAY
from outputs.ingest.otlp.logs import Logs
from outputs.ingest.otlp.traces import Traces
from outputs.ingest.pressure import Pressure
from outputs.ingest.ringer import Ringer
from outputs.ingest.routes import Batch, Outcome, Route
from outputs.ingest.store import FEEDBACK, OUTPUTS, Submission
from outputs.ingest.turns import Turns
from outputs.reception import Reception
from outputs.senders import Sender
from outputs.services import feedback, outputs
from outputs.services.repeats import Ask
from outputs.services.tallies import Source

logger = logging.getLogger(__name__)

ROUTES: Mapping[str, Route] = {
    "/api/v1/outputs": Rows(OUTPUTS, records.OutputRecord, outputs.arrival_of, elsewhere=("GET", "HEAD", "OPTIONS")),
    "/api/v1/feedback": Rows(FEEDBACK, records.FeedbackRecord, feedback.arrival_of),
    "/v1/traces": Traces(),
    "/v1/logs": Logs(),
}
LONGEST_KEY = 200
# A larger body is read in a thread, so that small ones are answered meanwhile; one at a time, for the memory it takes.
IN_THREAD_BYTES = 512 * 1024
# So is one of many tiny parts, however short: each part costs more than its bytes.
IN_THREAD_PARTS = 10_000


def is_ours(scope: Scope) -> bool:
    """Whether this request is for the ingest face and not for Django's."""
    route = ROUTES.get(scope["path"]) if scope["type"] == "http" else None
    return route is not None and scope["method"] not in route.elsewhere


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

    async def start(self) -> None:
        """Requests can be served. The database need not answer yet: it is asked when it is needed."""
        address = lines.address()
        self._large = Turns("ingest-large")
        self._room = Room(self.limits.held_bytes)
        self._known = Known(address)
        self._pace = doors.Pace()
        self._pressure = Pressure(address, now=self._now)
        self._refusals = Refusals(address, now=self._now)
        self._ringer = Ringer([settings.HANDOVER_BELLS[name] for name in handovers.consumers_of(outputs.TOPIC)])
        self._batcher = Batcher(address, now=self._now, on_stored=self._ringer.want, widths=self._widths)
        self._refusals.start()
        self._ringer.start()
        self._batcher.start()

    async def stop(self) -> None:
        """Nothing runs any more and no connection is left."""
        await self._batcher.stop()
        await self._ringer.stop()
        await self._pressure.close()
        await self._refusals.stop()
        await self._known.close()
        self._large.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(receive)
        route = ROUTES[scope["path"]]
        try:
            with self._room.share() as share:
                answer = await self._answer(route, scope, incoming, share)
        except bodies.Gone:
            return
        except Exception as error:
            answer = route.refusal(_problem_of(error), scope)
        with contextlib.suppress(bodies.Gone):
            await answers.give(send, answer, incoming, self.limits)

    async def _answer(self, route: Route, scope: Scope, incoming: Incoming, share: Share) -> Answer:
        if doors.is_preflight(scope):
            return doors.preflight(scope, is_welcome=await self._known.is_welcome(header(scope, b"origin")))
        _refuse_other_methods(route, scope)
        sender = await self._known.sender(scope)
        if sender.door is None:
            return await self._taken(route, sender, scope, incoming, share)
        slot = doors.Slot(sender.door)
        try:
            self._pace.take(sender.door.id)
            answer = await self._taken(slot, sender, scope, incoming, share)
        except bodies.Gone:
            raise
        except Exception as error:
            answer = slot.refusal(_problem_of(error), scope)
        return doors.readable(answer, scope, sender.door)

    async def _taken(self, route: Route, sender: Sender, scope: Scope, incoming: Incoming, share: Share) -> Answer:
        """Counted, whatever becomes of it."""
        source = self._refusals.source(sender, scope)
        try:
            return await self._let_in(route, sender, source, scope, incoming, share)
        except bodies.Gone:
            raise
        except Exception as error:
            problem = _problem_of(error)
            self._refusals.refuse(source, problem)
            raise problem from error

    async def _let_in(
        self, route: Route, sender: Sender, source: Source, scope: Scope, incoming: Incoming, share: Share
    ) -> Answer:
        await self._pressure.admit(sender.project_id)
        share.project_id = sender.project_id
        route.check(scope)
        limits = doors.limits(sender, self.limits)
        body = await bodies.read(scope, incoming, limits, share)
        body = await bodies.inflated(scope, body, limits, share)
        self._pressure.weigh(sender.project_id, len(body))
        # What was answered before is nothing that a door tells.
        ask = None if sender.door else _ask(scope, sender, body)
        reception = await self._known.reception(sender.project_id)
        batch = await self._read(route, body, scope, reception.of_a_body())
        n_bytes = len(body)
        del body
        n_sent = batch.n_rows + batch.n_silent + len(batch.rejected)
        await self._pressure.charge(sender.project_id, n_sent=n_sent, n_rows=batch.n_rows)
        source = self._refusals.named(source, batch.instrument)
        if batch.rejected and not (batch.n_rows or batch.n_silent):
            self._refusals.reject(source, batch, n_bytes)
            return route.answer(Outcome(0, 0, batch.rejected), scope)
        answer = functools.partial(route.answer, scope=scope)
        return await self._stored(Submission(sender, batch, answer, ask, source, n_bytes))

    async def _stored(self, submission: Submission) -> Answer:
        """Rows that turn out not to be new cost the sender's quota nothing."""
        n_new = 0
        try:
            answer = await self._batcher.submit(submission)
            if answer.status < 300 and submission.count is not None:
                n_new = submission.count.accepted - submission.batch.n_silent
            return answer
        finally:
            self._pressure.settle(submission.sender.project_id, n_unused=submission.n_rows - n_new)

    async def _read(self, route: Route, body: bytes, scope: Scope, reception: Reception) -> Batch:
        if len(body) <= IN_THREAD_BYTES and body.count(b",") + body.count(b"\n") <= IN_THREAD_PARTS:
            return route.read(body, scope, reception)
        return await self._large.run(reception.project_id, route.read, body, scope, reception)


def _refuse_other_methods(route: Route, scope: Scope) -> None:
    if scope["method"] != "POST":
        raise NotAllowed(scope["method"], (*route.elsewhere, "POST"))


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
