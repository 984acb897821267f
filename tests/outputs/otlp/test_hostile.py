"""Bodies made to hurt: counted exactly, refused early, and never a fault."""

import contextlib
import resource
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from core.problems import Problem
from outputs.ingest.otlp import notation, protobuf, spans, status
from outputs.ingest.otlp.spans import Span, Unread
from outputs.models import Output, OutputBody, Step, StepBody
from projects.models import Project
from tests.outputs import face
from tests.outputs.otlp import bodies
from tests.outputs.otlp.bodies import PROTOBUF, TRACE, a_request, a_span

pytestmark = pytest.mark.django_db(transaction=True)
CHAT = {"gen_ai.operation.name": "chat"}


def a_message(*changes: Callable[[Any], None]) -> bytes:
    """A request with a span for each change, in protobuf."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number, change in enumerate(changes, 1):
        span = scope.spans.add(trace_id=bytes.fromhex(TRACE), span_id=number.to_bytes(8, "big"), name=f"span {number}")
        change(span)
    return request.SerializeToString()


def field(number: int, content: bytes) -> bytes:
    """A field with a length."""
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((number << 3 | 2,)) + bytes((*length, size)) + content


def enveloped(*raw: bytes) -> bytes:
    return field(1, field(2, b"".join(field(2, span) for span in raw)))


def raw_span(number: int, attribute: bytes) -> bytes:
    ids = field(1, bytes.fromhex(TRACE)) + field(2, number.to_bytes(8, "big"))
    return ids + field(5, b"span %d" % number) + field(9, attribute)


def nested(depth: int) -> bytes:
    value = field(1, b"deep")
    for _ in range(depth):
        value = field(5, field(1, value))
    return value


def stored(project: Project) -> int:
    return Output.objects.of(project.pk).count() + Step.objects.filter(project=project).count()


def read(body: bytes) -> list[Span | Unread]:
    return list(protobuf.spans_of(body))


def refused(body: bytes, read: Callable[[bytes], Any] = read) -> Problem:
    with pytest.raises(Problem) as found:
        list(read(body))
    return found.value


class TestIds:
    @pytest.mark.parametrize(
        ("fields", "place"),
        [
            ({"traceId": "0" * 32}, "traceId"),
            ({"traceId": ""}, "traceId"),
            ({"traceId": None}, "traceId"),
            ({"spanId": "0" * 16}, "spanId"),
            ({"spanId": "abc"}, "spanId"),
            ({"spanId": "g" * 16}, "spanId"),
            ({"spanId": 7}, "spanId"),
            ({"traceId": "ff" * 8}, "traceId"),
            ({"parentSpanId": "ff"}, "parentSpanId"),
        ],
    )
    def test_that_are_none_cost_their_span_alone(
        self, project: Project, key: str, fields: dict[str, Any], place: str
    ) -> None:
        n, why = bodies.rejected_in(bodies.send(a_request({**a_span(1), **fields}, a_span(2)), key))
        assert n == 1
        assert place in why
        assert "span 1" in why
        assert stored(project) == 1

    def test_of_zeros_in_protobuf_cost_their_span_alone(self, project: Project, key: str) -> None:
        body = a_message(lambda span: span.ClearField("span_id"), lambda span: None)
        n, why = bodies.rejected_in(bodies.send(body, key, content_type=PROTOBUF))
        assert (n, stored(project)) == (1, 1)
        assert "span_id: is missing or all zeros" in why

    def test_a_parent_of_zeros_is_none(self, project: Project, key: str) -> None:
        bodies.send(a_request(a_span(1, parentSpanId="0" * 16)), key)
        assert Step.objects.get(project=project).parent_span_id == ""


class TestTexts:
    @pytest.mark.parametrize("text", [b"a\x00b", b"\xff\xfe", b"\xed\xa0\x80"], ids=["NUL", "bad UTF-8", "surrogate"])
    def test_that_cannot_be_stored_cost_their_span_alone(self, project: Project, key: str, text: bytes) -> None:
        bad = field(1, b"note") + field(2, field(1, text))
        good = field(1, b"note") + field(2, field(1, b"fine"))
        reply = bodies.send(enveloped(raw_span(1, bad), raw_span(2, good)), key, content_type=PROTOBUF)
        n, why = bodies.rejected_in(reply)
        assert (n, stored(project)) == (1, 1)
        assert "span 1" in why
        assert "note" in why

    @pytest.mark.parametrize("text", [r"a\u0000b", r"\ud800"])
    def test_in_json_likewise(self, project: Project, key: str, text: str) -> None:
        body = orjson.dumps(a_request(a_span(1, {"note": "HERE"}), a_span(2))).replace(b"HERE", text.encode())
        n, why = bodies.rejected_in(bodies.send(body, key))
        assert (n, stored(project)) == (1, 1)
        assert "attributes[0].value.stringValue" in why

    @pytest.mark.parametrize("text", ["\u202eevil", "\u200b", "e" + "\u0301" * 1_000, "<script>", "\ufeff", "{{x}}"])
    def test_that_are_only_strange_come_back_as_they_were(self, project: Project, key: str, text: str) -> None:
        bodies.send(a_request(a_span(1, {text: text, **CHAT})), key)
        (body,) = OutputBody.objects.filter(output_id__in=Output.objects.of(project.pk).values("pk"))
        assert body.metadata["otel"]["attributes"][text] == text

    def test_in_the_resource_cost_the_request(self, project: Project, key: str) -> None:
        reply = bodies.send(a_request(a_span(1), resource={"a": "\x00"}), key)
        assert reply.status == 400
        assert "resource" in reply.document["message"]
        assert stored(project) == 0


class TestDepth:
    def test_beyond_the_limit_costs_the_span_alone(self, project: Project, key: str) -> None:
        deep = field(1, b"a") + field(2, nested(spans.DEEPEST + 1))
        fit = field(1, b"a") + field(2, nested(spans.DEEPEST))
        reply = bodies.send(enveloped(raw_span(1, deep), raw_span(2, fit)), key, content_type=PROTOBUF)
        n, why = bodies.rejected_in(reply)
        assert (n, stored(project)) == (1, 1)
        assert "nested deeper" in why

    def test_of_ten_thousand_levels_is_refused(self) -> None:
        (found,) = read(enveloped(raw_span(1, field(1, b"a") + field(2, nested(10_000)))))
        assert isinstance(found, Unread)
        assert found.error.field == "attributes[0] (a)"

    def test_in_json_is_refused(self) -> None:
        deep = b'{"arrayValue":{"values":[' * 5_000 + b"]}}" * 5_000
        body = orjson.dumps(a_request(a_span(1, {"a": "HERE"}))).replace(b'{"stringValue":"HERE"}', deep)
        assert refused(body, notation.spans_of).status == 400

    def test_in_json_at_the_limit_is_taken(self) -> None:
        value: Any = "deep"
        for _ in range(spans.DEEPEST):
            value = {"k": value}
        (found,) = notation.spans_of(orjson.dumps(a_request(a_span(1, {"a": value}))))
        assert isinstance(found, Span)


class TestCaps:
    def test_of_attributes_leave_out_the_rest_and_say_how_many(self, project: Project, key: str) -> None:
        attributes = {f"a{number}": number for number in range(10_000)}
        assert bodies.rejected_in(bodies.send(a_request(a_span(1, attributes, droppedAttributesCount=5)), key))[0] == 0
        kept = StepBody.objects.get(step_id=Step.objects.get(project=project).pk).metadata["otel"]
        assert len(kept["attributes"]) == spans.MOST_ATTRIBUTES
        assert kept["dropped"] == {"attributes": 10_000 - spans.MOST_ATTRIBUTES + 5}

    def test_a_megabyte_in_one_attribute_is_kept(self, project: Project, key: str) -> None:
        bodies.send(a_request(a_span(1, {"big": "x" * 1_000_000})), key)
        kept = StepBody.objects.get(step_id=Step.objects.get(project=project).pk).metadata["otel"]
        assert len(kept["attributes"]["big"]) == 1_000_000

    def test_a_span_that_is_too_large_is_rejected(self) -> None:
        attribute = field(1, b"a") + field(2, field(1, b"x" * spans.LARGEST_RECORD))
        (found,) = read(enveloped(raw_span(1, attribute)))
        assert isinstance(found, Unread)
        assert "bytes" in found.error.message

    def test_in_json_too(self, project: Project, key: str) -> None:
        large = a_span(1, {"big": "x" * spans.LARGEST_RECORD})
        n_rejected, why = bodies.rejected_in(bodies.send(a_request(large, a_span(2)), key))
        assert (n_rejected, Step.objects.filter(project=project).count()) == (1, 1)
        assert "bytes; at most" in why

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b"\x0a\x00" * 10_000_000, id="resources"),
            pytest.param(field(1, b"\x12\x00" * 9_000_000), id="scopes"),
            pytest.param(field(1, field(2, b"\x12\x00" * 9_000_000)), id="spans"),
            pytest.param(enveloped(raw_span(1, b"") + b"\x4a\x00" * 4_000_000), id="attributes"),
            pytest.param(enveloped(*(raw_span(n, b"") + b"\x4a\x00" * 120_000 for n in range(60))), id="many of many"),
            pytest.param(enveloped(raw_span(1, field(2, field(5, b"\x0a\x00" * 3_900_000)))), id="values"),
            pytest.param(enveloped(raw_span(1, b"") + b"\x5a\x00" * 4_000_000), id="events"),
            pytest.param(b"\x78\x01" * 10_000_000, id="unknown fields"),
            pytest.param(b"\x0a" + b"\xff" * 19_000_000, id="endless varint"),
        ],
    )
    def test_a_bomb_is_refused_at_once_in_little_memory(self, body: bytes) -> None:
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        with contextlib.suppress(Problem):
            assert len(read(body)) <= 60
        assert time.process_time() - began < 2
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024

    def test_a_large_resource_is_not_multiplied(self) -> None:
        request = ExportTraceServiceRequest()
        outer = request.resource_spans.add()
        outer.resource.attributes.add(key="a", value=AnyValue(string_value="x" * 100_000))
        scope = outer.scope_spans.add()
        for number in range(1, 1_000):
            scope.spans.add(trace_id=bytes.fromhex(TRACE), span_id=number.to_bytes(8, "big"))
        assert refused(request.SerializeToString()).status == 413


class TestRepeats:
    def test_with_another_body_are_rejected_and_change_nothing(self, project: Project, key: str) -> None:
        bodies.send(a_request(a_span(1, CHAT)), key)
        again = a_request(a_span(1, {**CHAT, "gen_ai.request.model": "m"}), a_span(2, CHAT), a_span(2, CHAT))
        n, why = bodies.rejected_in(bodies.send(again, key))
        assert n == 1
        assert "number 0 id: belongs to a row that says something else" in why
        assert stored(project) == 2
        assert not Output.objects.of(project.pk).exclude(model="").exists()

    def test_children_may_come_before_parents_that_never_come(self, project: Project, key: str) -> None:
        bodies.send(a_request(a_span(2, parentSpanId="ab" * 8)), key)
        assert Step.objects.get(project=project).parent_span_id == "ab" * 8


class TestAnswers:
    def test_in_protobuf_are_protobuf(self, key: str) -> None:
        reply = bodies.send(a_message(lambda span: None), key, content_type=PROTOBUF)
        assert (reply.status, reply.headers["content-type"], reply.body) == (200, PROTOBUF, b"")

    def test_in_json_are_json(self, key: str) -> None:
        reply = bodies.send(a_request(a_span(1)), key)
        assert (reply.status, reply.headers["content-type"], reply.document) == (200, face.JSON, {})

    def test_name_the_first_few_and_count_all(self, key: str) -> None:
        bad = [a_span(number, spanId="") for number in range(1, 9)]
        n, why = bodies.rejected_in(bodies.send(a_request(*bad), key))
        assert n == 8
        assert why.endswith("and 3 more")

    def test_nothing_sent_is_nothing_stored(self, key: str) -> None:
        assert bodies.send(b"", key, content_type=PROTOBUF).status == 200
        assert bodies.send({}, key).status == 200

    @pytest.mark.parametrize(
        ("body", "content_type", "http", "code"),
        [
            (b"\xff\xff", PROTOBUF, 400, 3),
            (b"{", face.JSON, 400, 3),
            (b"[]", face.JSON, 400, 3),
            (b'{"resourceSpans": 7}', face.JSON, 400, 3),
            (b'{"resourceSpans": [7]}', face.JSON, 400, 3),
            (b"x", "text/plain", 415, 3),
        ],
    )
    def test_to_what_cannot_be_read_are_a_status(
        self, key: str, body: bytes, content_type: str, http: int, code: int
    ) -> None:
        reply = bodies.send(body, key, content_type=content_type)
        assert reply.status == http
        if content_type == face.JSON:
            assert reply.document["code"] == code
            assert reply.document["message"]
        else:
            assert reply.headers["content-type"] == PROTOBUF
            assert reply.body[:3] == bytes((0x08, code, 0x12))

    def test_to_a_stranger_are_a_status_too(self) -> None:
        reply = bodies.send(a_message(lambda span: None), "rk_nobody", content_type=PROTOBUF)
        assert reply.status == 401
        assert reply.body[:2] == bytes((0x08, 16))

    def test_that_ask_to_wait_say_how_long(self) -> None:
        from outputs.ingest.otlp import exchange

        scope = {"headers": [(b"content-type", PROTOBUF.encode())]}
        answer = exchange.refused(Problem(429, "Too much.", retry_after=7), scope)
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
        assert answer.body == b"\x08\x08\x12\x09Too much."

    def test_long_messages_are_counted_in_protobufs_way(self) -> None:
        body = status.in_protobuf(Problem(400, "ü" * 5_000))
        assert body[:5] == b"\x08\x03\x12\xd0\x0f"
        assert len(body) == 5 + 2_000


def test_an_idempotency_key_gets_the_same_answer(key: str) -> None:
    first, again = (bodies.send(a_request(a_span(1)), key, Idempotency_Key="k1") for _ in range(2))
    assert (first.status, first.body) == (again.status, again.body)
