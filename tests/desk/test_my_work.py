"""What a reviewer did, how it held, and what became of it."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client

from core import clock
from desk import work
from improvement.models import Origin
from projects.access import Actor
from projects.models import Project, Role
from prompts.models import Label, Prompt
from reviews.models import Item, Queue, Review, Verdict
from reviews.services import adjudication, withdrawals
from tests import factories
from tests.reviews import desk
from tests.reviews.desk import NO, YES

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def prompt(project: Project) -> Prompt:
    return factories.a_prompt(project)


@pytest.fixture
def me(project: Project) -> Actor:
    return desk.a_reviewer(project)


@pytest.fixture
def page(client: Client, me: Actor) -> Client:
    assert me.user is not None
    client.force_login(me.user)
    return client


def final() -> dt.datetime:
    """A moment from which nothing that was handed in until now can be taken back."""
    return clock.now() + withdrawals.LONGEST


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def judged(queue: Queue, prompt: Prompt, number: int, *said: tuple[Actor, dict[str, Any]]) -> Item:
    desk.filled(queue, f"Number {number}?", prompt=prompt)
    for by, answers in said:
        desk.reviewed(queue, by, answers)
    return Item.objects.order_by("-pk")[0]


def settled(item: Item, answers: dict[str, Any]) -> Verdict:
    by = factories.an_actor(item.project)
    return adjudication.adjudicate(
        item_id=item.pk, answers=answers, correction=None, rationale="So.", by=by, now=clock.now()
    )


class TestAgreement:
    def test_is_undefined_with_a_reason_while_nothing_is_settled(self, me: Actor) -> None:
        figure = work.work_of(me, now=clock.now()).agreement
        assert figure.value is None
        assert "settled" in str(figure.reason)

    def test_ones_own_word_alone_says_nothing_about_agreement(
        self, me: Actor, project: Project, prompt: Prompt
    ) -> None:
        judged(desk.a_queue(project), prompt, 1, (me, YES))
        assert Verdict.objects.exists()
        assert work.work_of(me, now=final()).agreement.value is None

    def test_is_the_share_of_settled_items_with_its_interval(self, me: Actor, project: Project, prompt: Prompt) -> None:
        queue = desk.a_queue(project, overlap=2)
        other = desk.a_reviewer(project)
        for number in range(3):
            judged(queue, prompt, number, (me, YES), (other, YES))
        settled(judged(queue, prompt, 3, (me, YES), (other, NO)), NO)
        judged(queue, prompt, 4, (me, YES), (other, NO))
        assert work.work_of(me, now=clock.now()).agreement.value is None
        figure = work.work_of(me, now=final()).agreement
        assert (figure.value, figure.n) == (0.75, 4)
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low < 0.75 < figure.high
        assert "Wilson" in figure.method

    def test_an_adjudicator_speaks_also_of_items_that_one_person_judged(
        self, me: Actor, project: Project, prompt: Prompt
    ) -> None:
        settled(judged(desk.a_queue(project), prompt, 1, (me, YES)), NO)
        figure = work.work_of(me, now=final()).agreement
        assert (figure.value, figure.n) == (0.0, 1)


class TestLive:
    @pytest.fixture
    def verdict(self, me: Actor, project: Project, prompt: Prompt) -> Verdict:
        """An item of mine, settled with my correction."""
        rubric = desk.a_rubric(project, "", {"key": "fix", "type": "correction", "text": "Right"})
        queue = desk.a_queue(project, rubric=rubric)
        desk.filled(queue, "Where is it?", prompt=prompt)
        desk.reviewed(queue, me, NO, correction="delivery")
        return Verdict.objects.get()

    def teach(self, verdict: Verdict) -> Label:
        assert verdict.prompt is not None
        revision = factories.a_revision(verdict.prompt, ("Where is it?", "delivery"))
        Origin.objects.create(item=revision.places.get().item, verdict=verdict)
        return Label.objects.create(prompt=verdict.prompt, name="production", revision=revision, pointed_at=clock.now())

    def test_a_correction_of_mine_that_production_is_told_is_live(self, me: Actor, verdict: Verdict, page: Client):
        label = self.teach(verdict)
        (live,) = work.work_of(me, now=clock.now()).live
        assert label.revision is not None
        assert (live.revision, live.correction, live.verdict) == (label.revision.number, "delivery", verdict.pk)
        answer = text(page.get(f"/{me.project.slug}/my-work/"))
        assert f"Your correction is live in revision {live.revision}" in answer

    def test_no_longer_when_production_points_elsewhere(self, me: Actor, verdict: Verdict) -> None:
        self.teach(verdict)
        assert verdict.prompt is not None
        Label.objects.update(revision=factories.a_revision(verdict.prompt, system="Another way."))
        assert work.work_of(me, now=clock.now()).live == []

    def test_not_where_another_correction_was_taken(self, me: Actor, verdict: Verdict) -> None:
        self.teach(verdict)
        Verdict.objects.update(correction="something else")
        assert work.work_of(me, now=clock.now()).live == []

    def test_not_anybody_elses(self, verdict: Verdict, project: Project) -> None:
        self.teach(verdict)
        assert work.work_of(desk.a_reviewer(project), now=clock.now()).live == []


class TestMyWork:
    def test_counts_today_in_the_present_time_zone(self, me: Actor, project: Project, prompt: Prompt) -> None:
        queue = desk.a_queue(project)
        for number in range(2):
            judged(queue, prompt, number, (me, YES))
        first = Review.objects.earliest("pk")
        Review.objects.filter(pk=first.pk).update(at=clock.now() - dt.timedelta(days=2))
        found = work.work_of(me, now=clock.now())
        assert (found.n_today, found.n_all) == (1, 2)

    def test_lists_my_reviews_newest_first_with_what_holds(
        self, page: Client, me: Actor, project: Project, prompt: Prompt
    ) -> None:
        queue = desk.a_queue(project, overlap=2)
        other = desk.a_reviewer(project)
        judged(queue, prompt, 1, (me, YES), (other, YES))
        settled(judged(queue, prompt, 2, (me, YES), (other, NO)), NO)
        judged(queue, prompt, 3, (me, YES))
        Review.objects.update(at=clock.now() - withdrawals.LONGEST)
        done = page.get(f"/{project.slug}/my-work/").context["work"].done
        assert [one.agrees for one in done] == [None, False, True]

    def test_says_nothing_of_what_holds_while_the_review_can_be_taken_back(
        self, client: Client, project: Project, prompt: Prompt
    ) -> None:
        engineer = factories.an_actor(project)
        assert engineer.user is not None
        client.force_login(engineer.user)
        judged(desk.a_queue(project, overlap=2), prompt, 1, (engineer, YES), (desk.a_reviewer(project), YES))
        answer = text(client.get(f"/{project.slug}/my-work/"))
        assert "shown from" in answer
        for word in ("the same", "otherwise", "not settled yet", f"verdict {Verdict.objects.get().pk}"):
            assert word not in answer

    def test_leaves_out_what_others_said_and_what_was_taken_back(
        self, me: Actor, project: Project, prompt: Prompt
    ) -> None:
        queue = desk.a_queue(project, overlap=2)
        judged(queue, prompt, 1, (me, YES), (desk.a_reviewer(project), YES))
        Review.objects.filter(reviewer=me.identity).update(withdrawn_at=clock.now() + dt.timedelta(seconds=1))
        found = work.work_of(me, now=clock.now())
        assert (found.n_all, found.done) == (0, [])

    def test_goes_on_by_a_cursor(
        self, page: Client, me: Actor, project: Project, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(work, "ROWS", 2)
        queue = desk.a_queue(project)
        for number in range(3):
            judged(queue, prompt, number, (me, YES))
        first = page.get(f"/{project.slug}/my-work/").context["work"]
        older = page.get(f"/{project.slug}/my-work/?after={first.following}").context["work"]
        ids = [one.review.pk for one in [*first.done, *older.done]]
        assert ids == sorted(ids, reverse=True)
        assert (len(ids), older.following) == (3, None)

    def test_shows_an_empty_desk_as_such(self, page: Client, project: Project) -> None:
        answer = text(page.get(f"/{project.slug}/my-work/"))
        assert "You have not judged anything here yet" in answer
        assert "undefined" in answer

    def test_costs_the_same_at_any_size(self, page: Client, me: Actor, project: Project, prompt: Prompt) -> None:
        queue = desk.a_queue(project, overlap=2)
        other = desk.a_reviewer(project)
        costs = []
        for number in range(4):
            judged(queue, prompt, number, (me, YES), (other, YES))
            page.get(f"/{project.slug}/my-work/")
            with desk.statements() as found:
                page.get(f"/{project.slug}/my-work/")
            costs.append(len(found))
        assert len(set(costs)) == 1

    def test_is_for_those_who_review(self, client: Client, project: Project) -> None:
        for role, status in ((Role.MANAGER, 403), (Role.ENGINEER, 200), (Role.REVIEWER, 200)):
            client.force_login(factories.a_member(project, role))
            assert client.get(f"/{project.slug}/my-work/").status_code == status

    def test_a_stranger_finds_nothing(self, client: Client, project: Project) -> None:
        client.force_login(factories.a_member(factories.a_project(), Role.ADMIN))
        assert client.get(f"/{project.slug}/my-work/").status_code == 404
