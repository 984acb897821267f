"""Bad input and too much of it: a clear problem, nothing half-written, no more memory than the limit."""

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from ledger.models import Handover
from outputs import records
from outputs.ingest import batches
from outputs.ingest.app import Ingest
from outputs.ingest.batcher import Widths
from outputs.ingest.bodies import Limits
from outputs.models import OutputBody
from projects.models import Project
from tests.outputs import face
from tests.outputs.face import FEEDBACK, JSON, NDJSON, OUTPUTS, Request, an_output, lines, post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

SMALL = Limits(body_bytes=10_000, body_seconds=0.2, held_bytes=50_000, linger_seconds=0.2, linger_bytes=50_000)


def a_row(**fields: Any) -> bytes:
    return json.dumps(an_output(**fields)).encode()


# Body, and the field that the answer names.
HOSTILE = {
    "empty": (b"", "body"),
    "blank": (b" \n ", "body"),
    "malformed": (b'{"id": ', "body"),
    "two values": (a_row() + a_row(), "body"),
    "text": (b'"output"', "row"),
    "number": (b"1", "row"),
    "null": (b"null", "row"),
    "array of arrays": (b"[[]]", "row"),
    "not a number": (b'[{"id":"a","input":"x","output":"y","latency_ms":NaN}]', "latency_ms"),
    "infinity": (b'{"id":"a","input":"x","output":"y","cost_usd":1e400}', "cost_usd"),
    "infinity deep in metadata": (
        b'{"input":"x","output":"y","metadata":{"a":[-Infinity]}}',
        "metadata.a[0]",
    ),
    "long integer": (b'{"input":"x","output":"y","metadata":{"a":' + b"9" * 30 + b"}}", "metadata.a"),
    "repeated name": (b'{"id":"a","input":"x","output":"y","id":"b"}', "row"),
    "repeated name in metadata": (b'{"input":"x","output":"y","metadata":{"a":1,"a":2}}', "metadata"),
    "NUL": (rb'{"id":"a\u0000","input":"x","output":"y"}', "id"),
    "NUL in a name": (rb'{"input":"x","output":"y","metadata":{"a\u0000":1}}', "metadata"),
    "NUL unescaped": (b'{"id":"a\x00","input":"x","output":"y"}', "body"),
    "half a surrogate pair": (rb'{"input":"x","output":"\ud83d"}', "output"),
    "invalid UTF-8": (b'{"input":"\xff","output":"y"}', "body"),
    "UTF-16": (a_row().decode().encode("utf-16"), "body"),
    "byte order mark": (b"\xef\xbb\xbf" + a_row(), "body"),
    "deep": (b"[" * 100_000, "body"),
    "deep and closed": (
        b'{"input":"x","output":"y","metadata":{"a":' + b"[" * 40 + b"]" * 40 + b"}}",
        "body",
    ),
    "unknown field": (a_row(colour="red"), "colour"),
    "unknown field like a column": (a_row(project_id=1), "project_id"),
    "id of another type": (a_row(id=5), "id"),
    "id too long": (a_row(id="x" * 201), "id"),
    "id empty": (a_row(id=""), "id"),
    "input missing": (b'{"output":"y"}', "input"),
    "input null": (a_row(input=None), "input"),
    "messages of another shape": (a_row(input=[{"text": "x"}]), "input[0]"),
    "no messages": (a_row(input=[]), "input"),
    "output and error missing": (b'{"input":"x"}', "output"),
    "output of another shape": (a_row(output={"text": "x"}), "output"),
    "output a list": (a_row(output=["x"]), "output"),
    "truth for a number": (a_row(latency_ms=True), "latency_ms"),
    "text for a number": (a_row(input_tokens="7"), "input_tokens"),
    "fraction for a count": (a_row(input_tokens=1.5), "input_tokens"),
    "negative": (a_row(output_tokens=-1), "output_tokens"),
    "over one": (a_row(confidence=1.01), "confidence"),
    "too dear": (a_row(cost_usd=1e9), "cost_usd"),
    "no moment": (a_row(started_at="yesterday"), "started_at"),
    "a number for a moment": (a_row(started_at=1_700_000_000), "started_at"),
    "before all time": (a_row(started_at="0001-01-01T00:00:00+14:00"), "started_at"),
    "after all time": (a_row(started_at="9999-12-31T23:59:59-14:00"), "started_at"),
    "tags as text": (a_row(tags="a"), "tags"),
    "an empty tag": (a_row(tags=["a", ""]), "tags[1]"),
    "too many tags": (a_row(tags=["a"] * 101), "tags"),
    "metadata a list": (a_row(metadata=[1]), "metadata"),
    "model too long": (a_row(model="x" * 201), "model"),
    "revision nought": (a_row(revision=0), "revision"),
}


