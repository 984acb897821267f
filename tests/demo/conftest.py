import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

PROJECT = Path(__file__).parents[2]
KEY = "a-key-for-the-demo-model"
DEADLINE_S = 30


@pytest.fixture(scope="session")
def open_model() -> Iterator[httpx2.Client]:
    """The model in its own process, as `manage.py demo_model` starts it, without a key."""
    yield from running_model()


@pytest.fixture(scope="session")
def locked_model() -> Iterator[httpx2.Client]:
    """The same, asking for `KEY`."""
    yield from running_model("--api-key", KEY)


def running_model(*options: str) -> Iterator[httpx2.Client]:
    port = free_port()
    command = [sys.executable, str(PROJECT / "manage.py"), "demo_model", "--port", str(port), *options]
    # A database that answers nowhere: the model must not ask for one.
    environment = os.environ | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    process = subprocess.Popen(command, env=environment, cwd=PROJECT)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}/v1/", timeout=10) as client:
            wait_until_it_answers(client, process)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=10)


def wait_until_it_answers(client: httpx2.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.get("models")
        except httpx2.ConnectError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"the demo model did not answer; its exit code is {process.poll()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
