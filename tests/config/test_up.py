"""`manage.py up` as a process of its own: the walk of a whole site through start, kills and stop."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from config import environment
from config.environment import ROOT
from config.launcher import programs

STOP_WITHIN_S = 10


@contextlib.contextmanager
def up(home: Path, port: int, *words: str, **variables: str):
    """The command, ready; killed at the end when it still runs."""
    hidden = ("DATABASE_URL", "CELERY_BROKER_URL", "RATCHET_MODE", "RATCHET_HOME", "PORT")
    given = {name: value for name, value in os.environ.items() if name not in hidden}
    log = home.parent / f"up-{port}.txt"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", *words],
            env={**given, "RATCHET_HOME": str(home), "PORT": str(port), **variables},
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        assert programs.wait_for(lambda: is_ready(port) or process.poll() is not None, seconds=120), log.read_text()
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.kill()
        process.wait()
        programs.end(left_of(home), farewell=())


def left_of(home: Path) -> list[psutil.Process]:
    """Whatever of a site still runs."""
    servers = programs.working_in(home / "postgres" / "data", program="postgres")
    return [*programs.tagged(home), *servers, *programs.working_in(home / "valkey", program="valkey-server")]


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False


def children_of(process: subprocess.Popen) -> dict[str, psutil.Process]:
    """Name → process, found from outside by what each one runs."""
    marks = {"uvicorn": "web", "worker": "worker", "beat": "beat", "postgres": "postgres", "valkey": "valkey"}
    found = {}
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # which a zombie is, too
            line = " ".join(child.cmdline())
            found |= {name: child for mark, name in marks.items() if mark in line}
    return found


def stop(process: subprocess.Popen, number: signal.Signals) -> float:
    """Seconds from the signal to the end."""
    started = time.monotonic()
    process.send_signal(number)
    process.wait(timeout=STOP_WITHIN_S)
    return time.monotonic() - started


@pytest.mark.faults
def test_a_site_lives_through_its_childrens_deaths_and_its_launchers(made_home, free_port):
    port = free_port()
    with up(made_home, port) as process:
        for name in ("web", "worker", "beat", "valkey", "postgres"):
            before = children_of(process)
            assert before.keys() == {"web", "worker", "beat", "valkey", "postgres"}
            before[name].kill()
            assert programs.wait_for(
                lambda was=before, name=name: children_of(process).get(name, was[name]) != was[name],
                seconds=30,
            ), f"{name} did not come back"
        assert programs.wait_for(lambda: is_ready(port), seconds=60)
        left = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        # The lock went with the launcher; what is left of its children may end in its own time.
        with up(made_home, port) as successor:
            assert not [child for child in left if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
            assert children_of(successor).keys() == {"web", "worker", "beat", "valkey", "postgres"}
            taken = stop(successor, signal.SIGINT)
            assert successor.returncode == 0
            assert taken < STOP_WITHIN_S
    assert left_of(made_home) == []
    assert not is_ready(port)


@pytest.mark.faults
def test_two_sites_run_side_by_side_and_commands_find_theirs(made_home, free_port, template):
    second_home = made_home.with_name("second")
    subprocess.run(["cp", "-a", str(template), str(second_home)], check=True)
    ports = free_port(), free_port()
    with up(made_home, ports[0]) as first, up(second_home, ports[1]) as second:
        assert is_ready(ports[0])
        found = [environment.load({"RATCHET_HOME": str(home)}) for home in (made_home, second_home)]
        assert [known.port for known in found] == list(ports)
        assert found[0].database_url != found[1].database_url
        stop(first, signal.SIGTERM)
        assert is_ready(ports[1])
        for name in ("web", "worker-1", "errands", "beat"):
            log = second_home / "logs" / f"{name}.log"
            assert programs.wait_for(lambda log=log: log.stat().st_size > 0, seconds=60), f"{name} logged nothing"
            assert all("event" in json.loads(line) for line in log.read_text().splitlines())
        stop(second, signal.SIGTERM)


def refusal(home: Path, *words: str, **variables: str) -> str:
    given = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "CELERY_BROKER_URL")}
    done = subprocess.run(
        [sys.executable, "manage.py", "up", *words],
        env={**given, "RATCHET_HOME": str(home), **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode != 0
    return done.stderr


def test_refuses_to_run_without_private_services_when_no_others_are_named(home):
    said = refusal(home, "--no-embedded", RATCHET_MODE="embedded", CELERY_BROKER_URL="redis://broker")
    assert "--no-embedded needs DATABASE_URL; set what is missing" in said
    assert not (home / "postgres").exists()


def test_refuses_production_without_its_secrets(home):
    said = refusal(home, "--no-embedded", RATCHET_MODE="production")
    assert "SECRET_KEY is missing" in said
    assert "RATCHET_ENCRYPTION_KEYS is missing" in said
    assert not home.exists()