class TestHostileBodies:
    @pytest.mark.parametrize("case", HOSTILE)
    def test_are_named_and_leave_nothing(self, project: Project, key: str, case: str) -> None:
        body, field = HOSTILE[case]
        reply = face.ask(post(body, key))
        assert (reply.status, reply.headers["content-type"]) == (400, "application/problem+json")
        assert reply.document["errors"][0]["field"] == field
        assert project.outputs.count() == 0
        assert not Handover.objects.filter(project_id=project.pk).exists()

    @pytest.mark.parametrize("case", [case for case, (body, _) in HOSTILE.items() if b"\n" not in body and body])
    def test_as_one_line_of_many_they_cost_only_themselves(self, project: Project, key: str, case: str) -> None:
        body = lines([an_output(1)]) + b"\n" + HOSTILE[case][0] + b"\n" + lines([an_output(2)])
        reply = face.ask(post(body, key, Content_Type=NDJSON))
        assert (reply.counts, list(reply.rejected)) == ((2, 0, 1), [1])
        assert project.outputs.count() == 2

    @pytest.mark.parametrize(
        ("row", "field"),
        [
            ({"output_id": "o", "kind": "cheer", "value": 1}, "kind"),
            ({"output_id": "", "kind": "thumb", "value": 1}, "output_id"),
            ({"kind": "thumb", "value": 1}, "output_id"),
            ({"output_id": "o", "kind": "thumb", "value": "1"}, "value"),
            ({"output_id": "o", "kind": "thumb"}, "value"),
            ({"output_id": "o", "kind": "edit", "comment": "x" * 100_001}, "comment"),
        ],
    )
    def test_bad_feedback_is_named(self, project: Project, key: str, row: Any, field: str) -> None:
        reply = face.ask(post(row, key, path=FEEDBACK))
        assert (reply.status, reply.document["errors"][0]["field"]) == (400, field)
        assert project.feedback.count() == 0

    @pytest.mark.parametrize(
        "text",
        [
            "\u202ebidi",
            "zero\u200bwidth",
            "e" + "\u0301" * 300_000,
            "\ufeff",
            "\x7f\x1b[2J",
            "\\N",
            "\\.",
            "\t\r\n",
        ],
    )
    def test_odd_text_comes_back_as_it_was_sent(self, project: Project, key: str, text: str) -> None:
        row = an_output(input=text, output=text, metadata={text[:50]: text}, model=text[:100], tags=[text[:50]])
        assert face.ask(post(row, key)).counts == (1, 0, 0)
        found = project.outputs.get()
        body = _body_of(project)
        assert (body.input, body.output, body.metadata) == (text, text, {text[:50]: text})
        assert (found.model, found.tags) == (text[:100], [text[:50]])


