"""The same bad input by every way in: refused with its place, or stored and given back as it was sent."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from core import clock
from outputs.ingest.otlp.mapping import EVALUATION
from outputs.models import Feedback, FeedbackDoor, Import, Output, OutputBody, Step
from outputs.redaction import detector, policy
from outputs.redaction.policy import Action
from outputs.services import redaction
from projects import access
from projects.models import Project
from tests import factories
from tests.outputs import face
from tests.outputs.face import FEEDBACK, NDJSON, Reply
from tests.outputs.importing import files
from tests.outputs.otlp import bodies
from tests.outputs.otlp.bodies import LOGS, PROTOBUF, TRACE, a_log_request, a_record, a_request, a_span
from tests.outputs.test_doors import SHOP, a_door, token_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

HERE = "HERE"
CHAT = {"gen_ai.operation.name": "chat"}
SPAN_ID = f"{TRACE}:{1:016x}"


@pytest.fixture
def project(project: Project) -> Project:
    """What is found in texts stays: here it counts that they come back as they were."""
    as_it_came = policy.checked(detectors=dict.fromkeys(detector.names(), Action.KEEP))
    redaction.save_policy(environment="", policy=as_it_came, by=access.system(project), now=clock.now())
    return project


@dataclass(frozen=True)
class Sent:
    """What became of one text: where it was refused, else what the API gives back."""

    refused: str
    found: Any = None


@dataclass(frozen=True)
class Sender:
    """A project, its key, and its rows as the API shows them."""

    project: Project
    key: str

    def shown(self, external_id: str) -> Any:
        reader = Client(headers=factories.bearer(factories.a_key(self.project, "read")))
        reply = reader.get(f"/api/v1/outputs/{external_id}")
        assert reply.status_code == 200, reply.content
        return reply.json()

    def comment(self, output_id: str = "o1") -> Any:
        return self.shown(output_id)["feedback"][0]["comment"]


@pytest.fixture
def sender(project: Project, key: str) -> Sender:
    return Sender(project, key)


def row(text: bytes) -> bytes:
    """A row of JSON with this in the place of a text."""
    return b'{"id":"o1","input":"x","output":"y","metadata":{"note":%s}}' % text


def told(reply: Reply) -> str:
    """Where a reply says that something is wrong; nothing but 2xx and 4xx is an answer to bad input."""
    assert reply.status < 500, reply.body
    if reply.status >= 400:
        errors = reply.document.get("errors") or [{"field": reply.document.get("detail")}]
        return str(errors[0]["field"])
    rejected = reply.document.get("rejected")
    return str(rejected[0]["errors"][0]["field"]) if rejected else ""


def by_json(sender: Sender, fragment: bytes) -> Sent:
    refused = told(face.ask(face.post(row(fragment), sender.key)))
    return Sent(refused) if refused else Sent("", sender.shown("o1")["metadata"]["note"])


def by_lines(sender: Sender, fragment: bytes) -> Sent:
    refused = told(face.ask(face.post(row(fragment), sender.key, Content_Type=NDJSON)))
    return Sent(refused) if refused else Sent("", sender.shown("o1")["metadata"]["note"])


def by_otlp_json(sender: Sender, fragment: bytes) -> Sent:
    body = json.dumps(a_request(a_span(1, {**CHAT, "note": HERE}))).encode().replace(b'"HERE"', fragment)
    refused = otlp_told(face.ask(bodies.post(body, sender.key)))
    return Sent(refused) if refused else Sent("", sender.shown(SPAN_ID)["metadata"]["otel"]["attributes"]["note"])


def by_log_json(sender: Sender, fragment: bytes) -> Sent:
    bodies.send(a_request(a_span(1, CHAT)), sender.key)
    said = {"gen_ai.evaluation.name": "good", "gen_ai.evaluation.explanation": HERE}
    event = a_record(EVALUATION, None, attributes=bodies.attributes_of(said))
    body = json.dumps(a_log_request(event)).encode().replace(b'"HERE"', fragment)
    refused = otlp_told(face.ask(bodies.post(body, sender.key, path=LOGS)))
    return Sent(refused) if refused else Sent("", sender.comment(SPAN_ID))


def by_door(sender: Sender, fragment: bytes) -> Sent:
    face.ask(face.post(face.an_output(1), sender.key))
    door = FeedbackDoor.objects.filter(project=sender.project).first() or a_door(sender.project)[0]
    body = b'{"output_id":"o1","kind":"comment","comment":%s}' % fragment
    refused = told(face.ask(face.post(body, token_of(door), path=FEEDBACK, Origin=SHOP)))
    return Sent(refused) if refused else Sent("", sender.comment())


def by_import_of_lines(sender: Sender, fragment: bytes) -> Sent:
    return imported(sender, files.ask(files.post(row(fragment), sender.key)))


def otlp_told(reply: Reply) -> str:
    if reply.status == 200:
        return bodies.rejected_in(reply)[1]
    assert 400 <= reply.status < 500, reply.body
    return reply.body.decode(errors="replace")


def imported(sender: Sender, reply: Reply) -> Sent:
    if reply.status != 202:
        return Sent(told(reply))
    return settled(sender, reply.document["id"])


def settled(sender: Sender, import_id: int) -> Sent:
    done = files.worked(import_id)
    assert done.state in ("done", "failed"), done.state
    if done.state == "failed":
        return Sent(f"file: {done.error}")
    rejected = files.flaws(done)
    if rejected:
        return Sent(json.dumps(rejected[0]))
    return Sent("", sender.shown("o1")["metadata"]["note"])


def with_length(number: int, content: bytes) -> bytes:
    """A field of protobuf, which the library would not write with such text in it."""
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((number << 3 | 2,)) + bytes((*length, size)) + content


def attribute(name: bytes, text: bytes) -> bytes:
    return with_length(1, name) + with_length(2, with_length(1, text))


def by_otlp_protobuf(sender: Sender, text: bytes) -> Sent:
    span = with_length(1, bytes.fromhex(TRACE)) + with_length(2, (1).to_bytes(8, "big"))
    span += with_length(9, attribute(b"gen_ai.operation.name", b"chat")) + with_length(9, attribute(b"note", text))
    body = with_length(1, with_length(2, with_length(2, span)))
    refused = otlp_told(face.ask(bodies.post(body, sender.key, content_type=PROTOBUF)))
    return Sent(refused) if refused else Sent("", sender.shown(SPAN_ID)["metadata"]["otel"]["attributes"]["note"])


def by_log_protobuf(sender: Sender, text: bytes) -> Sent:
    bodies.send(a_request(a_span(1, CHAT)), sender.key)
    event = with_length(9, bytes.fromhex(TRACE)) + with_length(10, (1).to_bytes(8, "big"))
    event += with_length(6, attribute(b"gen_ai.evaluation.name", b"good")) + with_length(12, EVALUATION.encode())
    event += with_length(6, attribute(b"gen_ai.evaluation.explanation", text))
    body = with_length(1, with_length(2, with_length(2, event)))
    refused = otlp_told(face.ask(bodies.post(body, sender.key, path=LOGS, content_type=PROTOBUF)))
    return Sent(refused) if refused else Sent("", sender.comment(SPAN_ID))


def as_csv(text: bytes) -> bytes:
    """A file of one row; the text is quoted as CSV has it."""
    return b'id,input,output,note\r\no1,x,y,"' + text.replace(b'"', b'""') + b'"\r\n'


def by_import_of_csv(sender: Sender, text: bytes) -> Sent:
    return imported(sender, files.ask(files.post(as_csv(text), sender.key, "format=csv")))


def by_form(sender: Sender, text: bytes) -> Sent:
    return imported(sender, files.ask(files.form(as_csv(text), sender.key)))


def by_page(sender: Sender, text: bytes) -> Sent:
    client = Client()
    client.force_login(factories.a_member(sender.project))
    url = f"/{sender.project.slug}/imports/+new/"
    page = client.post(url, {"file": SimpleUploadedFile("rows.csv", as_csv(text)), "kind": "outputs"})
    assert page.status_code < 500
    if page.status_code != 302:
        return Sent("file")
    found = Import.objects.filter(project=sender.project).latest("pk")
    if files.worked(found.pk).state == "ready":
        targets = {"target-0": "id", "target-1": "input", "target-2": "output", "target-3": "metadata."}
        begun = client.post(f"/{sender.project.slug}/imports/{found.pk}/start/", targets)
        assert begun.status_code in (302, 422)
        if begun.status_code == 422:
            return Sent("file")
    assert client.get(f"/{sender.project.slug}/imports/{found.pk}/").status_code == 200
    return settled(sender, found.pk)


IN_JSON: dict[str, Callable[[Sender, bytes], Sent]] = {
    "JSON": by_json,
    "NDJSON": by_lines,
    "OTLP in JSON": by_otlp_json,
    "log in JSON": by_log_json,
    "door": by_door,
    "import of JSON Lines": by_import_of_lines,
}
IN_BYTES: dict[str, Callable[[Sender, bytes], Sent]] = {
    "OTLP in protobuf": by_otlp_protobuf,
    "log in protobuf": by_log_protobuf,
    "import of CSV": by_import_of_csv,
    "form": by_form,
    "page": by_page,
}

ODD = {
    "bidi override": "\u202egnp.exe",
    "zero width": "pass\u200b\u200d\u2060word",
    "byte order mark within": "a\ufeffb",
    "combining marks": "e" + "\u0301" * 700,
    "controls": "\x07\x1b[2J\x7f\u0085\u2028",
    "beyond the first plane": "\U0001f600\U0010ffff\ufffe",
    "markup": "<script>alert(1)</script>{{x}}{% x %}",
    "copy's own": "\\N\\.\t\\x",
    "formula": "=cmd|' /C calc'!A0",
}
BAD_IN_JSON = {
    "NUL": rb'"a\u0000b"',
    "half a surrogate pair": rb'"\ud83d"',
    "invalid UTF-8": b'"\xff\xfe"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "surrogate in UTF-8": b'"\xed\xa0\x80"',
    "control unescaped": b'"a\x01b"',
    "number too large": b"1e400",
    "NaN": b"NaN",
    "long integer": b"9" * 30,
    "repeated name": b'{"a":1,"a":2}',
    "nested 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "nested and open": b'{"a":' * 1_500,
}
BAD_IN_BYTES = {
    "NUL": b"a\x00b",
    "invalid UTF-8": b"\xff\xfe",
    "overlong UTF-8": b"\xc0\xaf",
    "surrogate in UTF-8": b"\xed\xa0\x80",
}


def counted(project: Project) -> tuple[int, ...]:
    kept = [Output.objects.of(project.pk).count(), Step.objects.filter(project=project).count()]
    said = OutputBody.objects.filter(output_id__in=Output.objects.of(project.pk).values("pk")).count()
    return (*kept, said, Feedback.objects.filter(project=project).count())


ALL_ODD = " | ".join(ODD.values())
# What a place says: the field, or at least the part of the body that holds it.
PLACES = ("note", "metadata", "body", "row", "file", "comment", "attributes", "explanation", "line")


class TestOddText:
    @pytest.mark.parametrize("way", IN_JSON.values(), ids=list(IN_JSON))
    def test_in_json_comes_back_as_it_was_sent(self, sender: Sender, way: Any) -> None:
        for fragment in (json.dumps(ALL_ODD), json.dumps(ALL_ODD, ensure_ascii=False)):
            assert way(sender, fragment.encode()) == Sent("", ALL_ODD)

    @pytest.mark.parametrize("way", IN_BYTES.values(), ids=list(IN_BYTES))
    def test_in_bytes_comes_back_as_it_was_sent(self, sender: Sender, way: Any) -> None:
        assert way(sender, ALL_ODD.encode()) == Sent("", ALL_ODD)

    def test_of_a_million_combining_marks_comes_back_as_it_was_sent(self, sender: Sender) -> None:
        text = "e" + "\u0301" * 1_000_000
        assert by_json(sender, json.dumps(text, ensure_ascii=False).encode()) == Sent("", text)


class TestBadText:
    @pytest.mark.parametrize("way", IN_JSON.values(), ids=list(IN_JSON))
    def test_in_json_is_refused_by_its_place_and_leaves_nothing(self, sender: Sender, way: Any) -> None:
        refused_each(sender, way, BAD_IN_JSON)

    @pytest.mark.parametrize("way", IN_BYTES.values(), ids=list(IN_BYTES))
    def test_in_bytes_is_refused_by_its_place_and_leaves_nothing(self, sender: Sender, way: Any) -> None:
        refused_each(sender, way, BAD_IN_BYTES)


def refused_each(sender: Sender, way: Callable[[Sender, bytes], Sent], texts: dict[str, bytes]) -> None:
    """Each text is refused with a place, and afterwards there is what a sound row alone would have left."""
    places = {name: way(sender, text).refused for name, text in texts.items()}
    assert all(any(word in place for word in PLACES) for place in places.values()), places
    n_outputs, n_steps, n_bodies, n_feedback = counted(sender.project)
    assert (n_steps, n_feedback) == (0, 0)
    # A log or a visitor speaks of an output, which was sent before.
    assert n_outputs == n_bodies <= 1


LONG = b'"' + b"x" * 9_000 + b'"'
ROWS_WITH_LONG_IDS = {
    "id": (b'{"id":%s,"input":"x","output":"y"}', face.OUTPUTS),
    "trace_id": (b'{"trace_id":%s,"input":"x","output":"y"}', face.OUTPUTS),
    "session_id": (b'{"session_id":%s,"input":"x","output":"y"}', face.OUTPUTS),
    "user_id": (b'{"user_id":%s,"input":"x","output":"y"}', face.OUTPUTS),
    "output_id": (b'{"output_id":%s,"kind":"comment","comment":"x"}', FEEDBACK),
}


class TestLongIds:
    @pytest.mark.parametrize("field", ROWS_WITH_LONG_IDS)
    def test_are_refused_in_rows_and_files(self, sender: Sender, field: str) -> None:
        template, path = ROWS_WITH_LONG_IDS[field]
        body = template % LONG
        kind = "outputs" if path == face.OUTPUTS else "feedback"
        assert told(face.ask(face.post(body, sender.key, path=path))) == field
        assert told(face.ask(face.post(body, sender.key, path=path, Content_Type=NDJSON))) == field
        file = imported(sender, files.ask(files.post(body, sender.key, f"format=jsonl&kind={kind}")))
        assert f'"{field}"' in file.refused
        assert counted(sender.project) == (0, 0, 0, 0)

    def test_of_sessions_in_spans_are_cut_and_kept_whole_beside(self, sender: Sender) -> None:
        body = a_request(a_span(1, {**CHAT, "session.id": "x" * 9_000}))
        assert bodies.rejected_in(bodies.send(body, sender.key)) == (0, "")
        shown = sender.shown(SPAN_ID)
        assert shown["session_id"] == "x" * 200
        assert shown["metadata"]["otel"]["attributes"]["session.id"] == "x" * 9_000

    @pytest.mark.parametrize("field", ["traceId", "spanId"])
    def test_of_spans_cost_the_span(self, sender: Sender, field: str) -> None:
        n, why = bodies.rejected_in(bodies.send(a_request(a_span(1, CHAT, **{field: "a" * 9_000})), sender.key))
        assert n == 1
        assert field in why
        assert counted(sender.project) == (0, 0, 0, 0)


class TestTimes:
    @pytest.mark.parametrize(
        ("start", "end"),
        [(0, 0), (2**64 - 1, 2**64 - 1), (bodies.START, 0), (bodies.START, bodies.START - 1), (0, bodies.START)],
    )
    @pytest.mark.parametrize("form", ["json", "protobuf"])
    def test_that_cannot_be_are_kept_as_sent_and_count_as_none(
        self, sender: Sender, form: str, start: int, end: int
    ) -> None:
        span = a_span(1, CHAT, startTimeUnixNano=str(start), endTimeUnixNano=str(end))
        body: Any = a_request(span)
        if form == "protobuf":
            request = ParseDict(body, ExportTraceServiceRequest())
            for found in request.resource_spans[0].scope_spans[0].spans:
                found.trace_id, found.span_id = bytes.fromhex(TRACE), (1).to_bytes(8, "big")
            body = request.SerializeToString()
        reply = bodies.send(body, sender.key, content_type=PROTOBUF if form == "protobuf" else face.JSON)
        assert bodies.rejected_in(reply) == (0, "")
        shown = sender.shown(SPAN_ID)
        assert shown["latency_ms"] is None
        assert (shown["started_at"] is not None) == (start == bodies.START)
        if max(start, end) > bodies.START or 0 < end < start:
            assert str(start) in json.dumps(shown["metadata"]["otel"])
