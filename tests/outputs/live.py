"""A site of its own with a real web process, and a client that says everything twice if it must."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.launcher import Site

# A broker that nobody answers for: ingest must not care.
NO_BROKER = "redis://127.0.0.1:9/0"
PATIENCE_S = 60


@dataclass(frozen=True)
class Live:
    """A running site and the keys of its one project."""

    site: Site
    sender: str
    reader: str

    def call(
        self, method: str, path: str, body: bytes | None = None, *, key: str = "", **headers: str
    ) -> tuple[int, Any]:
        """Status and document of one request; fails as the connection does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=20)
        told = {"Content-Type": "application/json", "Authorization": f"Bearer {key or self.sender}"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, told)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The document of a page that is there, by its path or whole address."""
        path = path.removeprefix(self.site.url)
        status, document = self.call("GET", path, key=self.reader)
        assert status == 200, document
        return document

    def post(self, path: str, rows: Any, **headers: str) -> dict[str, Any]:
        """What became of the rows, sent again until somebody says so."""
        body = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                status, document = self.call("POST", path, body, **headers)
            except (OSError, http.client.HTTPException):
                status, document = 0, None
            if status == 201:
                return dict(document)
            assert status in (0, 503), (status, document)
            assert time.monotonic() < deadline, "nobody took the rows in time"
            time.sleep(0.02)  # a sender's pause before it tries again


@contextmanager
def running(home: Path, **parts: Any) -> Iterator[Live]:
    """A site with a web and a private PostgreSQL."""
    given = {"workers": 0, "beat": False, "broker_url": NO_BROKER, "restarts": False, **parts}
    with Site(home, _free_port(), **given) as site:
        site.manage("create_project", "live")
        keys = [
            site.manage("create_api_key", "live", "--scopes", scope, "--name", scope).strip()
            for scope in ("ingest", "read")
        ]
        yield Live(site, *keys)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
