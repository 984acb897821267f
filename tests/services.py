"""The services tests stand on, known before Django's settings are read (a pytest plugin, see pyproject.toml).

DATABASE_URL, when given, is used. Else a private PostgreSQL is started once in `var/test/<n>` by the process
that controls the tests; its workers inherit the address. With RATCHET_TEST_STRICT=1 nothing is replaced: what
is not given fails.
"""

import fcntl
import os
from collections.abc import Generator
from pathlib import Path

import pytest

from config.launcher import LaunchError, Site

ROOT = Path(__file__).resolve().parent.parent
IS_STRICT = os.environ.get("RATCHET_TEST_STRICT") == "1"
IS_XDIST_WORKER = "PYTEST_XDIST_WORKER" in os.environ
# A crash may cost the test database: it is made anew. Its speed is worth more.
CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "300"}
SLOTS = 16

_started: list[Site] = []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Generator[None, object, object]:
    """Before pytest-django reads the settings: the mode, the data folder and the database are known."""
    os.environ.setdefault("RATCHET_MODE", "test")
    if not IS_XDIST_WORKER:
        _provide_database()
    return (yield)


def pytest_unconfigure() -> None:
    """What was started here is stopped."""
    while _started:
        _started.pop().stop()


def _provide_database() -> None:
    if os.environ.get("DATABASE_URL"):
        os.environ.setdefault("RATCHET_HOME", str(ROOT / "var" / "test" / "given"))
        return
    if IS_STRICT:
        raise pytest.UsageError("RATCHET_TEST_STRICT=1 needs DATABASE_URL: the address of a real PostgreSQL")
    site = _site_in_a_free_slot()
    _started.append(site)
    os.environ["DATABASE_URL"] = site.database_url
    os.environ["RATCHET_HOME"] = str(site.home.path)


def _site_in_a_free_slot() -> Site:
    """Test sessions may run side by side, each on a folder of its own."""
    for slot in range(1, SLOTS + 1):
        folder = ROOT / "var" / "test" / str(slot)
        site = Site(
            folder,
            web=False,
            workers=0,
            beat=False,
            broker_url="memory://",
            restarts=False,
            postgres_settings=CARELESS,
        )
        try:
            site.start()
        except LaunchError:
            if slot == SLOTS or not _is_claimed_by_another(folder):
                raise
        else:
            return site
    raise AssertionError("unreachable: the last slot starts or raises")


def _is_claimed_by_another(folder: Path) -> bool:
    with (folder / "run" / "lock").open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
