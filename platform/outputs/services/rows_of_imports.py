"""The rows of an import: stored batch by batch, each with the counts and the place that it makes true."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import errors
from psycopg.types.json import Jsonb

from core.problems import FieldError
from outputs.importers.rows import Cursor
from outputs.models import Import
from outputs.reception import Reception
from outputs.records import Record
from outputs.redaction.rows import Redaction, Said, Texts
from outputs.services import feedback, outputs, steps, tallies
from outputs.services.landing import Arrival, Connection, Fate
from outputs.services.tallies import Count, Source

OUTPUTS, STEPS, FEEDBACK = "outputs", "steps", "feedback"
# In the order of the ingest face, so that two transactions wait for each other and never block each other.
STORES = {OUTPUTS: outputs.store_outputs, STEPS: steps.store_steps, FEEDBACK: feedback.store_feedback}
ARRIVALS: Mapping[str, Callable[..., Arrival]] = {
    OUTPUTS: outputs.arrival_of,
    STEPS: steps.arrival_of,
    FEEDBACK: feedback.arrival_of,
}
TEXTS: Mapping[str, Texts] = {OUTPUTS: outputs.TEXTS, STEPS: steps.TEXTS, FEEDBACK: feedback.TEXTS}
BY_CHANCE = (errors.DeadlockDetected, errors.SerializationFailure)
MOST_TRIES = 5
CONFLICT = FieldError("id", "belongs to a row that says something else; use a new id for new content")

_MOVE = """
    UPDATE outputs_import SET cursor = %(cursor)s, n_rows = n_rows + %(rows)s, n_stored = n_stored + %(stored)s,
        n_duplicates = n_duplicates + %(duplicates)s, n_rejected = n_rejected + %(rejected)s,
        attempts = 0, touched_at = %(now)s, lease_until = %(until)s
    WHERE id = %(id)s AND lease_token = %(token)s AND state = 'running'
    RETURNING id"""
_NOTE = "INSERT INTO outputs_importflaw (of_id, rows) VALUES (%s, %s)"


class Lost(Exception):  # nothing went wrong
    """The import belongs to somebody else by now, or is over; nothing of the batch was stored."""


@dataclass(frozen=True)
class Place:
    """Where in a file something stands: the row from 0, and its line or 0."""

    index: int
    line: int


@dataclass
class RowBatch:
    """Rows that are stored together.

    Args:
        rows: of each kind: (where it stands, whether it is counted, arrival).
        flaws: (where, what is wrong) of what is refused.
        after: where reading goes on once these are stored.
    """

    rows: dict[str, list[tuple[Place, bool, Arrival]]] = field(default_factory=dict)
    flaws: list[tuple[Place, Sequence[FieldError]]] = field(default_factory=list)
    after: Cursor = field(default_factory=Cursor)
    n_rows: int = 0
    n_bytes: int = 0

    def add(self, place: Place, kind: str, record: Record, *, reception: Reception, is_along: bool) -> None:
        """One more record."""
        arrival = ARRIVALS[kind](record, reception=reception)
        self.rows.setdefault(kind, []).append((place, not is_along, arrival))
        self.n_rows += 1
        self.n_bytes += arrival.n_bytes

    def refuse(self, place: Place, found: Sequence[FieldError], *, reception: Reception) -> None:
        """One more row that is wrong; what is said of it repeats nothing that would be taken out of it."""
        redaction = reception.redaction
        self.flaws.append((place, [FieldError(**told(error, redaction)) for error in found]))
        self.n_rows += 1


async def store(
    connection: Connection, found: Import, batch: RowBatch, *, now: dt.datetime, lease: dt.timedelta
) -> int:
    """The rows stand, and the import has moved behind them; or nothing has changed. Returns how many are new.

    Raises:
        Lost: the import is no longer ours.
    """
    for attempt in range(MOST_TRIES):
        try:
            async with connection.transaction():
                n_new = await _store(connection, found, batch, now=now, until=now + lease)
        except BY_CHANCE:
            if attempt == MOST_TRIES - 1:
                raise
        else:
            break
    return n_new


async def _store(
    connection: Connection, found: Import, batch: RowBatch, *, now: dt.datetime, until: dt.datetime
) -> int:
    counts: Counter[Fate] = Counter()
    count = Count(n_requests=1, n_bytes=batch.n_bytes)
    flaws = list(batch.flaws)
    for kind, store_kind in STORES.items():
        rows = batch.rows.get(kind)
        if not rows:
            continue
        fates = await store_kind(connection, [arrival for _, _, arrival in rows], now=now)
        for (place, is_counted, arrival), fate in zip(rows, fates, strict=True):
            _keep(count, kind, arrival, fate)
            if fate is Fate.CONFLICT:
                flaws.append((place, (CONFLICT,)))
            elif is_counted:
                counts[fate] += 1
    flaws.sort(key=lambda flaw: flaw[0].index)
    stored, duplicates = counts[Fate.ACCEPTED], counts[Fate.DUPLICATE]
    moved = {
        "id": found.pk,
        "token": found.lease_token,
        "cursor": Jsonb(batch.after.as_dict()),
        "rows": stored + duplicates + len(flaws),
        "stored": stored,
        "duplicates": duplicates,
        "rejected": len(flaws),
        "now": now,
        "until": until,
    }
    if not await (await connection.execute(_MOVE, moved)).fetchall():
        raise Lost
    count.accepted, count.duplicates, count.rejected = stored, duplicates, len(flaws)
    count.reasons = tallies.reasons_of({place.index: said for place, said in flaws})
    await tallies.count(connection, {_source(found): count}, now=now)
    if flaws:
        await connection.execute(_NOTE, [found.pk, Jsonb([_shown(place, said) for place, said in flaws])])
    return stored


def _keep(count: Count, kind: str, arrival: Arrival, fate: Fate) -> None:
    """A new row counts with its kind, and with what was taken out of it."""
    if fate is Fate.ACCEPTED:
        count.stored[kind] += 1
        count.redacted.update(arrival.redacted)


def _source(found: Import) -> Source:
    return Source(found.project_id, found.created_by, "/api/v1/imports", found.format)


def _shown(place: Place, said: Sequence[FieldError]) -> dict[str, Any]:
    """The shape in which batches tell of rejected rows everywhere, and the line."""
    return {"index": place.index, "line": place.line, "errors": [error.as_dict() for error in said]}


def told(error: FieldError, redaction: Redaction) -> dict[str, Any]:
    """What is wrong with a row, fit to be kept: a message names places, and names of a file may hold anything."""
    redactor = redaction.of(None)
    field, message = (redactor.text(_clean(text), Counter()) for text in (error.field, error.message))
    return FieldError(field, message).as_dict()


def redacted(kind: str, record: Record, redaction: Redaction) -> Record:
    """The record as it would be stored."""
    kept, _ = redaction.applied(record, TEXTS[kind], getattr(record, "environment", None))
    return kept


def redacted_fields(kind: str) -> dict[str, Said]:
    """The fields of a kind of rows that things are taken out of."""
    return {field.name: field for field in TEXTS[kind].fields}


def _clean(text: str) -> str:
    """What a column takes."""
    return text.replace("\x00", "\\u0000").encode("utf-8", errors="backslashreplace").decode()
