"""A program the launcher starts, watches and stops, and the search for what an earlier launcher left."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from config.launcher.folders import LaunchError

LEASH = Path(__file__).with_name("leash.py")
LARGEST_LOG = 5 * 1024 * 1024
# Every child carries it, and so do its own children.
HOME_TAG = "RATCHET_LAUNCHED_FROM"


@dataclass(frozen=True)
class Account:
    """A system account a child runs as."""

    name: str
    uid: int
    gid: int


class Program:
    """One child process in a group of its own, with its log.

    Args:
        name: for people, and of the log.
        command: program and arguments.
        environment: the child's whole environment.
        folder: where it works.
        log: appended to; a large one is set aside (`.1`) at the start.
        farewell: signals and the seconds each may take; what is left then is killed.
        account: who it runs as, when not this process's own.
    """

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
        farewell: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 2.5),),
        account: Account | None = None,
    ) -> None:
        self.name = name
        self.command = command
        self.environment = environment
        self.folder = folder
        self.log = log
        self.farewell = farewell
        self.account = account
        self.closing = threading.Event()
        self.is_wanted = False  # set once it has been started, until it is stopped: a death between is news
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self._process.pid if self._process is not None and self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether it lives; a dead one is left unburied, so that nobody else gets its number meanwhile."""
        return self._process is not None and is_alive(self._process.pid)

    def start(self) -> None:
        """It runs and is ready. Whatever was left of its earlier life is gone first.

        Raises:
            LaunchError: it did not start.
        """
        self.clear()
        set_aside(self.log)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                leashed(self.command, signal_at_loss=self.farewell[0][0], account=self.account),
                env=dict(self.environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_until_ready()
        self.is_wanted = True

    def wait_until_ready(self) -> None:
        """A program that is ready once it runs needs nothing more."""

    def ask_to_stop(self) -> None:
        """The first farewell signal is sent; nothing is waited for."""
        if self._process is not None and self.is_running:
            os.kill(self._process.pid, self.farewell[0][0])

    def stop(self) -> None:
        """It and its group are gone, politely when there is time. A repeat does nothing."""
        self.is_wanted = False
        for number, seconds in self.farewell:
            if self._process is None or not self.is_running:
                break
            os.kill(self._process.pid, number)
            if wait_for(lambda: not self.is_running, seconds=seconds):
                break
        self.clear()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """The signal is sent to the whole group; returns the pid it had."""
        if self._process is None or not self.is_running:
            raise LaunchError(f"{self.name} does not run")
        os.killpg(self._process.pid, number)
        return self._process.pid

    def clear(self) -> None:
        """No process of the group is left."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def await_answer(self, answers: Callable[[], bool], *, seconds: float) -> None:
        """Returns once `answers()`; LaunchError with the end of the log when it dies or takes too long."""
        wait_for(lambda: answers() or not self.is_running or self.closing.is_set(), seconds=seconds)
        if self.closing.is_set():
            raise LaunchError(f"{self.name} is being stopped")
        if not self.is_running:
            raise LaunchError(f"{self.name} ended while starting; {self.last_words()}")
        if not answers():
            raise LaunchError(f"{self.name} did not answer within {seconds:g} s; {self.last_words()}")

    def last_words(self, lines: int = 15) -> str:
        """The end of the log, for a message."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return f"{self.log} cannot be read"
        return f"the end of {self.log}:\n" + "\n".join(text.splitlines()[-lines:])


def leashed(command: Sequence[str], *, signal_at_loss: int, account: Account | None) -> list[str]:
    """The command, made to receive `signal_at_loss` when this process dies, run as `account`."""
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    words = (os.getpid(), int(signal_at_loss), uid, gid)
    return [sys.executable, "-I", "-S", str(LEASH), *map(str, words), *command]


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def wait_for(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Whether the condition came true within that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def set_aside(log: Path) -> None:
    """A log past its size becomes `<log>.1`, in place of the one before."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_name(f"{log.name}.1"))


def tagged(home: Path) -> list[psutil.Process]:
    """Processes an earlier launcher of this data folder started, and their children."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(HOME_TAG) == str(home):
                found.append(process)
    return found


def working_in(folder: Path, *, program: str) -> list[psutil.Process]:
    """Processes of that program whose working folder this is.

    Servers that rewrite their title lose their environment with it; their working folder cannot be mistaken,
    while a number in a pid file may by now be anybody's.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == program and process.cwd() == str(folder):
                found.append(process)
    return found


def end(processes: Iterable[psutil.Process], *, farewell: Sequence[tuple[signal.Signals, float]]) -> None:
    """None of the processes is left."""
    remaining = list(processes)
    for number, seconds in (*farewell, (signal.SIGKILL, 5.0)):
        for process in remaining:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)
        _, remaining = psutil.wait_procs(remaining, timeout=seconds)
        if not remaining:
            return
