"""Messages that come apart from their output: the one place that stores them, and that gives them to it.

Either may come first. Each announces itself when it is stored, and whichever is announced last finds the other.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.db import connection as database
from django.db.models import Q

from core import bells
from ledger import handovers
from ledger.handovers import Claimed
from outputs import choices
from outputs.models import Output, OutputBody, Saying
from outputs.reception import Reception
from outputs.records import ROW_LIMITS, SayingRecord
from outputs.redaction.rows import Said, Texts
from outputs.services import landing, outputs
from outputs.services.landing import Arrival, Connection, Fate

TOPIC = "sayings.stored"
FILLED = "outputs.filled"
CONSUMER = "outputs.contents"

_COLUMNS = {
    "output_external_id": "text",
    "side": "smallint",
    "said_ns": "bigint",
    "content": "jsonb",
    "n_messages": "int",
}
TEXTS = Texts(Said("content"))

LANDING = landing.landing("outputs_saying", _COLUMNS, landing.AT_MOMENT)

_WAITED_FOR = """
    SELECT output.id FROM outputs_output AS output
    JOIN outputs_saying AS saying
        ON saying.project_id = output.project_id AND saying.output_external_id = output.external_id
    WHERE output.project_id = %s AND saying.content IS NOT NULL AND """


def arrival_of(record: SayingRecord, *, reception: Reception) -> Arrival:
    """A record made ready to be stored: redacted, its hash taken before.

    It does not say of which environment it is, so the project's policy for every environment holds.
    """
    body_hash = record.body_hash(reception.hash_key)
    record, redacted = reception.redaction.applied(record, TEXTS)
    said = {
        "output_external_id": record.output_id,
        "side": record.side,
        "said_ns": record.said_ns,
        "content": record.content,
        "n_messages": len(record.content),
    }
    row = landing.written(reception.project_id, record.id, body_hash, said)
    return Arrival(reception.project_id, record.id, body_hash, row, redacted)


async def store_sayings(connection: Connection, arrivals: Sequence[Arrival], *, now: dt.datetime) -> list[Fate]:
    """The messages stand, with one hand-over per project and consumer, in the running transaction.

    Their output may come later, or never. A repeat stores nothing and is told as duplicate.

    Args:
        connection: inside a transaction.
        arrivals: from `arrival_of`, of any number of projects.
        now: the moment of arrival.

    Returns:
        what became of each, in the same order.
    """
    parameters = {"now": now, "topic": TOPIC, "consumers": handovers.consumers_of(TOPIC)}
    return await landing.store(connection, LANDING, arrivals, parameters)


def fill_waiting(*, now: dt.datetime, limit: int = 20) -> bool:
    """Outputs and messages of the oldest hand-overs are together; says whether there were any hand-overs."""
    return handovers.fetch(CONSUMER, lambda claimed: fill(claimed=claimed), now=now, limit=limit)


def fill(*, claimed: Sequence[Claimed]) -> int:
    """Each of these outputs has the messages that are there for it; returns how many outputs were given some.

    An output that came with texts of its own keeps them. Each message is given once; a repeat gives nothing.
    """
    n_filled = 0
    for one in claimed:
        waited_for = _waited_for(one)
        given = [output.pk for output in waited_for if _give(output)]
        handovers.announce(FILLED, project_id=one.project_id, ids=given)
        if given:
            bells.ring("outputs.tasks.index_texts")
        n_filled += len(given)
    return n_filled


def _waited_for(claimed: Claimed) -> list[Output]:
    """The outputs that messages are there for, held until the transaction ends so that each is filled by one."""
    named = "output.id = ANY(%s)" if claimed.topic == outputs.TOPIC else "saying.id = ANY(%s)"
    with database.cursor() as cursor:
        cursor.execute(_WAITED_FOR + named, [claimed.project_id, claimed.ids])
        ids = {row[0] for row in cursor.fetchall()}
    return list(Output.objects.of(claimed.project_id).select_for_update(no_key=True).filter(pk__in=ids).order_by("pk"))


def _give(output: Output) -> bool:
    """The output's body has every message that is there for it and fits; whether any was new."""
    body = OutputBody.objects.filter(output_id=output.pk, received_on=output.received_on).first()
    sayings = list(
        Saying.objects.filter(project_id=output.project_id, output_external_id=output.external_id).order_by(
            "said_ns", "id"
        )
    )
    if body is None:
        Saying.objects.filter(pk__in=[saying.pk for saying in sayings]).update(content=None)
        return False
    taken = [
        *_take(body, [saying for saying in sayings if saying.side == Saying.Side.INPUT], _told_input, "input"),
        *_take(body, [saying for saying in sayings if saying.side == Saying.Side.OUTPUT], choices.apart, "output"),
    ]
    n_bytes = output.body_bytes + sum(len(orjson.dumps(saying.content)) for saying in taken)
    if not taken or n_bytes > ROW_LIMITS.n_bytes:
        return False
    same_body = Q(output_id=output.pk, received_on=output.received_on)
    OutputBody.objects.filter(same_body).update(input=body.input, output=body.output)
    Output.objects.filter(pk=output.pk).update(body_bytes=n_bytes)
    Saying.objects.filter(pk__in=[saying.pk for saying in taken]).update(content=None)
    return True


def _take(body: OutputBody, sayings: list[Saying], told: Any, side: str) -> list[Saying]:
    """Sets this side of the body; returns the messages that were new to it."""
    new = [saying for saying in sayings if saying.content is not None]
    there = getattr(body, side)
    if not new or (there is not None and len(new) == len(sayings)):
        return []
    messages = _in_order(told(there), sayings)
    setattr(body, side, messages if side == "input" else choices.joined(messages))
    return new


def _in_order(there: Iterable[dict[str, Any]], sayings: Sequence[Saying]) -> list[dict[str, Any]]:
    """The messages of all of these, where those without content are the ones that are there, in the same order."""
    known = iter(there)
    messages: list[dict[str, Any]] = []
    for saying in sayings:
        if saying.content is None:
            messages += [message for _, message in zip(range(saying.n_messages), known, strict=False)]
        else:
            messages += saying.content
    return messages


def _told_input(there: Any) -> list[dict[str, Any]]:
    return there if isinstance(there, list) else []
