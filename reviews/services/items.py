"""Items: outputs put into a queue."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from core.problems import FieldError, Invalid
from outputs.models import Output
from reviews.models import Queue

# Items and their outputs for every row of `wanted (output_id)` that the queue has not had. The order is
# fixed, so that two of these at once wait for each other and never in a circle.
OPEN_ITEMS = """
    items AS (
        INSERT INTO reviews_item
            (project_id, queue_id, rubric_id, overlap, subject_kind, subject_key, round, state, n_reviews)
        SELECT q.project_id, q.id, q.rubric_id, q.overlap, 'output', wanted.output_id::text, 1, 'open', 0
        FROM wanted JOIN reviews_queue q ON q.id = %s
        ORDER BY wanted.output_id
        ON CONFLICT (queue_id, subject_kind, subject_key, round) DO NOTHING
        RETURNING id, subject_key
    ), places AS (
        INSERT INTO reviews_itemoutput (item_id, output_id, position)
        SELECT id, subject_key::bigint, 0 FROM items
    )
"""


@dataclass(frozen=True)
class Added:
    """What became of a list of outputs: counts, and the errors of those that are unknown."""

    n_added: int
    n_duplicates: int
    rejected: list[FieldError]


def add_outputs(*, queue: Queue, external_ids: Sequence[str]) -> Added:
    """Each of these outputs of the queue's project has an item in the queue.

    Added by hand, they enter no estimate of quality. An output that the queue has or had is a duplicate and
    stays as it is, so a repeat adds nothing. Unknown ones are named by their place in the list.

    Raises:
        Invalid: none of them is known; `rejected` says which and why.
    """
    known = dict(
        Output.objects.of(queue.project_id).filter(external_id__in=set(external_ids)).values_list("external_id", "pk")
    )
    rejected = [
        FieldError("outputs", f"there is no output {external_id!r} here", index)
        for index, external_id in enumerate(external_ids)
        if external_id not in known
    ]
    if not known:
        raise NoneKnown(rejected)
    n_added = _open_items(queue, sorted(known.values()))
    return Added(n_added, len(external_ids) - len(rejected) - n_added, rejected)


class NoneKnown(Invalid):
    """Not one of the outputs exists in this project."""

    def __init__(self, rejected: Sequence[FieldError]) -> None:
        super().__init__(*rejected, detail="None of these outputs is known here.")
        self.extra = {"rejected": as_rows(rejected)}


def as_rows(rejected: Sequence[FieldError]) -> list[dict[str, object]]:
    """Rejected rows in the shape that they have everywhere."""
    return [{"index": error.index, "errors": [{"field": error.field, "message": error.message}]} for error in rejected]


def _open_items(queue: Queue, output_ids: list[int]) -> int:
    statement = f"WITH wanted AS (SELECT unnest(%s::bigint[]) AS output_id), {OPEN_ITEMS} SELECT count(*) FROM items"  # noqa: S608  # constants
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, [output_ids, queue.pk])
        (n_added,) = cursor.fetchone()
    return int(n_added)
