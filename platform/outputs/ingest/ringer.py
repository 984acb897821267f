"""Tells workers that something was stored: soon, seldom, and never in the way of a request."""

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from core import bells

# At most so often; what is stored meanwhile is found by the same look.
PAUSE_SECONDS = 0.25


class Ringer:
    """Rings each of these bells after `want`, in a thread of its own: a broker that hangs holds up nobody."""

    def __init__(self, tasks: Sequence[str], *, pause: float = PAUSE_SECONDS) -> None:
        self._tasks = tasks
        self._pause = pause
        self._wanted = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest-bells")
        self._ringing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Bells are rung from now on."""
        self._ringing = asyncio.create_task(self._ring())

    async def stop(self) -> None:
        """No bell is rung any more; what was wanted last is found by the next sweep."""
        if self._ringing is not None:
            self._ringing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ringing
        self._thread.shutdown(wait=False, cancel_futures=True)

    def want(self) -> None:
        """Something was stored."""
        self._wanted.set()

    async def _ring(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            for task in self._tasks:
                await loop.run_in_executor(self._thread, bells.ring_now, task)
            await asyncio.sleep(self._pause)
