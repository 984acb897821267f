"""Steps of traces: the one place that stores them."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from ledger import handovers
from outputs.models import Output
from outputs.reception import Reception
from outputs.records import LONGEST_ERROR, StepRecord
from outputs.redaction.rows import Said, Texts
from outputs.services import landing
from outputs.services.landing import Arrival, Connection, Fate

TOPIC = "steps.stored"

_COLUMNS = {
    "trace_id": "text",
    "span_id": "text",
    "parent_span_id": "text",
    "session_id": "text",
    "name": "text",
    "kind": "smallint",
    "service": "text",
    "status": "smallint",
    "environment": "text",
    "started_at": "timestamptz",
    "latency_ms": "double precision",
    "body_bytes": "int",
}
_BODY = {"input": "jsonb", "output": "jsonb", "error": "text", "metadata": "jsonb"}
TEXTS = Texts(
    Said("input"),
    Said("output"),
    Said("error", LONGEST_ERROR),
    Said("metadata"),
    Said("name", 200),
    Said("session_id", 200, is_identity=True),
)

LANDING = landing.landing(
    "outputs_step", _COLUMNS, landing.ON_DAY, body=landing.Body("outputs_stepbody", "step_id", _BODY)
)
_OK, _ERROR = int(Output.Status.OK), int(Output.Status.ERROR)


def arrival_of(record: StepRecord, *, reception: Reception) -> Arrival:
    """A record made ready to be stored: redacted, its hash taken before."""
    body_hash = record.body_hash(reception.hash_key)
    record, redacted = reception.redaction.applied(record, TEXTS, record.environment)
    body = {"input": record.input, "output": record.output, "error": record.error, "metadata": record.metadata}
    row = landing.written(reception.project_id, record.id, body_hash, _said(record), body)
    return Arrival(reception.project_id, record.id, body_hash, row, redacted)


async def store_steps(connection: Connection, arrivals: Sequence[Arrival], *, now: dt.datetime) -> list[Fate]:
    """Steps, their bodies and one hand-over per project and consumer stand, in the running transaction.

    A repeat stores nothing and is told as duplicate, another body under a known id as conflict.

    Args:
        connection: inside a transaction.
        arrivals: from `arrival_of`, of any number of projects.
        now: the moment of arrival; its UTC day is the step's.

    Returns:
        what became of each, in the same order.
    """
    day = now.astimezone(dt.UTC).date()
    parameters = {"now": now, "day": day, "topic": TOPIC, "consumers": handovers.consumers_of(TOPIC)}
    return await landing.store(connection, LANDING, arrivals, parameters)


def _said(record: StepRecord) -> dict[str, Any]:
    return {
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "parent_span_id": record.parent_span_id or "",
        "session_id": record.session_id or "",
        "name": record.name or "",
        "kind": record.kind,
        "service": record.service or "",
        "status": _OK if record.error is None else _ERROR,
        "environment": record.environment or "",
        "started_at": record.started_at,
        "latency_ms": record.latency_ms,
    }
