"""The ways in, as a sender that keeps a ledger uses them: the n-th request of a way is always the same bytes.

So a ledger of numbers is enough to know what was sent, and a request that was not answered is sent again as it was.
"""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList

PROTOBUF = "application/x-protobuf"
BEGUN_NS = 1_790_000_000 * 10**9


class Counts(NamedTuple):
    """What an answer says became of the rows."""

    accepted: int
    duplicates: int
    rejected: int


@dataclass(frozen=True)
class Request:
    """One request.

    Args:
        rows: (table, external id) of every good row with an id.
        n_rows: everything in it that an answer counts.
        n_bad: rows that must be rejected, by every answer alike.
        n_twice: good rows that stand in it before.
        n_nameless: good rows without an id.
    """

    body: bytes
    headers: dict[str, str]
    rows: frozenset[tuple[str, str]]
    n_rows: int
    n_bad: int = 0
    n_twice: int = 0
    n_nameless: int = 0

    @property
    def n_new(self) -> int:
        """Good rows, each once."""
        return self.n_rows - self.n_bad - self.n_twice


@dataclass(frozen=True)
class Way:
    """One way in: how its requests look, how its answers are read, and how seldom it is used."""

    name: str
    path: str
    make: Callable[[str, int], Request]
    counts_of: Callable[[bytes, Request], Counts] = field(default=lambda body, request: _counts(body))
    one_in: int = 1

    def request(self, number: int) -> Request:
        """The request of this number, the same bytes every time."""
        return self.make(self.name, number)

    def read(self, status: int, body: bytes, request: Request) -> Counts | None:
        """What the answer says; None where it says that nothing was taken and to come again.

        Each 2xx must account for every row: sent = stored + duplicates + rejected.
        """
        if status in (429, 502, 503):
            return None
        assert status in (200, 201, 202), (self.name, status, body[:500])
        counts = self.counts_of(body, request)
        assert sum(counts) == request.n_rows, (self.name, counts, body[:500])
        assert counts.rejected == request.n_bad, (self.name, counts, body[:500])
        return counts


def _counts(body: bytes) -> Counts:
    told = json.loads(body)
    return Counts(told["accepted"], told["duplicates"], len(told["rejected"]))


# --- rows ---


def an_output(id_: str | None, **fields: Any) -> dict[str, Any]:
    named = {} if id_ is None else {"id": id_}
    return {**named, "input": f"question {id_}", "output": f"answer {id_}", "latency_ms": 12, **fields}


def single_output(way: str, number: int) -> Request:
    id_ = f"{way}-{number}"
    return _json_rows([an_output(id_)], {("output", id_)})


def output_batch(way: str, number: int, n_rows: int = 20) -> Request:
    """Rows among which, now and then, one is bad and one comes twice."""
    ids = [f"{way}-{number}-{place}" for place in range(n_rows)]
    rows = [an_output(id_) for id_ in ids]
    n_bad = int(number % 3 == 0)
    if n_bad:
        rows.insert(number % n_rows, {"id": f"{way}-{number}-bad", "output": "no input"})
    n_twice = int(number % 4 == 0)
    rows += rows[-1:] * n_twice
    return _json_rows(rows, {("output", id_) for id_ in ids}, n_bad=n_bad, n_twice=n_twice)


def zipped_lines(way: str, number: int) -> Request:
    """The same as lines, compressed."""
    array = output_batch(way, number)
    lines = b"\n".join(json.dumps(row).encode() for row in json.loads(array.body))
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    return replace(array, body=gzip.compress(lines, mtime=0), headers=headers)


def nameless(way: str, number: int) -> Request:
    """Without an id only the request's own key tells a repeat."""
    body = json.dumps(an_output(None, environment=way)).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": f"{way}-{number}"}
    return Request(body, headers, frozenset(), 1, n_nameless=1)


def feedback_batch(way: str, number: int) -> Request:
    """Judgements of outputs that may not be there yet."""
    ids = [f"{way}-{number}-{place}" for place in range(5)]
    rows = [{"id": id_, "output_id": f"batch-{number}-0", "kind": "thumb", "value": 1} for id_ in ids]
    n_bad = number % 2
    rows += [{"id": f"{way}-{number}-bad", "output_id": "x", "kind": "nonsense", "value": 1}] * n_bad
    return _json_rows(rows, {("feedback", id_) for id_ in ids}, n_bad=n_bad)


def _json_rows(
    rows: list[dict[str, Any]], ids: Iterable[tuple[str, str]], *, n_bad: int = 0, n_twice: int = 0
) -> Request:
    headers = {"Content-Type": "application/json"}
    return Request(json.dumps(rows).encode(), headers, frozenset(ids), len(rows), n_bad, n_twice)


