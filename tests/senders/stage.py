"""What stands around a real sender: the provider's double, a line that loses answers, and the sender's process."""

import hashlib
import http.client
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

HERE = Path(__file__).parent
PATIENCE_S = 180


@contextmanager
def provider() -> Iterator[str]:
    """The address of a double of the provider, in a process of its own."""
    process = subprocess.Popen([sys.executable, str(HERE / "provider.py")], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        with process.stdout:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


@dataclass
class Relay:
    """Hands everything on to a site, and loses the first answer to every body: its sender has to send it again."""

    port: int
    seen: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, kind, answer = relay.hand_on(self.path, body, dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the parent's name
                """Nobody reads it."""

        return Handler

    def hand_on(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, bytes]:
        """The site's answer; the first time a 503 in its place, although the site has taken the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", path, body, dict(headers))
        answer = connection.getresponse()
        found = answer.status, answer.headers["Content-Type"], answer.read()
        connection.close()
        self.statuses[found[0]] += 1
        mark = hashlib.sha256(path.encode() + body).hexdigest()
        self.seen[mark] += 1
        return found if self.seen[mark] > 1 else (503, "text/plain", b"lost")


@dataclass(frozen=True)
class Script:
    """A sender: its script, and what its team set beside the address and the key."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        said = "-".join(value for value in self.variables.values() if value.islower())
        return f"{self.name}-{said}" if said else self.name


def run(script: Script, *, provider_url: str, endpoint: str, key: str) -> str:
    """The trace that a sender says it made, once its process has ended well; only `OTEL_*` points it at the site."""
    told = {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{key}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        **script.variables,
    }
    own = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, str(HERE / "scripts" / f"{script.name}.py")],
        env={**own, "PROVIDER_URL": provider_url, **told},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()
