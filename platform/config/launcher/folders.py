"""The data folder of one site: who holds it, what stands where in it, and where its sockets can be."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import stat
import tempfile
from pathlib import Path

# `sun_path` holds 104 bytes on macOS and 108 on Linux, the closing NUL included.
LONGEST_SOCKET_PATH = 100
LONGEST_SOCKET_NAME = ".s.PGSQL.5432"


class LaunchError(Exception):
    """The site cannot start; the message says why and what to do."""


class DataFolder:
    """`RATCHET_HOME`: `postgres/`, `valkey/`, `logs/`, `run/` (lock, addresses), private to their owner."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self._lock: int | None = None
        self._outside: list[Path] = []

    @property
    def run(self) -> Path:
        """The lock, and the addresses of the running site."""
        return self.path / "run"

    @property
    def is_claimed(self) -> bool:
        """Whether this process holds it."""
        return self._lock is not None

    def log(self, name: str) -> Path:
        """The log of one child."""
        return self.path / "logs" / f"{name}.log"

    def claim(self, *, note: dict[str, object]) -> None:
        """This process alone may start a site here until `release`; the kernel releases it for a killed one.

        Args:
            note: shown to whoever tries meanwhile.

        Raises:
            LaunchError: another site runs here, or the folder cannot be written.
        """
        try:
            for folder in (self.path, self.run, self.log("any").parent):
                folder.mkdir(parents=True, exist_ok=True)
            for private in (self.run, self.log("any").parent):
                private.chmod(0o700)
            descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as problem:
            raise LaunchError(
                f"The data folder {self.path} cannot be used: {problem.strerror}. "
                "Start as its owner, or choose another RATCHET_HOME."
            ) from problem
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 4096).decode(errors="replace").strip()
            os.close(descriptor)
            raise LaunchError(
                f"Another site runs on the data folder {self.path} ({holder or 'it is just starting'}). "
                "Stop it, or set another RATCHET_HOME and PORT to run beside it."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps({"pid": os.getpid(), **note}).encode())
        self._lock = descriptor

    def release(self) -> None:
        """Another launcher may come, and nothing is left outside the folder. A repeat does nothing."""
        for folder in (*self._outside, *{folder.parent for folder in self._outside}):
            with contextlib.suppress(OSError):  # a socket still in it belongs to somebody
                folder.rmdir()
        self._outside.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def sockets(self, name: str, *, owner: tuple[int, int] | None = None) -> Path:
        """A folder only its owner can enter, short enough for a unix socket in it.

        That is `<home>/<name>/run`; below a deep or unusual path a folder of this data folder's own in the
        temporary folder, which is refused when somebody else made it first.

        Args:
            owner: (uid, gid) that will make the socket; this process's by default.
        """
        folder = self.path / name / "run"
        if not _fits(folder):
            folder = self._short_folder() / name
            self._outside.append(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if owner is not None:
            os.chown(folder, *owner)
        folder.chmod(0o700)
        return folder

    def _short_folder(self) -> Path:
        mark = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        name = f"ratchet-{os.geteuid()}-{mark}"
        places = (Path(tempfile.gettempdir()), Path("/tmp"))  # noqa: S108 # whatever is found there is checked below
        place = next((place for place in places if _fits(place / name / "postgres")), None)
        if place is None:
            raise LaunchError(f"No folder is short enough for sockets; set TMPDIR to a shorter one ({places[0]}).")
        folder = place / name
        folder.mkdir(mode=0o711, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise LaunchError(f"{folder} was made by somebody else; remove it, or set TMPDIR to another folder.")
        return folder


def _fits(folder: Path) -> bool:
    """Short enough, and without the characters that separate addresses (libpq reads a comma as two hosts)."""
    is_plain = re.fullmatch(r"[\w/. %-]+", str(folder), re.ASCII) is not None
    return is_plain and len(os.fsencode(folder / LONGEST_SOCKET_NAME)) <= LONGEST_SOCKET_PATH
