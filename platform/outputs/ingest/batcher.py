"""Requests of all projects, gathered into few transactions.

A commit waits for the disk once, however much it carries. Nothing waits on purpose: a writer takes what is
there, and while it stores, more gathers. A second transaction beside it begins only where much waits, or long.
"""

import asyncio
import datetime as dt
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psycopg

from core.problems import FieldError, Invalid, Problem, Unavailable
from outputs.ingest import store
from outputs.ingest.answers import Answer
from outputs.ingest.lines import AWAY, Line
from outputs.ingest.store import Submission

logger = logging.getLogger(__name__)

# Wrong only by chance: another transaction came between. The same thing again goes well.
BY_CHANCE = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.ForeignKeyViolation,
)


@dataclass(frozen=True)
class Widths:
    """How much is gathered.

    Args:
        n_writers: transactions at a time.
        rows_alone: up to so many rows wait for the first writer, because a commit costs the same for one as for all.
        seconds_alone: but never longer than this.
        rows: after which a transaction takes no further request.
        n_bytes: likewise.
        waiting: requests that may wait; beyond, the answer is 503.
        waiting_per_project: likewise for each project, so that one cannot fill the queue for all.
    """

    n_writers: int = 3
    rows_alone: int = 64
    seconds_alone: float = 0.1
    rows: int = 1_000
    n_bytes: int = 4 * 1024 * 1024
    waiting: int = 2_000
    waiting_per_project: int = 1_000


@dataclass(eq=False)
class _Waiting:
    submission: Submission
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batcher:
    """Takes submissions, answers each once it is committed.

    Args:
        address: of PostgreSQL.
        now: reads the clock.
        on_stored: called after each commit that stored something.
        widths: how much is gathered.
    """

    def __init__(
        self, address: str, *, now: Callable[[], dt.datetime], on_stored: Callable[[], None], widths: Widths
    ) -> None:
        self._lines = [Line(address) for _ in range(widths.n_writers)]
        self._now = now
        self._on_stored = on_stored
        self._widths = widths
        self._queues: OrderedDict[int, deque[_Waiting]] = OrderedDict()
        self._n_waiting = 0
        self._n_rows = 0
        self._arrived = asyncio.Event()
        self._is_much = asyncio.Event()
        self._patience: asyncio.TimerHandle | None = None
        self._writers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Writers run; connections are opened when first needed."""
        first, *others = self._lines
        self._writers = [asyncio.create_task(self._write(first, self._arrived))]
        self._writers += [asyncio.create_task(self._write(line, self._is_much)) for line in others]

    async def stop(self) -> None:
        """Nothing runs any more; who still waits is told to come again."""
        for writer in self._writers:
            writer.cancel()
        await asyncio.gather(*self._writers, return_exceptions=True)
        for queue in self._queues.values():
            for waiting in queue:
                _tell(waiting, Unavailable("The site is stopping; nothing was stored."))
        self._queues.clear()
        if self._patience is not None:
            self._patience.cancel()
        for line in self._lines:
            await line.close()

    async def submit(self, submission: Submission) -> Answer:
        """The answer, once what it says is committed.

        Raises:
            Problem: nothing of it was stored: too many are waiting, the database is away, the sender's right is gone.
        """
        project_id = submission.sender.project_id
        queue = self._queues.get(project_id)
        if self._n_waiting >= self._widths.waiting or len(queue or ()) >= self._widths.waiting_per_project:
            raise Unavailable("Too many requests are waiting to be stored; nothing of this one was.", retry_after=1)
        waiting = _Waiting(submission)
        self._queues.setdefault(project_id, deque()).append(waiting)
        self._n_waiting += 1
        self._n_rows += submission.n_rows
        self._arrived.set()
        if self._n_rows > self._widths.rows_alone:
            self._is_much.set()
        elif self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(self._widths.seconds_alone, self._lose_patience)
        return await waiting.answer

    def _lose_patience(self) -> None:
        self._patience = None
        if self._n_waiting:
            self._is_much.set()

    async def _write(self, line: Line, turn: asyncio.Event) -> None:
        while True:
            await turn.wait()
            await self._write_once(line, turn)

    async def _write_once(self, line: Line, turn: asyncio.Event) -> None:
        """One transaction's worth. Nothing of it is held afterwards, while this writer waits for more."""
        taken = self._take()
        if not taken:
            turn.clear()
            return
        try:
            await self._settle(line, taken)
        finally:
            for waiting in taken:
                _tell(waiting, Unavailable("The site is stopping; send it again."))

    def _take(self) -> list[_Waiting]:
        """Requests for one transaction: one of each project in turn, until it is full or nobody waits."""
        taken: list[_Waiting] = []
        asks = set()
        n_rows = n_bytes = 0
        while self._queues and n_rows < self._widths.rows and n_bytes < self._widths.n_bytes:
            project_id, queue = next(iter(self._queues.items()))
            submission = queue[0].submission
            if submission.ask is not None and submission.ask.name in asks:
                break  # its first try is in this transaction: it must find the answer of that
            taken.append(queue.popleft())
            if submission.ask is not None:
                asks.add(submission.ask.name)
            n_rows += submission.n_rows
            n_bytes += submission.batch.n_bytes
            self._queues.move_to_end(project_id)
            if not queue:
                del self._queues[project_id]
        self._n_waiting -= len(taken)
        self._n_rows -= n_rows
        return taken

    async def _settle(self, line: Line, taken: Sequence[_Waiting]) -> None:
        """Each of them has an answer: from one transaction, or one by one where that does not go."""
        found: Sequence[Answer | Problem]
        try:
            found = await self._store(line, [waiting.submission for waiting in taken])
        except AWAY as error:
            logger.warning("the database did not take %s requests: %s", len(taken), error)
            said = "The database does not answer; try again with the same ids."
            found = [Unavailable(said, retry_after=2) for _ in taken]
        except Exception as error:
            if len(taken) > 1:
                for waiting in taken:
                    await self._settle(line, [waiting])
                return
            logger.exception("a request could not be stored")
            found = [_unstorable(error)]
        for waiting, answer in zip(taken, found, strict=True):
            _tell(waiting, answer)

    async def _store(self, line: Line, submissions: list[Submission]) -> list[Answer | Problem]:
        """Tried twice where chance or a broken connection was to blame: ids make the second try harmless."""
        try:
            found = await self._store_once(line, submissions)
        except psycopg.errors.QueryCanceled:
            raise  # it took too long: once more would take as long again
        except (*BY_CHANCE, psycopg.OperationalError, psycopg.InterfaceError) as error:
            logger.info("once more, after: %s", error)
            found = await self._store_once(line, submissions)
        if any(isinstance(answer, Answer) and answer.status < 300 for answer in found):
            self._on_stored()
        return found

    async def _store_once(self, line: Line, submissions: list[Submission]) -> list[Answer | Problem]:
        async with line.use() as connection:
            return await store.store(connection, submissions, now=self._now())


def _unstorable(error: Exception) -> Invalid | Unavailable:
    """The rows passed every check of ours, and the database still refused them, or a fault of ours did."""
    if isinstance(error, psycopg.DataError):
        return Invalid(FieldError("body", "holds a row that cannot be stored; nothing of this request was"))
    return Unavailable("This request could not be stored; nothing of it was.", retry_after=5)


def _tell(waiting: _Waiting, answer: Answer | Problem) -> None:
    """The first answer counts; who has left gets none."""
    if waiting.answer.done():
        return
    if isinstance(answer, Problem):
        waiting.answer.set_exception(answer)
    else:
        waiting.answer.set_result(answer)
