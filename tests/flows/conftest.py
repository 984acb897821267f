"""Flows walk through a whole running site: real web, real workers, a real broker, the demo's model."""

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config import launcher
from demo import play


@dataclass(frozen=True)
class Playground:
    """A running site with a demo project, and where to play on it."""

    site: launcher.Site
    accounts: dict[str, Any]
    where: play.Site


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def playground(tmp_path: Path, migrated_database_url: str) -> Iterator[Playground]:
    """A site of its own folder, port and database, with the embedded broker and the demo's model."""
    model_port = a_free_port()
    site = launcher.Site(
        tmp_path / "home",
        a_free_port(),
        database_url=migrated_database_url,
        variables={
            "RATCHET_MODE": "test",
            "RATCHET_OUTBOUND_ALLOW": f"127.0.0.1:{model_port}",
            "PYTHONPATH": os.pathsep.join(["platform", "."]),
        },
    )
    with site:
        model_url = site.add_demo_model(model_port)
        accounts = json.loads(site.manage("demo_accounts"))
        keys = accounts["keys"]
        where = play.Site(site.url, keys["engineer"], keys["reviewer"], keys["admin"], model_url)
        yield Playground(site, accounts, where)
