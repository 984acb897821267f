"""A whole site of one data folder: claimed, started in order, watched, stopped in the opposite order."""

import datetime as dt
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from config import environment
from config.launcher import children, programs
from config.launcher.folders import DataFolder, LaunchError
from config.launcher.postgres import Postgres
from config.launcher.programs import Program
from config.launcher.valkey import Valkey
from config.launcher.watch import Watch

READY_WITHIN_S = 90
FUTILE_DEATHS = 3


class Site:
    """A site, started by `start()` (or `with`), stopped by `stop()`; a second start goes on where it stood.

    Args:
        home: the data folder (RATCHET_HOME); only one site at a time runs on it.
        port: of the web on 127.0.0.1; any number of sites run side by side on other folders and ports.
        web: False leaves it out, as `workers=0` and `beat=False` do: with all three only the services run.
        workers: Celery workers, two processes each.
        beat: the clock.
        database_url: given, no private PostgreSQL is started.
        broker_url: given, no private Valkey is started.
        variables: environment variables for every child, before everything else.
        restarts: a child that dies is started again; False for those who kill on purpose and want to see it.
        postgres_settings: server settings of the private PostgreSQL.
        report: told in sentences what happens.
    """

    def __init__(
        self,
        home: Path,
        port: int = 8000,
        *,
        web: bool = True,
        workers: int = 1,
        beat: bool = True,
        database_url: str = "",
        broker_url: str = "",
        variables: Mapping[str, str] | None = None,
        restarts: bool = True,
        postgres_settings: Mapping[str, str] | None = None,
        report: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self.home = DataFolder(home)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.database_url = database_url
        self.broker_url = broker_url
        self._parts = (web, workers, beat)
        self._variables = dict(variables or {})
        self._restarts = restarts
        self._postgres_settings = postgres_settings
        self._report = report
        self._given_urls = (database_url, broker_url)
        self._programs: dict[str, Program] = {}
        self._watch = self._new_watch()

    @property
    def environment(self) -> dict[str, str]:
        """What the children are told, for other processes that belong to the site (a `manage.py` command)."""
        return {
            **{name: value for name, value in os.environ.items() if not name.endswith("_URL_FILE")},
            "RATCHET_HOME": str(self.home.path),
            "PORT": str(self.port),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": self.database_url,
            "CELERY_BROKER_URL": self.broker_url,
            programs.HOME_TAG: str(self.home.path),
            **self._variables,
        }

    @property
    def children(self) -> dict[str, int]:
        """Name → pid of the children that run now: postgres, valkey, worker-1 …, beat, web."""
        return {name: program.pid for name, program in self._programs.items() if program.pid is not None}

    def start(self) -> None:
        """The site answers at `url`, its tables are up to date, and its addresses stand in the data folder.

        Raises:
            LaunchError: nothing of it runs then.
        """
        web, workers, beat = self._parts
        self.home.claim(note={"url": self.url})
        self.database_url, self.broker_url = self._given_urls
        self._programs = {}
        self._watch = self._new_watch()
        try:
            if web:
                refuse_taken(self.port)
            programs.end(programs.tagged(self.home.path), farewell=((signal.SIGTERM, 3.0),))
            self._start_services()
            self._publish_addresses()
            if web or workers or beat:
                self._report("Bringing the tables up to date.")
                self.manage("migrate", "--no-input")
            self._start_children(web=web, workers=workers, beat=beat)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Nothing of the site runs: web, beat and workers end before the services. A repeat does nothing."""
        self._watch.close()
        workers = [program for name, program in self._programs.items() if name.startswith(("worker-", "errands"))]
        for program in workers:  # while the web says goodbye
            program.ask_to_stop()
        self._stop("web")
        self._stop("beat")
        for program in workers:
            self._stop(program.name)
        self._stop("demo-model")
        self._stop("valkey")
        self._stop("postgres")
        if self.home.is_claimed:
            (self.home.run / "environment.json").unlink(missing_ok=True)
            self._note("stopped")
            self.home.release()

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """The child's whole group receives the signal; returns the pid it had.

        Raises:
            LaunchError: it does not run.
        """
        if name not in self._programs:
            raise LaunchError(f"{name} is none of this site's children: {', '.join(self._programs)}")
        return self._programs[name].kill(number)

    def restart(self, name: str) -> None:
        """The child was stopped and runs anew; for sites made with `restarts=False`.

        Raises:
            LaunchError: this site starts again by itself what dies.
        """
        if self._restarts:
            raise LaunchError(f"{name} is started again by itself; kill it, or make the site with restarts=False")
        self._programs[name].stop()
        self._programs[name].start()

    def add_worker(self) -> str:
        """One worker more; returns its name."""
        number = 1 + sum(name.startswith("worker-") for name in self._programs)
        return self._add(children.worker(self.home, self.environment, name=f"worker-{number}"))

    def add_demo_model(self, port: int) -> str:
        """The demo's model, watched like every child; returns the base URL it answers under."""
        self._add(children.demo_model(self.home, self.environment, port=port))
        return f"http://127.0.0.1:{port}/v1"

    def manage(self, *words: str, seconds: float = 300) -> str:
        """What a management command printed, run on this site in a process of its own.

        Raises:
            LaunchError: the command failed, with the end of what it said.
        """
        done = subprocess.run(
            [sys.executable, "-m", "django", *words],
            env=self.environment,
            cwd=children.working_folder(self.home),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
            raise LaunchError(f"`manage.py {words[0]}` failed:\n" + "\n".join(said))
        return done.stdout

    def is_ready(self) -> bool:
        """Whether the web answers and reaches its database."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz", headers={"Host": self._host()})
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_services(self) -> None:
        if not self.database_url:
            self._report("Starting the private PostgreSQL.")
            server = Postgres(self.home, settings=self._postgres_settings, report=self._report)
            self._add(server)
            self.database_url = server.url
        if not self.broker_url:
            self._report("Starting the private Valkey.")
            broker = Valkey(self.home)
            self._add(broker)
            self.broker_url = broker.url

    def _publish_addresses(self) -> None:
        """Commands typed beside the running site find its services."""
        addresses = {
            "DATABASE_URL": self.database_url,
            "CELERY_BROKER_URL": self.broker_url,
            "PORT": self.port,
        }
        environment.write_privately(self.home.run / "environment.json", json.dumps(addresses), replace=True)

    def _start_children(self, *, web: bool, workers: int, beat: bool) -> None:
        if web:
            self._add(children.web(self.home, self.environment, port=self.port))
        for _ in range(workers):
            self.add_worker()
        if workers:
            self._add(children.errands(self.home, self.environment))
        if beat:
            self._add(children.beat(self.home, self.environment))
        if self._restarts:
            self._watch.open()
        if web:
            self._await_ready()

    def _await_ready(self) -> None:
        self._report(f"Waiting for {self.url}/readyz.")
        answer = programs.wait_for(lambda: self.is_ready() or self._is_futile(), seconds=READY_WITHIN_S)
        if not answer or self._is_futile():
            raise LaunchError(f"The web did not become ready; {self._programs['web'].last_words()}")
        self._note("ready", url=self.url)

    def _is_futile(self) -> bool:
        dead = not self._restarts and not self._programs["web"].is_running
        return dead or self._watch.deaths.get("web", 0) >= FUTILE_DEATHS

    def _new_watch(self) -> Watch:
        return Watch(programs=lambda: list(self._programs.values()), tell=self._note)

    def _add(self, program: Program) -> str:
        self._programs[program.name] = program  # first: a start that fails half-way must be stopped, too
        program.start()
        self._note("started", child=program.name, pid=program.pid)
        return program.name

    def _stop(self, name: str) -> None:
        if name in self._programs:
            self._programs[name].stop()

    def _host(self) -> str:
        """A name the site answers for."""
        named = self.environment.get("ALLOWED_HOSTS", "").split(",")[0].strip()
        return named.lstrip(".") or "127.0.0.1"

    def _note(self, event: str, **facts: object) -> None:
        """One JSON line in the launcher's own log; people are told of what went wrong."""
        moment = dt.datetime.now(dt.UTC).isoformat()
        log = self.home.log("launcher")
        programs.set_aside(log)
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"timestamp": moment, "event": event, **facts}) + "\n")
        if event.startswith("child"):
            self._report(f"{event}: {', '.join(str(value) for value in facts.values())}")


def refuse_taken(port: int) -> None:
    """Returns when the port is free on 127.0.0.1.

    Raises:
        LaunchError: it is taken, with the way out.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed connection's wait is no user
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as problem:
            raise LaunchError(
                f"Port {port} on 127.0.0.1 cannot be used ({problem.strerror}). "
                f"Stop what uses it, or choose another: PORT={port + 1} make up"
            ) from problem
