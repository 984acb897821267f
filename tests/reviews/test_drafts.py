"""What is typed is kept; what was handed in can be taken back while nothing rests on it."""

import datetime as dt
import threading
import time

import pytest
from django.db import IntegrityError, connection, transaction

from core import clock
from core.problems import Conflict, Invalid, Missing
from evals.cases import CaseContent
from evals.services import golden
from ledger.models import Handover
from reviews.models import Bookmark, Claim, Draft, Item, Review, Verdict
from reviews.services import adjudication, assignment, drafts, withdrawals
from reviews.services.drafts import Typed
from reviews.services.withdrawals import BuiltUpon, NothingToTakeBack, TooLate
from tests import factories
from tests.reviews import desk
from tests.reviews.desk import NO, YES

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return factories.a_project()


def save(item_id, by, **said) -> bool:
    return drafts.save_draft(item_id=item_id, typed=Typed(**said), by=by, now=clock.now())


def withdraw(queue, by, item=None, *, after=dt.timedelta()) -> Item:
    """The review of this item, or the last one that stands, is taken back."""
    item = item or Review.objects.standing().filter(item__queue=queue).latest("pk").item
    return withdrawals.withdraw(queue_name=queue.name, item_id=item.pk, by=by, now=clock.now() + after)


def await_a_waiting_statement() -> None:
    """Returns when another connection to this database waits for a lock."""
    waits = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            # A transaction sees the first look again unless it is told to forget it.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(waits)
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nothing waits")


