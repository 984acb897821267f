"""Drafts: what a reviewer typed and did not hand in yet, kept whatever becomes of the lease."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from django.db import connection

from core.problems import FieldError, Invalid, Missing
from projects.access import Actor
from reviews.models import Draft
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
    WITH reviewed AS (
        SELECT FROM reviews_review
        WHERE item_id = %(item)s AND reviewer = %(reviewer)s AND withdrawn_at IS NULL
    ), saved AS (
        INSERT INTO reviews_draft (item_id, reviewer, answers, correction, comment, tags, saved_at)
        SELECT i.id, %(reviewer)s, %(answers)s, %(correction)s, %(comment)s, %(tags)s, %(now)s
        FROM reviews_item i WHERE i.id = %(item)s AND i.project_id = %(project)s AND NOT EXISTS (SELECT FROM reviewed)
        ON CONFLICT (item_id, reviewer) DO UPDATE SET
            answers = EXCLUDED.answers, correction = EXCLUDED.correction, comment = EXCLUDED.comment,
            tags = EXCLUDED.tags, saved_at = EXCLUDED.saved_at
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM saved), EXISTS (SELECT FROM reviewed)
"""


def save_draft(*, item_id: int, typed: Typed, by: Actor, now: dt.datetime) -> bool:
    """The item's draft of this reviewer is what was typed; False where the reviewer handed it in already.

    Nobody needs a lease for it: text is kept even where the item has gone to somebody else. The last draft counts, a
    repeat changes nothing. One statement.

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
        "project": by.project.pk,
        "reviewer": by.identity,
        "answers": answers,
        "now": now,
        **said,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SAVE, values)
        is_saved, is_reviewed = cursor.fetchone()
    if not is_saved and not is_reviewed:
        raise Missing("item")
    return bool(is_saved)


def draft_of_review(*, item_id: int, typed: Typed, by: Actor, now: dt.datetime) -> Draft:
    """A review that was taken back is the draft from which to go on; in the caller's transaction."""
    said = asdict(typed)
    return Draft.objects.update_or_create(item_id=item_id, reviewer=by.identity, defaults={**said, "saved_at": now})[0]
