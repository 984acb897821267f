"""Assignment: who has which item on the desk, and what is handed in.

Live claims of an item plus its reviews never exceed its overlap; claims ahead of their turn and reviews that were
taken back do not count. A place is taken only by whoever holds the item's row, counted in a statement that began
after the row was had: that sees whatever the last holder committed.
"""

import datetime as dt
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from core.problems import Conflict, Missing
from ledger import handovers
from projects.access import Actor
from reviews import consensus, locks, queries, questions
from reviews.desk_queries import BOOKMARK_AGE
from reviews.models import Claim, Draft, Item, Queue, Review, Skip, Verdict
from reviews.questions import Opinion
from reviews.services import adjudication
from reviews.services.adjudication import Settlement

# An item that was fetched before its turn is kept for so long, softly.
AHEAD = dt.timedelta(seconds=60)
# A bookmark is moved when it spares this many ids, so that not every request writes one.
BOOKMARK_STEP = 50


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


class NoPlace(Conflict):
    """As many people as asked are at the item or have reviewed it."""

    def __init__(self) -> None:
        super().__init__("Others have this item at the moment, and it needs no more people; ask for the next one.")


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

    Whoever holds an item of the queue gets the same one again, with the same lease and a new end; else the one that
    was fetched ahead. Nobody gets an item that they reviewed or skipped, and an item goes to no more people than its
    overlap. At most six statements with those that check the key.

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
            found = _held_or_free(queue, by, now)
            if found is None:
                return None
            until = now + dt.timedelta(minutes=queue.lease_minutes)
            token = _take(found, by, now, until)
            # Somebody took the last place between the two statements: the locks fall, and the search begins
            # anew.
            transaction.set_rollback(token is None)
        if token is not None:
            return Assigned(queries.task_of(found), token, until)


def fetch_ahead(*, queue_name: str, here: int | None = None, by: Actor, now: dt.datetime) -> int | None:
    """The item that `claim_next` would give after the one at hand, before its turn; None where there is none.

    It takes no place: for `AHEAD` others get another item first, and this one where there is no other. A repeat
    gives the same item with a new end. Where the reviewer has another item on the desk besides the one at hand, that
    comes next. The claim of what the reviewer has or had on the desk stays what it is, under a live lease or not. Two
    statements.

    Args:
        queue_name: a queue of the actor's project.
        here: the item at hand.
        by: the reviewer.
        now: when.

    Raises:
        Missing: there is no such queue.
    """
    with transaction.atomic():
        queue = _queue_for(queue_name, by)
        values = {**_asking(queue, by, now), "here": here or 0, "token": uuid.uuid4(), "until": now + AHEAD}
        row = _row(_FETCH_AHEAD, values)
    return None if row is None else int(row[0])


def claim_item(*, item_id: int, by: Actor, now: dt.datetime) -> dt.datetime:
    """This item is on the reviewer's desk; returns the end of the lease. A repeat moves it.

    Raises:
        Missing: no such item in the project.
        Conflict: it takes no more reviews, the reviewer has given one, or others have all its places.
    """
    with transaction.atomic():
        item = _open_item(item_id, by)
        if item.reviews.standing().filter(reviewer=by.identity).exists():
            raise AlreadyReviewed
        until = now + dt.timedelta(minutes=item.queue.lease_minutes)
        if _take(item.pk, by, now, until) is None:
            raise NoPlace
    return until


def renew(*, item_id: int, by: Actor, now: dt.datetime) -> dt.datetime:
    """Who holds the item holds it for another `lease_minutes` from here; returns the new end.

    An expired lease is renewed while nobody else has taken the place.

    Raises:
        Missing: no such item in the project.
        Conflict: it takes no more reviews, the reviewer does not hold it, or others have taken the place.
    """
    with transaction.atomic():
        item = _open_item(item_id, by)
        held = item.claims.filter(reviewer=by.identity).first()
        if held is None:
            raise LeaseUnknown
        until = now + dt.timedelta(minutes=item.queue.lease_minutes)
        if _take(item.pk, by, now, until) is None:
            raise PlaceTaken(held.lease_until)
    return until


