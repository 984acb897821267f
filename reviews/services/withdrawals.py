"""Withdrawals: a reviewer takes back a review, as long as nothing was built on it."""

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
from reviews.models import Bookmark, Claim, Item, Review, Verdict
from reviews.services import adjudication, drafts
from reviews.services.drafts import Typed

# So long a review can be taken back.
LONGEST = dt.timedelta(minutes=10)


class NothingToTakeBack(Conflict):
    """This person has handed in nothing about the item."""

    def __init__(self, item_id: int) -> None:
        super().__init__(f"You handed in nothing about item {item_id:,} that could be taken back.")


class TooLate(Conflict):
    """The review is older than `LONGEST`."""

    def __init__(self, review: Review) -> None:
        minutes = int(LONGEST.total_seconds() // 60)
        super().__init__(
            f"Your review of item {review.item_id:,} was not handed in in the last {minutes} minutes; "
            "it can no longer be taken back."
        )


class BuiltUpon(Conflict):
    """Something rests on what the review settled."""


def withdraw(*, queue_name: str, item_id: int, by: Actor, now: dt.datetime) -> Item:
    """The reviewer's review of this item is taken back: the item is open and on the desk, the answers a draft.

    The review stays as history. A verdict that it settled by agreement is replaced by none until enough people have
    spoken again; the part of the item's group stays what it is. What is handed in next is another attempt. It is this
    item whatever was handed in since, and a repeat changes nothing.

    Raises:
        Missing: no such item in a queue of this name.
        NothingToTakeBack: the reviewer has handed in nothing about it.
        TooLate: the review is older than `LONGEST`.
        BuiltUpon: an adjudicator has settled the item, its verdict is in a golden set or a context by now, or it is
            disputed and the reviewer one of those who read all reviews to settle it.
    """
    with transaction.atomic():
        item = adjudication.lock(item_id=item_id, by=by)
        if item.queue.name != queue_name:
            raise Missing("item")
        review = _review_of(item, by)
        if review.withdrawn_at is not None:
            return item
        if review.at <= now - LONGEST:
            raise TooLate(review)
        if item.state == Item.State.DISPUTED and adjudication.may_adjudicate(item.queue, by):
            raise BuiltUpon("You may settle this dispute, so you can read what the others said; settle it instead.")
        verdict = item.verdicts.standing().select_for_update().first()
        if verdict is not None:
            _check(verdict)
        Review.objects.filter(pk=review.pk).update(withdrawn_at=now)
        _open_again(item, verdict, now)
        _put_on_desk(item, review, by, now)
        audit.record(by=by, verb="review.withdraw", subject=_subject(item), now=now, before=_as_dict(review, verdict))
    return item


def _review_of(item: Item, by: Actor) -> Review:
    """The reviewer's latest: the one that stands, if one does."""
    review = item.reviews.filter(reviewer=by.identity).order_by("-attempt").first()
    if review is None:
        raise NothingToTakeBack(item.pk)
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
