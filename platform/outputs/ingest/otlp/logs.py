"""`POST /v1/logs`: log records that carry what was said in a span; others are not taken."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from core.problems import FieldError, Problem
from outputs.ingest.answers import Answer
from outputs.ingest.asgi import Scope
from outputs.ingest.otlp import exchange, mapping, messages, notation, protobuf
from outputs.ingest.otlp.messages import Message, Sides
from outputs.ingest.otlp.spans import LogRecord, Unfit, Unread
from outputs.ingest.routes import Batch, Outcome
from outputs.ingest.store import FEEDBACK, SAYINGS
from outputs.reception import Reception
from outputs.records import SayingRecord
from outputs.services import contents, feedback
from outputs.services.landing import Arrival

_LATEST_NS = 2**63 - 1


class Logs:
    """The route of log records."""

    elsewhere: tuple[str, ...] = ()

    def check(self, scope: Scope) -> None:
        exchange.is_json(scope)

    def read(self, body: bytes, scope: Scope, reception: Reception) -> Batch:
        batch = Batch(rows={SAYINGS: [], FEEDBACK: []}, along={SAYINGS: []})
        rows = _Rows(batch, reception)
        found = notation.logs_of(body) if exchange.is_json(scope) else protobuf.logs_of(body)
        for place, record in enumerate(found):
            if isinstance(record, Unread):
                batch.rejected[place] = (FieldError(f"record {place} {record.error.field}", record.error.message),)
                continue
            try:
                rows.put(place, record)
            except Unfit as unfit:
                batch.rejected[place] = (FieldError(f"record {place} {unfit.place}", unfit.message),)
        return batch

    def answer(self, outcome: Outcome, scope: Scope) -> Answer:
        return exchange.answered(scope, ExportLogsServiceResponse, "rejected_log_records", outcome.rejected)

    def refusal(self, problem: Problem, scope: Scope) -> Answer:
        return exchange.refused(problem, scope)


class _Rows:
    """Puts the rows of one body into its batch."""

    def __init__(self, batch: Batch, reception: Reception) -> None:
        self._batch = batch
        self._reception = reception
        self._seen: Counter[str] = Counter()

    def put(self, place: int, record: LogRecord) -> None:
        """The record's messages, or its score, are in the batch; without a content there is nothing to put in.

        Raises:
            Unfit: it is neither a message nor a score, or does not say of which span.
        """
        if record.event == mapping.EVALUATION:
            self._batch.rows[FEEDBACK].append((place, self._score(record)))
            return
        if not messages.is_event(record.event):
            raise Unfit("event_name", "is no GenAI event; only those are taken")
        sides = messages.of_event(record.event, _told(record))
        if sides is None:
            # What senders that are not to capture content send for each message, by default: their span says it all.
            self._batch.n_silent += 1
            return
        first, *others = self._sayings(record, sides)
        self._batch.rows[SAYINGS].append((place, first))
        self._batch.along[SAYINGS] += others

    def _score(self, record: LogRecord) -> Arrival:
        output_id = _output_id(record)
        told = mapping.evaluation_of(record.attributes)
        # The id must tell evaluations apart and may repeat nothing that would be taken out of them.
        name = hashlib.blake2b(
            str(told["name"] or "").encode(), key=self._reception.hash_key[:64], digest_size=8
        ).hexdigest()
        score = mapping.score_of(output_id, f"evaluation:{name}:{record.time_ns}", told)
        if score is None:
            raise Unfit("gen_ai.evaluation", "says no score, label or explanation that fits")
        return feedback.arrival_of(score, reception=self._reception)

    def _sayings(self, record: LogRecord, sides: Sides) -> list[Arrival]:
        output_id = _output_id(record)
        return [self._saying(output_id, side, record, said) for side, said in sides.items()]

    def _saying(self, output_id: str, side: int, record: LogRecord, said: list[Message]) -> Arrival:
        """Its id says what it says: the same record again is the same row, the same words twice in a body are two."""
        said_ns = min(record.time_ns, _LATEST_NS)
        nameless = SayingRecord(id="-", output_id=output_id, side=side, said_ns=said_ns, content=said)
        mark = nameless.body_hash(self._reception.hash_key).hex()
        self._seen[mark] += 1
        nameless.id = f"{output_id}:{side}:{mark[:32]}:{self._seen[mark]}"
        return contents.arrival_of(nameless, reception=self._reception)


def _output_id(record: LogRecord) -> str:
    if not record.trace_id or not record.span_id:
        raise Unfit("trace_id, span_id", "are missing; send those of the span that it was said in")
    return f"{record.trace_id}:{record.span_id}"


def _told(record: LogRecord) -> dict[str, Any]:
    """What an event says: in its body, in its attributes, or in both."""
    return {**dict(_body(record.body)), **record.attributes}


def _body(body: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(body, dict):
        yield from body.items()
    elif isinstance(body, str) and body:
        yield "content", body