def submit_review(*, item_id: int, lease: uuid.UUID, handed_in: HandedIn, by: Actor, now: dt.datetime) -> Review:
    """The reviewer's answers are kept; the item is settled or disputed where it waited for no others.

    The same lease with the same content again is the review that it was. An expired lease still serves while
    nobody else has taken the place. The reviewer's draft is gone. At most ten statements with those that check the
    key, in one transaction.

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
        earlier = list(item.reviews.filter(made_elsewhere=False).select_related("user").order_by("pk"))
        for known in earlier:
            if known.claim_token == lease:
                return _repeated(known, review)
        standing = [known for known in earlier if known.withdrawn_at is None]
        _check_place(item, standing, review)
        review.attempt = 1 + sum(known.reviewer == review.reviewer for known in earlier)
        reviews = [*standing, review]
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
        if item.reviews.standing().filter(reviewer=by.identity).exists():
            raise AlreadyReviewed
        if item.state != Item.State.OPEN:
            raise NotOpen(item.state)
        item.claims.filter(reviewer=by.identity).delete()
        Draft.objects.filter(item=item, reviewer=by.identity).delete()
        return Skip.objects.create(item=item, reviewer=by.identity, reason=reason, at=now)


def release(*, item_id: int, by: Actor) -> Item:
    """The item is off this reviewer's desk and may be offered to anybody; a repeat changes nothing.

    What the reviewer typed stays a draft.

    Raises:
        Missing: no such item in the project.
    """
    with transaction.atomic():
        item = adjudication.lock(item_id=item_id, by=by)
        item.claims.filter(reviewer=by.identity).delete()
    return item


def _open_item(item_id: int, by: Actor) -> Item:
    item = adjudication.lock(item_id=item_id, by=by)
    if item.state != Item.State.OPEN:
        # The state tells what others said: not to somebody who may still take the own review back.
        if item.reviews.standing().filter(reviewer=by.identity).exists():
            raise AlreadyReviewed
        raise NotOpen(item.state)
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
    i.state = 'open' AND i.n_reviews < i.overlap AND i.n_reviews + (
        SELECT count(*) FROM reviews_claim o
        WHERE o.item_id = i.id AND o.reviewer <> %(reviewer)s AND o.lease_until > %(now)s AND NOT o.is_ahead
    ) < i.overlap
"""

_OTHERS_FETCHED_IT = """
    EXISTS (
        SELECT FROM reviews_claim o
        WHERE o.item_id = i.id AND o.reviewer <> %(reviewer)s AND o.lease_until > %(now)s AND o.is_ahead
    )
"""

_BOOKMARK = """
    bookmark AS (
        SELECT coalesce(max(floor), 0) AS floor, max(searched_at) AS searched_at FROM reviews_bookmark
        WHERE queue_id = %(queue)s AND reviewer = %(reviewer)s AND searched_at > %(fresh)s
    )
"""

# Open items that wait for this reviewer, whoever is at them, oldest first from the bookmark on. OFFSET keeps this a
# walk along one index which ends with the first row that is wanted.
_UNDONE = """
    SELECT w.id FROM reviews_item w
    WHERE w.queue_id = %(queue)s AND w.state = 'open' AND w.id > (SELECT floor FROM bookmark)
      AND NOT EXISTS (
          SELECT FROM reviews_review r
          WHERE r.item_id = w.id AND r.reviewer = %(reviewer)s AND r.withdrawn_at IS NULL
      )
      AND NOT EXISTS (SELECT FROM reviews_skip s WHERE s.item_id = w.id AND s.reviewer = %(reviewer)s)
    ORDER BY w.id OFFSET 0
"""

