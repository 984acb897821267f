"""Uploads: whole or in pieces, plain or packed, as a body or a form; what is no file of ours is refused at once."""

import gzip
import json
import urllib.parse
from typing import Any

import pytest
from django.test import Client

from outputs.ingest.uploads import UploadLimits
from outputs.models import Import, ImportPiece, Output, Tally
from projects.models import Project
from tests import factories
from tests.outputs import face
from tests.outputs.face import Request
from tests.outputs.importing import files
from tests.outputs.importing.files import PATH, ask, form, post, put

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

ROWS = files.rows(10)
JSONL = files.as_jsonl(ROWS)
SMALL = UploadLimits(file_bytes=2_000, piece_bytes=300, piece_seconds=0.3, put_bytes=1_000)


def of(project: Project) -> Import:
    return Import.objects.get(project=project)


class TestWhole:
    def test_stands_in_pieces_until_a_worker_has_stored_its_rows(self, project: Project, key: str) -> None:
        reply = ask(post(JSONL, key), limits=SMALL)
        assert reply.status == 202
        assert reply.headers["location"] == reply.document["url"] == f"{PATH}/{reply.document['id']}"
        pieces = ImportPiece.objects.filter(of=of(project)).order_by("offset")
        assert b"".join(bytes(piece.body) for piece in pieces) == JSONL
        assert files.counts(files.worked(reply.document["id"])) == (10, 0, 0)

    def test_may_come_packed(self, project: Project, key: str) -> None:
        reply = ask(post(gzip.compress(JSONL), key, Content_Encoding="gzip"))
        assert files.counts(files.worked(reply.document["id"])) == (10, 0, 0)

    @pytest.mark.parametrize("size", [1, 7, 5_000])
    def test_may_come_in_a_form_cut_anywhere(self, size: int, project: Project, key: str) -> None:
        mapping = json.dumps({"question": "input", "answer": "output", "latency_ms": None})
        request = form(files.as_csv(ROWS), key, name="rows.csv", mapping=mapping)
        (body,) = request.pieces
        assert body is not None
        request.pieces = [body[at : at + size] for at in range(0, len(body), size)]
        reply = ask(request)
        assert (reply.status, reply.document["format"], reply.document["name"]) == (202, "csv", "rows.csv")
        found = files.worked(reply.document["id"])
        assert files.counts(found) == (10, 0, 0)
        assert not Output.objects.of(project.pk).exclude(latency_ms=None).exists()

    def test_takes_the_mapping_from_the_address_either_way_round(self, project: Project, key: str) -> None:
        rows = [{"a": "hello", "b": "there"}]
        for number, mapping in enumerate(({"a": "input", "b": "output"}, {"input": "a", "output": "b"})):
            query = urllib.parse.urlencode({"format": "jsonl", "mapping": json.dumps(mapping)})
            found = files.worked(files.sent(files.as_jsonl(rows), key, query))
            assert files.counts(found) == ((1, 0, 0), (0, 1, 0))[number]

    def test_is_answered_again_under_its_idempotency_key(self, project: Project, key: str) -> None:
        first = ask(post(JSONL, key, Idempotency_Key="k"))
        again = ask(post(JSONL, key, Idempotency_Key="k"))
        other = ask(post(JSONL + b"\n", key, Idempotency_Key="k"))
        assert (first.status, first.body) == (again.status, again.body)
        assert other.status == 422
        assert Import.objects.filter(project=project).count() == 1

    def test_that_breaks_off_never_was(self, project: Project, key: str) -> None:
        broken = Request(post(JSONL, key).headers, [JSONL[:500], None], PATH, query="format=jsonl")
        with pytest.raises(AssertionError, match="nothing was answered"):
            ask(broken, limits=SMALL)
        assert not Import.objects.filter(project=project).exists()
        assert not ImportPiece.objects.filter(of__project=project).exists()


