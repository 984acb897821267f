"""The drain: one worker's visit to a run. Claims, asks, scores and stores for a minute, then leaves.

Model calls wait on the network, so one event loop keeps hundreds of them in flight; everything that speaks with the
database is an errand of the clerk's thread, and one errand (a *round*) stores what has come back, looks after the
share, and claims what there is room for. A case is claimed when there is room for its call, or just before.
"""

import asyncio
import contextlib
import datetime as dt
import hashlib
import logging
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import DataError, IntegrityError

from core import clock
from evals.engine import share
from evals.engine.clerk import Clerk
from evals.engine.heartbeat import Heartbeat
from evals.engine.share import Share
from evals.models import Result, Run
from evals.scorers import Panel
from evals.services import work
from evals.services.work import Finished, Work
from evals.targets import Answer, Question, Target

logger = logging.getLogger(__name__)

CLAIMING_S = 60.0
# Where another run has work and nobody at it, a visit ends after this long: no project may starve another.
POLITE_AFTER_S = 5.0
# An answer waits this long for others to be stored with it. With the round itself it stays below 200 ms.
FLUSH_S = 0.1
# Between two rounds, even where slots stand empty.
BREATH_S = 0.02
# Where nothing could be claimed while calls are in flight, it is tried again after this long.
LOOK_AGAIN_S = 1.0
LONGEST_RETRY_S = 60.0


