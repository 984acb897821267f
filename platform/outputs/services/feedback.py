"""Feedback: the one place that stores it."""

import datetime as dt
from collections.abc import Sequence

from core import ids
from ledger import handovers
from outputs.reception import Reception
from outputs.records import LONGEST_COMMENT, FeedbackRecord
from outputs.redaction.rows import Said, Texts
from outputs.services import staging
from outputs.services.staging import Arrival, Connection, Fate

TOPIC = "feedback.stored"

_COLUMNS = {
    "project_id": "bigint",
    "external_id": "text",
    "body_hash": "bytea",
    "output_external_id": "text",
    "kind": "text",
    "name": "text",
    "value": "double precision",
    "label": "text",
    "comment": "text",
    "end_user": "text",
    "source": "text",
}
TEXTS = Texts(
    Said("name", 100),
    Said("label", 200),
    Said("comment", LONGEST_COMMENT),
    Said("user_id", 200, is_identity=True),
    Said("source", 100),
)

STAGE = staging.stage("outputs_feedback", _COLUMNS, staging.AT_MOMENT)


def arrival_of(record: FeedbackRecord, *, reception: Reception) -> Arrival:
    """A record made ready to be stored: redacted, and with an id where the sender gave none.

    It does not say of which environment it is, so the project's policy for every environment holds.
    """
    body_hash = record.body_hash(reception.hash_key)
    record, redacted = reception.redaction.applied(record, TEXTS)
    comment = record.comment or ""
    return Arrival(
        project_id=reception.project_id,
        external_id=record.id or ids.time_ordered(),
        body_hash=body_hash,
        prompt="",
        revision="",
        values=(
            record.output_id,
            record.kind,
            record.name or "",
            record.value,
            record.label or "",
            comment,
            record.user_id or "",
            record.source or "",
        ),
        n_bytes=len(comment) + 400,
        redacted=redacted,
    )


async def store_feedback(connection: Connection, arrivals: Sequence[Arrival], *, now: dt.datetime) -> list[Fate]:
    """The feedback stands, with one hand-over per project and consumer, in the running transaction.

    Its output may come later, or never. A repeat stores nothing and is told as duplicate, another body under
    a known id as conflict.

    Args:
        connection: with `STAGE`, inside a transaction.
        arrivals: from `arrival_of`, of any number of projects.
        now: the moment of arrival.

    Returns:
        what became of each, in the same order.
    """
    stored = await staging.store(
        connection,
        STAGE,
        arrivals,
        columns=lambda arrival: (arrival.project_id, arrival.external_id, arrival.body_hash, *arrival.values),
        parameters={"now": now, "topic": TOPIC, "consumers": handovers.consumers_of(TOPIC)},
    )
    return stored.fates
