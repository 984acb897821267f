"""Steps of traces: the one place that stores them."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import orjson

from ledger import handovers
from outputs.models import Output
from outputs.reception import Reception
from outputs.records import LONGEST_ERROR, StepRecord
from outputs.redaction.rows import Said, Texts
from outputs.services import staging
from outputs.services.staging import Arrival, Connection, Fate

TOPIC = "steps.stored"

_NARROW = {
    "project_id": "bigint",
    "external_id": "text",
    "body_hash": "bytea",
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
_BODY = "input, output, error, metadata"
TEXTS = Texts(
    Said("input"),
    Said("output"),
    Said("error", LONGEST_ERROR),
    Said("metadata"),
    Said("name", 200),
    Said("session_id", 200, is_identity=True),
)

STAGE = staging.stage("outputs_step", _NARROW, staging.ON_DAY)
_OK, _ERROR = int(Output.Status.OK), int(Output.Status.ERROR)
_COPY_BODIES = f"COPY outputs_stepbody (step_id, received_on, {_BODY}) FROM STDIN"


def arrival_of(record: StepRecord, *, reception: Reception) -> Arrival:
    """A record made ready to be stored: redacted, its hash taken before."""
    body_hash = record.body_hash(reception.hash_key)
    record, redacted = reception.redaction.applied(record, TEXTS, record.environment)
    body = (_json(record.input), _json(record.output), record.error, _json(record.metadata))
    n_bytes = sum(map(len, filter(None, body)))
    return Arrival(
        project_id=reception.project_id,
        external_id=record.id,
        body_hash=body_hash,
        prompt="",
        revision="",
        values=(*_narrow(record), n_bytes),
        body=body,
        n_bytes=n_bytes + 400,
        redacted=redacted,
    )


async def store_steps(connection: Connection, arrivals: Sequence[Arrival], *, now: dt.datetime) -> list[Fate]:
    """Steps, their bodies and one hand-over per project and consumer stand, in the running transaction.

    A repeat stores nothing and is told as duplicate, another body under a known id as conflict.

    Args:
        connection: with `STAGE`, inside a transaction.
        arrivals: from `arrival_of`, of any number of projects.
        now: the moment of arrival; its UTC day is the step's.

    Returns:
        what became of each, in the same order.
    """
    day = now.astimezone(dt.UTC).date()
    stored = await staging.store(
        connection,
        STAGE,
        arrivals,
        columns=lambda arrival: (arrival.project_id, arrival.external_id, arrival.body_hash, *arrival.values),
        parameters={"now": now, "day": day, "topic": TOPIC, "consumers": handovers.consumers_of(TOPIC)},
    )
    accepted = [arrival for arrival, fate in zip(arrivals, stored.fates, strict=True) if fate is Fate.ACCEPTED]
    if accepted:
        async with connection.cursor() as cursor, cursor.copy(_COPY_BODIES) as copy:
            for arrival in accepted:
                await copy.write_row((stored.fresh[arrival.key], day, *arrival.body))
    return stored.fates


def _narrow(record: StepRecord) -> tuple[Any, ...]:
    return (
        record.trace_id,
        record.span_id,
        record.parent_span_id or "",
        record.session_id or "",
        record.name or "",
        record.kind,
        record.service or "",
        _OK if record.error is None else _ERROR,
        record.environment or "",
        record.started_at,
        record.latency_ms,
    )


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
