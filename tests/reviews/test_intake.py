"""All that match goes into a queue, block by block, however often and by whomever it is walked."""

import json
from typing import Any

import pytest
from django.test import Client

from core import clock
from core.problems import Invalid
from outputs.models import Output
from projects.models import AuditEvent, Project, Role
from reviews import queries, tasks
from reviews.models import Intake, Item, Queue
from reviews.services import intake
from tests import factories
from tests.reviews import desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def queue(project: Project) -> Queue:
    return desk.a_queue(project)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BLOCK", 3)


def ask(queue: Queue, **given: Any) -> Intake:
    return intake.ask(queue=queue, given=given, by=factories.an_actor(queue.project), now=clock.now())[0]


def walk(asked: Intake) -> Intake:
    """As a worker does."""
    while intake.take_block(intake_id=asked.pk, now=clock.now()):
        pass
    asked.refresh_from_db()
    return asked


def in_queue(queue: Queue) -> set[int]:
    return {int(key) for key in Item.objects.filter(queue=queue).values_list("subject_key", flat=True)}


def test_takes_in_all_that_match_and_nothing_else(project: Project, queue: Queue) -> None:
    wanted, other = factories.a_prompt(project, "wanted"), factories.a_prompt(project, "other")
    outputs = [factories.an_output(project, wanted if at % 2 else other) for at in range(20)]
    factories.an_output(factories.a_project())
    done = walk(ask(queue, prompt="wanted"))
    assert in_queue(queue) == {output.pk for output in outputs if output.prompt == wanted}
    assert (done.state, done.n_seen, done.n_added, done.share) == ("done", 10, 10, 1.0)
    assert all(len(item.item_outputs.all()) == 1 for item in Item.objects.all())


def test_goes_no_further_than_the_newest_output_of_the_moment_it_was_asked(project: Project, queue: Queue) -> None:
    before = factories.an_output(project)
    asked = ask(queue)
    factories.an_output(project)
    walk(asked)
    assert in_queue(queue) == {before.pk}


def test_goes_on_where_a_killed_worker_stopped(project: Project, queue: Queue) -> None:
    outputs = [factories.an_output(project) for _ in range(10)]
    asked = ask(queue)
    assert intake.take_block(intake_id=asked.pk, now=clock.now())
    asked.refresh_from_db()
    assert (asked.n_added, asked.cursor) == (3, outputs[2].pk)
    assert 0 < asked.share < 1
    done = walk(asked)
    assert in_queue(queue) == {output.pk for output in outputs}
    assert done.n_added == 10


def test_counts_what_the_queue_had_before_as_seen_and_not_as_added(project: Project, queue: Queue) -> None:
    desk.filled(queue, "One?", "Two?")
    factories.an_output(project)
    done = walk(ask(queue))
    assert (done.n_seen, done.n_added) == (3, 1)


def test_asking_again_after_the_end_adds_nothing(project: Project, queue: Queue) -> None:
    factories.an_output(project)
    walk(ask(queue))
    again = walk(ask(queue))
    assert (again.n_seen, again.n_added) == (1, 0)


def test_asking_again_while_it_walks_lets_it_walk_on(project: Project, queue: Queue) -> None:
    factories.an_output(project)
    first = ask(queue)
    newest = factories.an_output(project)
    again = ask(queue)
    assert again.pk == first.pk
    assert newest.pk in in_queue(queue) or walk(again).n_added == 2
    assert AuditEvent.objects.filter(verb="intake.ask").count() == 1


def test_a_bell_twice_does_it_once(project: Project, queue: Queue) -> None:
    for _ in range(7):
        factories.an_output(project)
    asked = ask(queue)
    tasks.take_in(asked.pk)
    tasks.take_in(asked.pk)
    asked.refresh_from_db()
    assert (asked.state, asked.n_added, Item.objects.count()) == ("done", 7, 7)


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_add_each_output_once(project: Project, queue: Queue) -> None:
    for _ in range(20):
        factories.an_output(project)
    asked = ask(queue)
    desk.in_threads(*[lambda: tasks.take_in(asked.pk)] * 3)
    done = walk(asked)
    assert (done.state, done.n_seen, done.n_added, Item.objects.count()) == ("done", 20, 20, 20)