REFUSED: dict[str, tuple[bytes, str, dict[str, str], int, str]] = {
    "empty": (b"", "format=jsonl", {}, 400, "file"),
    "no format": (JSONL, "", {}, 400, "format"),
    "another format": (JSONL, "format=xlsx", {}, 400, "format"),
    "another kind": (JSONL, "format=jsonl&kind=steps", {}, 400, "kind"),
    "another parameter": (JSONL, "format=jsonl&delimiter=x", {}, 400, "delimiter"),
    "a mapping that is no JSON": (JSONL, "format=jsonl&mapping=x", {}, 400, "mapping"),
    "a mapping of numbers": (JSONL, "format=jsonl&mapping={%22a%22:1}", {}, 400, "mapping.a"),
    "a zip file": (b"PK\x03\x04aaaa", "format=csv", {}, 400, "file"),
    "UTF-16": ("a,b\n1,2".encode("utf-16"), "format=csv", {}, 400, "file"),
    "NUL": (b"a,b\n\x00,2", "format=csv", {}, 400, "file"),
    "text as Parquet": (JSONL, "format=parquet", {}, 400, "file"),
    "Parquet as text": (b"PAR1aaaaPAR1", "format=jsonl", {}, 400, "file"),
    "text as Langfuse": (b"a,b\n1,2", "format=langfuse", {}, 400, "file"),
    "gzip that is none": (JSONL, "format=jsonl", {"Content_Encoding": "gzip"}, 400, "body"),
    "half a gzip": (gzip.compress(JSONL)[:-9], "format=jsonl", {"Content_Encoding": "gzip"}, 400, "body"),
    "another encoding": (JSONL, "format=jsonl", {"Content_Encoding": "br"}, 415, ""),
    "a form without end": (b"--edge\r\n", "", {"Content_Type": "multipart/form-data; boundary=edge"}, 400, "body"),
    "a form without boundary": (JSONL, "", {"Content_Type": "multipart/form-data"}, 400, "Content-Type"),
    "a size that is none": (b"", "format=jsonl&size=-1", {}, 400, "size"),
    "too large": (b"x" * 2_001, "format=jsonl", {}, 413, ""),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=list(REFUSED))
def test_refuses_what_is_no_file_of_ours_and_keeps_nothing(case: Any, project: Project, key: str) -> None:
    body, query, headers, status, field = case
    reply = ask(post(body, key, query, **headers), limits=SMALL)
    assert reply.status == status, reply.body
    assert [error["field"] for error in reply.document["errors"]][:1] == ([field] if field else [])
    assert not Import.objects.filter(project=project).exists()


def test_a_refused_file_is_counted_like_any_refused_request(project: Project, key: str) -> None:
    assert ask(post(JSONL, key, "format=word")).status == 400
    tally = Tally.objects.get(project_id=project.pk)
    assert (tally.n_requests, tally.refused) == (1, 1)


def test_a_bomb_is_refused_before_it_is_unpacked(project: Project, key: str) -> None:
    bomb = gzip.compress(b"\n" * (200 * 1024 * 1024), 9)
    reply = ask(post(bomb, key, Content_Encoding="gzip"))
    assert reply.status == 413
    assert not ImportPiece.objects.filter(of__project=project).exists()


def test_a_lying_length_and_an_endless_body_are_refused(project: Project, key: str) -> None:
    lying = ask(post(b"", key, Content_Length="999999999999"), limits=SMALL)
    endless = Request(
        {"Authorization": f"Bearer {key}"}, (b"x" * 100 for _ in range(10**6)), PATH, query="format=jsonl"
    )
    slow = Request({"Authorization": f"Bearer {key}"}, [b"{"], PATH, query="format=jsonl", never_ends=True)
    assert [lying.status, ask(endless, limits=SMALL).status, ask(slow, limits=SMALL).status] == [413, 413, 408]


@pytest.mark.parametrize(("scope", "status"), [("ingest", 202), ("read", 403), ("admin", 403), ("", 401)])
def test_needs_the_scope_ingest(scope: str, status: int, project: Project) -> None:
    key = factories.a_key(project, scope) if scope else "rk_nobody"
    assert ask(post(JSONL, key)).status == status
    assert ask(put(987654321, 0, b"x", key)).status == (404 if status == 202 else status)


