"""Data folders, ports and accounts for sites under test."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.environment import ROOT
from config.launcher.folders import DataFolder
from config.launcher.postgres import Postgres

NOBODY = 65534


@pytest.fixture
def home() -> Iterator[Path]:
    """A new data folder at a short path that every account may pass; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="ratchet-config-"))
    folder.chmod(0o755)
    yield folder / "var"
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    """A data folder whose cluster is made, once, to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="ratchet-config-"))
    folder.chmod(0o755)
    server = Postgres(DataFolder(folder), report=lambda sentence: None)
    server.start()
    server.stop()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def made_home(template: Path, home: Path) -> Path:
    """A data folder that was started and stopped before."""
    subprocess.run(["cp", "-a", str(template), str(home)], check=True)
    return home


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port nobody uses at the moment it is asked for."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture(scope="session")
def run_without_root() -> Callable[[str], str]:
    """Runs a piece of Python in a process that is not root's, and returns what it printed."""
    account = {} if os.geteuid() else {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    minor = sys.version_info.minor
    candidates = [sys.executable, f"/usr/bin/python3.{minor}", f"/usr/local/bin/python3.{minor}"]
    python = next((candidate for candidate in candidates if _can_run(candidate, account)), None)
    if python is None:
        pytest.skip("needs a Python that another account may run")
    paths = [
        str(ROOT / "platform"),
        str(ROOT),
        *(path for path in sys.path if path.endswith("site-packages")),
    ]

    def run(code: str) -> str:
        done = subprocess.run(
            [python, "-c", code],
            env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(paths)},
            cwd="/tmp",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **account,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def _can_run(python: str, account: dict) -> bool:
    try:
        return subprocess.run([python, "-c", ""], cwd="/tmp", check=False, **account).returncode == 0
    except OSError:
        return False
