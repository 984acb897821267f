"""Reviews that were made elsewhere and are brought in.

They are people's answers and are kept as such: they enter agreement and aggregation. They settle nothing and take no
place at an item, for nobody here can vouch for who gave them, in what order, and who saw whose; so they enter no
verdict, and through it no estimate, no exam and no context.
"""

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import orjson
from django.db import connection, transaction
from django.db.models import Max

from core.problems import FieldError, Invalid
from outputs.models import Output
from projects.access import Actor
from projects.services import audit
from reviews import questions
from reviews.elsewhere import Row
from reviews.models import Item, Queue, Review, Rubric
from reviews.questions import Opinion
from reviews.services import items

AT_ONCE = 2_000
# So often one reviewer may have judged one output.
MOST_ATTEMPTS = 1_000


@dataclass(frozen=True)
class Stored:
    """What became of the rows: new reviews, those that were known, items that the queue had not, and the refused."""

    n_added: int
    n_duplicates: int
    n_items: int
    rejected: list[FieldError]


class NoneTaken(Invalid):
    """Not one of the rows can be stored; nothing was."""

    def __init__(self, rejected: Sequence[FieldError]) -> None:
        super().__init__(*rejected, detail="None of the rows could be taken.")
        self.extra = {"rejected": by_row(rejected)}


def by_row(rejected: Iterable[FieldError]) -> list[dict[str, object]]:
    """Refused rows in the shape that they have everywhere, each once with all that is wrong with it."""
    found: dict[int | None, list[dict[str, str]]] = {}
    for error in rejected:
        found.setdefault(error.index, []).append({"field": error.field, "message": error.message})
    return [{"index": index, "errors": errors} for index, errors in sorted(found.items(), key=lambda row: row[0] or 0)]


def store(*, queue: Queue, rows: Sequence[Row], flaws: Sequence[FieldError], by: Actor, now: dt.datetime) -> Stored:
    """Each row whose output is known and whose answers fit is a review of the queue's item of that output.

    Its reviewer is `elsewhere:<name>`. An output that the queue has not had gets an item, as if it was added by hand.
    Answers are held against the item's version of the rubric. A row that says what one before it said (output,
    reviewer, moment, words) is a duplicate, in one request or another: a repeat adds nothing. One reviewer may say
    several things about one output; each is an attempt. A fixed number of statements and one for `AT_ONCE` rows.

    Args:
        queue: where to.
        rows: what was read.
        flaws: what is wrong with rows that were not.
        by: who brings them in; audited.
        now: when.

    Raises:
        NoneTaken: there is no row that fits.
    """
    with transaction.atomic():
        # Two imports number attempts one after the other, and the rubric stays the one that answers are held against.
        queue = Queue.objects.select_related("rubric").select_for_update(of=("self",), no_key=True).get(pk=queue.pk)
        places = _places(queue, rows)
        taken, refused = _fitting(rows, places)
        if not taken:
            raise NoneTaken([*flaws, *refused])
        n_items = _open_missing(queue, [place for _, _, place in taken])
        reviews = list(_new(queue, taken))
        reviews, too_many = _numbered(reviews)
        _insert([review for review, _ in reviews])
        n_duplicates = len(taken) - len(reviews) - len(too_many)
        stored = Stored(len(reviews), n_duplicates, n_items, [*flaws, *refused, *too_many])
        if stored.n_added:
            _record(queue, stored, by, now)
    return stored


@dataclass
class _Place:
    """An output's item in the queue, 0 where it has none yet, and the questions that are asked there."""

    output_id: int
    external_id: str
    rubric: Rubric
    item_id: int = 0


_Fitting = tuple[Row, Opinion, _Place]


def _places(queue: Queue, rows: Sequence[Row]) -> dict[str, _Place]:
    """By the output's own id: three statements."""
    wanted = {row.output_id for row in rows}
    known = Output.objects.of(queue.project_id).filter(external_id__in=wanted).values_list("pk", "external_id")
    places = {external_id: _Place(pk, external_id, queue.rubric) for pk, external_id in known}
    _look_up_items(queue, places.values())
    return places


def _look_up_items(queue: Queue, places: Iterable[_Place]) -> None:
    """Each place has the newest item of its output, where the queue has one, and that item's rubric."""
    by_key = {str(place.output_id): place for place in places}
    found = Item.objects.filter(queue=queue, subject_kind="output", subject_key__in=by_key).order_by("round")
    rows = list(found.values_list("subject_key", "pk", "rubric"))
    rubrics = Rubric.objects.in_bulk({rubric_id for _, _, rubric_id in rows})
    for key, item_id, rubric_id in rows:
        by_key[key].item_id, by_key[key].rubric = item_id, rubrics[rubric_id]


