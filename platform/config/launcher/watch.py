"""Starts again what died, a little later each time."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from config.launcher.folders import LaunchError
from config.launcher.programs import Program

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 10.0
SETTLED_S = 30.0
LOOK_EVERY_S = 0.1


@dataclass
class _Record:
    started_at: float
    delay_s: float = FIRST_DELAY_S
    due_at: float | None = None


@dataclass
class Watch:
    """A thread that keeps programs running until it is closed.

    Args:
        programs: asked anew at each look, so that programs may join.
        tell: told what died and what could not be started, with facts.
    """

    programs: Callable[[], list[Program]]
    tell: Callable[..., None]
    deaths: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._records: dict[str, _Record] = {}
        self._closing = threading.Event()
        # It outlives what it starts: on Linux a child is signalled when the thread that made it ends.
        self._thread = threading.Thread(target=self._look_again_and_again, name="watch", daemon=True)

    def open(self) -> None:
        """Deaths are noticed from now on."""
        self._thread.start()

    def close(self) -> None:
        """Nothing is started any more; a start under way is given up. A repeat does nothing."""
        self._closing.set()
        for program in self.programs():
            program.closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _look_again_and_again(self) -> None:
        while not self._closing.wait(LOOK_EVERY_S):
            for program in self.programs():
                if not self._closing.is_set():
                    self._look(program)

    def _look(self, program: Program) -> None:
        now = time.monotonic()
        record = self._records.setdefault(program.name, _Record(started_at=now))
        if program.is_running or not program.is_wanted:
            return
        if record.due_at is None:
            self.deaths[program.name] = self.deaths.get(program.name, 0) + 1
            if now - record.started_at > SETTLED_S:
                record.delay_s = FIRST_DELAY_S
            record.due_at = now + record.delay_s
            record.delay_s = min(record.delay_s * 2, LONGEST_DELAY_S)
            self.tell("child died", child=program.name, next_start_in_s=round(record.due_at - now, 1))
        elif now >= record.due_at:
            self._start(program, record)

    def _start(self, program: Program, record: _Record) -> None:
        record.due_at = None
        record.started_at = time.monotonic()
        try:
            program.start()
        except LaunchError as problem:
            self.tell("child did not start", child=program.name, problem=str(problem))
