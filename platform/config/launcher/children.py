"""What a site consists of beside its services: the web, workers and beat, as commands and as programs.

`docker-compose.yml` runs the same commands.
"""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from config.environment import ROOT
from config.launcher.folders import DataFolder
from config.launcher.programs import Program

# Together below the 10 s a stop may take, with the services' own.
WEB_FAREWELL = ((signal.SIGTERM, 2.5),)
BEAT_FAREWELL = ((signal.SIGTERM, 0.5),)
WORKER_FAREWELL = ((signal.SIGTERM, 1.0),)


def web_command(*, host: str, port: int) -> list[str]:
    """The web face; requests in flight at its end get two seconds."""
    words = f"uvicorn config.asgi:application --host {host} --port {port}"
    return [sys.executable, "-m", *words.split(), *"--no-access-log --timeout-graceful-shutdown 2".split()]


def worker_command(*, name: str) -> list[str]:
    """A worker of two processes; workers need no talk among themselves, the rows are enough."""
    return _celery_worker(name=name, queues="runs,ratchet", concurrency=2)


def errands_command() -> list[str]:
    """A worker of one process that takes no part in runs: sampling and proposals never wait for a slow model."""
    return _celery_worker(name="errands", queues="ratchet", concurrency=1)


def _celery_worker(*, name: str, queues: str, concurrency: int) -> list[str]:
    words = f"celery --quiet -A config worker --queues {queues} --concurrency {concurrency} --hostname {name}@%h"
    return [sys.executable, "-m", *words.split(), "--without-gossip", "--without-mingle"]


def beat_command(*, schedule: Path) -> list[str]:
    """The clock; any number of them may race."""
    return [sys.executable, "-m", *"celery --quiet -A config beat --schedule".split(), str(schedule)]


def demo_model_command(*, port: int) -> list[str]:
    """The demo's stand-in for a language model, a process of its own."""
    return [sys.executable, "-m", "django", "demo_model", "--port", str(port)]


def web(home: DataFolder, environment: Mapping[str, str], *, port: int) -> Program:
    """The web face on the loopback address."""
    command = web_command(host="127.0.0.1", port=port)
    return _child(home, environment, name="web", command=command, farewell=WEB_FAREWELL)


def worker(home: DataFolder, environment: Mapping[str, str], *, name: str) -> Program:
    """One worker; `name` is its log's too."""
    command = worker_command(name=name)
    return _child(home, environment, name=name, command=command, farewell=WORKER_FAREWELL)


def errands(home: DataFolder, environment: Mapping[str, str]) -> Program:
    """The worker that runs no evaluation."""
    return _child(home, environment, name="errands", command=errands_command(), farewell=WORKER_FAREWELL)


def beat(home: DataFolder, environment: Mapping[str, str]) -> Program:
    """The clock, its memory in the data folder."""
    command = beat_command(schedule=home.run / "beat-schedule")
    return _child(home, environment, name="beat", command=command, farewell=BEAT_FAREWELL)


def demo_model(home: DataFolder, environment: Mapping[str, str], *, port: int) -> Program:
    """The demo's model on the loopback address."""
    command = demo_model_command(port=port)
    return _child(home, environment, name="demo-model", command=command, farewell=BEAT_FAREWELL)


def working_folder(home: DataFolder) -> Path:
    """The project's root; the data folder when installed from a wheel."""
    return ROOT if (ROOT / "manage.py").exists() else home.path


def _child(
    home: DataFolder,
    environment: Mapping[str, str],
    *,
    name: str,
    command: list[str],
    farewell: tuple[tuple[signal.Signals, float], ...],
) -> Program:
    return Program(
        name=name,
        command=command,
        environment=environment,
        folder=working_folder(home),
        log=home.log(name),
        farewell=farewell,
    )
