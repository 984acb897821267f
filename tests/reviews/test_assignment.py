"""Who gets which item, and what is handed in."""

import datetime as dt
import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.problems import Conflict, Invalid, Missing
from projects.access import Actor
from reviews.models import Claim, Item, Review, Skip, Verdict
from reviews.services import assignment
from reviews.services.assignment import AlreadyReviewed, LeaseUnknown, NotOpen, PlaceTaken, WrongVersion
from tests import factories
from tests.reviews import desk
from tests.reviews.desk import NO

pytestmark = pytest.mark.django_db

LATER = dt.timedelta(minutes=16)


@pytest.fixture
def project():
    return factories.a_project()


class TestNext:
    def test_gives_the_oldest_item_with_all_that_is_needed(self, project) -> None:
        prompt = factories.a_prompt(project)
        queue = desk.a_queue(project, lease_minutes=5)
        first, _ = desk.filled(queue, "Where is it?", "And now?", prompt=prompt)
        assigned = desk.next_of(queue, desk.a_reviewer(project))
        assert assigned is not None
        assert assigned.task.rubric == queue.rubric
        (shown,) = assigned.task.outputs
        assert (shown.id, shown.external_id, shown.prompt) == (first.pk, first.external_id, prompt.name)
        assert (shown.input, shown.output) == ("Where is it?", "refund")
        claim = Claim.objects.get()
        assert (claim.token, claim.lease_until) == (assigned.lease, assigned.lease_until)

    def test_gives_the_same_item_again_while_it_is_held(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one", "two")
        first = desk.next_of(queue, reviewer)
        again = desk.next_of(queue, reviewer, after=dt.timedelta(minutes=10))
        assert (again.task.item, again.lease) == (first.task.item, first.lease)
        assert again.lease_until > first.lease_until
        assert Claim.objects.count() == 1

    def test_prefers_what_is_held_to_an_older_item_that_came_free(self, project) -> None:
        queue, reviewer, other = desk.a_queue(project), *[desk.a_reviewer(project) for _ in "ab"]
        desk.filled(queue, "one", "two")
        older = desk.next_of(queue, other)
        held = desk.next_of(queue, reviewer)
        assignment.release(item_id=older.task.item.pk, by=other)
        assert desk.next_of(queue, reviewer).task.item == held.task.item

    def test_gives_two_people_two_items(self, project) -> None:
        queue = desk.a_queue(project)
        desk.filled(queue, "one", "two")
        found = [desk.next_of(queue, desk.a_reviewer(project)) for _ in range(3)]
        assert found[0].task.item != found[1].task.item
        assert found[2] is None

    def test_gives_one_item_to_as_many_people_as_overlap(self, project) -> None:
        queue = desk.a_queue(project, overlap=2)
        desk.filled(queue, "one")
        found = [desk.next_of(queue, desk.a_reviewer(project)) for _ in range(3)]
        assert found[0].task.item == found[1].task.item
        assert found[0].lease != found[1].lease
        assert found[2] is None

    def test_never_gives_an_item_to_somebody_who_reviewed_it(self, project) -> None:
        queue, reviewer = desk.a_queue(project, overlap=2), desk.a_reviewer(project)
        desk.filled(queue, "one")
        desk.reviewed(queue, reviewer)
        assert desk.next_of(queue, reviewer) is None
        assert desk.next_of(queue, desk.a_reviewer(project)) is not None

    def test_counts_a_person_once_whatever_key_acts_for_them(self, project) -> None:
        queue, reviewer = desk.a_queue(project, overlap=2), desk.a_reviewer(project)
        desk.filled(queue, "one")
        desk.reviewed(queue, reviewer)
        by_key = Actor(project=project, scopes=reviewer.scopes, user=reviewer.user, key=None)
        assert desk.next_of(queue, by_key) is None

    def test_gives_an_item_to_others_once_its_lease_expired(self, project) -> None:
        queue = desk.a_queue(project)
        desk.filled(queue, "one")
        first, second = desk.a_reviewer(project), desk.a_reviewer(project)
        held = desk.next_of(queue, first)
        assert desk.next_of(queue, second) is None
        assert desk.next_of(queue, second, after=LATER).task.item == held.task.item
        assert desk.next_of(queue, first, after=LATER) is None

    def test_gives_an_expired_item_back_under_the_same_lease(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        held = desk.next_of(queue, reviewer)
        again = desk.next_of(queue, reviewer, after=LATER)
        assert again.lease == held.lease

    def test_leaves_other_queues_alone(self, project) -> None:
        queue, other, reviewer = desk.a_queue(project), desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        desk.filled(other, "two")
        held, also_held = desk.next_of(queue, reviewer), desk.next_of(other, reviewer)
        assert held.task.item.queue == queue
        assert also_held.task.item.queue == other

    def test_finds_no_queue_of_another_project(self, project) -> None:
        queue = desk.a_queue(project)
        desk.filled(queue, "one")
        with pytest.raises(Missing):
            desk.next_of(queue, desk.a_reviewer(factories.a_project()))

    def test_gives_an_item_whose_texts_are_gone_without_them(self, project) -> None:
        queue = desk.a_queue(project)
        desk.filled(queue, "one")
        drop_texts()
        shown = desk.next_of(queue, desk.a_reviewer(project)).task.outputs[0]
        assert (shown.input, shown.output) == (None, None)


class TestReview:
    def test_settles_the_item_of_one(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        item = desk.reviewed(queue, reviewer, NO, correction="delivery", tags=["odd", "odd"], comment="hm")
        assert (item.state, item.n_reviews) == (Item.State.SETTLED, 1)
        review = Review.objects.get()
        assert (review.reviewer, review.user) == (reviewer.identity, reviewer.user)
        assert (review.answers, review.correction) == (NO, "delivery")
        assert (review.tags, review.comment, review.attempt) == (["odd"], "hm", 1)
        verdict = Verdict.objects.get()
        assert (verdict.answers, verdict.quality, verdict.correction) == (NO, 0.0, "delivery")
        assert (verdict.settled_by, verdict.by) == ("agreement", reviewer.user.email)
        assert not Claim.objects.exists()

    def test_leaves_the_item_open_until_enough_people_spoke(self, project) -> None:
        queue = desk.a_queue(project, overlap=3)
        desk.filled(queue, "one")
        states = [desk.reviewed(queue, desk.a_reviewer(project)).state for _ in range(3)]
        assert states == [Item.State.OPEN, Item.State.OPEN, Item.State.SETTLED]
        assert Verdict.objects.get().by.count("@") == 3

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (({"correct": "yes"}, {}), (NO, {})),
            ((NO, {"correction": "delivery"}), (NO, {"correction": "payment"})),
            ((NO, {"correction": "delivery"}), (NO, {})),
        ],
    )
    def test_disputes_the_item_where_people_differ(self, project, first, second) -> None:
        queue = desk.a_queue(project, overlap=2)
        desk.filled(queue, "one")
        for answers, said in (first, second):
            item = desk.reviewed(queue, desk.a_reviewer(project), answers, **said)
        assert item.state == Item.State.DISPUTED
        assert not Verdict.objects.exists()
        assert desk.next_of(queue, desk.a_reviewer(project)) is None

    def test_agrees_on_corrections_that_differ_in_space_alone(self, project) -> None:
        queue = desk.a_queue(project, overlap=2)
        desk.filled(queue, "one")
        for correction in ("Late delivery.", " Late  delivery."):
            desk.reviewed(queue, desk.a_reviewer(project), NO, correction=correction)
        assert Verdict.objects.get().correction == "Late delivery."

    def test_is_the_same_review_when_it_is_sent_again(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        assigned = desk.next_of(queue, reviewer)
        first = desk.hand_in(assigned, reviewer, NO, correction="delivery")
        again = desk.hand_in(assigned, reviewer, NO, correction="delivery", after=LATER)
        assert (again.pk, again.at) == (first.pk, first.at)
        assert Review.objects.count() == Verdict.objects.count() == 1

    @pytest.mark.parametrize("other", [{"correction": "payment"}, {"tags": ["x"]}, {"comment": "x"}])
    def test_refuses_another_content_under_the_same_lease(self, project, other) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        assigned = desk.next_of(queue, reviewer)
        desk.hand_in(assigned, reviewer, NO, correction="delivery")
        with pytest.raises(Conflict, match="another review already"):
            desk.hand_in(assigned, reviewer, NO, **{"correction": "delivery", **other})
        assert Review.objects.get().correction == "delivery"

    def test_refuses_a_second_review_by_the_same_reviewer(self, project) -> None:
        queue, reviewer = desk.a_queue(project, overlap=2), desk.a_reviewer(project)
        desk.filled(queue, "one")
        assigned = desk.next_of(queue, reviewer)
        desk.hand_in(assigned, reviewer)
        with pytest.raises(AlreadyReviewed):
            desk.hand_in(assigned, reviewer, lease=uuid.uuid4())

    def test_refuses_a_lease_of_somebody_else(self, project) -> None:
        queue, reviewer, other = desk.a_queue(project, overlap=2), *[desk.a_reviewer(project) for _ in "ab"]
        desk.filled(queue, "one")
        assigned = desk.next_of(queue, reviewer)
        with pytest.raises(LeaseUnknown):
            desk.hand_in(assigned, other)
        desk.hand_in(assigned, reviewer)
        with pytest.raises(LeaseUnknown):
            desk.hand_in(assigned, other)
        assert Review.objects.get().reviewer == reviewer.identity

    def test_refuses_a_lease_that_was_given_back(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        assigned = desk.next_of(queue, reviewer)
        assignment.release(item_id=assigned.task.item.pk, by=reviewer)
        with pytest.raises(LeaseUnknown):
            desk.hand_in(assigned, reviewer)

    def test_is_taken_after_the_lease_expired_while_nobody_has_the_place(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        assigned = desk.next_of(queue, reviewer)
        assert desk.hand_in(assigned, reviewer, after=LATER).pk is not None

    def test_is_refused_after_the_lease_expired_and_somebody_took_the_place(self, project) -> None:
        queue, late, prompt = desk.a_queue(project), *[desk.a_reviewer(project) for _ in "ab"]
        desk.filled(queue, "one")
        assigned = desk.next_of(queue, late)
        taken = desk.next_of(queue, prompt, after=LATER)
        with pytest.raises(PlaceTaken, match="expired"):
            desk.hand_in(assigned, late, after=LATER)
        desk.hand_in(taken, prompt, after=LATER)
        with pytest.raises(NotOpen, match="settled"):
            desk.hand_in(assigned, late, after=LATER)

    def test_refuses_answers_to_another_version(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        assigned = desk.next_of(queue, reviewer)
        desk.a_rubric(project, queue.rubric.name, {"key": "note", "type": "text"})
        with pytest.raises(WrongVersion, match="version 1"):
            desk.hand_in(assigned, reviewer, rubric_version=2)
        assert desk.hand_in(assigned, reviewer).pk is not None

    def test_refuses_answers_that_do_not_fit_and_keeps_the_place(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        assigned = desk.next_of(queue, reviewer)
        with pytest.raises(Invalid, match=r"answers\.correct"):
            desk.hand_in(assigned, reviewer, {"correct": "perhaps"})
        assert not Review.objects.exists()
        assert desk.hand_in(assigned, reviewer).pk is not None

    def test_finds_no_item_of_another_project(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        assigned = desk.next_of(queue, reviewer)
        with pytest.raises(Missing):
            desk.hand_in(assigned, desk.a_reviewer(factories.a_project()))

    def test_settles_nothing_whose_texts_are_gone(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        assigned = desk.next_of(queue, reviewer)
        drop_texts()
        with pytest.raises(Conflict, match="no longer kept"):
            desk.hand_in(assigned, reviewer)
        assert not Review.objects.exists()


class TestSkip:
    def test_takes_the_item_off_the_desk_for_good(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one", "two")
        first = desk.next_of(queue, reviewer)
        assignment.skip(item_id=first.task.item.pk, reason="mine", by=reviewer, now=first.lease_until)
        assert desk.next_of(queue, reviewer).task.item != first.task.item
        assert desk.next_of(queue, desk.a_reviewer(project)).task.item == first.task.item

    def test_keeps_the_first_reason_on_a_repeat(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        held = desk.next_of(queue, reviewer)
        for reason in ("mine", "other"):
            assignment.skip(item_id=held.task.item.pk, reason=reason, by=reviewer, now=held.lease_until)
        assert Skip.objects.get().reason == "mine"

    def test_is_refused_where_nothing_is_left_to_skip(self, project) -> None:
        queue, reviewer = desk.a_queue(project, overlap=2), desk.a_reviewer(project)
        desk.filled(queue, "one")
        item = desk.reviewed(queue, reviewer)
        for _ in range(2):
            with pytest.raises(AlreadyReviewed):
                assignment.skip(item_id=item.pk, reason="late", by=reviewer, now=item.created_at)
            if Review.objects.count() == 1:
                desk.reviewed(queue, desk.a_reviewer(project))
        with pytest.raises(NotOpen):
            assignment.skip(item_id=item.pk, reason="late", by=desk.a_reviewer(project), now=item.created_at)


class TestRelease:
    def test_gives_the_item_to_anybody_again(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        held = desk.next_of(queue, reviewer)
        for _ in range(2):
            assignment.release(item_id=held.task.item.pk, by=reviewer)
        again = desk.next_of(queue, desk.a_reviewer(project))
        assert again.task.item == held.task.item

    def test_leaves_the_claims_of_others(self, project) -> None:
        queue = desk.a_queue(project)
        desk.filled(queue, "one")
        held = desk.next_of(queue, desk.a_reviewer(project))
        assignment.release(item_id=held.task.item.pk, by=desk.a_reviewer(project))
        assert Claim.objects.get().token == held.lease


class TestCost:
    """A key that acts for a person costs two statements before these."""

    def test_of_next_is_four_statements_whatever_waits(self, project) -> None:
        queue, reviewer = desk.a_queue(project, overlap=2), desk.a_reviewer(project)
        for texts in (["one"], [f"text {number}" for number in range(60)]):
            desk.filled(queue, *texts)
            with desk.statements() as found:
                desk.next_of(queue, reviewer)
            assert len(found) == 4

    def test_of_a_review_that_settles_is_eight_statements(self, project) -> None:
        queue = desk.a_queue(project, overlap=2)
        desk.filled(queue, "one")
        reviewer = desk.a_reviewer(project)
        desk.reviewed(queue, desk.a_reviewer(project))
        assigned = desk.next_of(queue, reviewer)
        with desk.statements() as found:
            desk.hand_in(assigned, reviewer)
        assert Item.objects.get().state == Item.State.SETTLED
        assert len(found) == 8


@pytest.mark.django_db(transaction=True)
def test_a_review_is_one_transaction() -> None:
    project = factories.a_project()
    queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
    desk.filled(queue, "one")
    assigned = desk.next_of(queue, reviewer)
    with CaptureQueriesContext(connection) as captured:
        desk.hand_in(assigned, reviewer)
    assert [query["sql"] for query in captured.captured_queries].count("COMMIT") == 1


def drop_texts() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM outputs_outputbody")
