"""Feedback: the one place that stores it."""

import datetime as dt
from collections.abc import Sequence

from core import ids
from ledger import handovers
from outputs.reception import Reception
from outputs.records import LONGEST_COMMENT, FeedbackRecord
from outputs.redaction.rows import Said, Texts
from outputs.services import landing
from outputs.services.landing import Arrival, Connection, Fate

TOPIC = "feedback.stored"

_COLUMNS = {
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

LANDING = landing.landing("outputs_feedback", _COLUMNS, landing.AT_MOMENT)


def arrival_of(record: FeedbackRecord, *, reception: Reception) -> Arrival:
    """A record made ready to be stored: redacted, and with an id where the sender gave none.

    It does not say of which environment it is, so the project's policy for every environment holds.
    """
    body_hash = record.body_hash(reception.hash_key)
    record, redacted = reception.redaction.applied(record, TEXTS)
    external_id = record.id or ids.time_ordered()
    said = {
        "output_external_id": record.output_id,
        "kind": record.kind,
        "name": record.name or "",
        "value": record.value,
        "label": record.label or "",
        "comment": record.comment or "",
        "end_user": record.user_id or "",
        "source": record.source or "",
    }
    row = landing.written(reception.project_id, external_id, body_hash, said)
    return Arrival(reception.project_id, external_id, body_hash, row, redacted)


async def store_feedback(connection: Connection, arrivals: Sequence[Arrival], *, now: dt.datetime) -> list[Fate]:
    """The feedback stands, with one hand-over per project and consumer, in the running transaction.

    Its output may come later, or never. A repeat stores nothing and is told as duplicate, another body under
    a known id as conflict.

    Args:
        connection: inside a transaction.
        arrivals: from `arrival_of`, of any number of projects.
        now: the moment of arrival.

    Returns:
        what became of each, in the same order.
    """
    parameters = {"now": now, "topic": TOPIC, "consumers": handovers.consumers_of(TOPIC)}
    return await landing.store(connection, LANDING, arrivals, parameters)
