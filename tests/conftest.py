"""What every test may ask for, and the rule about skips."""

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import kombu
import psycopg
import psycopg.sql
import pytest
from django.db import connections
from django.db.backends.postgresql.creation import DatabaseCreation
from django.db.backends.postgresql.operations import DatabaseOperations

from config.launcher.folders import DataFolder
from config.launcher.valkey import Valkey
from tests import services

# A skip with any other reason fails the session: nothing is left out in silence.
ALLOWED_SKIPS = [
    re.compile(r"RATCHET_TEST_DATA is not set"),
    re.compile(r"RATCHET_TEST_REDIS_URL is not set"),
    re.compile(r"RATCHET_TEST_RABBITMQ_URL is not set"),
    re.compile(r"Chromium is not installed"),
    re.compile(r"needs root"),
    re.compile(r"needs Linux"),
    re.compile(r"needs a Python that another account may run"),
]
_other_skips: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Skips are looked at as they come; those of workers come here, too."""
    _look_at_skip(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Whole modules may skip themselves."""
    _look_at_skip(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skip that is not allowed fails the session."""
    if _other_skips and not services.IS_XDIST_WORKER:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says which skips were not allowed."""
    if _other_skips:
        terminalreporter.section("skips whose reason is not allowed (tests/conftest.py)", red=True)
        for line in _other_skips:
            terminalreporter.line(line)


def _look_at_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not any(allowed.search(reason) for allowed in ALLOWED_SKIPS):
        _other_skips.append(f"{report.nodeid}: {reason}")


# Whole sites, browsers and kills: what takes long begins first, so that no worker is left alone with it at the end.
LONG = {"flows", "faults", "senders", "browser", "config"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After whatever else orders them; modules stay together."""
    tests = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(tests).parts[0] not in LONG)


@pytest.fixture(scope="session", autouse=True)
def quick_flush() -> Iterator[None]:
    """After a test that committed, rows are deleted where there are any: to truncate a hundred tables takes 0.3 s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", _sql_flush(DatabaseOperations.sql_flush))
        patch.setattr(DatabaseCreation, "_destroy_test_db", _drop)
        yield


def _drop(self: DatabaseCreation, name: str, verbosity: int) -> None:
    """Whoever is still on its way out of the tests' database does not keep it."""
    with self._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE {self.connection.ops.quote_name(name)} WITH (FORCE)")


def _sql_flush(usual: Callable[..., list[str]]) -> Callable[..., list[str]]:
    def sql_flush(self: DatabaseOperations, style: Any, tables: Sequence[str], **how: Any) -> list[str]:
        with self.connection.cursor() as cursor:
            cursor.execute("SHOW is_superuser")
            if how.get("reset_sequences") or cursor.fetchone() != ("on",):
                return usual(self, style, tables, **how)
            asked = [f"SELECT '{name}' WHERE EXISTS (SELECT FROM {self.quote_name(name)})" for name in tables]
            cursor.execute(" UNION ALL ".join(asked))
            found = [self.quote_name(name) for (name,) in cursor.fetchall()]
        deletes = [f"DELETE FROM {name}" for name in found]
        return ["SET session_replication_role = replica", *deletes, "RESET session_replication_role"] if found else []

    return sql_flush


def given(name: str) -> str:
    """The variable's value; without it the test is skipped aloud, or fails where nothing may be missing."""
    value = os.environ.get(name, "")
    if not value and services.IS_STRICT:
        pytest.fail(f"{name} is not set, and RATCHET_TEST_STRICT=1 lets nothing be left out")
    if not value:
        pytest.skip(f"{name} is not set")
    return value


@pytest.fixture(scope="session")
def private_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """The embedded broker, one for each test process."""
    server = Valkey(DataFolder(tmp_path_factory.mktemp("broker")))
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["valkey", "redis", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty broker: the embedded one always, Redis and RabbitMQ where their addresses are given."""
    match request.param:
        case "valkey":
            server: Valkey = request.getfixturevalue("private_valkey")
            _empty_redis(server.url)
            yield server.url
        case "redis":
            with alone("redis"):
                yield _empty_redis(given("RATCHET_TEST_REDIS_URL"))
        case "rabbitmq":
            with alone("rabbitmq"):
                yield _empty_rabbitmq(given("RATCHET_TEST_RABBITMQ_URL"))


@pytest.fixture
def fresh_database_url() -> Iterator[str]:
    """A new, empty database on the tests' server, for child processes that must see what is committed."""
    with _a_database("template0") as url:
        yield url


@pytest.fixture
def migrated_database_url(migrated: str) -> Iterator[str]:
    """As `fresh_database_url`, with every table."""
    with _a_database(migrated) as url:
        yield url


@pytest.fixture(scope="session")
def migrated() -> str:
    """The name of a database that has every table and is copied: the migrations run once for all tests."""
    name = f"ratchet_migrated_{_digest_of_migrations()}"
    server = os.environ["DATABASE_URL"]
    with alone("migrated"), psycopg.connect(server, dbname="postgres", autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            _migrate(connection, server, name)
    return name


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None, migrated: str) -> None:
    """The tests' own database is such a copy, too."""
    connections["default"].settings_dict["TEST"]["TEMPLATE"] = migrated


def _migrate(connection: psycopg.Connection[Any], server: str, name: str) -> None:
    """It gets its name once it is complete; those of other migrations go, unless somebody copies them just now."""
    for (old,) in connection.execute(
        "SELECT datname FROM pg_database WHERE datname LIKE 'ratchet_migrated_%'"
    ).fetchall():
        with suppress(psycopg.Error):
            connection.execute(psycopg.sql.SQL("DROP DATABASE {}").format(psycopg.sql.Identifier(old)))
    unfinished = f"{name}_unfinished"
    for statement in ("DROP DATABASE IF EXISTS {}", "CREATE DATABASE {}"):
        connection.execute(psycopg.sql.SQL(statement).format(psycopg.sql.Identifier(unfinished)))
    command = [sys.executable, str(services.ROOT / "manage.py"), "migrate", "--verbosity", "0"]
    environment = {**os.environ, "DATABASE_URL": _with_database(server, unfinished)}
    subprocess.run(command, env=environment, check=True, timeout=300)
    rename = psycopg.sql.SQL("ALTER DATABASE {} RENAME TO {}")
    connection.execute(rename.format(psycopg.sql.Identifier(unfinished), psycopg.sql.Identifier(name)))


def _digest_of_migrations() -> str:
    """Another migration makes another database."""
    found = hashlib.sha256()
    for path in sorted(services.ROOT.glob("*/migrations/*.py")) + sorted(services.ROOT.glob("*/*/migrations/*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


@contextmanager
def _a_database(template: str) -> Iterator[str]:
    server = os.environ["DATABASE_URL"]
    name = f"ratchet_{uuid.uuid4().hex[:12]}"
    names = {"name": psycopg.sql.Identifier(name), "template": psycopg.sql.Identifier(template)}
    with psycopg.connect(server, dbname="postgres", autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("CREATE DATABASE {name} TEMPLATE {template}").format(**names))
        yield _with_database(server, name)
        connection.execute(psycopg.sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**names))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data."""
    return Path(given("RATCHET_TEST_DATA"))


class alone:  # noqa: N801 # reads as a word: `with alone("redis")`
    """One test process at a time uses the shared service of this name."""

    def __init__(self, name: str) -> None:
        self.path = services.ROOT / "var" / "test" / f"{name}.lock"

    def __enter__(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = self.path.open("w")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *problem: object) -> None:
        self.file.close()


def _empty_redis(url: str) -> str:
    with kombu.Connection(url) as connection:
        channel: Any = connection.default_channel  # the Redis transport's, which kombu's types do not tell apart
        channel.client.flushdb()
    return url


def _empty_rabbitmq(url: str) -> str:
    with kombu.Connection(url) as connection:
        channel: Any = connection.default_channel  # the AMQP transport's
        for queue in ("celery", "ratchet", "runs"):
            channel.queue_delete(queue)
    return url


def _with_database(url: str, name: str) -> str:
    options = {key: value for key, value in psycopg.conninfo.conninfo_to_dict(url).items() if key != "dbname"}
    return f"postgresql:///{name}?{urllib.parse.urlencode(options)}"
