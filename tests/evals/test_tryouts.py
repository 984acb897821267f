"""Try-outs: one question to one revision, on the path that runs take, soon forgotten."""

import datetime as dt

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Connection
from core import bells, clock
from core.problems import Invalid
from evals import tasks
from evals.models import Look, Result, Run, Tryout
from evals.services import errands, tryouts
from ledger import heartbeats
from projects.models import Role
from tests import factories
from tests.evals import exams
from tests.evals.test_tasks import oracle_port  # noqa: F401  # the oracle, as the engine's own tests start it

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def rung(monkeypatch) -> list[tuple[str, int]]:
    """Every bell that was rung; none of them is heard."""
    found: list[tuple[str, int]] = []
    monkeypatch.setattr(bells, "ring_now", lambda name, *ids: found.append((name, *ids)) or True)
    return found


@pytest.fixture
def revision(oracle_port, settings):  # noqa: F811  # the fixture, not the name
    """A revision whose model answers."""
    settings.OUTBOUND_ALLOW = [f"127.0.0.1:{oracle_port}"]
    project = factories.a_project()
    url = f"http://127.0.0.1:{oracle_port}/v1"
    Connection.objects.create(project=project, name="oracle", base_url=url, concurrency=1)
    return exams.a_revision(project, model="oracle/echo")


def ask(revision, **given) -> Tryout:
    by = factories.an_actor(revision.prompt.project)
    return tryouts.ask(revision=revision, given=given or {"input": "question 1"}, by=by, now=clock.now())


def fresh(tryout: Tryout) -> Tryout:
    return Tryout.objects.select_related("revision__prompt__project").get(pk=tryout.pk)


class TestAsk:
    @pytest.mark.parametrize("given", [{}, {"input": " "}, {"input": "a", "variables": {"b": "c"}}, {"variables": {}}])
    def test_refuses_what_asks_nothing(self, given):
        by = factories.an_actor(factories.a_project())
        with pytest.raises(Invalid):
            tryouts.ask(revision=exams.a_revision(by.project), given=given, by=by, now=clock.now())

    def test_keeps_what_no_database_holds_as_a_mark(self):
        asked = ask(exams.a_revision(factories.a_project()), input="a\x00b")
        assert fresh(asked).input == "a\ufffdb"


class TestTask:
    def test_answers_and_is_neither_run_nor_look(self, revision):
        asked = ask(revision)
        tasks.try_out(asked.pk)
        answered = fresh(asked)
        assert (answered.state, answered.output, answered.error) == ("done", "answer 1", "")
        assert answered.latency_ms > 0
        assert (Run.objects.count(), Result.objects.count(), Look.objects.count()) == (0, 0, 0)

    def test_twice_is_once(self, revision):
        asked = ask(revision)
        tasks.try_out(asked.pk)
        first = Tryout.objects.values().get()
        tasks.try_out(asked.pk)
        assert Tryout.objects.values().get() == first

    def test_takes_variables(self, revision):
        asked = ask(revision, variables={"input": "question 2"})
        tasks.try_out(asked.pk)
        assert fresh(asked).output == "answer 2"

    def test_says_why_nobody_answers(self):
        asked = ask(exams.a_revision(factories.a_project(), model="nobody"))
        tasks.try_out(asked.pk)
        assert (fresh(asked).state, fresh(asked).output) == ("failed", None)
        assert "names no connection" in fresh(asked).error

    def test_says_which_variable_is_missing(self, revision):
        asked = ask(revision, variables={"other": "x"})
        tasks.try_out(asked.pk)
        assert "variables.input: is missing" in fresh(asked).error

    def test_waits_where_the_endpoint_has_no_slot(self, revision, monkeypatch):
        monkeypatch.setattr("evals.engine.tryout.PATIENCE_S", 0)
        monkeypatch.setattr("evals.engine.tryout._held", lambda *slot: False)
        asked = ask(revision)
        tasks.try_out(asked.pk)
        assert (fresh(asked).state, fresh(asked).attempts) == ("waiting", 0)

    def test_the_sweep_rings_again_and_gives_up_after_three_lost_workers(self, revision, rung):
        asked = ask(revision)
        tasks.sweep()
        assert (tryouts.BELL, asked.pk) in rung
        for _ in range(errands.MAX_ATTEMPTS):
            assert errands.claim(Tryout, asked.pk, now=clock.now()) is not None
            Tryout.objects.update(lease_until=clock.now() - dt.timedelta(seconds=1))
        assert errands.claim(Tryout, asked.pk, now=clock.now()) is None
        tasks.sweep()
        assert (fresh(asked).state, fresh(asked).error) == ("failed", errands.WORKER_LOST)

    def test_an_answer_that_comes_too_late_is_dropped(self, revision):
        asked = ask(revision)
        slow = errands.claim(Tryout, asked.pk, now=clock.now())
        Tryout.objects.update(lease_until=clock.now() - dt.timedelta(seconds=1))
        tasks.try_out(asked.pk)
        assert not tryouts.store(tryout=slow, answer=tryouts.Answer(text="late"), now=clock.now())
        assert fresh(asked).output == "answer 1"


def test_is_forgotten_after_two_days(revision):
    old, young = ask(revision), ask(revision)
    Tryout.objects.filter(pk=old.pk).update(created_at=clock.now() - dt.timedelta(hours=49))
    tasks.forget()
    tasks.forget()
    assert list(Tryout.objects.all()) == [young]


class TestTryoutDetail:
    def shown(self, tryout: Tryout, role: str = Role.ENGINEER, **headers: str):
        client = Client()
        client.force_login(factories.a_member(tryout.project, role))
        return client.get(reverse("evals:tryout-detail", args=[tryout.project.slug, tryout.pk]), headers=headers)

    def test_asks_for_itself_until_it_is_finished(self, revision):
        heartbeats.beat("worker:here", kind="errands", now=clock.now())
        asked = ask(revision)
        waiting = self.shown(asked, **{"HX-Request": "true"}).content.decode()
        assert 'hx-trigger="every 1s"' in waiting
        assert "<html" not in waiting
        tasks.try_out(asked.pk)
        done = self.shown(asked, **{"HX-Request": "true"}).content.decode()
        assert "answer 1" in done
        assert "every 1s" not in done

    def test_says_that_no_worker_is_running(self, revision):
        assert b"No worker is running" in self.shown(ask(revision)).content

    def test_a_stranger_finds_nothing_and_a_manager_may_not(self, revision):
        asked = ask(revision)
        stranger = Client()
        stranger.force_login(factories.a_member(factories.a_project()))
        url = reverse("evals:tryout-detail", args=[asked.project.slug, asked.pk])
        assert stranger.get(url).status_code == 404
        assert self.shown(asked, Role.MANAGER).status_code == 403
