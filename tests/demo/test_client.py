import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from demo.client import Ratchet, Refused

Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def site(*answers: Answer) -> Iterator[tuple[Ratchet, list[tuple[str, str, bytes]]]]:
    """A loopback server that gives these answers in turn, with what it was asked."""
    asked: list[tuple[str, str, bytes]] = []
    waiting = iter(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers["Authorization"], body))
            status, headers, content = next(waiting)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815 - the name that http.server calls

        def log_message(self, *args: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with closing(Ratchet(f"http://127.0.0.1:{server.server_port}", "key")) as ratchet:
                yield ratchet, asked
        finally:
            server.shutdown()
            thread.join()


def propose(ratchet: Ratchet) -> int:
    return ratchet.propose_examples(prompt="intents")


def test_sends_its_key_and_reads_the_answer():
    with site((202, {}, b'{"id": 7}')) as (ratchet, asked):
        assert propose(ratchet) == 7
    assert asked == [("/api/v1/prompts/intents/proposals", "Bearer key", b'{"kind":"examples"}')]


@pytest.mark.parametrize("status", [409, 429, 503])
def test_asks_again_when_it_is_asked_for_patience(status):
    with site((status, {"Retry-After": "0"}, b"{}"), (202, {}, b'{"id": 7}')) as (ratchet, asked):
        assert propose(ratchet) == 7
    assert len(asked) == 2


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "3600"}])
def test_gives_up_at_once_where_patience_is_of_no_use(headers):
    with (
        site((503, headers, b'{"title": "Too busy"}')) as (ratchet, _),
        pytest.raises(Refused, match="503, Too busy"),
    ):
        propose(ratchet)


def test_a_refusal_says_what_the_problem_names():
    problem = {"title": "No", "detail": "not evidence", "errors": [{"field": "run", "message": "is spent"}]}
    with (
        site((409, {}, json.dumps(problem).encode())) as (ratchet, _),
        pytest.raises(Refused) as refused,
    ):
        ratchet.release(prompt="intents", label="production", revision=2, run=3)
    assert refused.value.status == 409
    assert refused.value.reason == "not evidence; run: is spent"


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"[]", b""])
def test_a_refusal_that_is_no_problem_document_is_shown_as_it_came(body):
    with site((502, {}, body)) as (ratchet, _), pytest.raises(Refused) as refused:
        propose(ratchet)
    assert refused.value.problem == {"detail": body.decode()}


def test_an_empty_queue_has_no_next_item():
    with site((204, {}, b"")) as (ratchet, _):
        assert ratchet.next_item(queue="intents") is None


@pytest.mark.parametrize(("correction", "sent"), [("fare", {"correction": "fare"}), (None, {})])
def test_a_review_carries_lease_and_rubric_version_and_a_correction_only_if_there_is_one(correction, sent):
    item = {"id": 5, "lease": "token", "lease_until": "later", "rubric_version": 2, "outputs": []}
    with site((201, {}, b"{}")) as (ratchet, asked):
        ratchet.review(item, answers={"correct": "no"}, correction=correction)
    assert asked[0][0] == "/api/v1/items/5/review"
    assert json.loads(asked[0][2]) == {"lease": "token", "rubric_version": 2, "answers": {"correct": "no"}} | sent


@pytest.mark.parametrize(
    "send",
    [
        lambda ratchet: ratchet.log_outputs([{"id": "a"}, {"id": "b\nb"}]),
        lambda ratchet: ratchet.import_cases(golden_set="exam", cases=[{"id": "a"}, {"id": "b\nb"}]),
    ],
)
def test_rows_are_sent_one_a_line(send: Callable[[Ratchet], object]):
    with site((201, {}, b"{}")) as (ratchet, asked):
        send(ratchet)
    assert [json.loads(line) for line in asked[0][2].split(b"\n")] == [{"id": "a"}, {"id": "b\nb"}]