def test_the_sweep_finds_what_no_bell_reached(project: Project, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.an_output(project)
    asked = ask(queue)
    assert queries.walking(10) == [asked.pk]
    rung: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tasks.bells, "ring", lambda *told: rung.append(told))
    tasks.sweep()
    assert rung == [("reviews.tasks.take_in", asked.pk)]
    walk(asked)
    assert queries.walking(10) == []


def test_a_project_without_outputs_is_done_with_at_once(queue: Queue) -> None:
    done = walk(ask(queue))
    assert (done.state, done.n_seen) == ("done", 0)


def test_stops_when_told_and_keeps_what_it_added(project: Project, queue: Queue) -> None:
    for _ in range(10):
        factories.an_output(project)
    asked = ask(queue)
    intake.take_block(intake_id=asked.pk, now=clock.now())
    by = factories.an_actor(project)
    for _ in range(2):
        stopped = intake.stop(intake_id=asked.pk, queue=queue, by=by, now=clock.now())
    assert stopped.state == "stopped"
    assert not intake.take_block(intake_id=asked.pk, now=clock.now())
    assert Item.objects.count() == 3


def test_what_has_ended_cannot_be_stopped(project: Project, queue: Queue) -> None:
    done = walk(ask(queue))
    with pytest.raises(intake.Ended):
        intake.stop(intake_id=done.pk, queue=queue, by=factories.an_actor(project), now=clock.now())


