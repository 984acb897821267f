"""The one thread of a drain that speaks with the database."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

T = TypeVar("T")
# After this long without a database the drain gives up: its leases end, and the rows are somebody else's.
PATIENCE_S = 60.0
LONGEST_PAUSE_S = 2.0


class Clerk:
    """Runs errands one after another in a thread with its own connection, so that the event loop never waits.

    An errand must do no harm when it is run again: one that meets a database that is away, restarting, or that cut
    the connection, is repeated until it succeeds or patience ends.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clerk")

    async def run(self, errand: Callable[[], T]) -> T:
        """What the errand returns.

        Raises:
            OperationalError, InterfaceError: the database did not answer for a minute.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, patiently, errand)

    def dismiss(self) -> None:
        """The connection is closed and the thread has ended."""
        self._thread.submit(_hang_up)
        self._thread.shutdown(wait=True)


def _hang_up() -> None:
    # Looked up in the thread that calls it: every thread has a connection of its own.
    connection.close()


def patiently(errand: Callable[[], T], *, patience_s: float = PATIENCE_S) -> T:
    """What the errand returns, however often the database has to be asked for it."""
    give_up_at = time.monotonic() + patience_s
    pause = 0.05
    while True:
        try:
            return errand()
        except (OperationalError, InterfaceError) as error:
            connection.close()
            if time.monotonic() > give_up_at:
                raise
            logger.warning("the database did not answer; asking again: %s", str(error).strip())
        time.sleep(random.uniform(0.5, 1) * pause)  # noqa: S311 # jitter, no secret
        pause = min(2 * pause, LONGEST_PAUSE_S)