# First what the reviewer holds (waited for), else the oldest item that is free and nobody else is at, else the oldest
# one that is free. The bookmark moves up to what is not done yet.
_HELD_OR_FREE = f"""
    WITH {_BOOKMARK}, held AS (
        SELECT i.id FROM reviews_claim c JOIN reviews_item i ON i.id = c.item_id
        WHERE c.reviewer = %(reviewer)s AND c.lease_until > %(now)s
          AND i.queue_id = %(queue)s AND {_NEEDS_ONE_MORE}
        ORDER BY c.is_ahead, i.id LIMIT 1
        FOR NO KEY UPDATE OF i
    ), free AS (
        SELECT i.id FROM ({_UNDONE}) AS undone JOIN reviews_item i ON i.id = undone.id
        WHERE NOT EXISTS (SELECT FROM held) AND {_NEEDS_ONE_MORE} AND NOT {_OTHERS_FETCHED_IT}
        ORDER BY undone.id LIMIT 1
        FOR NO KEY UPDATE OF i SKIP LOCKED
    ), last AS (
        SELECT i.id FROM ({_UNDONE}) AS undone JOIN reviews_item i ON i.id = undone.id
        WHERE NOT EXISTS (SELECT FROM held) AND NOT EXISTS (SELECT FROM free) AND {_NEEDS_ONE_MORE}
        ORDER BY undone.id LIMIT 1
        FOR NO KEY UPDATE OF i
    ), reached AS (
        SELECT coalesce(
            (SELECT id - 1 FROM ({_UNDONE}) AS undone LIMIT 1),
            (SELECT max(id) FROM reviews_item WHERE queue_id = %(queue)s AND state = 'open'),
            0
        ) AS floor
        WHERE NOT EXISTS (SELECT FROM held)
    ), noted AS (
        INSERT INTO reviews_bookmark (queue_id, reviewer, floor, searched_at)
        SELECT %(queue)s, %(reviewer)s, reached.floor, %(now)s FROM reached, bookmark
        WHERE bookmark.searched_at IS NULL OR reached.floor > bookmark.floor + {BOOKMARK_STEP}
        ON CONFLICT (queue_id, reviewer) DO UPDATE SET
            floor = EXCLUDED.floor,
            searched_at = CASE
                WHEN reviews_bookmark.searched_at > %(fresh)s THEN reviews_bookmark.searched_at
                ELSE EXCLUDED.searched_at
            END
    )
    SELECT id FROM held UNION ALL SELECT id FROM free UNION ALL SELECT id FROM last
"""  # noqa: S608  # constants

# As above for the item after the one at hand; no row is locked, for no place is taken. What is on the desk besides
# it comes first, as it will with the next claim.
_FETCH_AHEAD = f"""
    WITH {_BOOKMARK}, on_desk AS (
        SELECT i.id FROM reviews_claim c JOIN reviews_item i ON i.id = c.item_id
        WHERE c.reviewer = %(reviewer)s AND c.lease_until > %(now)s AND NOT c.is_ahead
          AND i.queue_id = %(queue)s AND %(here)s <> 0 AND i.id <> %(here)s AND {_NEEDS_ONE_MORE}
        ORDER BY i.id LIMIT 1
    ), held AS (
        SELECT i.id FROM reviews_claim c JOIN reviews_item i ON i.id = c.item_id
        WHERE c.reviewer = %(reviewer)s AND c.lease_until > %(now)s AND c.is_ahead
          AND i.queue_id = %(queue)s AND i.id <> %(here)s AND {_NEEDS_ONE_MORE}
        ORDER BY i.id LIMIT 1
    ), free AS (
        SELECT i.id, {_OTHERS_FETCHED_IT} AS is_fetched
        FROM ({_UNDONE}) AS undone JOIN reviews_item i ON i.id = undone.id
        WHERE NOT EXISTS (SELECT FROM held) AND i.id <> %(here)s AND {_NEEDS_ONE_MORE}
          AND NOT EXISTS (
              SELECT FROM reviews_claim c
              WHERE c.item_id = i.id AND c.reviewer = %(reviewer)s AND NOT c.is_ahead
          )
        ORDER BY undone.id LIMIT 20
    ), picked AS (
        SELECT id FROM held UNION ALL (SELECT id FROM free ORDER BY is_fetched, id LIMIT 1)
    ), fetched AS (
        INSERT INTO reviews_claim (item_id, reviewer, token, lease_until, is_ahead)
        SELECT id, %(reviewer)s, %(token)s, %(until)s, TRUE FROM picked WHERE NOT EXISTS (SELECT FROM on_desk)
        ON CONFLICT (item_id, reviewer) DO UPDATE SET lease_until = EXCLUDED.lease_until
            WHERE reviews_claim.is_ahead
        RETURNING item_id
    )
    SELECT id FROM on_desk UNION ALL SELECT item_id FROM fetched
"""  # noqa: S608  # constants

