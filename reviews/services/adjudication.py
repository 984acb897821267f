"""Settling: what holds about an item, by agreement of its reviewers or by an adjudicator's word."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from core.problems import Conflict, Missing, Problem
from ledger import handovers
from projects.access import Actor, Scope
from projects.services import audit
from reviews import questions
from reviews.models import Item, PartSplit, Queue, Verdict
from reviews.questions import Opinion
from reviews.services import splitting

# What is announced under this topic are items whose standing verdict changed.
TOPIC = "items.settled"


@dataclass(frozen=True)
class Settlement:
    """What is to hold, who says so, and why."""

    opinion: Opinion
    settled_by: Verdict.SettledBy
    by: str
    rationale: str = ""


class NotAnAdjudicator(Problem):
    """Reviews alone settle this queue's items, unless its adjudicators speak."""

    def __init__(self) -> None:
        super().__init__(403, "Only the queue's adjudicators and admins give verdicts; the queue names them.")


class NotDisputed(Conflict):
    """What was to be settled is no dispute any more."""

    def __init__(self, state: str) -> None:
        super().__init__(f"The item is {state} meanwhile; nothing was changed. Go on with the next dispute.")


def settle(*, item: Item, settlement: Settlement, now: dt.datetime, split: PartSplit | None = None) -> Verdict:
    """A new standing verdict of the item, with its quality and its part.

    The caller holds the item's row, and has seen to it that no other verdict stands.

    Args:
        item: with its rubric and queue at hand.
        settlement: what holds.
        now: when.
        split: the group of an earlier verdict of the item, so that the part stays; without one it is looked
            for.

    Raises:
        splitting.TextsGone: the first verdict of an item whose texts were dropped.
    """
    split = split or splitting.assign_part(item=item)
    return Verdict.objects.create(
        project_id=item.project_id,
        item=item,
        prompt_id=split.prompt_id,
        answers=settlement.opinion.answers,
        quality=questions.quality_of(item.rubric.quality, settlement.opinion.answers),
        correction=settlement.opinion.correction,
        rationale=settlement.rationale,
        part=split.part,
        split=split,
        settled_by=settlement.settled_by,
        settled_at=now,
        by=settlement.by[:300],
    )


def adjudicate(
    *,
    item_id: int,
    answers: Mapping[str, Any],
    correction: str | None,
    rationale: str,
    by: Actor,
    now: dt.datetime,
    only_disputed: bool = False,
) -> Verdict:
    """The item is settled as an adjudicator says, whatever its state was; returns the standing verdict.

    A verdict that stood before keeps its row and is marked replaced; the part stays that of the group. The
    same words by the same adjudicator again are the verdict that stands. Whoever holds the item finds it
    settled.

    Args:
        item_id: an item of the actor's project.
        answers: as `reviews.questions.read_opinion` takes them, under the item's version of the rubric.
        correction: the right text, if the output was wrong.
        rationale: why; it is shown wherever the verdict is.
        by: an adjudicator of the queue, or an admin.
        now: when.
        only_disputed: for whoever read the reviews of a dispute; it was settled meanwhile, they have not seen how.

    Raises:
        Missing: no such item in the project.
        NotAnAdjudicator: somebody else.
        NotDisputed: the item is open, or settled otherwise, and `only_disputed`.
        Invalid: the answers do not fit the rubric.
    """
    with transaction.atomic():
        item = lock(item_id=item_id, by=by)
        if not may_adjudicate(item.queue, by):
            raise NotAnAdjudicator
        opinion = questions.read_opinion(item.rubric.questions, answers, correction)
        settlement = Settlement(opinion, Verdict.SettledBy.ADJUDICATOR, by.name, rationale)
        standing = item.verdicts.standing().select_related("split").first()
        if standing is not None and _says(standing, settlement):
            return standing
        if only_disputed and item.state != Item.State.DISPUTED:
            raise NotDisputed(item.state)
        item.verdicts.standing().update(replaced_at=now)
        verdict = settle(item=item, settlement=settlement, now=now, split=standing.split if standing else None)
        Item.objects.filter(pk=item.pk).update(state=Item.State.SETTLED)
        item.claims.all().delete()
        handovers.announce(TOPIC, project_id=item.project_id, ids=[item.pk])
        _record(item, standing, verdict, by, now)
    return verdict


def may_adjudicate(queue: Queue, by: Actor) -> bool:
    """Whether this is one of the queue's adjudicators, or an admin; at most one statement."""
    if by.may(Scope.ADMIN):
        return True
    return by.user is not None and queue.adjudicators.filter(pk=by.user.pk).exists()


def lock(*, item_id: int, by: Actor) -> Item:
    """The actor's item with its queue and rubric; nobody else changes it until the transaction ends.

    Raises:
        Missing: there is no such item.
    """
    locked = (
        Item.objects.of(by.project.pk).select_related("queue", "rubric").select_for_update(of=("self",), no_key=True)
    )
    item = locked.filter(pk=item_id).first()
    if item is None:
        raise Missing("item")
    return item


def _says(verdict: Verdict, settlement: Settlement) -> bool:
    return settlement == Settlement(
        Opinion(verdict.answers, verdict.correction),
        Verdict.SettledBy(verdict.settled_by),
        verdict.by,
        verdict.rationale,
    )


def _record(item: Item, before: Verdict | None, after: Verdict, by: Actor, now: dt.datetime) -> None:
    audit.record(
        by=by,
        verb="verdict.give",
        subject=f"item {item.pk} of queue {item.queue.name}",
        now=now,
        before=None if before is None else _as_dict(before),
        after=_as_dict(after),
    )


def _as_dict(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": verdict.pk,
        "answers": verdict.answers,
        "quality": verdict.quality,
        "correction": verdict.correction,
        "rationale": verdict.rationale,
        "settled_by": verdict.settled_by,
    }
