"""Assignment: who has which item on the desk, and what is handed in.

Live claims of an item plus its reviews never exceed its overlap. A place is taken only by whoever holds the
item's row, counted in a statement that began after the row was had: that sees whatever the last holder
committed.
"""

import datetime as dt
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from core.problems import Conflict, Missing
from projects.access import Actor
from reviews import consensus, locks, queries, questions
from reviews.models import Claim, Item, Queue, Review, Skip, Verdict
from reviews.questions import Opinion
from reviews.services import adjudication
from reviews.services.adjudication import Settlement


@dataclass(frozen=True)
class Assigned:
    """An item on somebody's desk: hand in with this lease before `lease_until`."""

    task: queries.Task
    lease: uuid.UUID
    lease_until: dt.datetime


@dataclass(frozen=True)
class HandedIn:
    """What a reviewer hands in about one item."""

    rubric_version: int
    answers: Mapping[str, Any]
    correction: str | None = None
    tags: Sequence[str] = ()
    comment: str = ""


class WrongVersion(Conflict):
    """The answers were given to another version of the rubric."""

    def __init__(self, found: int, wanted: int) -> None:
        super().__init__(f"rubric_version: found {found}, but this item asks version {wanted}; answer that one.")


class LeaseUnknown(Conflict):
    """Nobody, or somebody else, holds the item under this lease."""

    def __init__(self) -> None:
        super().__init__("lease: you do not hold this item under this lease; ask the queue for the next item.")


class PlaceTaken(Conflict):
    """The lease expired, and others have taken the place."""

    def __init__(self, until: dt.datetime) -> None:
        super().__init__(
            f"lease: expired at {until.isoformat()}, and somebody else has the item; ask for the next one."
        )


class NotOpen(Conflict):
    """The item needs no more reviews."""

    def __init__(self, state: str) -> None:
        super().__init__(f"The item is {state} and takes no more reviews; ask the queue for the next item.")


class AlreadyReviewed(Conflict):
    """One review per person and item."""

    def __init__(self) -> None:
        super().__init__("You have already reviewed this item; a review is not changed by another one.")


def claim_next(*, queue_name: str, by: Actor, now: dt.datetime) -> Assigned | None:
    """The oldest open item that needs this reviewer is on the reviewer's desk; None where there is none.

    Whoever holds an item of the queue gets the same one again, with the same lease and a new end. Nobody gets
    an item that they reviewed or skipped, and an item goes to no more people than its overlap. At most six
    statements with those that check the key.

    Args:
        queue_name: a queue of the actor's project.
        by: the reviewer.
        now: when; the claim lasts the queue's `lease_minutes` from here.

    Raises:
        Missing: there is no such queue.
    """
    while True:
        with transaction.atomic():
            queue = _queue_for(queue_name, by)
            found = _held_or_free(queue, by, now, skip_locked=True) or _held_or_free(queue, by, now, skip_locked=False)
            if found is None:
                return None
            until = now + dt.timedelta(minutes=queue.lease_minutes)
            token = _take(found, by, now, until)
            # Somebody took the last place between the two statements: the locks fall, and the search begins
            # anew.
            transaction.set_rollback(token is None)
        if token is not None:
            return Assigned(queries.task_of(found), token, until)


def submit_review(*, item_id: int, lease: uuid.UUID, handed_in: HandedIn, by: Actor, now: dt.datetime) -> Review:
    """The reviewer's answers are kept; the item is settled or disputed where it waited for no others.

    The same lease with the same content again is the review that it was. An expired lease still serves while
    nobody else has taken the place. At most ten statements with those that check the key, in one transaction.

    Args:
        item_id: an item of the actor's project.
        lease: from `claim_next`.
        handed_in: answers under the item's version of the rubric.
        by: the reviewer.
        now: when.

    Raises:
        Missing: no such item in the project.
        Invalid: the answers do not fit the rubric.
        Conflict: another rubric version, a lease that is not (or no longer) the reviewer's, one that carried
            another review, or an item that takes no more reviews; each says which.
    """
    with transaction.atomic():
        item = adjudication.lock(item_id=item_id, by=by)
        if handed_in.rubric_version != item.rubric.version:
            raise WrongVersion(handed_in.rubric_version, item.rubric.version)
        review = _review_of(item, lease, handed_in, by, now)
        earlier = list(item.reviews.select_related("user").order_by("pk"))
        for known in earlier:
            if known.claim_token == lease:
                return _repeated(known, review)
        _check_place(item, earlier, review)
        reviews = [*earlier, review]
        item.state = _state_after(item, reviews)
        review.pk = _hand_in(review, item.state)
        if item.state == Item.State.SETTLED:
            adjudication.settle(item=item, settlement=_agreed(reviews), now=now)
    return review