def file_of_rows(way: str, number: int) -> Request:
    """A file, whose rows a worker stores later."""
    array = output_batch(way, number, n_rows=100)
    lines = b"\n".join(json.dumps(row).encode() for row in json.loads(array.body))
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": f"{way}-{number}"}
    return replace(array, body=lines, headers=headers)


def promised(body: bytes, request: Request) -> Counts:
    """What became of a file's rows is not known yet; the import's own counts are looked at when it is over."""
    assert json.loads(body)["id"]
    return Counts(request.n_rows - request.n_bad, 0, request.n_bad)


# --- OpenTelemetry ---


def flow(way: str, number: int) -> Request:
    """An agent, its tool and the model's answer without texts; now and then a span that is none."""
    said = ExportTraceServiceRequest()
    scope = said.resource_spans.add().scope_spans.add()
    trace, (agent, tool, model) = trace_of(number), span_ids(number)
    begun = BEGUN_NS + number * 10**9
    spans = [
        (agent, b"", "invoke_agent", {"gen_ai.operation.name": "invoke_agent"}),
        (tool, agent, "execute_tool", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find"}),
        (model, agent, "chat", {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.system": "s"}),
    ]
    for id_, parent, name, attributes in spans:
        scope.spans.add(
            trace_id=trace,
            span_id=id_,
            parent_span_id=parent,
            name=name,
            start_time_unix_nano=begun,
            end_time_unix_nano=begun + 10**8,
            attributes=[KeyValue(key=key, value=_any(value)) for key, value in attributes.items()],
        )
    n_bad = number % 2
    for _ in range(n_bad):
        scope.spans.add(trace_id=bytes(16), span_id=bytes(8), name="without ids")
    rows = {("output", output_id(number)), *(("step", f"{trace.hex()}:{id_.hex()}") for id_ in (agent, tool))}
    return _protobuf(said.SerializeToString(deterministic=True), rows, 3 + n_bad, n_bad)


def texts(way: str, number: int) -> Request:
    """What was said to the model of the flow of the same number, and what it said."""
    said = ExportLogsServiceRequest()
    scope = said.resource_logs.add().scope_logs.add()
    message = {"role": "assistant", "content": reply(number)}
    bodies = [
        ("gen_ai.user.message", {"content": question(number)}),
        ("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": message}),
    ]
    for place, (event, body) in enumerate(bodies):
        scope.log_records.add(
            observed_time_unix_nano=BEGUN_NS + number * 10**9 + place,
            event_name=event,
            body=_any(body),
            attributes=[KeyValue(key="gen_ai.system", value=_any("s"))],
            trace_id=trace_of(number),
            span_id=span_ids(number)[2],
        )
    return _protobuf(said.SerializeToString(deterministic=True), set(), 2)


def question(number: int) -> str:
    return f"question of flow {number}"


def reply(number: int) -> str:
    return f"answer of flow {number}"


def trace_of(number: int) -> bytes:
    return hashlib.blake2b(b"trace %d" % number, digest_size=16).digest()


def span_ids(number: int) -> list[bytes]:
    return [hashlib.blake2b(b"span %d %d" % (number, place), digest_size=8).digest() for place in range(3)]


def output_id(number: int) -> str:
    return f"{trace_of(number).hex()}:{span_ids(number)[2].hex()}"


def spans_told(body: bytes, request: Request) -> Counts:
    """OTLP tells what was rejected and nothing of repeats."""
    told = ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans
    return Counts(request.n_rows - told, 0, told)


def logs_told(body: bytes, request: Request) -> Counts:
    told = ExportLogsServiceResponse.FromString(body).partial_success.rejected_log_records
    return Counts(request.n_rows - told, 0, told)


def _protobuf(body: bytes, rows: Iterable[tuple[str, str]], n_rows: int, n_bad: int = 0) -> Request:
    return Request(body, {"Content-Type": PROTOBUF}, frozenset(rows), n_rows, n_bad)


def _any(value: Any) -> AnyValue:
    if isinstance(value, dict):
        pairs = [KeyValue(key=key, value=_any(inner)) for key, inner in value.items()]
        return AnyValue(kvlist_value=KeyValueList(values=pairs))
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)


OUTPUTS, FEEDBACK = "/api/v1/outputs", "/api/v1/feedback"
ROWS = [
    Way("single", OUTPUTS, single_output),
    Way("batch", OUTPUTS, output_batch),
    Way("lines", OUTPUTS, zipped_lines),
    Way("nameless", OUTPUTS, nameless),
    Way("feedback", FEEDBACK, feedback_batch),
]
FILES = [Way("file", "/api/v1/imports?format=jsonl", file_of_rows, promised, one_in=10)]
TELEMETRY = [
    Way("traces", "/v1/traces", flow, spans_told),
    Way("logs", "/v1/logs", texts, logs_told),
]