class TestHeaders:
    @pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/json; charset=latin-1", "json"])
    def test_other_media_types_are_not_taken(self, key: str, kind: str) -> None:
        reply = face.ask(post(an_output(), key, Content_Type=kind))
        assert (reply.status, JSON in reply.document["detail"]) == (415, True)

    @pytest.mark.parametrize("kind", [JSON, "application/json; charset=UTF-8", 'Application/JSON;charset="utf-8"', ""])
    def test_json_goes_by_several_names(self, key: str, kind: str) -> None:
        assert face.ask(post(an_output(), key, Content_Type=kind)).status == 201

    @pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
    def test_other_encodings_are_not_taken(self, key: str, encoding: str) -> None:
        assert face.ask(post(an_output(), key, Content_Encoding=encoding)).status == 415

    def test_what_is_no_gzip_is_said_to_be_none(self, key: str) -> None:
        request = post(b"", key)
        request.headers["Content-Encoding"] = "gzip"
        request.pieces = [b'{"id": 1}']
        reply = face.ask(request)
        assert (reply.status, reply.document["errors"][0]["field"]) == (400, "body")

    @pytest.mark.parametrize(("path", "allowed"), [(OUTPUTS, "GET, HEAD, OPTIONS, POST"), (FEEDBACK, "POST")])
    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    def test_other_methods_are_not_taken(self, key: str, path: str, method: str, allowed: str) -> None:
        request = post(an_output(), key, path=path)
        request.method = method
        reply = face.ask(request)
        assert (reply.status, reply.headers["allow"]) == (405, allowed)