def skip(*, item_id: int, reason: str, by: Actor, now: dt.datetime) -> Skip:
    """The item is off this reviewer's desk and not offered again; a repeat keeps the first reason.

    Raises:
        Missing: no such item in the project.
        Conflict: the reviewer has reviewed it already, or it takes no more reviews.
    """
    with transaction.atomic():
        item = adjudication.lock(item_id=item_id, by=by)
        known = item.skips.filter(reviewer=by.identity).first()
        if known is not None:
            return known
        if item.state != Item.State.OPEN:
            raise NotOpen(item.state)
        if item.reviews.filter(reviewer=by.identity).exists():
            raise AlreadyReviewed
        item.claims.filter(reviewer=by.identity).delete()
        return Skip.objects.create(item=item, reviewer=by.identity, reason=reason, at=now)


def release(*, item_id: int, by: Actor) -> Item:
    """The item is off this reviewer's desk and may be offered to anybody; a repeat changes nothing.

    Raises:
        Missing: no such item in the project.
    """
    with transaction.atomic():
        item = adjudication.lock(item_id=item_id, by=by)
        item.claims.filter(reviewer=by.identity).delete()
    return item


def _queue_for(name: str, by: Actor) -> Queue:
    """The queue; while it is searched for one person, a second request of the same person waits."""
    lock = locks.held("reviews.desk", by.project.pk, name, by.identity)
    queue = Queue.objects.of(by.project.pk).annotate(lock=lock).filter(name=name).first()
    if queue is None:
        raise Missing("queue")
    return queue


# Reviews and other people's live claims leave a place.
_NEEDS_ONE_MORE = """
    i.state = 'open' AND i.n_reviews + (
        SELECT count(*) FROM reviews_claim o
        WHERE o.item_id = i.id AND o.reviewer <> %(reviewer)s AND o.lease_until > %(now)s
    ) < i.overlap
"""

# First what the reviewer holds (waited for), else the oldest free item (skipping those that others are at).
_HELD_OR_FREE = """
    WITH held AS (
        SELECT i.id FROM reviews_claim c JOIN reviews_item i ON i.id = c.item_id
        WHERE c.reviewer = %(reviewer)s AND c.lease_until > %(now)s
          AND i.queue_id = %(queue)s AND {needs_one_more}
        ORDER BY i.id LIMIT 1
        FOR NO KEY UPDATE OF i
    ), free AS (
        SELECT i.id FROM reviews_item i
        WHERE NOT EXISTS (SELECT FROM held)
          AND i.queue_id = %(queue)s AND {needs_one_more}
          AND NOT EXISTS (SELECT FROM reviews_review r WHERE r.item_id = i.id AND r.reviewer = %(reviewer)s)
          AND NOT EXISTS (SELECT FROM reviews_skip s WHERE s.item_id = i.id AND s.reviewer = %(reviewer)s)
        ORDER BY i.id LIMIT 1
        FOR NO KEY UPDATE OF i {skip_locked}
    )
    SELECT id FROM held UNION ALL SELECT id FROM free
"""

# The same reviewer keeps the same token: what was begun under an expired lease may still be handed in.
_TAKE = """
    INSERT INTO reviews_claim (item_id, reviewer, token, lease_until)
    SELECT i.id, %(reviewer)s, %(token)s, %(until)s FROM reviews_item i
    WHERE i.id = %(item)s AND {needs_one_more}
    ON CONFLICT (item_id, reviewer) DO UPDATE SET lease_until = EXCLUDED.lease_until
    RETURNING token
"""

