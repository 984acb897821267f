"""What the ingest benchmarks stand on: a site that only takes rows, and how they are sent to it."""

import secrets
import socket
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from config.launcher import Site

SLUG = "bench"
ROWS_PER_BATCH = 100
BATCHES_AT_ONCE = 16


def a_site(home: Path, *, database_url: str = "") -> Site:
    """A web and a PostgreSQL, its own where none is given, nothing else."""
    # The memory broker takes every bell and keeps it to itself.
    return Site(
        home,
        free_port(),
        workers=0,
        beat=False,
        broker_url="memory://",
        restarts=False,
        database_url=database_url,
    )


def a_key(site: Site) -> str:
    """A key that may send to the project `bench`, which is made where it is missing."""
    if SLUG not in _slugs(site):
        site.manage("create_project", SLUG)
    return site.manage("create_api_key", SLUG, "--scopes", "ingest", "--name", f"bench {secrets.token_hex(3)}").strip()


def _slugs(site: Site) -> set[str]:
    with psycopg.connect(site.database_url) as connection:
        return {slug for (slug,) in connection.execute("SELECT slug FROM projects_project")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def one(connection: psycopg.Connection[tuple[Any, ...]], statement: LiteralString) -> tuple[Any, ...]:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return row
