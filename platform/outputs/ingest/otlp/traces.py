"""`POST /v1/traces`: spans, each of which becomes an output or a step."""

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from core.problems import FieldError, Problem
from outputs import records
from outputs.ingest.answers import Answer
from outputs.ingest.asgi import Scope
from outputs.ingest.otlp import exchange, mapping, notation, protobuf, spans
from outputs.ingest.otlp import shadows as shadowing
from outputs.ingest.otlp.mapping import Mapped
from outputs.ingest.otlp.spans import Span, Unread
from outputs.ingest.routes import Batch, Outcome
from outputs.ingest.store import FEEDBACK, OUTPUTS, STEPS
from outputs.reception import Reception
from outputs.records import SpanRecord
from outputs.services import feedback, outputs, steps


class Traces:
    """The route of spans."""

    elsewhere: tuple[str, ...] = ()

    def check(self, scope: Scope) -> None:
        exchange.is_json(scope)

    def read(self, body: bytes, scope: Scope, reception: Reception) -> Batch:
        batch = Batch(rows={OUTPUTS: [], STEPS: []}, along={FEEDBACK: []})
        read: list[tuple[int, Span, Mapped]] = []
        n_values = 0
        found = notation.spans_of(body) if exchange.is_json(scope) else protobuf.spans_of(body)
        for place, span in enumerate(found):
            if not batch.instrument and not isinstance(span, Unread):
                batch.instrument = str(span.source.scope.get("name") or span.source.resource.get("service.name", ""))
            if isinstance(span, Unread):
                error = FieldError(f"span {span.name or place} {span.error.field}", span.error.message)
                batch.rejected[place] = (error,)
            else:
                fitting = _read(batch, place, span)
                n_values += sum(_n_values(mapped.record.input, mapped.record.output) for _, _, mapped in fitting)
                read += fitting
            if n_values > spans.MOST_VALUES:
                raise Problem(413, f"The texts hold more than {spans.MOST_VALUES} values; send fewer spans at a time.")
        answers = ((span, mapped.record) for _, span, mapped in read if isinstance(mapped.record, SpanRecord))
        shadows = shadowing.shadows(answers)
        for place, span, mapped in read:
            is_shadow = span.external_id in shadows
            _put(batch, place, mapping.mapped(span, is_shadow=True) if is_shadow else mapped, reception)
        return batch

    def answer(self, outcome: Outcome, scope: Scope) -> Answer:
        return exchange.answered(scope, ExportTraceServiceResponse, "rejected_spans", outcome.rejected)

    def refusal(self, problem: Problem, scope: Scope) -> Answer:
        return exchange.refused(problem, scope)


def _read(batch: Batch, place: int, span: Span) -> list[tuple[int, Span, Mapped]]:
    try:
        return [(place, span, mapping.mapped(span))]
    except records.Rejected as rejected:
        errors = (FieldError(f"span {span.name} {span.span_id} {e.field}", e.message) for e in rejected.errors)
        batch.rejected[place] = tuple(errors)
        return []


def _n_values(*said: Any) -> int:
    """How many values these hold: a text of JSON of a few bytes may say many, which all are in memory at once."""
    n = 0
    for value in said:
        if isinstance(value, list | dict):
            n += len(value) + _n_values(*(value.values() if isinstance(value, dict) else value))
    return n


def _put(batch: Batch, place: int, mapped: Mapped, reception: Reception) -> None:
    if isinstance(mapped.record, SpanRecord):
        kind, arrival = OUTPUTS, outputs.arrival_of(mapped.record, reception=reception)
    else:
        kind, arrival = STEPS, steps.arrival_of(mapped.record, reception=reception)
    if len(arrival.row) > spans.LARGEST_RECORD:
        said = f"holds {len(arrival.row)} bytes; at most {spans.LARGEST_RECORD} are taken"
        batch.rejected[place] = (FieldError("span", said),)
        return
    batch.rows[kind].append((place, arrival))
    batch.along[FEEDBACK] += (feedback.arrival_of(record, reception=reception) for record in mapped.feedback)