class TestDraft:
    def test_is_what_was_typed_last(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        item = queue.items.get().pk
        for comment in ("h", "he"):
            assert save(item, reviewer, answers={"correct": ["yes"]}, comment=comment, correction="c", tags="t")
        draft = Draft.objects.get()
        assert (draft.answers, draft.comment, draft.correction, draft.tags) == ({"correct": ["yes"]}, "he", "c", "t")

    def test_is_everybodys_own(self, project) -> None:
        queue = desk.a_queue(project)
        desk.filled(queue, "one")
        for _ in range(2):
            save(queue.items.get().pk, desk.a_reviewer(project), comment="mine")
        assert Draft.objects.count() == 2

    def test_needs_no_lease_and_stays_when_the_item_has_gone_to_somebody_else(self, project) -> None:
        queue, reviewer, other = desk.a_queue(project), *[desk.a_reviewer(project) for _ in "ab"]
        desk.filled(queue, "one")
        held = desk.next_of(queue, other)
        assert save(held.task.item.pk, reviewer, comment="mine")
        desk.hand_in(held, other)
        assert save(held.task.item.pk, reviewer, comment="mine still")
        assert Draft.objects.get().comment == "mine still"

    def test_is_gone_with_the_review_and_comes_not_back_late(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        held = desk.next_of(queue, reviewer)
        save(held.task.item.pk, reviewer, comment="mine")
        desk.hand_in(held, reviewer)
        assert not Draft.objects.exists()
        assert not save(held.task.item.pk, reviewer, comment="late")
        assert not Draft.objects.exists()

    def test_is_gone_with_a_skip(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        held = desk.next_of(queue, reviewer)
        save(held.task.item.pk, reviewer, comment="mine")
        assignment.skip(item_id=held.task.item.pk, reason="x", by=reviewer, now=clock.now())
        assert not Draft.objects.exists()

    def test_is_not_for_items_of_others(self, project) -> None:
        queue = desk.a_queue(project)
        desk.filled(queue, "one")
        with pytest.raises(Missing):
            save(queue.items.get().pk, desk.a_reviewer(factories.a_project()), comment="x")

    @pytest.mark.parametrize("said", [{"comment": "x" * 100_001}, {"answers": {"a": ["x" * 1_000_001]}}])
    def test_has_an_end(self, project, said) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        with pytest.raises(Invalid):
            save(queue.items.get().pk, reviewer, **said)

    def test_costs_two_statements(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        item = queue.items.get().pk
        with desk.statements() as found:
            save(item, reviewer, comment="x")
        assert len(found) == 2


class TestWithdrawal:
    def test_opens_the_item_again_with_the_answers_as_a_draft(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one", "two")
        desk.reviewed(queue, reviewer, NO, correction="delivery", comment="hm", tags=["odd", "new"])
        item = withdraw(queue, reviewer)
        item.refresh_from_db()
        assert (item.state, item.n_reviews) == (Item.State.OPEN, 0)
        assert Verdict.objects.get().replaced_at is not None
        assert Review.objects.get().withdrawn_at is not None
        draft = Draft.objects.get()
        assert (draft.answers, draft.correction, draft.comment, draft.tags) == (
            {"correct": ["no"]},
            "delivery",
            "hm",
            "odd, new",
        )
        assert desk.next_of(queue, reviewer).task.item == item
        assert desk.next_of(queue, desk.a_reviewer(project)).task.item != item

    def test_makes_what_is_handed_in_next_a_second_attempt(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        desk.reviewed(queue, reviewer, NO)
        withdraw(queue, reviewer)
        desk.reviewed(queue, reviewer, YES)
        assert list(Review.objects.order_by("pk").values_list("attempt", "answers")) == [(1, NO), (2, YES)]
        assert Verdict.objects.standing().get().quality == 1.0
        assert len(set(Verdict.objects.values_list("part", flat=True))) == 1

    def test_counts_the_others_of_an_item_once(self, project) -> None:
        queue, first, second = desk.a_queue(project, overlap=2), *[desk.a_reviewer(project) for _ in "ab"]
        desk.filled(queue, "one")
        desk.reviewed(queue, first, YES)
        assert desk.reviewed(queue, second, NO).state == Item.State.DISPUTED
        withdraw(queue, second)
        assert desk.next_of(queue, desk.a_reviewer(project)) is None
        item = desk.reviewed(queue, second, YES)
        assert (item.state, item.n_reviews) == (Item.State.SETTLED, 2)

    def test_refuses_what_was_sent_under_the_old_lease(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        held = desk.next_of(queue, reviewer)
        desk.hand_in(held, reviewer)
        withdraw(queue, reviewer)
        with pytest.raises(Conflict, match="taken back"):
            desk.hand_in(held, reviewer)

    def test_twice_takes_back_one_review(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one", "two")
        first, second = [desk.reviewed(queue, reviewer) for _ in range(2)]
        assert [withdraw(queue, reviewer, second) for _ in range(2)] == [second, second]
        assert Review.objects.standing().get().item == first

    def test_concerns_the_named_item_whatever_was_handed_in_since(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one", "two")
        first, second = [desk.reviewed(queue, reviewer) for _ in range(2)]
        assert withdraw(queue, reviewer, first) == first
        assert Review.objects.standing().get().item == second

    def test_needs_a_review_of_ones_own(self, project) -> None:
        queue = desk.a_queue(project)
        desk.filled(queue, "one")
        item = desk.reviewed(queue, desk.a_reviewer(project))
        with pytest.raises(NothingToTakeBack, match="nothing about item"):
            withdraw(queue, desk.a_reviewer(project), item)
        with pytest.raises(Missing):
            withdraw(desk.a_queue(project), desk.a_reviewer(project), item)

    def test_is_too_late_after_ten_minutes(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        desk.reviewed(queue, reviewer)
        with pytest.raises(TooLate, match="10 minutes"):
            withdraw(queue, reviewer, after=dt.timedelta(minutes=10))

    def test_is_refused_after_an_adjudicator_spoke(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        item = desk.reviewed(queue, reviewer)
        adjudication.adjudicate(
            item_id=item.pk,
            answers=NO,
            correction=None,
            rationale="so",
            by=factories.an_actor(project),
            now=clock.now(),
        )
        with pytest.raises(BuiltUpon, match="adjudicator"):
            withdraw(queue, reviewer)

    def test_is_refused_once_something_rests_on_the_verdict(self, project) -> None:
        prompt = factories.a_prompt(project)
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one", prompt=prompt)
        desk.reviewed(queue, reviewer)
        verdict = Verdict.objects.get()
        exam = golden.create_set(
            name="exam", prompt=prompt, description="", by=factories.an_actor(project), now=clock.now()
        )[0]
        a_case(exam, verdict)
        with pytest.raises(BuiltUpon, match="golden set"):
            withdraw(queue, reviewer)
        assert Item.objects.get().state == Item.State.SETTLED

    def test_announces_that_the_verdict_does_not_stand(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        desk.reviewed(queue, reviewer)
        before = Handover.objects.filter(topic=adjudication.TOPIC).count()
        withdraw(queue, reviewer)
        assert Handover.objects.filter(topic=adjudication.TOPIC).count() == 2 * before

    def test_of_a_stranger_finds_no_item(self, project) -> None:
        queue = desk.a_queue(project)
        desk.filled(queue, "one")
        desk.reviewed(queue, desk.a_reviewer(project))
        with pytest.raises(Missing):
            withdraw(queue, desk.a_reviewer(factories.a_project()))

    def test_lets_two_reviews_of_one_person_never_stand(self, project) -> None:
        queue, reviewer = desk.a_queue(project, overlap=2), desk.a_reviewer(project)
        desk.filled(queue, "one")
        desk.reviewed(queue, reviewer)
        review = Review.objects.get()
        review.pk, review.attempt, review.claim_token = None, 2, "00000000-0000-0000-0000-000000000001"
        with pytest.raises(IntegrityError, match="review_one_standing_per_reviewer"), transaction.atomic():
            review.save()


@pytest.mark.django_db(transaction=True)
def test_a_draft_that_waited_for_the_review_comes_not_back_with_it() -> None:
    project = factories.a_project()
    queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
    desk.filled(queue, "one")
    held = desk.next_of(queue, reviewer)
    save(held.task.item.pk, reviewer, comment="mine")
    is_handed_in, is_saved = threading.Event(), []

    def hand_in() -> None:
        with transaction.atomic():
            desk.hand_in(held, reviewer)
            is_handed_in.set()
            await_a_waiting_statement()

    def type_late() -> None:
        assert is_handed_in.wait(timeout=30)
        is_saved.append(save(held.task.item.pk, reviewer, comment="late"))

    desk.in_threads(hand_in, type_late)
    assert is_saved == [False]
    assert not Draft.objects.exists()


class TestAhead:
    def ahead(self, queue, by, *, here=None, after=dt.timedelta()) -> int | None:
        return assignment.fetch_ahead(queue_name=queue.name, here=here, by=by, now=clock.now() + after)

    def test_is_not_the_item_at_hand_when_its_lease_has_run_out(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one", "two")
        held = desk.next_of(queue, reviewer)
        late = dt.timedelta(hours=1)
        assert self.ahead(queue, reviewer, after=late) != held.task.item.pk
        claim = Claim.objects.get(item=held.task.item)
        assert (claim.is_ahead, claim.lease_until) == (False, held.lease_until)

    def test_is_not_the_item_on_the_page_though_it_was_fetched_ahead_itself(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one", "two")
        ahead = self.ahead(queue, reviewer)
        assert self.ahead(queue, reviewer, here=ahead) not in (None, ahead)

    def test_is_the_item_that_comes_next(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one", "two")
        held = desk.next_of(queue, reviewer)
        ahead = self.ahead(queue, reviewer)
        assert ahead == self.ahead(queue, reviewer) != held.task.item.pk
        desk.hand_in(held, reviewer)
        taken = desk.next_of(queue, reviewer)
        assert taken.task.item.pk == ahead
        assert not Claim.objects.get().is_ahead

    def test_takes_no_place_but_others_get_another_item_first(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        others = [desk.a_reviewer(project) for _ in range(3)]
        desk.filled(queue, "one", "two", "three")
        held, ahead = desk.next_of(queue, reviewer), self.ahead(queue, reviewer)
        found = [desk.next_of(queue, other) for other in others]
        items = list(queue.items.order_by("pk").values_list("pk", flat=True))
        assert (held.task.item.pk, ahead) == (items[0], items[1])
        assert [None if one is None else one.task.item.pk for one in found] == [items[2], items[1], None]
        desk.hand_in(held, reviewer)
        assert desk.next_of(queue, reviewer) is None

    def test_lasts_a_minute(self, project) -> None:
        queue, reviewer, other = desk.a_queue(project), *[desk.a_reviewer(project) for _ in "ab"]
        desk.filled(queue, "one", "two", "three")
        desk.next_of(queue, reviewer)
        ahead = self.ahead(queue, reviewer)
        assert desk.next_of(queue, other, after=dt.timedelta(seconds=61)).task.item.pk == ahead

    def test_is_nothing_where_nothing_else_waits(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        desk.next_of(queue, reviewer)
        assert self.ahead(queue, reviewer) is None

    def test_cannot_be_handed_in_over_somebody_who_has_the_place(self, project) -> None:
        queue, reviewer, other = desk.a_queue(project), *[desk.a_reviewer(project) for _ in "ab"]
        desk.filled(queue, "one", "two")
        desk.next_of(queue, reviewer)
        self.ahead(queue, reviewer)
        claim = Claim.objects.get(is_ahead=True)
        taken = desk.next_of(queue, other)
        assert taken.task.item.pk == claim.item_id
        with pytest.raises(Conflict):
            desk.hand_in(taken, reviewer, lease=claim.token)


class TestBookmark:
    def test_spares_the_walk_past_what_is_done(self, project) -> None:
        queue, reviewer = desk.a_queue(project, overlap=2), desk.a_reviewer(project)
        desk.filled(queue, *[f"text {number}" for number in range(5)])
        for _ in range(3):
            desk.reviewed(queue, reviewer)
        Bookmark.objects.all().delete()
        found = desk.next_of(queue, reviewer)
        assert Bookmark.objects.get().floor == found.task.item.pk - 1

    def test_hides_nothing_that_comes_free_below_it(self, project) -> None:
        queue, reviewer, other = desk.a_queue(project), *[desk.a_reviewer(project) for _ in "ab"]
        desk.filled(queue, "one", "two", "three")
        held = desk.next_of(queue, other)
        desk.reviewed(queue, reviewer)
        assignment.release(item_id=held.task.item.pk, by=other)
        assert desk.next_of(queue, reviewer).task.item == held.task.item

    def test_goes_down_where_an_item_opens_again(self, project) -> None:
        queue, reviewer, other = desk.a_queue(project), *[desk.a_reviewer(project) for _ in "ab"]
        desk.filled(queue, "one", "two")
        item = desk.reviewed(queue, other)
        desk.reviewed(queue, reviewer)
        assert desk.next_of(queue, reviewer) is None
        assert Bookmark.objects.get(reviewer=reviewer.identity).floor >= 0
        Bookmark.objects.update(floor=item.pk + 100)
        withdraw(queue, other, item)
        assignment.release(item_id=item.pk, by=other)
        assert desk.next_of(queue, reviewer).task.item == item

    def test_is_forgotten_after_some_minutes(self, project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        desk.filled(queue, "one")
        Bookmark.objects.create(queue=queue, reviewer=reviewer.identity, floor=10**9, searched_at=clock.now())
        assert desk.next_of(queue, reviewer) is None
        assert desk.next_of(queue, reviewer, after=dt.timedelta(minutes=6)) is not None


def a_case(exam, verdict) -> None:
    """A case of the exam that rests on this verdict."""
    case = CaseContent(key="case", input="one", expected="x", part="gate")
    golden.add_cases(
        golden_set=exam, rows=[golden.Taken(0, case)], by=factories.an_actor(exam.project), now=clock.now()
    )
    exam.cases.update(verdict=verdict)
