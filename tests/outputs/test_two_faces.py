"""One process, two faces, spoken to over real connections."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from config.environment import ROOT
from outputs.ingest.bodies import Limits
from tests.outputs.face import an_output
from tests.outputs.live import Live

MB = 1024 * 1024


def test_what_one_face_takes_the_other_gives_back(site: Live) -> None:
    row = an_output(id="a/b c", input=[{"role": "user", "content": "ünï 😀"}], metadata={"a": 1})
    assert site.call("POST", "/api/v1/outputs", json.dumps(row).encode()) == (
        201,
        {"accepted": 1, "duplicates": 0, "rejected": []},
    )
    feedback = {"output_id": "a/b c", "kind": "comment", "comment": "ok"}
    assert site.call("POST", "/api/v1/feedback", json.dumps(feedback).encode())[0] == 201
    found = site.get("/api/v1/outputs/a%2Fb%20c")
    assert {name: found[name] for name in row} == row
    assert [row["comment"] for row in found["feedback"]] == ["ok"]
    assert site.get("/api/v1/outputs?limit=1")["results"][0]["id"] == "a/b c"


def test_both_faces_answer_problems_alike(site: Live) -> None:
    _, there = site.call("GET", "/api/v1/outputs", key="rk_unknown")
    _, here = site.call("POST", "/api/v1/outputs", b"{}", key="rk_unknown")
    assert here == there
    assert (here["status"], here["type"]) == (401, "about:blank")


@pytest.mark.parametrize("path", ["/api/v1/outputs", "/api/v1/prompts"])
def test_a_body_over_the_limit_is_told_so_while_it_is_still_being_sent(site: Live, path: str) -> None:
    status, document = site.call("POST", path, b" " * (Limits().body_bytes + 1))
    assert (status, document["status"]) == (413, 413)


@pytest.mark.parametrize("path", ["/api/v1/outputs", "/api/v1/prompts"])
def test_a_body_without_end_is_told_so_and_cut_off(site: Live, path: str) -> None:
    with _connected(site) as connection:
        _send_head(connection, site, path, "Transfer-Encoding: chunked")
        piece = b"%x\r\n%s\r\n" % (MB, b" " * MB)
        sent = 0
        with contextlib.suppress(ConnectionError):  # from here on nobody listens
            for _ in range(200):
                connection.sendall(piece)
                sent += MB
        assert _received(connection).startswith(b"HTTP/1.1 413")
    assert sent < Limits().body_bytes + Limits().linger_bytes + 16 * MB


def test_a_body_at_the_limit_costs_a_small_multiple_of_it(site: Live) -> None:
    web = psutil.Process(site.site.children["web"])
    rows = [an_output(number, input="x" * 700, output="y" * 700) for number in range(13_500)]
    body = json.dumps([{**row, "id": f"large {row['id']}"} for row in rows]).encode()
    assert 0.9 < len(body) / Limits().body_bytes <= 1
    # Telephone numbers wake the plans of the world, once.
    assert site.call("POST", "/api/v1/outputs", json.dumps(an_output(0, input="+49 30 901820")).encode())[0] == 201
    before = web.memory_info().rss
    for _ in range(3):
        assert site.call("POST", "/api/v1/outputs", body)[0] == 201
    assert web.memory_info().rss - before < 4 * Limits().body_bytes


def test_slow_senders_hold_up_nobody(site: Live) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(40):  # more than Django's face has threads
            slow = stack.enter_context(_connected(site))
            path = "/api/v1/prompts" if number % 2 else "/api/v1/outputs"
            _send_head(slow, site, path, "Content-Length: 1000")
            slow.sendall(b"{")
        began = time.monotonic()
        assert site.call("POST", "/api/v1/outputs", json.dumps(an_output(7)).encode())[0] == 201
        assert site.get("/api/v1/outputs/count")["count"] >= 1
        assert time.monotonic() - began < Limits().body_seconds / 2


def test_a_refused_request_leaves_the_connection_usable(site: Live) -> None:
    with _connected(site) as connection:
        for key, status in (("rk_wrong", b"401"), (site.sender, b"201"), (site.reader, b"403"), (site.sender, b"201")):
            body = json.dumps(an_output(8)).encode()
            # In one piece: a sender that is slow with a refused body may be hung up on.
            connection.sendall(_head(site, "/api/v1/outputs", f"Content-Length: {len(body)}", key=key) + body)
            assert _received(connection).split()[1] == status


def test_the_web_starts_without_what_only_workers_need() -> None:
    script = (
        "import sys; from config.asgi import application; from django.urls import get_resolver;"
        " get_resolver().url_patterns; print([m for m in ('sklearn', 'scipy', 'pandas') if m in sys.modules])"
    )
    environment = {"PATH": "/usr/bin:/bin", "RATCHET_MODE": "test", "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@contextlib.contextmanager
def _connected(site: Live) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", site.site.port), timeout=20) as connection:
        yield connection


def _send_head(connection: socket.socket, site: Live, path: str, length: str) -> None:
    connection.sendall(_head(site, path, length))


def _head(site: Live, path: str, length: str, *, key: str = "") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key or site.sender}\r\n"
        f"Content-Type: application/json\r\n{length}\r\n\r\n"
    )
    return head.encode()


def _received(connection: socket.socket) -> bytes:
    """One whole answer: head and as many bytes as it declares."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += _some(connection)
    head, _, body = found.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    while len(body) < length:
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection: socket.socket) -> bytes:
    piece = connection.recv(65536)
    assert piece, "the connection was closed before the answer was complete"
    return piece