class TestInPieces:
    @pytest.fixture
    def opened(self, key: str) -> int:
        reply = ask(post(b"", key, f"name=rows.jsonl&size={len(JSONL)}"))
        assert (reply.status, reply.document["state"]) == (202, "uploading")
        return int(reply.document["id"])

    def test_goes_on_after_a_loss_and_starts_when_told(self, opened: int, project: Project, key: str) -> None:
        api = Client(headers=factories.bearer(key))
        assert ask(put(opened, 0, JSONL[:100], key)).document["received_bytes"] == 100
        assert ask(put(opened, 0, JSONL[:100], key)).document["received_bytes"] == 100
        skipped = ask(put(opened, 200, JSONL[200:], key))
        assert (skipped.status, skipped.document["received_bytes"]) == (409, 100)
        assert ask(put(opened, 0, b"?" * 100, key)).status == 409
        assert api.post(f"{PATH}/{opened}/start", b"{}", content_type="application/json").status_code == 409
        assert api.get(f"{PATH}/{opened}").json()["received_bytes"] == 100
        assert ask(put(opened, 100, JSONL[100:], key)).document["state"] == "arrived"
        assert files.worked(opened).state == "ready"
        shown = api.post(f"{PATH}/{opened}/preview", b"{}", content_type="application/json").json()
        assert shown["mapping"]["question"] == "input"
        assert [row["fields"]["output"] for row in shown["rows"]] == [row["answer"] for row in ROWS]
        begun = api.post(f"{PATH}/{opened}/start", b'{"mapping": null}', content_type="application/json")
        assert (begun.status_code, begun.json()["state"]) == (202, "waiting")
        assert files.counts(files.worked(opened)) == (10, 0, 0)
        assert api.get(f"{PATH}/{opened}").json()["stored"] == 10
        assert Import.objects.get(pk=opened).sample is None, "what was sent stays nowhere but as rows"

    def test_refuses_more_than_was_said(self, opened: int, key: str) -> None:
        assert ask(put(opened, 0, JSONL + b"x", key)).status == 400

    def test_is_nowhere_for_another_project(self, opened: int, key: str) -> None:
        stranger = factories.a_key(factories.a_project())
        assert ask(put(opened, 0, JSONL, stranger)).status == 404
        assert Client(headers=factories.bearer(stranger)).get(f"{PATH}/{opened}").status_code == 404

    def test_can_be_cancelled_and_leaves_no_piece(self, opened: int, key: str) -> None:
        ask(put(opened, 0, JSONL, key))
        api = Client(headers=factories.bearer(key))
        for _ in "12":
            assert api.post(f"{PATH}/{opened}/cancel").json()["state"] == "cancelled"
        assert not ImportPiece.objects.filter(of=opened).exists()
        assert files.worked(opened).state == "cancelled"

    def test_a_project_holds_few_unfinished_uploads(self, opened: int, project: Project, key: str) -> None:
        replies = [ask(post(b"", key, "format=csv&size=9")) for _ in range(4)]
        assert [reply.status for reply in replies] == [202, 202, 202, 429]
        assert replies[-1].headers["retry-after"]
        other = factories.a_key(factories.a_project(), "ingest")
        assert ask(post(JSONL, other)).status == 202


def test_a_row_is_the_same_by_every_way(project: Project, key: str) -> None:
    row = {"id": "same", "input": "hello", "output": "there", "latency_ms": 12.0, "metadata": {"shop": "x"}}
    assert face.ask(face.post(row, key)).counts == (1, 0, 0)
    flat = {"id": "same", "input": "hello", "output": "there", "latency_ms": "12", "shop": "x"}
    for name, body in (("jsonl", files.as_jsonl([row])), ("csv", files.as_csv([flat])),
                       ("parquet", files.as_parquet([flat]))):  # fmt: skip
        assert files.counts(files.worked(files.sent(body, key, f"format={name}"))) == (0, 1, 0), name
