"""The long poll for a verdict: Django answers, and while it has none the request waits here and holds nothing.

Whoever waits has no thread and no connection to the database. Once in a while one statement asks for all who wait in
this process; those that have a verdict, and those whose time is up, ask Django again. So who asks, what they may see
and what a verdict looks like is decided there alone, and a database that is away for a while costs a waiter nothing.
"""

import asyncio
import contextlib
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg

from core.problems import Problem, Unavailable
from outputs.ingest import answers, lines
from outputs.ingest.asgi import Application, Event, Receive, Scope, Send
from outputs.ingest.lines import AWAY, Line

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 30
POLL_SECONDS = 0.5
# Waiting at once, in one process.
PER_PROJECT, IN_ALL = 200, 1_000
RETRY_SECONDS = 5
# What Django says beside a 204 that may be waited for: project, output, seconds.
MARK = "Ratchet-Waits"
_PATH = re.compile(r"/api/v1/outputs/.+/verdict")
_SETTLED = """
    SELECT DISTINCT place.output_id FROM reviews_itemoutput AS place
    JOIN reviews_item AS item ON item.id = place.item_id AND item.subject_kind = 'output'
    JOIN reviews_verdict AS verdict ON verdict.item_id = item.id AND verdict.replaced_at IS NULL
    WHERE place.output_id = ANY(%s)"""


@dataclass(frozen=True)
class Wish:
    """Somebody of this project waits for a verdict on this output, for so many seconds."""

    project_id: int
    output_id: int
    seconds: int

    def headers(self) -> dict[str, str]:
        """How Django says so beside a 204; `Waiting` takes it off."""
        return {MARK: f"{self.project_id} {self.output_id} {self.seconds}"}


@dataclass(frozen=True, eq=False)
class _Waiter:
    output_id: int
    is_due: asyncio.Event = field(default_factory=asyncio.Event)


class Waiting:
    """The ASGI application around Django's; `start` before the first request, `stop` after the last.

    Args:
        inner: Django.
        per_project: who may wait at once in this process for outputs of one project; one more is a 429.
        in_all: and of all projects; one more is a 503.
        poll_seconds: how often is asked for those who wait.
    """

    def __init__(
        self,
        inner: Application,
        *,
        per_project: int = PER_PROJECT,
        in_all: int = IN_ALL,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._inner = inner
        self._per_project, self._in_all = per_project, in_all
        self._poll_seconds = poll_seconds
        self._waiters: set[_Waiter] = set()
        self._of_project: Counter[int] = Counter()
        self._somebody = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Requests can wait. The database need not answer yet."""
        self._line = Line(lines.address())
        self._polling = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        """Nothing runs any more and no connection is left."""
        if self._polling is not None:
            self._polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._polling
        await self._line.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _may_wait(scope):
            for message in await self._answer(scope, receive):
                await send(message)
        else:
            await self._inner(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> list[Event]:
        """The messages of the answer; none for whoever hung up."""
        asked = await receive()
        if asked["type"] == "http.disconnect":
            return []
        until: float | None = None
        clock = asyncio.get_running_loop().time
        gone = asyncio.create_task(_hung_up(receive))
        try:
            while True:
                said = await self._ask(scope, asked)
                wish = _wish(said)
                if wish is None:
                    return said
                until = clock() + wish.seconds if until is None else until
                if clock() >= until:
                    return said
                with self._place(wish) as waiter:
                    await _first(gone, waiter.is_due, seconds=until - clock())
                if gone.done():
                    return []
        except Problem as problem:
            return _messages(problem)
        finally:
            gone.cancel()

    async def _ask(self, scope: Scope, asked: Event) -> list[Event]:
        """What Django says to this request now."""
        said: list[Event] = []

        async def again() -> Event:
            return asked

        async def keep(message: Event) -> None:
            said.append(message)

        await self._inner(scope, again, keep)
        return said

    @contextlib.contextmanager
    def _place(self, wish: Wish) -> Iterator[_Waiter]:
        """A place among those who wait.

        Raises:
            Problem: 429 or 503, where all are taken.
        """
        if self._of_project[wish.project_id] >= self._per_project:
            said = f"{self._per_project} requests of this project wait for verdicts already; ask again without waiting."
            raise Problem(429, said, retry_after=RETRY_SECONDS)
        if len(self._waiters) >= self._in_all:
            raise Unavailable("Too many wait for verdicts already; ask again later.", retry_after=RETRY_SECONDS)
        waiter = _Waiter(wish.output_id)
        self._waiters.add(waiter)
        self._of_project[wish.project_id] += 1
        self._somebody.set()
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)
            self._of_project[wish.project_id] -= 1
            if not self._of_project[wish.project_id]:
                del self._of_project[wish.project_id]

    async def _poll(self) -> None:
        """One statement for all who wait, again and again, and none while nobody does."""
        was_away = False
        while True:
            await self._somebody.wait()
            try:
                await self._look()
                was_away = False
            except (*AWAY, psycopg.Error) as error:
                if not was_away:
                    logger.warning("the database does not answer, so whoever waits for a verdict goes on: %s", error)
                was_away = True
            await asyncio.sleep(self._poll_seconds)
            if not self._waiters:
                self._somebody.clear()

    async def _look(self) -> None:
        async with self._line.use() as connection:
            wanted = sorted({waiter.output_id for waiter in self._waiters})
            found = await (await connection.execute(_SETTLED, [wanted])).fetchall()
        settled = {row[0] for row in found}
        for waiter in self._waiters:
            if waiter.output_id in settled:
                waiter.is_due.set()


def _may_wait(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] == "GET" and _PATH.fullmatch(scope["path"]) is not None


def _wish(said: list[Event]) -> Wish | None:
    """What Django says its answer may wait for, taken off the answer."""
    found: Wish | None = None
    name = MARK.lower().encode()
    for start in (message for message in said if message["type"] == "http.response.start"):
        for header, value in start["headers"]:
            if header == name:
                found = Wish(*map(int, value.split()))
        start["headers"] = [pair for pair in start["headers"] if pair[0] != name]
    return found


async def _first(gone: asyncio.Task[None], is_due: asyncio.Event, *, seconds: float) -> None:
    """Until one of the two, or so many seconds later."""
    due = asyncio.create_task(is_due.wait())
    try:
        await asyncio.wait([gone, due], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        due.cancel()


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _messages(problem: Problem) -> list[Event]:
    answer = answers.of_problem(problem)
    body: dict[str, Any] = {"type": "http.response.body", "body": answer.body}
    return [answer.start(close=False), body]
