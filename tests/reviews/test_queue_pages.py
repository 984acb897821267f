"""Pages about queues and their sampling rules."""

from typing import Any

import pytest
from django.test import Client

from core import clock
from projects.models import Project, Role
from reviews.models import Match, Queue, SamplingRule
from reviews.services import intake, rules
from tests import factories
from tests.reviews import desk
from tests.reviews.desk import NO, YES

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def engineer(client: Client, project: Project) -> Client:
    client.force_login(factories.a_member(project, Role.ENGINEER))
    return client


@pytest.fixture
def reviewer(project: Project) -> Client:
    client = Client()
    client.force_login(factories.a_member(project, Role.REVIEWER))
    return client


@pytest.fixture
def stranger() -> Client:
    client = Client()
    client.force_login(factories.a_member(factories.a_project(), Role.ADMIN))
    return client


def n_statements(client: Client, url: str) -> int:
    """How many SQL statements the page costs once everything is warm."""
    client.get(url)
    with desk.statements() as found:
        assert client.get(url).status_code == 200
    return len(found)


def text(answer: Any) -> str:
    """The words of a page, with its white space folded."""
    return " ".join(answer.content.decode().split())


class TestQueueList:
    def test_shows_each_queue_with_its_items_by_state(self, engineer: Client, project: Project) -> None:
        queue = desk.a_queue(project, overlap=2)
        desk.filled(queue, "One?", "Two?", "Three?")
        for answers in (YES, NO):
            desk.reviewed(queue, desk.a_reviewer(project), answers)
        rows = engineer.get(f"/{project.slug}/queues/").context["rows"]
        assert [(row.queue.name, row.open, row.disputed, row.settled) for row in rows] == [(queue.name, 2, 1, 0)]

    def test_says_what_comes_first_in_an_empty_project(self, engineer: Client, project: Project) -> None:
        assert "No queue yet" in text(engineer.get(f"/{project.slug}/queues/"))

    def test_costs_the_same_at_any_size(self, engineer: Client, project: Project) -> None:
        desk.a_queue(project)
        few = n_statements(engineer, f"/{project.slug}/queues/")
        for _ in range(10):
            desk.filled(desk.a_queue(project), "One?")
        assert n_statements(engineer, f"/{project.slug}/queues/") == few

    def test_goes_on_by_a_cursor(self, engineer: Client, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("reviews.views.queues.ROWS", 2)
        names = [desk.a_queue(project).name for _ in range(3)]
        first = engineer.get(f"/{project.slug}/queues/").context
        assert [row.queue.name for row in first["rows"]] == names[:0:-1]
        older = engineer.get(f"/{project.slug}/queues/?after={first['following']}").context
        assert [row.queue.name for row in older["rows"]] == names[:1]
        assert older["following"] is None

    def test_a_reviewer_sees_it_and_makes_none(self, reviewer: Client, project: Project) -> None:
        desk.a_queue(project)
        assert "New queue" not in text(reviewer.get(f"/{project.slug}/queues/"))

    def test_a_stranger_finds_nothing(self, stranger: Client, project: Project) -> None:
        assert stranger.get(f"/{project.slug}/queues/").status_code == 404


class TestQueueDetail:
    def test_says_how_far_it_is_who_reviewed_and_what_fills_it(self, engineer: Client, project: Project) -> None:
        queue = desk.a_queue(project)
        by = desk.a_reviewer(project)
        drawn, _by_hand = desk.filled(queue, "One?", "Two?")
        rule, _ = rules.create_rule(
            queue=queue, rate=0.25, given={"environment": "eu"}, by=factories.an_actor(project), now=clock.now()
        )
        Match.objects.create(rule=rule, output=drawn, p=0.25, drawn=True)
        desk.reviewed(queue, by)
        answer = engineer.get(f"/{project.slug}/queues/{queue.name}/")
        found = answer.context["found"]
        assert (found.counters.open, found.counters.settled, found.n_by_hand) == (1, 1, 1)
        assert [(one.name, one.n) for one in found.reviewers] == [(by.user.email, 1)]
        assert "25.0" in text(answer)
        assert "Start reviewing" in text(answer)

    def test_shows_no_text_of_any_output(self, reviewer: Client, project: Project) -> None:
        queue = desk.a_queue(project)
        desk.filled(queue, "A secret question?", said="a secret answer")
        assert "secret" not in text(reviewer.get(f"/{project.slug}/queues/{queue.name}/"))

    def test_leads_adjudicators_to_disputes_and_nobody_else(self, project: Project) -> None:
        lead, other = (factories.a_member(project, Role.REVIEWER) for _ in range(2))
        queue = desk.a_queue(project, overlap=2, adjudicators=[lead.email])
        desk.filled(queue, "One?")
        for answers in (YES, NO):
            desk.reviewed(queue, desk.a_reviewer(project), answers)
        for user, sees in ((lead, True), (other, False)):
            client = Client()
            client.force_login(user)
            page = text(client.get(f"/{project.slug}/queues/{queue.name}/"))
            assert ("Adjudicate 1" in page) is sees

    def test_costs_the_same_at_any_size(self, engineer: Client, project: Project) -> None:
        queue = desk.a_queue(project)
        few = n_statements(engineer, f"/{project.slug}/queues/{queue.name}/")
        desk.filled(queue, *(f"Number {number}?" for number in range(10)))
        for _ in range(3):
            desk.reviewed(queue, desk.a_reviewer(project))
        by = factories.an_actor(project)
        for share in (0.1, 0.2, 0.3):
            rules.create_rule(queue=queue, rate=share, given={}, by=by, now=clock.now())
        intake.ask(queue=queue, given={}, by=by, now=clock.now())
        assert n_statements(engineer, f"/{project.slug}/queues/{queue.name}/") == few

    def test_an_unknown_and_a_foreign_queue_are_the_same_404(
        self, stranger: Client, engineer: Client, project: Project
    ):
        queue = desk.a_queue(project)
        assert engineer.get(f"/{project.slug}/queues/never-was/").status_code == 404
        assert engineer.get(f"/{project.slug}/queues/%00/").status_code == 404
        assert stranger.get(f"/{project.slug}/queues/{queue.name}/").status_code == 404


class TestQueueForm:
    @pytest.fixture
    def sent(self, project: Project) -> dict[str, Any]:
        return {"name": "support", "rubric": desk.a_rubric(project).name, "overlap": "2", "lease_minutes": "20"}

    def test_makes_a_queue(self, engineer: Client, project: Project, sent: dict[str, Any]) -> None:
        lead = factories.a_member(project, Role.REVIEWER)
        answer = engineer.post(f"/{project.slug}/queues/+new/", {**sent, "adjudicators": [lead.email]})
        assert answer["Location"] == f"/{project.slug}/queues/support/"
        queue = Queue.objects.get()
        assert (queue.overlap, queue.lease_minutes, list(queue.adjudicators.all())) == (2, 20, [lead])

    def test_changes_a_queue_and_keeps_its_name(self, engineer: Client, project: Project, sent: dict[str, Any]) -> None:
        lead = factories.a_member(project, Role.REVIEWER)
        queue = desk.a_queue(project, adjudicators=[lead.email])
        url = f"/{project.slug}/queues/{queue.name}/edit/"
        assert "checked" in text(engineer.get(url))
        engineer.post(url, sent)
        changed = Queue.objects.get()
        assert (changed.name, changed.overlap, changed.adjudicators.count()) == (queue.name, 2, 0)

    @pytest.mark.parametrize(
        ("field", "typed"),
        [("name", "a b"), ("name", "<script>"), ("overlap", "0"), ("overlap", "x"), ("rubric", "no-such")],
    )
    def test_keeps_what_was_typed_and_names_the_field(
        self, engineer: Client, project: Project, sent: dict[str, Any], field: str, typed: str
    ) -> None:
        answer = engineer.post(f"/{project.slug}/queues/+new/", {**sent, "lease_minutes": "77", field: typed})
        assert answer.status_code == 422
        assert list(answer.context["form"].errors) == [field]
        assert 'value="77"' in text(answer)
        assert "<script>alert" not in text(answer)
        assert not Queue.objects.exists()

    def test_a_new_queue_takes_no_name_that_is_taken(
        self, engineer: Client, project: Project, sent: dict[str, Any]
    ) -> None:
        queue = desk.a_queue(project, overlap=1)
        answer = engineer.post(f"/{project.slug}/queues/+new/", {**sent, "name": queue.name})
        assert answer.status_code == 422
        assert "already" in text(answer)
        assert Queue.objects.get().overlap == 1

    def test_needs_a_rubric_first(self, engineer: Client, project: Project) -> None:
        assert "First a rubric" in text(engineer.get(f"/{project.slug}/queues/+new/"))

    def test_a_reviewer_makes_none(self, reviewer: Client, project: Project, sent: dict[str, Any]) -> None:
        assert reviewer.get(f"/{project.slug}/queues/+new/").status_code == 403
        assert reviewer.post(f"/{project.slug}/queues/+new/", sent).status_code == 403

    def test_a_stranger_changes_nothing(self, stranger: Client, project: Project, sent: dict[str, Any]) -> None:
        queue = desk.a_queue(project)
        assert stranger.post(f"/{project.slug}/queues/{queue.name}/edit/", sent).status_code == 404


class TestRuleForm:
    def test_makes_a_rule(self, engineer: Client, project: Project) -> None:
        queue, prompt = desk.a_queue(project), factories.a_prompt(project)
        url = f"/{project.slug}/queues/{queue.name}/rules/+new/"
        engineer.post(url, {"percent": "12.5", "prompt": prompt.name, "environment": "", "model": "m", "tag": ""})
        rule = SamplingRule.objects.get()
        assert (rule.rate, rule.filter) == (0.125, {"prompt": prompt.name, "model": "m"})

    def test_twice_is_one_rule(self, engineer: Client, project: Project) -> None:
        queue = desk.a_queue(project)
        for _ in range(2):
            engineer.post(f"/{project.slug}/queues/{queue.name}/rules/+new/", {"percent": "5"})
        assert SamplingRule.objects.count() == 1

    @pytest.mark.parametrize("percent", ["0", "-1", "101", "nan", "x", ""])
    def test_names_a_share_that_is_none_and_keeps_the_rest(
        self, engineer: Client, project: Project, percent: str
    ) -> None:
        queue = desk.a_queue(project)
        url = f"/{project.slug}/queues/{queue.name}/rules/+new/"
        answer = engineer.post(url, {"percent": percent, "model": "kept"})
        assert answer.status_code == 422
        assert list(answer.context["form"].errors) == ["percent"]
        assert 'value="kept"' in text(answer)
        assert not SamplingRule.objects.exists()

    def test_a_stranger_makes_none(self, stranger: Client, project: Project) -> None:
        queue = desk.a_queue(project)
        answer = stranger.post(f"/{project.slug}/queues/{queue.name}/rules/+new/", {"percent": "5"})
        assert answer.status_code == 404
