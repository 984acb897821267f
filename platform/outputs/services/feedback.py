"""Feedback: the one place that stores it."""

import datetime as dt
from collections.abc import Sequence

from core import ids
from ledger import handovers
from outputs.records import FeedbackRecord
from outputs.services import staging
from outputs.services.staging import Arrival, Connection, Fate, Stage

TOPIC = "feedback.stored"

_COLUMNS = "project_id, external_id, body_hash, output_external_id, kind, name, value, label, comment, end_user, source"

STAGE = Stage(
    make="""
        CREATE TEMPORARY TABLE feedback_stage (
            batch bigint NOT NULL DEFAULT txid_current(),
            project_id bigint, external_id text, body_hash bytea, output_external_id text, kind text,
            name text, value double precision, label text, comment text, end_user text, source text
        )""",
    copy=f"COPY feedback_stage ({_COLUMNS}) FROM STDIN",
    insert=f"""
        WITH fresh AS (
            INSERT INTO outputs_feedback ({_COLUMNS}, received_at)
            SELECT {_COLUMNS}, %(now)s FROM feedback_stage
            WHERE batch = txid_current() ORDER BY project_id, external_id COLLATE "C"
            ON CONFLICT (project_id, external_id) DO NOTHING
            RETURNING project_id, external_id, id
        ), announced AS (
            INSERT INTO ledger_handover (consumer, topic, project_id, ids)
            SELECT consumer, %(topic)s, project_id, array_agg(id ORDER BY id)
            FROM fresh CROSS JOIN unnest(%(consumers)s::text[]) AS consumer GROUP BY consumer, project_id
        )
        SELECT project_id, external_id, id FROM fresh""",  # noqa: S608 # constants above
    compare="SELECT project_id, external_id, stored.body_hash FROM feedback_stage"
    " JOIN outputs_feedback AS stored USING (project_id, external_id) WHERE batch = txid_current()",
    empty="TRUNCATE feedback_stage",
)


def arrival_of(record: FeedbackRecord, *, project_id: int, hash_key: bytes) -> Arrival:
    """A record made ready to be stored; an id is made where the sender gave none."""
    comment = record.comment or ""
    return Arrival(
        project_id=project_id,
        external_id=record.id or ids.time_ordered(),
        body_hash=record.body_hash(hash_key),
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
