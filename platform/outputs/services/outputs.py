"""Outputs: the one place that stores them."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from core import ids
from ledger import handovers
from outputs.models import Output
from outputs.records import OutputRecord
from outputs.services import staging
from outputs.services.staging import Arrival, Connection, Fate, Stage

TOPIC = "outputs.stored"

_NARROW = (
    "project_id, external_id, body_hash, prompt_id, revision_id, model, provider, status, environment,"
    " started_at, latency_ms, input_tokens, output_tokens, cost_usd, confidence, trace_id, span_id,"
    " parent_span_id, session_id, end_user, tags, body_bytes"
)
_BODY = "input, output, error, variables, metadata, prompt_name, revision_ref"

STAGE = Stage(
    make="""
        CREATE TEMPORARY TABLE output_stage (
            batch bigint NOT NULL DEFAULT txid_current(),
            project_id bigint, external_id text, body_hash bytea, prompt_id bigint, revision_id bigint,
            model text, provider text, status smallint, environment text, started_at timestamptz,
            latency_ms double precision, input_tokens bigint, output_tokens bigint, cost_usd numeric(18, 9),
            confidence double precision, trace_id text, span_id text, parent_span_id text, session_id text,
            end_user text, tags varchar(100)[], body_bytes int
        )""",
    copy=f"COPY output_stage ({_NARROW}) FROM STDIN",
    insert=f"""
        WITH fresh AS (
            INSERT INTO outputs_output ({_NARROW}, received_at, received_on)
            SELECT {_NARROW}, %(now)s, %(day)s FROM output_stage
            WHERE batch = txid_current() ORDER BY project_id, external_id COLLATE "C"
            ON CONFLICT (project_id, external_id) DO NOTHING
            RETURNING project_id, external_id, id
        ), announced AS (
            INSERT INTO ledger_handover (consumer, topic, project_id, ids)
            SELECT consumer, %(topic)s, project_id, array_agg(id ORDER BY id)
            FROM fresh CROSS JOIN unnest(%(consumers)s::text[]) AS consumer GROUP BY consumer, project_id
        )
        SELECT project_id, external_id, id FROM fresh""",  # noqa: S608 # constants above
    compare="SELECT project_id, external_id, stored.body_hash FROM output_stage"
    " JOIN outputs_output AS stored USING (project_id, external_id) WHERE batch = txid_current()",
    empty="TRUNCATE output_stage",
)
_OK, _ERROR = int(Output.Status.OK), int(Output.Status.ERROR)
_COPY_BODIES = f"COPY outputs_outputbody (output_id, received_on, {_BODY}) FROM STDIN"

# A revision is named by its number or its content hash; the names are those of one project.
_RESOLVE = """
    SELECT DISTINCT ON (named.project_id, named.prompt, named.revision)
        named.project_id, named.prompt, named.revision, prompt.id, revision.id
    FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS named (project_id, prompt, revision)
    JOIN prompts_prompt AS prompt ON prompt.project_id = named.project_id AND prompt.name = named.prompt
    LEFT JOIN prompts_revision AS revision ON revision.prompt_id = prompt.id AND (
        revision.content_hash = named.revision
        OR revision.number = CASE WHEN named.revision ~ '^[0-9]{1,9}$' THEN named.revision::int END
    )"""


def arrival_of(record: OutputRecord, *, project_id: int, hash_key: bytes) -> Arrival:
    """A record made ready to be stored; an id is made where the sender gave none."""
    body = (
        _json(record.input),
        _json(record.output),
        record.error,
        _json(record.variables),
        _json(record.metadata),
        record.prompt or "",
        "" if record.revision is None else str(record.revision),
    )
    n_bytes = sum(map(len, filter(None, body)))
    return Arrival(
        project_id=project_id,
        external_id=record.id or ids.time_ordered(),
        body_hash=record.body_hash(hash_key),
        prompt=body[5] or "",
        revision=body[6] or "",
        values=(*_narrow(record), n_bytes),
        body=body,
        n_bytes=n_bytes + 400,
    )


async def store_outputs(connection: Connection, arrivals: Sequence[Arrival], *, now: dt.datetime) -> list[Fate]:
    """Outputs, their bodies and one hand-over per project and consumer stand, in the running transaction.

    A prompt or revision that the project does not have costs the link, never the output: what was said stays
    in the body. A repeat stores nothing and is told as duplicate, another body under a known id as conflict.

    Args:
        connection: with `STAGE`, inside a transaction.
        arrivals: from `arrival_of`, of any number of projects.
        now: the moment of arrival; its UTC day is the output's.

    Returns:
        what became of each, in the same order.
    """
    links = await _links(connection, arrivals)
    day = now.astimezone(dt.UTC).date()
    stored = await staging.store(
        connection,
        STAGE,
        arrivals,
        columns=lambda arrival: (
            arrival.project_id,
            arrival.external_id,
            arrival.body_hash,
            *links.get((arrival.project_id, arrival.prompt, arrival.revision), (None, None)),
            *arrival.values,
        ),
        parameters={"now": now, "day": day, "topic": TOPIC, "consumers": handovers.consumers_of(TOPIC)},
    )
    accepted = (arrival for arrival, fate in zip(arrivals, stored.fates, strict=True) if fate is Fate.ACCEPTED)
    await _store_bodies(connection, ((stored.fresh[arrival.key], day, *arrival.body) for arrival in accepted))
    return stored.fates


async def _store_bodies(connection: Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Straight to where they stay: their ids are new, so nothing can be in the way."""
    first = next(rows := iter(rows), None)
    if first is None:
        return
    async with connection.cursor() as cursor, cursor.copy(_COPY_BODIES) as copy:
        await copy.write_row(first)
        for row in rows:
            await copy.write_row(row)


Named = tuple[int, str, str]


async def _links(connection: Connection, arrivals: Sequence[Arrival]) -> dict[Named, tuple[int, int | None]]:
    named = list({(arrival.project_id, arrival.prompt, arrival.revision) for arrival in arrivals if arrival.prompt})
    if not named:
        return {}
    cursor = await connection.execute(_RESOLVE, [list(column) for column in zip(*named, strict=True)])
    return {(project_id, prompt, revision): (p, r) for project_id, prompt, revision, p, r in await cursor.fetchall()}


def _narrow(record: OutputRecord) -> tuple[Any, ...]:
    return (
        record.model or "",
        record.provider or "",
        _OK if record.error is None else _ERROR,
        record.environment or "",
        record.started_at,
        record.latency_ms,
        record.input_tokens,
        record.output_tokens,
        record.cost_usd,
        record.confidence,
        record.trace_id or "",
        record.span_id or "",
        record.parent_span_id or "",
        record.session_id or "",
        record.user_id or "",
        _array(record.tags or ()),
    )


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _array(texts: Sequence[str]) -> str:
    """PostgreSQL's notation of an array of texts."""
    if not texts:
        return "{}"
    quoted = ('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts)
    return "{" + ",".join(quoted) + "}"
