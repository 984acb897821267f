"""Work that takes long, in one thread, one piece of each project in turn: who brings much waits for oneself."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Turns:
    """Runs what is given to it, in the order of projects and not of arrival."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._queues: OrderedDict[int, deque[asyncio.Event]] = OrderedDict()
        self._is_busy = False

    def stop(self) -> None:
        """Nothing is begun any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def run(self, project_id: int, work: Callable[..., T], *told: Any) -> T:
        """What `work` returns, once it is the project's turn."""
        if self._is_busy:
            await self._wait(project_id)
        self._is_busy = True
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *told)
        finally:
            self._call_next()

    async def _wait(self, project_id: int) -> None:
        turn = asyncio.Event()
        self._queues.setdefault(project_id, deque()).append(turn)
        try:
            await turn.wait()
        except asyncio.CancelledError:
            if turn.is_set():
                self._call_next()
            else:
                self._drop(project_id, turn)
            raise

    def _drop(self, project_id: int, turn: asyncio.Event) -> None:
        queue = self._queues[project_id]
        queue.remove(turn)
        if not queue:
            del self._queues[project_id]

    def _call_next(self) -> None:
        """The next project's oldest piece begins; the thread stays taken for it, so that nobody comes between."""
        if not self._queues:
            self._is_busy = False
            return
        project_id, queue = next(iter(self._queues.items()))
        turn = queue.popleft()
        self._queues.move_to_end(project_id)
        if not queue:
            del self._queues[project_id]
        turn.set()
