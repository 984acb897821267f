"""Small bodies that would cost much: what they say is counted before it is held."""

import time

import pytest

from core.problems import Problem
from outputs.ingest.asgi import Scope
from outputs.ingest.otlp.traces import Traces
from outputs.reception import Reception
from tests.outputs.otlp.bodies import PROTOBUF

SCOPE: Scope = {
    "type": "http",
    "method": "POST",
    "path": "/v1/traces",
    "headers": [(b"content-type", PROTOBUF.encode())],
}
TRACE_ID = b"\x0a\x10" + b"\x01" * 16


def a_field(number: int, value: bytes) -> bytes:
    """A field with a length, as protobuf writes it."""
    size, length = len(value), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((number << 3 | 2, *length, size)) + value


def a_span(number: int, messages: str) -> bytes:
    pair = a_field(1, b"gen_ai.input.messages") + a_field(2, a_field(1, messages.encode()))
    operation = a_field(1, b"gen_ai.operation.name") + a_field(2, a_field(1, b"chat"))
    return TRACE_ID + a_field(2, number.to_bytes(8, "big")) + a_field(9, pair) + a_field(9, operation)


def test_a_resource_in_many_pieces_costs_a_moment() -> None:
    pieces = a_field(1, a_field(15, b"x" * 80)) * 30_000
    began = time.process_time()
    with pytest.raises(Problem, match="resource"):
        Traces().read(a_field(1, pieces), SCOPE, Reception(1, b"k" * 32))
    assert time.process_time() - began < 2


def test_short_texts_that_say_many_values_are_refused() -> None:
    messages = "[" + "{}," * 29_999 + "{}]"
    found = b"".join(a_field(2, a_span(number, messages)) for number in range(1, 30))
    with pytest.raises(Problem) as refused:
        Traces().read(a_field(1, a_field(2, found)), SCOPE, Reception(1, b"k" * 32))
    assert refused.value.status == 413
