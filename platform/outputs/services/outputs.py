"""Outputs: the one place that stores them."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from connections.prices import PriceBook
from core import clock, ids
from ledger import handovers
from outputs.models import Output
from outputs.reception import Reception
from outputs.records import LONGEST_ERROR, OutputRecord
from outputs.redaction.rows import Said, Texts
from outputs.services import landing
from outputs.services.landing import Arrival, Connection, Fate

TOPIC = "outputs.stored"

_COLUMNS = {
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
# A revision is named by its number or its content hash; the names are those of one project.
_LINKED = """
    LEFT JOIN (
        SELECT DISTINCT ON (project_id, prompt_name, revision_ref)
            project_id, prompt_name, revision_ref, prompt.id AS prompt_id, revision.id AS revision_id
        FROM (SELECT DISTINCT project_id, prompt_name, revision_ref FROM told WHERE prompt_name <> '') AS named
        JOIN prompts_prompt AS prompt USING (project_id)
        LEFT JOIN prompts_revision AS revision ON revision.prompt_id = prompt.id AND (
            revision.content_hash = revision_ref
            OR revision.number = CASE WHEN revision_ref ~ '^[0-9]{1,9}$' THEN revision_ref::int END
        )
        WHERE prompt.name = prompt_name
    ) AS linked USING (project_id, prompt_name, revision_ref)"""
_LINKS = {"prompt_id": "linked.prompt_id", "revision_id": "linked.revision_id"}
LANDING = landing.landing(
    "outputs_output",
    _COLUMNS,
    landing.ON_DAY,
    body=landing.Body("outputs_outputbody", "output_id", _BODY),
    found=_LINKS,
    finding=_LINKED,
)
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

_OK, _ERROR = int(Output.Status.OK), int(Output.Status.ERROR)
_SENT, _COMPUTED = int(Output.CostSource.SENT), int(Output.CostSource.COMPUTED)


def arrival_of(record: OutputRecord, *, reception: Reception) -> Arrival:
    """A record made ready to be stored: redacted, and with an id where the sender gave none.

    Its hash is taken before, so that it tells a repeat whatever the policy was or is.
    """
    body_hash = record.body_hash(reception.hash_key)
    record, redacted = reception.redaction.applied(record, TEXTS, record.environment)
    external_id = record.id or ids.time_ordered()
    body = {
        "input": record.input,
        "output": record.output,
        "error": record.error,
        "variables": record.variables,
        "metadata": record.metadata,
        "prompt_name": record.prompt or "",
        "revision_ref": "" if record.revision is None else str(record.revision),
    }
    row = landing.written(reception.project_id, external_id, body_hash, _said(record, reception.prices), body)
    return Arrival(reception.project_id, external_id, body_hash, row, redacted)


async def store_outputs(connection: Connection, arrivals: Sequence[Arrival], *, now: dt.datetime) -> list[Fate]:
    """Outputs, their bodies and one hand-over per project and consumer stand, in the running transaction.

    A prompt or revision that the project does not have costs the link, never the output: what was said stays
    in the body. A repeat stores nothing and is told as duplicate, another body under a known id as conflict.

    Args:
        connection: inside a transaction.
        arrivals: from `arrival_of`, of any number of projects.
        now: the moment of arrival; its UTC day is the output's.

    Returns:
        what became of each, in the same order.
    """
    day = now.astimezone(dt.UTC).date()
    parameters = {"now": now, "day": day, "topic": TOPIC, "consumers": handovers.consumers_of(TOPIC)}
    return await landing.store(connection, LANDING, arrivals, parameters)


def _said(record: OutputRecord, prices: PriceBook) -> dict[str, Any]:
    cost_usd, cost_source = _cost(record, prices)
    return {
        "model": record.model or "",
        "provider": record.provider or "",
        "status": _OK if record.error is None else _ERROR,
        "environment": record.environment or "",
        "started_at": record.started_at,
        "latency_ms": record.latency_ms,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "cached_input_tokens": record.cached_input_tokens,
        "cache_write_tokens": record.cache_write_tokens,
        "reasoning_tokens": record.reasoning_tokens,
        "cost_usd": cost_usd,
        "cost_source": cost_source,
        "confidence": record.confidence,
        "trace_id": record.trace_id or "",
        "span_id": record.span_id or "",
        "parent_span_id": record.parent_span_id or "",
        "session_id": record.session_id or "",
        "end_user": record.user_id or "",
        "tags": record.tags or [],
    }


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
