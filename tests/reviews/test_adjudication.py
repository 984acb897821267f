"""Verdicts by an adjudicator's word."""

from typing import Any

import pytest

from core import clock
from core.problems import Invalid, Missing
from projects.access import Actor
from projects.models import AuditEvent, Role
from reviews.models import Claim, Item, Queue, Verdict
from reviews.services import adjudication
from reviews.services.adjudication import NotAnAdjudicator
from reviews.services.assignment import NotOpen
from tests import factories
from tests.reviews import desk
from tests.reviews.desk import NO, YES

pytestmark = pytest.mark.django_db


def give(item: Item, by: Actor, answers: dict[str, Any] = YES, correction: str | None = None, why: str = "so"):
    return adjudication.adjudicate(
        item_id=item.pk, answers=answers, correction=correction, rationale=why, by=by, now=clock.now()
    )


@pytest.fixture
def adjudicator() -> Actor:
    return factories.an_actor(factories.a_project(), Role.REVIEWER)


@pytest.fixture
def queue(adjudicator: Actor) -> Queue:
    return desk.a_queue(adjudicator.project, overlap=2, adjudicators=[adjudicator.user.email])


@pytest.fixture
def item(queue: Queue) -> Item:
    desk.filled(queue, "Where is my bike?", prompt=factories.a_prompt(queue.project))
    return Item.objects.get()


def test_settles_a_dispute(queue: Queue, item: Item, adjudicator: Actor) -> None:
    for answers in (YES, NO):
        desk.reviewed(queue, desk.a_reviewer(queue.project), answers)
    verdict = give(item, adjudicator, NO, "delivery", "The bike is late.")
    assert Item.objects.get().state == Item.State.SETTLED
    assert (verdict.answers, verdict.quality, verdict.correction) == (NO, 0.0, "delivery")
    assert (verdict.settled_by, verdict.by) == ("adjudicator", adjudicator.user.email)
    assert verdict.rationale == "The bike is late."


def test_settles_an_open_item_and_clears_the_desks(queue: Queue, item: Item, adjudicator: Actor) -> None:
    reviewer = desk.a_reviewer(queue.project)
    held = desk.next_of(queue, reviewer)
    give(item, adjudicator)
    assert not Claim.objects.exists()
    with pytest.raises(NotOpen):
        desk.hand_in(held, reviewer)


def test_replaces_a_standing_verdict_and_keeps_its_part(queue: Queue, item: Item, adjudicator: Actor) -> None:
    first = give(item, adjudicator, YES)
    queue.project.prompts.update(gate_share=0, dev_share=0, teach_share=100)
    second = give(item, adjudicator, NO, "delivery", "Looked again.")
    first.refresh_from_db()
    assert first.replaced_at is not None
    assert list(Verdict.objects.standing()) == [second]
    assert (second.part, second.split) == (first.part, first.split)


def test_keeps_a_verdict_that_is_given_again(queue: Queue, item: Item, adjudicator: Actor) -> None:
    given = [give(item, adjudicator, NO, "delivery") for _ in range(2)]
    assert given[0] == given[1]
    assert Verdict.objects.count() == AuditEvent.objects.filter(verb="verdict.give").count() == 1


def test_says_in_the_trail_what_stood_before(queue: Queue, item: Item, adjudicator: Actor) -> None:
    give(item, adjudicator, YES)
    give(item, adjudicator, NO, "delivery")
    event = AuditEvent.objects.filter(verb="verdict.give").latest("pk")
    assert (event.before["answers"], event.after["answers"]) == (YES, NO)
    assert event.after["correction"] == "delivery"


def test_is_for_adjudicators_and_admins_alone(queue: Queue, item: Item) -> None:
    for role in (Role.REVIEWER, Role.ENGINEER):
        with pytest.raises(NotAnAdjudicator):
            give(item, factories.an_actor(queue.project, role))
    assert give(item, factories.an_actor(queue.project, Role.ADMIN)).pk is not None


def test_is_not_for_the_adjudicator_of_another_queue(queue: Queue, item: Item) -> None:
    other = factories.an_actor(queue.project, Role.REVIEWER)
    desk.a_queue(queue.project, adjudicators=[other.user.email])
    with pytest.raises(NotAnAdjudicator):
        give(item, other)


def test_finds_no_item_of_another_project(item: Item) -> None:
    with pytest.raises(Missing):
        give(item, factories.an_actor(factories.a_project()))


def test_refuses_answers_that_do_not_fit(item: Item, adjudicator: Actor) -> None:
    with pytest.raises(Invalid):
        give(item, adjudicator, {})
    assert not Verdict.objects.exists()
