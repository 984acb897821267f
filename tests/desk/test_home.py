"""Home: what waits for whom, the steps of the loop, and whether work in the background goes on."""

import datetime as dt

import pytest
from django.test import Client
from pytest_django.fixtures import DjangoAssertNumQueries

from core import clock
from desk import health, queries, waiting
from evals.models import Run
from improvement.models import Proposal
from ledger import heartbeats
from ledger.models import Heartbeat
from projects.models import Project, Role, User
from projects.queries import projects_of
from prompts.models import Label
from releases import services as releases
from reviews.models import Bookmark, Claim, Item, Review, Skip
from tests import factories
from tests.conventions.world import a_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.a_project("Shop")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def an_item(project: Project, **facts: object) -> Item:
    queue = project.queues.first() or factories.a_queue(project, "support")
    number = Item.objects.count()
    return Item.objects.create(
        project=project, queue=queue, rubric=queue.rubric, subject_key=f"subject-{number}", **facts
    )


def waits_for(user: User, project: Project) -> waiting.Waits:
    return waiting.counts(user, projects_of(user), now=clock.now())[project.pk]


class TestHome:
    def test_shows_my_projects_with_what_waits_for_me(self, project: Project) -> None:
        mara = factories.a_member(project, Role.REVIEWER)
        an_item(project)
        factories.a_project("Not mine")
        page = signed_in(mara).get("/").content.decode()
        assert "Shop" in page
        assert "1 to review" in page
        assert "Not mine" not in page

    def test_costs_the_same_for_many_projects_and_items(
        self, project: Project, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        mara = factories.a_member(project, Role.ADMIN)
        for _ in range(5):
            factories.a_member(other := factories.a_project(), Role.REVIEWER, "x@example.org")
            factories.members.create_user(email=mara.email, project=other, role="admin", now=clock.now())
            for _ in range(3):
                an_item(other)
        client = signed_in(mara)
        with django_assert_num_queries(5):
            client.get("/")

    def test_tells_somebody_without_a_project_whom_to_ask(self) -> None:
        user = factories.a_member(project := factories.a_project())
        project.memberships.all().delete()
        assert "no project yet" in signed_in(user).get("/").content.decode()


class TestWaits:
    def test_counts_open_items_that_i_have_not_done_as_the_review_page_does(self, project: Project) -> None:
        mara = factories.a_member(project, Role.REVIEWER)
        me, now = f"user:{mara.pk}", clock.now()
        later = now + dt.timedelta(minutes=5)
        an_item(project)
        an_item(project, state=Item.State.SETTLED)
        Skip.objects.create(item=an_item(project), reviewer=me, reason="x", at=now)
        judged = an_item(project, overlap=2, n_reviews=1)
        token = "00000000-0000-0000-0000-00000000000"
        Review.objects.create(item=judged, reviewer=me, claim_token=token + "1", answers={}, at=now)
        taken, mine = an_item(project), an_item(project)
        Claim.objects.create(item=taken, reviewer="user:0", token=token + "2", lease_until=later)
        Claim.objects.create(item=mine, reviewer=me, token=token + "3", lease_until=later)
        ahead = an_item(project)
        Claim.objects.create(item=ahead, reviewer="user:0", token=token + "4", lease_until=later, is_ahead=True)
        assert waits_for(mara, project).reviews == 4
        (queue,) = signed_in(mara).get(f"/{project.slug}/review/").context["queues"]
        assert queue.n_waiting == 4
        said = signed_in(mara).get(f"/{project.slug}/waiting/").context["lines"]
        assert [line.words for line in said] == ["4 to review in support"]
        assert waits_for(factories.a_member(project, Role.MANAGER), project).reviews == 0

    def test_counts_from_the_bookmark_on_as_the_review_page_does(self, project: Project) -> None:
        mara, now = factories.a_member(project, Role.REVIEWER), clock.now()
        passed, _ = an_item(project), an_item(project)
        mark = Bookmark.objects.create(queue=passed.queue, reviewer=f"user:{mara.pk}", floor=passed.pk, searched_at=now)
        assert waits_for(mara, project).reviews == 1
        Bookmark.objects.filter(pk=mark.pk).update(searched_at=now - dt.timedelta(hours=1))
        assert waits_for(mara, project).reviews == 2

    def test_counts_disputes_for_those_who_have_the_last_word(self, project: Project) -> None:
        named, other = factories.a_member(project, Role.REVIEWER), factories.a_member(project, Role.REVIEWER)
        item = an_item(project, state=Item.State.DISPUTED)
        item.queue.adjudicators.add(named)
        found = [waits_for(user, project).disputes for user in (named, other, factories.a_member(project, Role.ADMIN))]
        assert found == [1, 0, 1]

    def test_counts_no_further_than_the_words_say(self, project: Project) -> None:
        first = an_item(project)
        Item.objects.bulk_create(
            Item(project=project, queue=first.queue, rubric=first.rubric, subject_key=f"many-{n}") for n in range(150)
        )
        found = waits_for(factories.a_member(project, Role.REVIEWER), project)
        assert found.parts == ["99+ to review"]

    def test_counts_built_proposals_for_those_who_decide(self, project: Project) -> None:
        prompt = factories.a_prompt(project)
        factories.a_proposal(prompt)
        manager = factories.a_member(project, Role.MANAGER)
        assert waits_for(manager, project).proposals == 0
        Proposal.objects.update(state="ready", revision=factories.a_revision(prompt), built_at=clock.now())
        assert waits_for(manager, project).proposals == 1
        assert waits_for(factories.a_member(project, Role.ENGINEER), project).proposals == 0

    def test_counts_no_proposal_whose_revision_was_released(self, project: Project) -> None:
        prompt = factories.a_prompt(project)
        factories.a_proposal(prompt)
        manager = factories.a_member(project, Role.MANAGER)
        revision = factories.a_revision(prompt)
        Proposal.objects.update(state="ready", revision=revision, built_at=clock.now())
        assert waits_for(manager, project).proposals == 1
        releases.release_initially(
            prompt=prompt,
            label_name="production",
            revision=revision,
            reason="the first one",
            by=factories.an_actor(project),
            now=clock.now(),
        )
        assert waits_for(manager, project).proposals == 0

    def test_counts_runs_until_somebody_acts_on_them(self, project: Project) -> None:
        engineer = factories.a_member(project)
        run = a_finished_run(project)
        assert waits_for(engineer, project).runs == 1
        assert waits_for(factories.a_member(project, Role.MANAGER), project).runs == 0
        Label.objects.update(revision=run.revision)
        assert waits_for(engineer, project).runs == 0

    @pytest.mark.parametrize(
        ("change", "n"),
        [
            ({"gate": {"verdict": "fail"}}, 0),
            ({"gate": {"verdict": "inconclusive"}}, 1),
            ({"state": "failed", "gate": None}, 1),
            ({"state": "running", "gate": None, "ended_at": None}, 0),
            ({"spent_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}, 0),
            ({"ended_at": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, 0),
        ],
        ids=str,
    )
    def test_counts_runs_that_say_something(self, project: Project, change: dict[str, object], n: int) -> None:
        run = a_finished_run(project)
        Run.objects.filter(pk=run.pk).update(**change)
        assert waits_for(factories.a_member(project), project).runs == n

    def test_an_older_run_of_a_revision_waits_no_more(self, project: Project) -> None:
        run = a_finished_run(project)
        run.refresh_from_db()
        Run.objects.create(
            **{field.attname: getattr(run, field.attname) for field in Run._meta.concrete_fields if field.name != "id"}
        )
        assert waits_for(factories.a_member(project), project).runs == 1


def a_finished_run(project: Project) -> Run:
    """A run that passed, whose baseline is what is live."""
    prompt = factories.a_prompt(project)
    live, candidate = factories.a_revision(prompt), factories.a_revision(prompt, system="Better.")
    label = factories.prompts.label_named(prompt=prompt, name="production")
    Label.objects.filter(pk=label.pk).update(revision=live)
    run = factories.a_passed_run(candidate)
    Run.objects.filter(pk=run.pk).update(ended_at=clock.now())
    return run


class TestWaiting:
    def test_lists_each_thing_with_the_way_to_it(self) -> None:
        world = a_world()
        an_item(world.project)
        Run.objects.exclude(gate=None).update(ended_at=clock.now())
        revision = factories.a_revision(Proposal.objects.get().prompt, system="Proposed.")
        Proposal.objects.update(state="ready", revision=revision, built_at=clock.now())
        page = signed_in(factories.a_member(world.project, Role.ADMIN)).get(f"/{world.project.slug}/waiting/")
        found = [line.does for line in page.context["lines"]]
        assert found == ["Review", "Decide", "Look"]
        assert all(line.url for line in page.context["lines"])
        assert "whether it is evidence" in page.context["lines"][2].why

    def test_gives_htmx_the_numbers_for_the_bar(self, project: Project) -> None:
        an_item(project)
        client = signed_in(factories.a_member(project, Role.REVIEWER))
        said = client.get(f"/{project.slug}/waiting/", headers={"HX-Request": "true"}).content.decode()
        assert 'id="waits-reviews-review-home"' in said
        assert "<html" not in said

    def test_says_when_nothing_waits(self, project: Project) -> None:
        for role in Role.values:
            page = signed_in(factories.a_member(project, role)).get(f"/{project.slug}/waiting/").content.decode()
            assert "Nothing waits for you" in page

    def test_costs_the_same_for_many(self, project: Project, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        for n in range(6):
            factories.a_queue(project, f"queue-{n}")
        for _ in range(9):
            an_item(project)
        client = signed_in(factories.a_member(project, Role.ADMIN))
        with django_assert_num_queries(9):
            client.get(f"/{project.slug}/waiting/")


class TestProjectHome:
    def test_tells_each_role_of_an_empty_project_the_next_step(self, project: Project) -> None:
        now = {}
        for role in Role.values:
            page = signed_in(factories.a_member(project, role)).get(f"/{project.slug}/")
            now[role] = [step.title for step in page.context["steps"] if step.is_now]
            assert ("Authorization: Bearer" in page.content.decode()) == (role in ("engineer", "admin"))
        assert now == {
            "reviewer": ["Judge"],
            "engineer": ["Send outputs"],
            "manager": ["Propose something better"],
            "admin": ["Send outputs"],
        }

    def test_shows_the_first_output_when_it_arrives(self, project: Project) -> None:
        client = signed_in(factories.a_member(project))
        asked = {"headers": {"HX-Request": "true"}}
        before = client.get(f"/{project.slug}/", **asked).content.decode()
        assert 'hx-trigger="every 2s"' in before
        output = factories.an_output(project)
        after = client.get(f"/{project.slug}/", **asked).content.decode()
        assert "hx-trigger" not in after
        assert output.external_id in after
        assert "<html" not in after

    def test_ticks_steps_by_rows(self) -> None:
        world = a_world()
        actor = factories.an_actor(world.project)
        found = {step.title: step.is_done for step in queries.steps(actor, queries.stock(world.project.pk))}
        assert found == {
            "Send outputs": True,
            "Write down the prompt": True,
            "Open a review queue": True,
            "Judge": True,
            "Set the exam": True,
            "Propose something better": False,
            "Let the gate judge it": True,
            "Release it": False,
        }

    def test_costs_the_same_for_many(self, project: Project, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        client = signed_in(factories.a_member(project, Role.ADMIN))
        with django_assert_num_queries(10):
            client.get(f"/{project.slug}/")
        for _ in range(9):
            an_item(project)
            factories.an_output(project)
        with django_assert_num_queries(10):
            client.get(f"/{project.slug}/")


class TestAlarm:
    @pytest.mark.parametrize(
        ("seconds", "words"), [(5, ""), (29, ""), (31, "No worker has answered since"), (None, "No worker has ever")]
    )
    def test_says_when_no_worker_answers(self, project: Project, seconds: int | None, words: str) -> None:
        if seconds is not None:
            heartbeats.beat("worker:a", kind="worker", now=clock.now() - dt.timedelta(seconds=seconds))
        page = signed_in(factories.a_member(project)).get(f"/{project.slug}/").content.decode()
        assert ('class="alarm' in page) == bool(words)
        assert words in page

    @pytest.mark.parametrize("role", [Role.REVIEWER, Role.MANAGER])
    def test_leaves_those_alone_who_can_do_nothing_about_it(self, project: Project, role: str) -> None:
        assert not health.alarm_for(factories.an_actor(project, role), now=clock.now())

    def test_says_when_the_broker_does_not_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heartbeats.beat("worker:a", kind="worker", now=clock.now())
        monkeypatch.setattr(health, "broker", health.Broker(lambda: "redis://127.0.0.1:1/0"))
        assert "broker does not answer" in health.alarm(now=clock.now()).words

    def test_a_broker_that_answers_is_no_alarm(self, broker_url: str) -> None:
        assert health.Broker(lambda: broker_url).answers()

    def test_looks_at_the_newest_sign_of_life(self) -> None:
        now = clock.now()
        heartbeats.beat("worker:old", kind="worker", now=now - dt.timedelta(hours=1))
        heartbeats.beat("worker:new", kind="errands", now=now)
        assert Heartbeat.objects.count() == 2
        assert not health.alarm(now=now)