@dataclass
class Drain:
    """One visit. `work` is the whole of it; the rest is its memory.

    Args:
        run: as it was when the visit began.
        target: what answers.
        panel: the run's scorers.
        share: how many calls may be in flight.
        claiming_s: for how long new work is claimed.
    """

    run: Run
    target: Target
    panel: Panel
    share: Share
    claiming_s: float = CLAIMING_S
    clerk: Clerk = field(default_factory=Clerk)
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    ready: deque[Work] = field(default_factory=deque)
    in_flight: set[asyncio.Task[None]] = field(default_factory=set)
    answers: list[Finished] = field(default_factory=list)
    width: int = 0
    call_s: float | None = None
    is_dry: bool = False
    loop: asyncio.AbstractEventLoop = field(init=False)
    stirred: asyncio.Event = field(init=False)
    claims_until: float = field(init=False)
    polite_at: float = field(init=False)
    round_at: float = field(init=False)
    share_at: float = field(init=False)
    claim_at: float = field(init=False)

    async def work(self) -> None:
        """Everything this worker could claim in its time is stored; what it did not begin waits for others."""
        self.loop = asyncio.get_running_loop()
        self.stirred = asyncio.Event()
        self.round_at = self.share_at = self.claim_at = self.loop.time()
        self.claims_until = self.loop.time() + self.claiming_s
        self.polite_at = self.loop.time() + POLITE_AFTER_S
        with self.heartbeat:
            try:
                await self._rounds()
            finally:
                for call in self.in_flight:
                    call.cancel()
                await asyncio.gather(*self.in_flight, return_exceptions=True)
                self.clerk.dismiss()

    async def _rounds(self) -> None:
        while True:
            await self._round()
            if not self.in_flight and not self.answers and not await self._may_go_on():
                break
            await self._until_worth_a_round()
        await self.clerk.run(self.share.release)

    # --- a round ------------------------------------------------------------------------------------------------------

    async def _round(self) -> None:
        """Store, look after the share, claim, and begin what was claimed."""
        batch, self.answers = self.answers, []
        self.round_at = self.loop.time()
        in_use = len(self.in_flight) if self.round_at >= self.share_at else None
        if in_use is not None:
            # Nothing is begun beyond what is about to be declared as in use.
            self.width = min(self.width, in_use)
        claimed, wanted = await self.clerk.run(lambda: self._errand(batch, in_use))
        self.heartbeat.drop(one.work for one in batch)
        self.heartbeat.hold(claimed)
        self.ready.extend(claimed)
        if wanted:
            self.is_dry = len(claimed) < wanted
            self.claim_at = self.loop.time() + LOOK_AGAIN_S
        for one in batch:
            self._remember_retry(one)
        self._begin_ready()

    def _errand(self, batch: Sequence[Finished], in_use: int | None) -> tuple[list[Work], int]:
        """In the clerk's thread: what was claimed, of how many wanted. With `in_use` the share is renewed."""
        now = clock.now()
        self._store(batch, now)
        if in_use is not None:
            self._renew_share(in_use)
        wanted = self._wanted()
        claimed = work.claim(self.run, want=wanted, worker=self.share.holder, now=now) if wanted else []
        return claimed, wanted

    def _store(self, batch: Sequence[Finished], now: dt.datetime) -> None:
        try:
            stored = work.finish(self.run, batch, now=now)
        except (DataError, IntegrityError) as error:
            self._store_singly(batch, now, error)
            return
        if len(stored) < len(batch):
            logger.warning("%d answers came after their lease had ended and were dropped", len(batch) - len(stored))

    def _store_singly(self, batch: Sequence[Finished], now: dt.datetime, error: Exception) -> None:
        """One answer that the database refuses costs one result, not its whole batch."""
        if len(batch) > 1:
            for one in batch:
                self._store([one], now)
            return
        logger.error("an answer could not be stored: %s", error)
        reason = f"the answer could not be stored: {type(error).__name__}"
        self._store_failure(batch[0], reason, now)

    def _store_failure(self, one: Finished, reason: str, now: dt.datetime) -> None:
        scores = self.panel.no_answer(reason)
        failed = Finished(one.work, Result.State.FAILED, n_calls=one.n_calls, error=reason, scores=scores)
        work.finish(self.run, [failed], now=now)

    def _renew_share(self, in_use: int) -> None:
        want = in_use + len(self.ready) if self.is_dry or self._is_leaving() else self.share.run_width
        self.width = self.share.renew(in_use=in_use, want=max(want, 1))
        self.share_at = self.loop.time() + self.share.pause_s
        if self.loop.time() > self.polite_at and share.runs_without_visitor(now=clock.now()):
            self.claims_until = self.loop.time()

    def _wanted(self) -> int:
        """How many to claim now: the free slots, and what will be free before the next round (Little's law)."""
        if self._is_leaving() or (self.loop.time() < self.claim_at and self.is_dry):
            return 0
        soon = 0 if self.call_s is None else int(self.width * FLUSH_S / max(self.call_s, FLUSH_S))
        return max(0, self.width + soon - len(self.in_flight) - len(self.ready))

    def _remember_retry(self, one: Finished) -> None:
        if one.not_before is not None:
            wait = (one.not_before - clock.now()).total_seconds()
            self.claim_at = min(self.claim_at, self.loop.time() + max(0.0, wait))

    # --- between rounds -----------------------------------------------------------------------------------------------

    async def _until_worth_a_round(self) -> None:
        """Returns when there is something to store, to claim or to renew that is worth a transaction."""
        if self._is_leaving():
            await self._give_up_ready()
        while (wait := self._next_round_at() - self.loop.time()) > 0:
            self.stirred.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self.stirred.wait()

    def _next_round_at(self) -> float:
        moments = [self.share_at]
        if self.answers:
            moments.append(self.round_at + FLUSH_S if self.in_flight or self.ready else self.round_at)
        if not self._is_leaving():
            moments.append(self.claims_until)
            if self.is_dry:
                moments.append(self.claim_at)
            elif not self.ready and len(self.in_flight) < self.width:
                moments.append(self.round_at + BREATH_S)
        return min(moments)

    async def _may_go_on(self) -> bool:
        """With nothing in hand: whether to stay, after waiting for the next row that can be claimed in our time."""
        if self.ready:
            return True
        if (left := self.claims_until - self.loop.time()) <= 0:
            return False
        moment = await self.clerk.run(lambda: work.next_moment(self.run.pk, now=clock.now()))
        if moment is None or (wait := (moment - clock.now()).total_seconds()) > left:
            return False
        await asyncio.sleep(max(0.0, min(wait, LOOK_AGAIN_S)))
        self.is_dry = False
        return True

    def _is_leaving(self) -> bool:
        return self.loop.time() >= self.claims_until

    async def _give_up_ready(self) -> None:
        """Claimed work that was not begun goes back to be claimed by others."""
        left, self.ready = list(self.ready), deque()
        if left:
            await self.clerk.run(lambda: work.give_up(self.run, left))
            self.heartbeat.drop(left)

    # --- one case -----------------------------------------------------------------------------------------------------

    def _begin_ready(self) -> None:
        while self.ready and len(self.in_flight) < self.width:
            call = self.loop.create_task(self._case(self.ready.popleft()))
            self.in_flight.add(call)
            call.add_done_callback(self._ended)

    def _ended(self, call: asyncio.Task[None]) -> None:
        self.in_flight.discard(call)
        self._begin_ready()
        self.stirred.set()

    async def _case(self, one: Work) -> None:
        """Ask, score, and lay the answer down for the next round."""
        began = self.loop.time()
        answer = await self._ask(one)
        took = self.loop.time() - began
        self.call_s = took if self.call_s is None else 0.9 * self.call_s + 0.1 * took
        self.answers.append(self._finished(one, answer))

    async def _ask(self, one: Work) -> Answer:
        question = Question(input=one.input, variables=one.variables, key=question_key(self.run, one.result_id))
        try:
            return await self.target.answer(question)
        except Exception as error:
            # A target that breaks on one case must cost one result, not the run.
            logger.exception("the target broke")
            return Answer(text=None, error=f"the target broke: {type(error).__name__}")

    def _finished(self, one: Work, answer: Answer) -> Finished:
        if answer.text is None and answer.is_retryable and one.attempt < work.MAX_ATTEMPTS:
            not_before = clock.now() + retry_pause(one.attempt, answer.retry_after)
            return Finished(
                one, Result.State.WAITING, n_calls=answer.n_calls, error=answer.error, not_before=not_before
            )
        if answer.text is None:
            scores, state = self.panel.no_answer(answer.error), Result.State.FAILED
        else:
            scores, state = self.panel.score(answer.text, one.expected, one), Result.State.DONE
        return Finished(
            one,
            state,
            n_calls=answer.n_calls,
            output=answer.text,
            error=answer.error,
            context_ids=answer.context_ids,
            latency_ms=answer.latency_ms,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            scores=scores,
        )


def question_key(run: Run, result_id: int) -> str:
    """The same for every attempt at one result, and for nothing else anywhere."""
    asked = f"{run.pk} {run.created_at.isoformat()} {result_id}"
    return "ratchet-" + hashlib.blake2b(asked.encode(), digest_size=16).hexdigest()


def retry_pause(attempt: int, retry_after: float | None) -> dt.timedelta:
    """What the other side asked for (a minute at most), else about a second, doubled after every attempt; jittered."""
    asked = 2.0 ** (attempt - 1) if retry_after is None else min(retry_after, LONGEST_RETRY_S)
    jitter = random.uniform(0.5, 1) if retry_after is None else random.uniform(1, 1.1)  # noqa: S311 # no secret
    return dt.timedelta(seconds=asked * jitter)
