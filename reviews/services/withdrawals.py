"""Withdrawals: a reviewer takes back the last review, as long as nothing was built on it."""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from core.problems import Conflict, Missing
from ledger import handovers
from projects.access import Actor
from projects.services import audit
from reviews import locks
from reviews.models import Bookmark, Claim, Item, Queue, Review, Verdict
from reviews.services import adjudication, drafts
from reviews.services.drafts import Typed

# So long a review can be taken back.
LONGEST = dt.timedelta(minutes=10)


class NothingToTakeBack(Conflict):
    """No review of this person stands in the queue, or it is too old."""

    def __init__(self) -> None:
        minutes = int(LONGEST.total_seconds() // 60)
        super().__init__(f"You handed in nothing here in the last {minutes} minutes that could be taken back.")


class BuiltUpon(Conflict):
    """Something rests on what the review settled."""


def withdraw_last(*, queue_name: str, by: Actor, now: dt.datetime) -> Item:
    """The reviewer's last review of the queue is taken back: the item is open and on the desk, the answers a draft.

    The review stays as history. A verdict that it settled by agreement is replaced by none until enough people have
    spoken again; the part of the item's group stays what it is. What is handed in next is another attempt.

    Raises:
        Missing: there is no such queue.
        NothingToTakeBack: there is no such review, or it is older than `LONGEST`.
        BuiltUpon: an adjudicator has settled the item, or its verdict is in a golden set or a context by now.
    """
    with transaction.atomic():
        queue = _queue_for(queue_name, by)
        review = _last_of(queue, by, since=now - LONGEST)
        item = adjudication.lock(item_id=review.item_id, by=by)
        verdict = item.verdicts.standing().select_for_update().first()
        if verdict is not None:
            _check(verdict)
        # Under the item's lock: whoever came first with the same wish has done it.
        if not Review.objects.standing().filter(pk=review.pk).update(withdrawn_at=now):
            raise NothingToTakeBack
        _open_again(item, verdict, now)
        _put_on_desk(item, review, by, now)
        audit.record(by=by, verb="review.withdraw", subject=_subject(item), now=now, before=_as_dict(review, verdict))
    return item


def _queue_for(name: str, by: Actor) -> Queue:
    """The queue; requests of the same person about it wait for each other."""
    lock = locks.held("reviews.desk", by.project.pk, name, by.identity)
    queue = Queue.objects.of(by.project.pk).annotate(lock=lock).filter(name=name).first()
    if queue is None:
        raise Missing("queue")
    return queue


def _last_of(queue: Queue, by: Actor, *, since: dt.datetime) -> Review:
    mine = Review.objects.standing().filter(item__queue=queue, reviewer=by.identity, at__gt=since)
    review = mine.select_related("item__rubric").order_by("-at", "-pk").first()
    if review is None:
        raise NothingToTakeBack
    return review


def _check(verdict: Verdict) -> None:
    """Nothing rests on the verdict yet: no row of any later room points at it."""
    if verdict.settled_by == Verdict.SettledBy.ADJUDICATOR:
        raise BuiltUpon("An adjudicator has settled this item meanwhile; the review stays as it is.")
    uses = [
        Exists(relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")}))
        for relation in Verdict._meta.related_objects
    ]
    found = Q()
    for use in uses:
        found |= Q(use)
    if uses and Verdict.objects.filter(found, pk=verdict.pk).exists():
        raise BuiltUpon("What this review settled is in a golden set or a context by now; the review stays as it is.")


def _open_again(item: Item, verdict: Verdict | None, now: dt.datetime) -> None:
    if verdict is not None:
        Verdict.objects.filter(pk=verdict.pk).update(replaced_at=now)
        handovers.announce(adjudication.TOPIC, project_id=item.project_id, ids=[item.pk])
    Item.objects.filter(pk=item.pk).update(state=Item.State.OPEN, n_reviews=F("n_reviews") - 1)
    # Whoever has passed this item must come by again; in one order, so that two of these never wait in a circle.
    passed = Bookmark.objects.filter(queue=item.queue_id, floor__gte=item.pk).order_by("pk").select_for_update()
    Bookmark.objects.filter(pk__in=list(passed.values_list("pk", flat=True))).update(floor=item.pk - 1)


def _put_on_desk(item: Item, review: Review, by: Actor, now: dt.datetime) -> None:
    """The place that the review leaves is the reviewer's again, under a new lease."""
    until = now + dt.timedelta(minutes=item.queue.lease_minutes)
    Claim.objects.update_or_create(
        item=item, reviewer=by.identity, defaults={"token": uuid.uuid4(), "lease_until": until, "is_ahead": False}
    )
    typed = Typed(_typed(review.answers), review.correction or "", review.comment, ", ".join(review.tags))
    drafts.draft_of_review(item_id=item.pk, typed=typed, by=by, now=now)


def _typed(answers: Mapping[str, Any]) -> dict[str, list[str]]:
    """Answers as they stand in form fields."""
    return {
        key: [_in_words(one) for one in answer] if isinstance(answer, list) else [_in_words(answer)]
        for key, answer in answers.items()
    }


def _in_words(answer: Any) -> str:  # Any: what a kind of question takes
    return f"{answer:.15g}" if isinstance(answer, float) else str(answer)


def _subject(item: Item) -> str:
    return f"item {item.pk} of queue {item.queue.name}"


def _as_dict(review: Review, verdict: Verdict | None) -> dict[str, Any]:
    return {"review": review.pk, "answers": review.answers, "verdict": None if verdict is None else verdict.pk}
