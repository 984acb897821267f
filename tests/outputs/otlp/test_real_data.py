"""What real instrumentations sent arrives whole, once."""

import base64
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from outputs.models import Output, OutputBody, Step, StepBody
from projects.models import Project
from tests import conftest
from tests.outputs import face
from tests.outputs.otlp import bodies
from tests.outputs.otlp.bodies import PROTOBUF

pytestmark = pytest.mark.django_db(transaction=True)
NARROW = "model provider environment trace_id span_id parent_span_id session_id end_user input_tokens output_tokens"
NARROW += " cached_input_tokens cache_write_tokens reasoning_tokens tags name service"


def requests() -> list[Any]:
    import os

    folder = os.environ.get("RATCHET_TEST_DATA", "")
    if not folder:
        return [pytest.param("", "", b"", id="none")]
    return [pytest.param(*each, id=each[0]) for each in bodies.real(Path(folder))]


@pytest.mark.parametrize(("name", "content_type", "body"), requests())
class TestEveryBody:
    def test_arrives_with_nothing_lost(
        self, name: str, content_type: str, body: bytes, project: Project, key: str
    ) -> None:
        conftest.given("RATCHET_TEST_DATA")
        reply = bodies.send(body, key, content_type=content_type)
        assert bodies.rejected_in(reply) == (0, "")
        sent = message_of(content_type, body)
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    stored = told(project, span)
                    for attribute in (*span.attributes, *resource.resource.attributes, *scope.scope.attributes):
                        # Of a text, ours says by its form that it is one.
                        is_form = attribute.key.endswith("message_content.type")
                        assert is_form or is_told(value_in(attribute.value), stored), attribute
                    for event in span.events:
                        assert event.name in stored

    def test_again_adds_nothing(self, name: str, content_type: str, body: bytes, project: Project, key: str) -> None:
        conftest.given("RATCHET_TEST_DATA")
        bodies.send(body, key, content_type=content_type)
        before = n_rows(project)
        assert bodies.rejected_in(bodies.send(body, key, content_type=content_type)) == (0, "")
        assert n_rows(project) == before > 0

    def test_in_the_other_notation_adds_nothing(
        self, name: str, content_type: str, body: bytes, project: Project, key: str
    ) -> None:
        conftest.given("RATCHET_TEST_DATA")
        bodies.send(body, key, content_type=content_type)
        before = n_rows(project)
        sent = message_of(content_type, body).SerializeToString()
        other = (
            bodies.send(bodies.as_json(sent), key)
            if content_type == PROTOBUF
            else bodies.send(sent, key, content_type=PROTOBUF, Content_Encoding="gzip")
        )
        assert bodies.rejected_in(other) == (0, "")
        assert n_rows(project) == before


def message_of(content_type: str, body: bytes) -> ExportTraceServiceRequest:
    if content_type == PROTOBUF:
        return ExportTraceServiceRequest.FromString(body)
    found = json.loads(body)
    for resource in found["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name, n_hex in (("traceId", 32), ("spanId", 16), ("parentSpanId", 16)):
                    if len(span.get(name, "")) == n_hex:
                        span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    return Parse(json.dumps(found), ExportTraceServiceRequest())


def n_rows(project: Project) -> int:
    return Output.objects.of(project.pk).count() + Step.objects.filter(project=project).count()


def told(project: Project, span: Any) -> list[Any]:
    """Every value that is stored of a span."""
    external_id = f"{span.trace_id.hex()}:{span.span_id.hex()}"
    output = Output.objects.of(project.pk).filter(external_id=external_id).first()
    row: Any = output or Step.objects.get(project=project, external_id=external_id)
    body: Any = OutputBody.objects.get(output_id=row.pk) if output else StepBody.objects.get(step_id=row.pk)
    found = list(leaves([body.input, body.output, body.error, body.metadata]))
    return [*found, *leaves([getattr(row, name, None) for name in NARROW.split()])]


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def is_told(value: Any, stored: list[Any]) -> bool:
    """Whether a value stands there, or all that its JSON says does."""
    if isinstance(value, list):
        return all(is_told(each, stored) for each in value)
    if value in stored or (isinstance(value, str) and value.isdecimal() and int(value) in stored):
        return True
    try:
        inner = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return False
    # The names of OpenTelemetry's parts and messages become ours.
    return inner is not None and all(leaf in stored for leaf in values_in(inner))


def values_in(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from () if name == "type" else values_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from values_in(inner)
    elif not (isinstance(value, float) and math.isnan(value)):
        yield value


def value_in(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_in(each) for each in value.array_value.values]
    return None if kind is None else getattr(value, kind)


def test_the_folder_is_read(real_data: Path) -> None:
    assert {content_type for _, content_type, _ in bodies.real(real_data)} == {face.JSON, PROTOBUF}
