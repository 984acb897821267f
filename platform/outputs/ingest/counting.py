"""Counts what is refused before any transaction: kept in memory, written down once a second.

What a transaction stores is counted in it and is exact after any kill. These counts may lose their last second.
"""

import asyncio
import contextlib
import datetime as dt
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from core.problems import Problem
from outputs.ingest.asgi import Scope, header
from outputs.ingest.lines import AWAY, Line
from outputs.ingest.routes import Batch, Outcome
from outputs.senders import Sender
from outputs.services import tallies
from outputs.services.tallies import Count, Source

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
MOST_SOURCES = 2_000
# Names of software that a project's senders may have in one process; further ones count as none.
MOST_INSTRUMENTS = 40


class Refusals:
    """Counts requests that were refused as a whole, and bodies without one good row.

    Args:
        address: of PostgreSQL.
        now: reads the clock.
    """

    def __init__(self, address: str, *, now: Callable[[], dt.datetime]) -> None:
        self._line = Line(address)
        self._now = now
        self._counts: dict[Source, Count] = {}
        self._instruments: dict[int, set[str]] = {}
        self._stopping = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Counts are written down from now on."""
        self._writing = asyncio.create_task(self._write())

    async def stop(self) -> None:
        """What is counted is written down once more, if the database answers, and no connection is left."""
        self._stopping.set()
        if self._writing is not None:
            await self._writing
        await self._line.close()

    def source(self, sender: Sender, scope: Scope) -> Source:
        """Who sends, and how, as far as the request's head says."""
        said = tallies.instrument_of(header(scope, b"user-agent"))
        return Source(sender.project_id, sender.identity, scope["path"], self.known(sender.project_id, said))

    def known(self, project_id: int, instrument: str) -> str:
        """The instrument's name, or "" where there are too many already: whoever makes up names fills no table."""
        names = self._instruments.setdefault(project_id, set())
        if instrument not in names and len(names) >= MOST_INSTRUMENTS:
            return ""
        names.add(instrument)
        return instrument

    def named(self, source: Source, instrument: str) -> Source:
        """The same source under the name that the body gives it, where it gives one."""
        said = tallies.instrument_named(instrument)
        return replace(source, instrument=self.known(source.project_id, said)) if said else source

    def refuse(self, source: Source, problem: Problem) -> None:
        """A request was refused as a whole."""
        self._add(source, Count(n_requests=1, refused=1, refusals=Counter([tallies.refusal_of(problem)])))

    def reject(self, source: Source, batch: Batch, n_bytes: int) -> None:
        """A body had no good row."""
        self._add(source, count_of(Outcome(0, 0, batch.rejected), n_bytes))

    async def flush(self) -> None:
        """What was counted stands in the database; where that does not answer it is kept."""
        counts, self._counts = self._counts, {}
        try:
            if counts:
                async with self._line.use() as connection:
                    await tallies.count(connection, counts, now=self._now())
        except AWAY as error:
            logger.warning("refused requests wait to be counted: %s", error)
            for source, count in counts.items():
                self._add(source, count)

    def _add(self, source: Source, count: Count) -> None:
        if source in self._counts or len(self._counts) < MOST_SOURCES:
            self._counts.setdefault(source, Count()).add(count)

    async def _write(self) -> None:
        # Asked to stop and never cancelled: in the middle of a flush that would lose what it writes down.
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), PAUSE_SECONDS)
            try:
                await self.flush()
            except Exception:
                logger.exception("refused requests could not be counted")


def count_of(outcome: Outcome, n_bytes: int) -> Count:
    """One request's part of a tally."""
    return Count(
        n_requests=1,
        accepted=outcome.accepted,
        duplicates=outcome.duplicates,
        rejected=len(outcome.rejected),
        n_bytes=n_bytes,
        reasons=tallies.reasons_of(outcome.rejected),
    )