@pytest.mark.parametrize(
    "given",
    [{"promt": "x"}, {"status": "fine"}, {"verdict": "best"}, {"since": "soon"}, {"q": "?!"}, {"prompt": ["x"]}],
)
def test_names_what_is_wrong_with_a_filter(queue: Queue, given: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        ask(queue, **given)
    assert [flaw.field for flaw in caught.value.errors] == list(given)
    assert not Intake.objects.exists()


def test_days_are_counted_from_the_moment_of_asking(project: Project, queue: Queue) -> None:
    old = factories.an_output(project)
    Output.objects.filter(pk=old.pk).update(received_at=clock.now().replace(year=2020))
    new = factories.an_output(project)
    asked = ask(queue, days="7")
    assert set(asked.filter) == {"since"}
    walk(asked)
    assert in_queue(queue) == {new.pk}


class TestByApi:
    @pytest.fixture
    def engineer(self, project: Project) -> dict[str, Any]:
        return factories.bearer(factories.a_key(project, "evaluate", "read"))

    def post(self, client: Client, queue: Queue, body: Any, headers: dict[str, Any]) -> Any:
        url = f"/api/v1/queues/{queue.name}/items"
        return client.post(url, json.dumps(body), content_type="application/json", headers=headers)

    def test_a_filter_is_accepted_and_its_progress_told(
        self, client: Client, project: Project, queue: Queue, engineer: dict[str, Any]
    ) -> None:
        factories.an_output(project)
        answer = self.post(client, queue, {"filter": {"status": "ok"}}, engineer)
        assert answer.status_code == 202
        assert answer["Location"] == answer.json()["url"]
        walk(Intake.objects.get())
        told = client.get(answer.json()["url"], headers=engineer).json()
        assert (told["state"], told["seen"], told["added"], told["share"]) == ("done", 1, 1, 1.0)
        assert told["filter"] == {"status": "ok"}

    def test_a_list_of_outputs_is_added_as_ever(
        self, client: Client, project: Project, queue: Queue, engineer: dict[str, Any]
    ) -> None:
        output = factories.an_output(project)
        answer = self.post(client, queue, {"outputs": [output.external_id]}, engineer)
        assert (answer.status_code, answer.json()["added"]) == (201, 1)

    @pytest.mark.parametrize("body", [{}, {"outputs": ["a"], "filter": {}}, {"filter": {"bogus": "x"}}])
    def test_anything_else_is_refused(
        self, client: Client, queue: Queue, engineer: dict[str, Any], body: dict[str, Any]
    ) -> None:
        assert self.post(client, queue, body, engineer).status_code == 400
        assert not Intake.objects.exists()

    def test_a_stranger_finds_no_queue_and_no_intake(self, client: Client, project: Project, queue: Queue) -> None:
        asked = ask(queue)
        stranger = factories.bearer(factories.a_key(factories.a_project()))
        assert self.post(client, queue, {"filter": {}}, stranger).status_code == 404
        assert client.get(f"/api/v1/queues/{queue.name}/intakes/{asked.pk}", headers=stranger).status_code == 404

    def test_an_intake_is_found_in_its_own_queue_alone(
        self, client: Client, project: Project, queue: Queue, engineer: dict[str, Any]
    ) -> None:
        asked = ask(desk.a_queue(project))
        answer = client.get(f"/api/v1/queues/{queue.name}/intakes/{asked.pk}", headers=engineer)
        assert answer.status_code == 404


class TestOnThePage:
    @pytest.fixture
    def engineer(self, client: Client, project: Project) -> Client:
        client.force_login(factories.a_member(project, Role.ENGINEER))
        return client

    def test_all_that_match_are_asked_for_by_the_fields_of_the_filter(
        self, engineer: Client, project: Project, queue: Queue
    ) -> None:
        url = f"/{project.slug}/queues/{queue.name}/take-in/"
        answer = engineer.post(url, {"all": "1", "status": "ok", "q": "", "prompt": ""})
        assert answer["Location"] == f"/{project.slug}/queues/{queue.name}/"
        assert Intake.objects.get().filter == {"status": "ok"}

    def test_chosen_outputs_are_added_at_once(self, engineer: Client, project: Project, queue: Queue) -> None:
        chosen = [factories.an_output(project) for _ in range(2)]
        factories.an_output(project)
        url = f"/{project.slug}/queues/{queue.name}/take-in/"
        sent = {"output": [output.external_id for output in chosen]}
        said = engineer.post(url, sent, follow=True).content.decode()
        assert "2 added" in said
        assert in_queue(queue) == {output.pk for output in chosen}

    def test_nothing_chosen_is_said(self, engineer: Client, project: Project, queue: Queue) -> None:
        for sent, said in (({}, "no output is chosen"), ({"all": "1", "status": "fine"}, "send ok or error")):
            answer = engineer.post(f"/{project.slug}/queues/{queue.name}/take-in/", sent, follow=True)
            assert said in answer.content.decode()

    def test_who_came_from_the_list_stays_there_and_is_told_where_the_queue_is(
        self, engineer: Client, project: Project, queue: Queue
    ) -> None:
        output = factories.an_output(project)
        back, url = f"/{project.slug}/outputs/?status=ok", f"/{project.slug}/queues/{queue.name}/take-in/"
        answer = engineer.post(url, {"all": "", "back": back}, follow=True)
        assert answer.redirect_chain[-1][0] == back
        assert "tick some in the list" in answer.content.decode()
        answer = engineer.post(url, {"all": "", "back": back, "output": output.external_id}, follow=True)
        assert answer.redirect_chain[-1][0] == back
        assert f'<a href="/{project.slug}/queues/{queue.name}/">Open it</a>' in answer.content.decode()
        engineer.post(url, {"all": "1", "back": back, "status": "ok"})
        assert Intake.objects.get().filter == {"status": "ok"}
        for elsewhere in ("https://example.org/", "//example.org/", "/\\example.org"):
            assert engineer.post(url, {"back": elsewhere})["Location"] == f"/{project.slug}/queues/{queue.name}/"

    def test_progress_is_asked_for_while_it_walks_and_no_longer(
        self, engineer: Client, project: Project, queue: Queue
    ) -> None:
        factories.an_output(project)
        asked = ask(queue)
        url = f"/{project.slug}/queues/{queue.name}/"
        fragment = engineer.get(url, headers={"HX-Request": "true"}).content.decode()
        assert "<html" not in fragment
        assert "every 2s" in fragment
        walk(asked)
        assert "every 2s" not in engineer.get(url, headers={"HX-Request": "true"}).content.decode()

    def test_can_be_stopped(self, engineer: Client, project: Project, queue: Queue) -> None:
        factories.an_output(project)
        asked = ask(queue)
        engineer.post(f"/{project.slug}/queues/{queue.name}/intakes/{asked.pk}/stop/")
        asked.refresh_from_db()
        assert asked.state == "stopped"

    def test_a_reviewer_may_not(self, client: Client, project: Project, queue: Queue) -> None:
        client.force_login(factories.a_member(project, Role.REVIEWER))
        assert client.post(f"/{project.slug}/queues/{queue.name}/take-in/", {"all": "1"}).status_code == 403

    def test_a_stranger_finds_nothing(self, client: Client, project: Project, queue: Queue) -> None:
        client.force_login(factories.a_member(factories.a_project()))
        assert client.post(f"/{project.slug}/queues/{queue.name}/take-in/", {"all": "1"}).status_code == 404