class TestSize:
    @pytest.mark.parametrize(("n_bytes", "status"), [(10_000, 201), (10_001, 413)])
    @pytest.mark.parametrize("packed", [False, True])
    def test_is_counted_to_the_byte_before_and_after_unpacking(
        self, project: Project, key: str, n_bytes: int, status: int, packed: bool
    ) -> None:
        body = a_row(output="y" * (n_bytes - len(a_row(output=""))))
        assert len(body) == n_bytes
        coding = {"Content_Encoding": "gzip"} if packed else {}
        assert face.ask(post(body, key, **coding), limits=SMALL).status == status
        assert project.outputs.count() == (status == 201)

    def test_a_declared_length_over_the_limit_is_refused_unread(self, key: str) -> None:
        headers = post(an_output(), key, Content_Length="10001").headers
        # It sends nothing: whoever waited for the body would answer 408.
        assert face.ask(Request(headers, [], never_ends=True), limits=SMALL).status == 413

    def test_a_declared_length_that_lies_is_caught_by_counting(self, key: str) -> None:
        request = post(an_output(), key, Content_Length="5")
        request.pieces = _endless(b" " * 1_000)
        reply = face.ask(request, limits=SMALL)
        assert (reply.status, reply.headers["connection"]) == (413, "close")

    def test_a_body_without_end_is_refused_at_the_limit(self, project: Project, key: str) -> None:
        request = post(an_output(), key)
        taken = 0

        def pieces() -> Iterator[bytes]:
            nonlocal taken
            while True:
                taken += 1
                yield b" " * 1_000

        request.pieces = pieces()
        assert face.ask(request, limits=SMALL).status == 413
        # The limit, what is at hand, and what is listened to while the sender reads the answer.
        assert taken * 1_000 < SMALL.body_bytes + SMALL.linger_bytes + 300_000
        assert project.outputs.count() == 0

    def test_a_bomb_is_never_unpacked_beyond_the_limit(self, project: Project, key: str) -> None:
        bomb = gzip.compress(b"0" * 100_000_000, compresslevel=1)
        limits = Limits(body_bytes=10_000_000)
        tracemalloc.start()
        request = post(b"", key)
        request.headers["Content-Encoding"] = "gzip"
        request.pieces = [bomb]
        reply = face.ask(request, limits=limits)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert reply.status == 413
        assert peak < 3 * limits.body_bytes
        assert project.outputs.count() == 0

    def test_a_row_has_a_limit_of_its_own(self, project: Project, key: str) -> None:
        large = an_output(1, output="y" * records.ROW_LIMITS.n_bytes)
        crowded = an_output(2, metadata={"a": [0] * records.ROW_LIMITS.n_values})
        reply = face.ask(post([large, crowded, an_output(3)], key))
        assert (reply.counts, reply.rejected) == ((1, 0, 2), {0: ["row"], 1: ["row"]})

    def test_blank_lines_cost_nothing(self, key: str) -> None:
        body = b"\n" * 5_000_000 + b" \t\r\n" * 1_000_000 + a_row() + b"\n" * 5_000_000
        assert face.ask(post(body, key, Content_Type=NDJSON)).counts == (1, 0, 0)

    @pytest.mark.parametrize("form", [JSON, NDJSON])
    def test_rows_are_counted(self, project: Project, key: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(batches, "MOST_ROWS", 10)
        rows = [an_output(number) for number in range(11)]
        body = lines(rows) if form == NDJSON else json.dumps(rows).encode()
        assert face.ask(post(body, key, Content_Type=form)).status == 413
        assert project.outputs.count() == 0
        assert face.ask(post(rows[:10], key)).counts == (10, 0, 0)

    def test_ten_thousand_rows_are_told_apart_one_by_one(self, project: Project, key: str) -> None:
        rows = [an_output(number) if number % 10 else {"id": number} for number in range(10_000)]
        reply = face.ask(post(rows, key))
        assert reply.counts == (9_000, 0, 1_000)
        assert list(reply.rejected) == list(range(0, 10_000, 10))
        assert project.outputs.count() == 9_000


class TestTime:
    def test_a_body_that_takes_too_long_is_given_up(self, project: Project, key: str) -> None:
        request = Request(post(an_output(), key).headers, [a_row()[:20]], never_ends=True)
        reply = face.ask(request, limits=SMALL)
        assert (reply.status, reply.headers["connection"]) == (408, "close")
        assert project.outputs.count() == 0

    def test_a_drop_now_and_then_does_not_help(self, key: str) -> None:
        request = Request(post(an_output(), key).headers, _endless(b" "), pause=lambda: asyncio.sleep(0.01))
        assert face.ask(request, limits=SMALL).status == 408

    def test_who_hangs_up_stores_nothing(self, project: Project, key: str) -> None:
        whole = a_row()

        async def talk(app: Ingest) -> list[object]:
            cut = [Request(post(b"", key).headers, [whole[:at], None]) for at in (0, 10, len(whole))]
            return [await request.to(app) for request in cut]

        assert face.during(talk) == [None, None, None]
        assert project.outputs.count() == 0


class TestPressure:
    def test_more_than_there_is_room_for_is_told_to_come_again(self, project: Project, key: str) -> None:
        body = a_row(output="y" * 9_000)

        async def talk(app: Ingest) -> list[int]:
            arrived = asyncio.Event()
            held = [Request(post(b"", key).headers, [body, b""], pause=_after_first(arrived)) for _ in range(2)]
            waiting = [asyncio.create_task(request.to(app)) for request in held]
            await _until(lambda: app._room.n_held == 2 * len(body))
            refused = await post(body, key).to(app)
            arrived.set()
            found = [refused, *await asyncio.gather(*waiting), await post(body, key).to(app)]
            assert refused is not None
            assert refused.headers["retry-after"] == "1"
            return [reply.status for reply in found if reply]

        assert face.during(talk, limits=SMALL) == [503, 201, 201, 201]
        assert project.outputs.count() == 1

    def test_the_room_is_given_back_whatever_happened(self, key: str) -> None:
        async def talk(app: Ingest) -> int:
            for request in (
                post(b"{", key),
                post(a_row(), key),
                post(b" " * 10_001, key),
                post(a_row(), "wrong"),
            ):
                await request.to(app)
            return app._room.n_held

        assert face.during(talk, limits=SMALL) == 0

    def test_a_queue_is_bounded_for_each_project(self, project: Project, key: str) -> None:
        widths = Widths(waiting_per_project=3)

        async def talk(app: Ingest) -> list[int]:
            await post(an_output(0), key).to(app)
            replies = await asyncio.gather(*(post(an_output(n), key).to(app) for n in range(1, 11)))
            assert all(reply.headers["retry-after"] for reply in replies if reply and reply.status == 503)
            return [reply.status for reply in replies if reply]

        statuses = face.during(talk, widths=widths)
        assert set(statuses) == {201, 503}
        assert project.outputs.count() == 1 + statuses.count(201)


def _endless(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


def _after_first(event: asyncio.Event) -> Any:
    """A pause that lets the first piece pass and holds the second until the event."""
    passed = False

    async def pause() -> None:
        nonlocal passed
        if passed:
            await event.wait()
        passed = True

    return pause


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


def _body_of(project: Project) -> OutputBody:
    return OutputBody.objects.get(output_id=project.outputs.get().pk)
