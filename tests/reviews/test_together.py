"""Several people at once on one queue."""

import random
import threading
from contextlib import suppress

import pytest
from django.db.models import Count

from core import clock
from reviews.models import Claim, Item, Review, Verdict
from reviews.services import adjudication, assignment
from reviews.services.assignment import NotOpen
from tests import factories
from tests.reviews import desk

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_drained_queue_has_each_item_reviewed_by_as_many_different_people_as_asked() -> None:
    project = factories.a_project()
    queue = desk.a_queue(project, overlap=2)
    desk.filled(queue, *[f"Text number {number}?" for number in range(40)], prompt=factories.a_prompt(project))
    reviewers = [desk.a_reviewer(project) for _ in range(6)]

    def drain(number: int) -> None:
        """Reviews until nothing is left; gives back one in ten, hands in twice one in ten."""
        choices, reviewer = random.Random(number), reviewers[number]
        while (assigned := desk.next_of(queue, reviewer)) is not None:
            chance = choices.random()
            if chance < 0.1:
                assignment.release(item_id=assigned.task.item.pk, by=reviewer)
                continue
            review = desk.hand_in(assigned, reviewer)
            if chance > 0.9:
                assert desk.hand_in(assigned, reviewer).pk == review.pk

    desk.in_threads(*[lambda number=number: drain(number) for number in range(6)])
    counted = Review.objects.values("item").annotate(n=Count("pk"), people=Count("reviewer", distinct=True))
    assert {(row["n"], row["people"]) for row in counted} == {(2, 2)}
    assert counted.count() == 40
    assert Item.objects.filter(state=Item.State.SETTLED, n_reviews=2).count() == Verdict.objects.count() == 40
    assert not Claim.objects.exists()


def test_no_more_people_hold_an_item_than_asked() -> None:
    project = factories.a_project()
    queue = desk.a_queue(project, overlap=2)
    desk.filled(queue, *[f"Text {number}" for number in range(5)])
    reviewers = [desk.a_reviewer(project) for _ in range(12)]
    together = threading.Barrier(12)

    def ask(number: int) -> None:
        together.wait(timeout=30)
        desk.next_of(queue, reviewers[number])

    desk.in_threads(*[lambda number=number: ask(number) for number in range(12)])
    held = Claim.objects.values("item").annotate(n=Count("pk"))
    assert [row["n"] for row in held] == [2] * 5


def test_two_tabs_of_one_person_get_one_item() -> None:
    project = factories.a_project()
    queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
    desk.filled(queue, *[f"Text {number}" for number in range(8)])
    found = []
    desk.in_threads(*[lambda: found.append(desk.next_of(queue, reviewer))] * 6)
    assert len({(assigned.task.item.pk, assigned.lease) for assigned in found}) == 1
    assert Claim.objects.count() == 1


def test_a_double_click_is_one_review() -> None:
    project = factories.a_project()
    queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
    desk.filled(queue, "one")
    assigned = desk.next_of(queue, reviewer)
    found = []
    desk.in_threads(*[lambda: found.append(desk.hand_in(assigned, reviewer).pk)] * 5)
    assert len(set(found)) == Review.objects.count() == Verdict.objects.count() == 1


def test_a_verdict_and_a_review_at_once_leave_one_standing_verdict() -> None:
    project = factories.a_project()
    queue, admin = desk.a_queue(project), factories.an_actor(project)
    for number in range(6):
        desk.filled(queue, f"Text {number}")
        reviewer = desk.a_reviewer(project)
        assigned = desk.next_of(queue, reviewer)

        def review(assigned=assigned, reviewer=reviewer) -> None:
            with suppress(NotOpen):
                desk.hand_in(assigned, reviewer)

        def judge(assigned=assigned) -> None:
            adjudication.adjudicate(
                item_id=assigned.task.item.pk,
                answers=desk.NO,
                correction="delivery",
                rationale="so",
                by=admin,
                now=clock.now(),
            )

        desk.in_threads(review, judge)
    standing = Verdict.objects.standing()
    assert standing.count() == standing.filter(correction="delivery").count() == 6
    assert Item.objects.filter(state=Item.State.SETTLED).count() == 6