# The same reviewer keeps the same token: what was begun under an expired lease may still be handed in.
_TAKE = f"""
    INSERT INTO reviews_claim (item_id, reviewer, token, lease_until, is_ahead)
    SELECT i.id, %(reviewer)s, %(token)s, %(until)s, FALSE FROM reviews_item i
    WHERE i.id = %(item)s AND {_NEEDS_ONE_MORE}
    ON CONFLICT (item_id, reviewer) DO UPDATE SET lease_until = EXCLUDED.lease_until, is_ahead = FALSE
    RETURNING token
"""  # noqa: S608  # constants

# One statement for four rows: the review in, the draft gone, the desk cleared (of everybody's claims once the item
# is closed), and the item counted on; where it is settled now, that is announced.
_HAND_IN = """
    WITH cleared AS (
        DELETE FROM reviews_claim
        WHERE item_id = %(item)s AND (reviewer = %(reviewer)s OR %(state)s <> 'open')
    ), undrafted AS (
        DELETE FROM reviews_draft WHERE item_id = %(item)s AND reviewer = %(reviewer)s
    ), counted AS (
        UPDATE reviews_item SET n_reviews = n_reviews + 1, state = %(state)s WHERE id = %(item)s
    ), announced AS (
        INSERT INTO ledger_handover (consumer, topic, project_id, ids)
        SELECT consumer, %(topic)s, %(project)s, ARRAY[%(item)s::bigint] FROM unnest(%(consumers)s::text[]) AS consumer
        WHERE %(state)s = 'settled'
    )
    INSERT INTO reviews_review
        (item_id, reviewer, user_id, attempt, claim_token, answers, correction, tags, comment, at)
    VALUES (
        %(item)s, %(reviewer)s, %(user)s, %(attempt)s, %(token)s,
        %(answers)s, %(correction)s, %(tags)s, %(comment)s, %(at)s
    )
    RETURNING id
"""


def _asking(queue: Queue, by: Actor, now: dt.datetime) -> dict[str, Any]:
    return {"queue": queue.pk, "reviewer": by.identity, "now": now, "fresh": now - BOOKMARK_AGE}


def _held_or_free(queue: Queue, by: Actor, now: dt.datetime) -> int | None:
    row = _row(_HELD_OR_FREE, _asking(queue, by, now))
    return None if row is None else row[0]


def _take(item_id: int, by: Actor, now: dt.datetime, until: dt.datetime) -> uuid.UUID | None:
    values = {"item": item_id, "reviewer": by.identity, "token": uuid.uuid4(), "until": until, "now": now}
    row = _row(_TAKE, values)
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
    if known.withdrawn_at is not None:
        raise Conflict("lease: its review was taken back; hand in under the lease that the item has now.")
    content = ("answers", "correction", "tags", "comment")
    if any(getattr(known, name) != getattr(review, name) for name in content):
        raise Conflict("lease: it carried another review already, which stays as it is; nothing was changed.")
    return known


def _check_place(item: Item, standing: Sequence[Review], review: Review) -> None:
    if any(known.reviewer == review.reviewer for known in standing):
        raise AlreadyReviewed
    if item.state != Item.State.OPEN:
        raise NotOpen(item.state)
    claims: dict[str, Claim] = {claim.reviewer: claim for claim in item.claims.all()}
    own = claims.pop(review.reviewer, None)
    if own is None or own.token != review.claim_token:
        raise LeaseUnknown
    n_at_it = sum(claim.lease_until > review.at and not claim.is_ahead for claim in claims.values())
    has_place = own.lease_until > review.at and not own.is_ahead
    if not has_place and item.n_reviews + n_at_it >= item.overlap:
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
        "project": review.item.project_id,
        "topic": adjudication.TOPIC,
        "consumers": handovers.consumers_of(adjudication.TOPIC),
        "reviewer": review.reviewer,
        "user": review.user_id,
        "attempt": review.attempt,
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
