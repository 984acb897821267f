"""Outputs: the one place that stores them."""

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import orjson

from connections.prices import PriceBook
from core import clock, ids
from ledger import handovers
from outputs.models import Output
from outputs.reception import Reception
from outputs.records import LONGEST_ERROR, OutputRecord
from outputs.redaction.rows import Said, Texts
from outputs.services import staging
from outputs.services.staging import Arrival, Connection, Fate

TOPIC = "outputs.stored"

_NARROW = {
    "project_id": "bigint",
    "external_id": "text",
    "body_hash": "bytea",
    "prompt_id": "bigint",
    "revision_id": "bigint",
    "model": "text",
    "provider": "text",
    "status": "smallint",
    "environment": "text",
    "started_at": "timestamptz",
    "latency_ms": "double precision",
    "input_tokens": "bigint",
    "output_tokens": "bigint",
    "cached_input_tokens": "bigint",
    "cache_write_tokens": "bigint",
    "reasoning_tokens": "bigint",
    "cost_usd": "numeric(18, 9)",
    "cost_source": "smallint",
    "confidence": "double precision",
    "trace_id": "text",
    "span_id": "text",
    "parent_span_id": "text",
    "session_id": "text",
    "end_user": "text",
    "tags": "varchar(100)[]",
    "body_bytes": "int",
}
_BODY = {
    "input": "jsonb",
    "output": "jsonb",
    "error": "text",
    "variables": "jsonb",
    "metadata": "jsonb",
    "prompt_name": "text",
    "revision_ref": "text",
}
_BODY_NAMES = ", ".join(_BODY)
# Ids by which rows find each other stay as they are; names of models, prompts and environments too.
TEXTS = Texts(
    Said("input"),
    Said("output"),
    Said("error", LONGEST_ERROR),
    Said("variables"),
    Said("metadata"),
    Said("tags", 100),
    Said("user_id", 200, is_identity=True),
    Said("session_id", 200, is_identity=True),
)

# The rows of `staging.store_few`, as `_told` writes them: bytes in hexadecimal digits, arrays in PostgreSQL's notation.
_TOLD = {**_NARROW, "body_hash": "text", "tags": "text", **_BODY}
_FROM_TOLD = {name: name for name in _NARROW} | {
    "body_hash": "decode(body_hash, 'hex')",
    "tags": "tags::varchar(100)[]",
}
_FEW = f"""
    WITH told AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS told ({staging.declared(_TOLD)})
    ), fresh AS ({staging.inserted("outputs_output", _FROM_TOLD, staging.ON_DAY, rows="told")}), bodies AS (
        INSERT INTO outputs_outputbody (output_id, received_on, {_BODY_NAMES})
        SELECT id, %(day)s, {_BODY_NAMES} FROM fresh JOIN told USING (project_id, external_id)
    ), announced AS ({staging.ANNOUNCED})
    SELECT * FROM fresh"""  # noqa: S608 # constants above
STAGE = staging.stage("outputs_output", _NARROW, staging.ON_DAY, few=_FEW)
# Up to so many rows, and so many bytes of them, are few.
FEW = 32
FEW_BYTES = 256 * 1024
_OK, _ERROR = int(Output.Status.OK), int(Output.Status.ERROR)
_SENT, _COMPUTED = int(Output.CostSource.SENT), int(Output.CostSource.COMPUTED)
_COPY_BODIES = f"COPY outputs_outputbody (output_id, received_on, {_BODY_NAMES}) FROM STDIN"

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


def arrival_of(record: OutputRecord, *, reception: Reception) -> Arrival:
    """A record made ready to be stored: redacted, and with an id where the sender gave none.

    Its hash is taken before, so that it tells a repeat whatever the policy was or is.
    """
    body_hash = record.body_hash(reception.hash_key)
    record, redacted = reception.redaction.applied(record, TEXTS, record.environment)
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
        project_id=reception.project_id,
        external_id=record.id or ids.time_ordered(),
        body_hash=body_hash,
        prompt=body[5] or "",
        revision=body[6] or "",
        values=(*_narrow(record, reception.prices), n_bytes),
        body=body,
        n_bytes=n_bytes + 400,
        redacted=redacted,
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
    parameters = {"now": now, "day": day, "topic": TOPIC, "consumers": handovers.consumers_of(TOPIC)}

    def narrow(arrival: Arrival) -> tuple[Any, ...]:
        linked = links.get((arrival.project_id, arrival.prompt, arrival.revision), (None, None))
        return arrival.project_id, arrival.external_id, arrival.body_hash, *linked, *arrival.values

    if len(arrivals) <= FEW and sum(arrival.n_bytes for arrival in arrivals) <= FEW_BYTES:
        few = await staging.store_few(
            connection,
            STAGE,
            arrivals,
            rows=lambda arrival: _told(narrow(arrival), arrival.body),
            parameters=parameters,
        )
        return few.fates
    stored = await staging.store(connection, STAGE, arrivals, columns=narrow, parameters=parameters)
    accepted = (arrival for arrival, fate in zip(arrivals, stored.fates, strict=True) if fate is Fate.ACCEPTED)
    await _store_bodies(connection, ((stored.fresh[arrival.key], day, *arrival.body) for arrival in accepted))
    return stored.fates


_NAMES = (*_NARROW, *_BODY)
_JSON_NAMES = tuple(name for name, kind in _BODY.items() if kind == "jsonb")


def _told(narrow: tuple[Any, ...], body: tuple[Any, ...]) -> dict[str, Any]:
    """A row as `STAGE.few` reads it; JSON that is written already is not written again."""
    told = dict(zip(_NAMES, (*narrow, *body), strict=True))
    told["body_hash"] = told["body_hash"].hex()
    if isinstance(told["cost_usd"], Decimal):
        told["cost_usd"] = str(told["cost_usd"])
    for name in _JSON_NAMES:
        if told[name] is not None:
            told[name] = orjson.Fragment(told[name])
    return told


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


def _narrow(record: OutputRecord, prices: PriceBook) -> tuple[Any, ...]:
    return (
        record.model or "",
        record.provider or "",
        _OK if record.error is None else _ERROR,
        record.environment or "",
        record.started_at,
        record.latency_ms,
        record.input_tokens,
        record.output_tokens,
        record.cached_input_tokens,
        record.cache_write_tokens,
        record.reasoning_tokens,
        *_cost(record, prices),
        record.confidence,
        record.trace_id or "",
        record.span_id or "",
        record.parent_span_id or "",
        record.session_id or "",
        record.user_id or "",
        _array(record.tags or ()),
    )


def _cost(record: OutputRecord, prices: PriceBook) -> tuple[float | Decimal | None, int | None]:
    """What it cost and who says so: the sender, else the price table, else nobody."""
    if record.cost_usd is not None:
        return record.cost_usd, _SENT
    if record.model is None:
        return None, None
    usd = prices.cost(
        record.model,
        provider=record.provider or "",
        at=record.started_at or clock.now(),
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        cached=record.cached_input_tokens,
        cache_write=record.cache_write_tokens,
        reasoning=record.reasoning_tokens,
    ).usd
    return usd, None if usd is None else _COMPUTED


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _array(texts: Sequence[str]) -> str:
    """PostgreSQL's notation of an array of texts."""
    if not texts:
        return "{}"
    quoted = ('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts)
    return "{" + ",".join(quoted) + "}"
