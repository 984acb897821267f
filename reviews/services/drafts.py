"""Drafts: what a reviewer typed and did not hand in yet, kept whatever becomes of the lease."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from django.db import connection, transaction

from core.problems import FieldError, Invalid, Missing
from projects.access import Actor
from reviews.models import Draft, Item
from reviews.questions import LONGEST_TEXT

MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class Typed:
    """What stands in the fields of a review, complete or not, by question key."""

    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    correction: str = ""
    comment: str = ""
    tags: str = ""

    @property
    def says_something(self) -> bool:
        return bool(self.answers or self.correction.strip() or self.comment.strip() or self.tags.strip())


# A draft that arrives after its review was handed in is late and changes nothing.
_SAVE = """
    INSERT INTO reviews_draft (item_id, reviewer, answers, correction, comment, tags, saved_at)
    SELECT %(item)s, %(reviewer)s, %(answers)s, %(correction)s, %(comment)s, %(tags)s, %(now)s
    WHERE NOT EXISTS (
        SELECT FROM reviews_review
        WHERE item_id = %(item)s AND reviewer = %(reviewer)s AND withdrawn_at IS NULL
    )
    ON CONFLICT (item_id, reviewer) DO UPDATE SET
        answers = EXCLUDED.answers, correction = EXCLUDED.correction, comment = EXCLUDED.comment,
        tags = EXCLUDED.tags, saved_at = EXCLUDED.saved_at
    RETURNING id
"""


def save_draft(*, item_id: int, typed: Typed, by: Actor, now: dt.datetime) -> bool:
    """The item's draft of this reviewer is what was typed; False where the reviewer handed it in already.

    Nobody needs a lease for it: text is kept even where the item has gone to somebody else. The last draft counts, a
    repeat changes nothing. Two statements.

    Raises:
        Missing: no such item in the project.
        Invalid: more than is kept.
    """
    said = asdict(typed)
    answers = json.dumps(said.pop("answers"))
    for name in ("correction", "comment", "tags"):
        if len(said[name]) > LONGEST_TEXT:
            raise Invalid(FieldError(name, f"has {len(said[name])} characters; at most {LONGEST_TEXT} are kept"))
    if len(answers) > MOST_BYTES:
        raise Invalid(FieldError("answers", f"have {len(answers)} bytes; at most {MOST_BYTES} are kept"))
    values = {
        "item": item_id,
        "reviewer": by.identity,
        "answers": answers,
        "now": now,
        **said,
    }
    with transaction.atomic():
        _wait_for(item_id, by)
        with connection.cursor() as cursor:
            cursor.execute(_SAVE, values)
            return cursor.fetchone() is not None


def _wait_for(item_id: int, by: Actor) -> None:
    """Nobody hands the item in until the transaction ends, and what was being handed in is.

    Statements after this one see the review that they waited for; a single statement that saves would not. Drafts do
    not wait for each other.
    """
    shared = "SELECT id FROM reviews_item WHERE id = %s AND project_id = %s FOR SHARE"
    if not list(Item.objects.raw(shared, [item_id, by.project.pk])):
        raise Missing("item")


def draft_of_review(*, item_id: int, typed: Typed, by: Actor, now: dt.datetime) -> Draft:
    """A review that was taken back is the draft from which to go on; in the caller's transaction."""
    said = asdict(typed)
    return Draft.objects.update_or_create(item_id=item_id, reviewer=by.identity, defaults={**said, "saved_at": now})[0]
