"""Whatever comes, the readers either read it or refuse it; what once broke one stands in `corpus/`."""

import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from core import strict_json
from core.problems import Problem
from outputs.ingest.otlp import mapping, notation, protobuf
from outputs.ingest.otlp.logs import Logs
from outputs.ingest.otlp.spans import Span
from outputs.ingest.otlp.traces import Traces
from outputs.reception import Reception
from tests.outputs.otlp import bodies
from tests.outputs.otlp.bodies import PROTOBUF, a_log_request, a_record, a_request, a_span

CORPUS = Path(__file__).parent / "corpus"
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
NAMES = [
    "openinference.span.kind",
    "llm.input_messages.0.message.role",
    "llm.input_messages.0.message.content",
    "llm.input_messages.0.message.contents.0.message_content.text",
    "llm.input_messages.0",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.name",
    "input.value",
    "input.mime_type",
    "output.value",
    "retrieval.documents.0.document.content",
    "annotations.0.annotation.score",
    "annotations.0.annotation.label",
    "metadata",
    "tag.tags",
    "gen_ai.operation.name",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.prompt.0.content",
    "gen_ai.prompt.0.role",
    "gen_ai.prompt.99999999999999.role",
    "gen_ai.completion.0.tool_calls.0.arguments",
    "gen_ai.request.model",
    "gen_ai.prompt.name",
    "gen_ai.prompt.version",
    "ai.operationId",
    "ai.prompt.messages",
    "ai.response.toolCalls",
    "traceloop.span.kind",
    "traceloop.entity.input",
    "llm.request.type",
    "llm.prompt_template.variables",
    "session.id",
    "error.type",
]
EVENTS = ["gen_ai.user.message", "gen_ai.choice", "gen_ai.content.prompt", "exception", "gen_ai.evaluation.result"]
EVENTS += ["gen_ai.client.inference.operation.details", "gen_ai.content.completion", "gen_ai.tool.message", ""]
WORDS = ["content", "role", "parts", "type", "text", "tool_call", "tool_call_response", "message", "tool_calls", "id"]
WORDS += ["messages", "choices", "exception.type", "gen_ai.prompt", "gen_ai.completion", "response", "index"]
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, width=32)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["LLM", "AGENT", "chat", "application/json", "workflow", "ai.toolCall", "user", "text", "[{}]", "1e999", "x" * 300]
)
VALUES = st.recursive(
    LEAVES | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | TEXTS, inner, max_size=4),
    max_leaves=10,
)
# Senders put structures into attributes as they are, and as texts of JSON.
TOLD = VALUES | VALUES.map(lambda value: orjson.dumps(value).decode())
ATTRIBUTES = st.dictionaries(st.sampled_from(NAMES) | TEXTS, TOLD, max_size=12)
INTAKE = Reception(project_id=1, hash_key=b"k" * 32)


def held(body: bytes, content_type: str) -> None:
    """Both routes take it or refuse it, and every span that is read counts."""
    scope = {"headers": [(b"content-type", content_type.encode())]}
    for route in (Traces(), Logs()):
        try:
            batch = route.read(body, scope, INTAKE)
        except Problem as problem:
            if problem.status >= 500:
                raise
        else:
            outcome = len(batch.rejected) + batch.n_rows + batch.n_silent
            reader = protobuf if content_type == PROTOBUF else notation
            found = reader.spans_of(body) if isinstance(route, Traces) else reader.logs_of(body)
            assert outcome == len(list(found))
            arrivals = [arrival for rows in batch.rows.values() for _, arrival in rows]
            for arrival in (*arrivals, *(each for rows in batch.along.values() for each in rows)):
                assert strict_json.flaw_in(orjson.loads(arrival.row)) is None


def seeds() -> list[tuple[str, bytes]]:
    folder = os.environ.get("RATCHET_TEST_DATA", "")
    real = [(content_type, body) for _, content_type, body in bodies.real(Path(folder))] if folder else []
    made = a_request(a_span(1, {"gen_ai.operation.name": "chat", "a": [1, {"b": 2.5}], "c": True}))
    logs = a_log_request(a_record("gen_ai.user.message", {"content": "hi"}))
    return [*real, (bodies.face.JSON, orjson.dumps(made)), (bodies.face.JSON, orjson.dumps(logs))]


SEEDS = seeds()


@st.composite
def mutated(draw: Any) -> tuple[str, bytes]:
    """A real body with a few bytes that are others, gone, or twice."""
    content_type, body = draw(st.sampled_from(SEEDS))
    found = bytearray(body)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(len(found) - 1, 0)))
        match draw(st.integers(0, 3)):
            case 0:
                found[place : place + 1] = draw(st.binary(max_size=4))
            case 1:
                del found[place : place + draw(st.integers(1, 40))]
            case 2:
                found[place:place] = found[place : place + draw(st.integers(1, 200))]
            case 3 if place < len(found):
                found[place] ^= 1 << draw(st.integers(0, 7))
    return content_type, bytes(found)


@SETTINGS
@given(mutated())
def test_real_bodies_that_were_bent(found: tuple[str, bytes]) -> None:
    held(found[1], found[0])


@SETTINGS
@given(st.binary(max_size=400))
def test_any_bytes(body: bytes) -> None:
    held(body, PROTOBUF)
    held(body, bodies.face.JSON)


@SETTINGS
@given(VALUES)
def test_any_json(value: Any) -> None:
    held(orjson.dumps(value), bodies.face.JSON)
    held(orjson.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [value]}]}]}), bodies.face.JSON)
    held(orjson.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [value]}]}]}), bodies.face.JSON)


@SETTINGS
@given(ATTRIBUTES, st.lists(st.tuples(st.sampled_from(EVENTS), ATTRIBUTES), max_size=3), TEXTS)
def test_any_attributes_become_a_row(attributes: Any, events: Any, name: str) -> None:
    told = [{"name": event, "attributes": bodies.attributes_of(inner)} for event, inner in events]
    span = a_span(1, attributes, events=told, name=name, status={"code": 2})
    body = orjson.dumps(a_request(span))
    for found in notation.spans_of(body):
        if isinstance(found, Span):
            assert mapping.mapped(found).record.flaws() == []
    held(body, bodies.face.JSON)


@SETTINGS
@given(st.lists(st.tuples(st.sampled_from(EVENTS), VALUES, ATTRIBUTES), max_size=3))
def test_any_log_record_is_taken_or_rejected(found: Any) -> None:
    rows = [a_record(event, body, attributes=bodies.attributes_of(inner)) for event, body, inner in found]
    held(orjson.dumps(a_log_request(*rows)), bodies.face.JSON)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*")), ids=lambda path: path.name)
def test_what_broke_it_once(path: Path) -> None:
    held(path.read_bytes(), PROTOBUF if path.suffix == ".pb" else bodies.face.JSON)


def test_the_seeds_are_read() -> None:
    assert len(list(protobuf.spans_of(ExportTraceServiceRequest().SerializeToString()))) == 0
    assert len(SEEDS) >= 2
