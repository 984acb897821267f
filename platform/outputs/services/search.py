"""Search: the one place that stores the words outputs are found by, off the way on which they are accepted."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection
from psycopg.types.json import Jsonb

from ledger import handovers
from ledger.handovers import Claimed
from outputs import words
from outputs.models import Output, OutputBody
from outputs.queries import SEARCH_CONSUMER
from outputs.services import contents

# Of each text, characters that are looked at: of a longer one its beginning and its end.
LONGEST_TEXT = 9_000
LONGEST_ERROR = 2_000
# Whole texts in memory at once; one may have megabytes.
AT_ONCE = 50
# Of a message: how it is meant, not what it says.
_UNSAID = frozenset({"role", "type", "id", "tool_call_id"})

_INSERT = """
    INSERT INTO outputs_searchtext (output_id, words)
    SELECT told.id, array_to_tsvector(ARRAY(SELECT jsonb_array_elements_text(told.words)))
    FROM unnest(%s::bigint[], %s::jsonb[]) AS told (id, words)
    JOIN outputs_output AS output ON output.id = told.id
    ORDER BY told.id
    ON CONFLICT (output_id) DO """
_STORE = _INSERT + "NOTHING"
# Only who was told that the texts are others now says so: whoever read the earlier ones comes too late.
_STORE_ANEW = _INSERT + "UPDATE SET words = excluded.words"


def index_waiting(*, now: dt.datetime, limit: int = 20) -> bool:
    """Make the outputs of the oldest hand-overs findable; says whether there were any.

    The hand-overs fall in the transaction that stores the words. One that cannot be used is parked and keeps no
    other waiting.
    """
    return handovers.fetch(SEARCH_CONSUMER, lambda claimed: index(claimed=claimed), now=now, limit=limit)


def index(*, claimed: Sequence[Claimed]) -> int:
    """Each of these outputs that still has its texts is found by their words; returns how many are new.

    A repeat stores nothing. Outputs that are gone, and those whose texts are, are passed over.
    """
    n_new = 0
    for one in claimed:
        for start in range(0, len(one.ids), AT_ONCE):
            n_new += _index(one.project_id, one.ids[start : start + AT_ONCE], anew=one.topic == contents.FILLED)
    return n_new


def _index(project_id: int, ids: list[int], *, anew: bool) -> int:
    outputs = Output.objects.of(project_id).filter(pk__in=ids).only("pk", "external_id", "received_on")
    if not anew:
        outputs = outputs.filter(search_text=None)
    known = {output.pk: output for output in outputs}
    days = {output.received_on for output in known.values()}
    bodies = OutputBody.objects.filter(output_id__in=known, received_on__in=days)
    told = {
        body.output_id: words.keys_of_text(
            " ".join(_said(body, known[body.output_id].external_id)), project_id=project_id
        )
        for body in bodies.only("input", "output", "error")
    }
    if not told:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_STORE_ANEW if anew else _STORE, [list(told), [Jsonb(keys) for keys in told.values()]])
        return int(cursor.rowcount)


def _said(body: OutputBody, external_id: str) -> Iterator[str]:
    yield external_id
    yield _ends(body.error or "", LONGEST_ERROR)
    for value in (body.output, body.input):
        yield _ends(" ".join(_texts(value)), LONGEST_TEXT)


def _ends(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest // 2]} {text[-longest // 2 :]}"


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value but those that say how a message is meant."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in _UNSAID:
                yield from _texts(inner)