def _open_missing(queue: Queue, places: Sequence[_Place]) -> int:
    """Every place has an item; how many were new."""
    missing = {place.external_id: place for place in places if not place.item_id}
    if not missing:
        return 0
    added = items.add_outputs(queue=queue, external_ids=list(missing))
    _look_up_items(queue, missing.values())
    return added.n_added


def _fitting(rows: Sequence[Row], places: dict[str, _Place]) -> tuple[list[_Fitting], list[FieldError]]:
    taken: list[_Fitting] = []
    refused: list[FieldError] = []
    for row in rows:
        place = places.get(row.output_id)
        if place is None:
            refused.append(FieldError("output_id", f"there is no output {row.output_id!r} here", row.index))
            continue
        try:
            opinion = questions.read_opinion(place.rubric.questions, row.answers, row.correction)
        except Invalid as invalid:
            refused += [FieldError(flaw.field, flaw.message, row.index) for flaw in invalid.errors]
        else:
            taken.append((row, opinion, place))
    return taken, refused


def _new(queue: Queue, taken: Sequence[_Fitting]) -> Iterator[tuple[Review, Row]]:
    """The reviews that are not stored yet, each once; one statement."""
    made = {_token(queue, row, opinion, place): (row, opinion, place) for row, opinion, place in reversed(taken)}
    known = set(Review.objects.filter(claim_token__in=made).values_list("claim_token", flat=True))
    for token, (row, opinion, place) in reversed(made.items()):
        if token not in known:
            yield _review(token, row, opinion, place), row


def _token(queue: Queue, row: Row, opinion: Opinion, place: _Place) -> uuid.UUID:
    """What a row says, as the key under which it is stored once. No lease: nobody hands anything in under it."""
    said = [opinion.answers, opinion.correction, row.tags, row.comment]
    key = ["elsewhere", queue.pk, place.output_id, row.reviewer, row.at.isoformat(), said]
    text = json.dumps(key, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return uuid.UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest())


def _review(token: uuid.UUID, row: Row, opinion: Opinion, place: _Place) -> Review:
    return Review(
        item_id=place.item_id,
        reviewer=f"{Review.ELSEWHERE}{row.reviewer}",
        claim_token=token,
        answers=opinion.answers,
        correction=opinion.correction,
        tags=list(row.tags),
        comment=row.comment,
        at=row.at,
        made_elsewhere=True,
    )


def _numbered(reviews: Sequence[tuple[Review, Row]]) -> tuple[list[tuple[Review, Row]], list[FieldError]]:
    """Each as the next attempt of its reviewer at its item; one statement."""
    of_items = Review.objects.filter(made_elsewhere=True, item__in={review.item_id for review, _ in reviews})
    counted = of_items.order_by().values_list("item", "reviewer").annotate(last=Max("attempt"))
    last = {(item, reviewer): n for item, reviewer, n in counted}
    numbered: list[tuple[Review, Row]] = []
    refused: list[FieldError] = []
    for review, row in reviews:
        attempt = last.get((review.item_id, review.reviewer), 0) + 1
        if attempt > MOST_ATTEMPTS:
            said = f"{row.reviewer!r} has judged this output {MOST_ATTEMPTS:,} times already"
            refused.append(FieldError("reviewer", said, row.index))
            continue
        last[review.item_id, review.reviewer] = review.attempt = attempt
        numbered.append((review, row))
    return numbered, refused


_INSERT = """
    INSERT INTO reviews_review
        (item_id, reviewer, attempt, claim_token, answers, correction, tags, comment, at, made_elsewhere)
    SELECT item_id, reviewer, attempt, claim_token, answers, correction, tags, comment, at, TRUE
    FROM json_to_recordset(%s::json) AS review (
        item_id bigint, reviewer text, attempt smallint, claim_token uuid,
        answers jsonb, correction text, tags text[], comment text, at timestamptz
    )
"""
_COLUMNS = ("item_id", "reviewer", "attempt", "claim_token", "answers", "correction", "tags", "comment", "at")


def _insert(reviews: Sequence[Review]) -> None:
    with connection.cursor() as cursor:
        for start in range(0, len(reviews), AT_ONCE):
            rows = [{name: getattr(one, name) for name in _COLUMNS} for one in reviews[start : start + AT_ONCE]]
            cursor.execute(_INSERT, [orjson.dumps(rows).decode()])


def _record(queue: Queue, stored: Stored, by: Actor, now: dt.datetime) -> None:
    audit.record(
        by=by,
        verb="reviews.import",
        subject=f"queue {queue.name}",
        now=now,
        after={"added": stored.n_added, "items": stored.n_items},
    )