# One statement for three rows: the review in, the desk cleared (of everybody's claims once the item is
# closed), and the item counted on.
_HAND_IN = """
    WITH cleared AS (
        DELETE FROM reviews_claim
        WHERE item_id = %(item)s AND (reviewer = %(reviewer)s OR %(state)s <> 'open')
    ), counted AS (
        UPDATE reviews_item SET n_reviews = n_reviews + 1, state = %(state)s WHERE id = %(item)s
    )
    INSERT INTO reviews_review
        (item_id, reviewer, user_id, attempt, claim_token, answers, correction, tags, comment, at)
    VALUES (
        %(item)s, %(reviewer)s, %(user)s, 1, %(token)s,
        %(answers)s, %(correction)s, %(tags)s, %(comment)s, %(at)s
    )
    RETURNING id
"""


def _held_or_free(queue: Queue, by: Actor, now: dt.datetime, *, skip_locked: bool) -> int | None:
    statement = _HELD_OR_FREE.format(needs_one_more=_NEEDS_ONE_MORE, skip_locked="SKIP LOCKED" if skip_locked else "")
    row = _row(statement, {"queue": queue.pk, "reviewer": by.identity, "now": now})
    return None if row is None else row[0]


def _take(item_id: int, by: Actor, now: dt.datetime, until: dt.datetime) -> uuid.UUID | None:
    values = {"item": item_id, "reviewer": by.identity, "token": uuid.uuid4(), "until": until, "now": now}
    row = _row(_TAKE.format(needs_one_more=_NEEDS_ONE_MORE), values)
    return None if row is None else row[0]


def _review_of(item: Item, lease: uuid.UUID, handed_in: HandedIn, by: Actor, now: dt.datetime) -> Review:
    """The review as it would be stored, its answers checked against the item's version of the rubric."""
    opinion = questions.read_opinion(item.rubric.questions, handed_in.answers, handed_in.correction)
    return Review(
        item=item,
        reviewer=by.identity,
        user=by.user,
        claim_token=lease,
        answers=opinion.answers,
        correction=opinion.correction,
        tags=list(dict.fromkeys(handed_in.tags)),
        comment=handed_in.comment,
        at=now,
    )


def _repeated(known: Review, review: Review) -> Review:
    if known.reviewer != review.reviewer:
        raise LeaseUnknown
    content = ("answers", "correction", "tags", "comment")
    if any(getattr(known, name) != getattr(review, name) for name in content):
        raise Conflict("lease: it carried another review already, which stays as it is; nothing was changed.")
    return known


def _check_place(item: Item, earlier: Sequence[Review], review: Review) -> None:
    if any(known.reviewer == review.reviewer for known in earlier):
        raise AlreadyReviewed
    if item.state != Item.State.OPEN:
        raise NotOpen(item.state)
    claims: dict[str, Claim] = {claim.reviewer: claim for claim in item.claims.all()}
    own = claims.pop(review.reviewer, None)
    if own is None or own.token != review.claim_token:
        raise LeaseUnknown
    taken = item.n_reviews + sum(claim.lease_until > review.at for claim in claims.values())
    if own.lease_until <= review.at and taken >= item.overlap:
        raise PlaceTaken(own.lease_until)


def _state_after(item: Item, reviews: Sequence[Review]) -> Item.State:
    if len(reviews) < item.overlap:
        return Item.State.OPEN
    is_settled = consensus.agree(item.rubric.questions, [_opinion(review) for review in reviews])
    return Item.State.SETTLED if is_settled else Item.State.DISPUTED


def _agreed(reviews: Sequence[Review]) -> Settlement:
    opinion = consensus.joint([_opinion(review) for review in reviews])
    return Settlement(opinion, Verdict.SettledBy.AGREEMENT, ", ".join(_name(review) for review in reviews))


def _opinion(review: Review) -> Opinion:
    return Opinion(review.answers, review.correction)


def _name(review: Review) -> str:
    return review.user.email if review.user is not None else review.reviewer


def _hand_in(review: Review, state: str) -> int:
    """The id of the review's new row."""
    values = {
        "item": review.item_id,
        "state": state,
        "reviewer": review.reviewer,
        "user": review.user_id,
        "token": review.claim_token,
        "answers": json.dumps(review.answers),
        "correction": review.correction,
        "tags": review.tags,
        "comment": review.comment,
        "at": review.at,
    }
    (number,) = _row(_HAND_IN, values) or ()
    return int(number)


def _row(statement: str, values: Mapping[str, Any]) -> tuple[Any, ...] | None:  # Any: what columns hold
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row
