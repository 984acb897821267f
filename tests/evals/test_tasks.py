"""The bells of the room, each rung twice, with a real model server behind the connection."""

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connections.models import Connection
from core import bells, clock
from evals import tasks
from evals.engine.drain import Drain
from evals.engine.share import width_key
from evals.models import Result, Run, Score
from evals.services import work
from ledger import allowances, heartbeats
from ledger.models import Allowance, AllowanceHold
from prompts.models import Revision
from tests import factories
from tests.evals import exams

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
DRAIN = "evals.tasks.drain"


@pytest.fixture(scope="module")
def oracle_port() -> Iterator[int]:
    server = subprocess.Popen([sys.executable, str(ROOT / "tests" / "oracle.py")], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server.stdout:
        port = int(server.stdout.readline())
    yield port
    server.kill()
    server.wait()


@pytest.fixture
def rung(monkeypatch) -> list[tuple[str, int]]:
    """Every bell that was rung, in order; none of them is heard."""
    found: list[tuple[str, int]] = []
    monkeypatch.setattr(bells, "ring_now", lambda name, *ids: found.append((name, *ids)) or True)
    return found


@pytest.fixture
def a_run(oracle_port, settings):
    """Makes runs whose connection leads to the oracle."""
    settings.OUTBOUND_ALLOW = [f"127.0.0.1:{oracle_port}"]

    def make(n_cases: int = 5, *, base_url: str = f"http://127.0.0.1:{oracle_port}/v1", **fields) -> Run:
        project = factories.a_project()
        Connection.objects.create(project=project, name="oracle", base_url=base_url, concurrency=10)
        revision = exams.a_revision(project, model="oracle/echo")
        return exams.a_run(n_cases, project=project, revision=revision, model="oracle/echo", **fields)

    return make


def now_alive(*names: str) -> None:
    for name in names:
        heartbeats.beat(name, kind="worker", now=clock.now())


def state_of(run: Run) -> str:
    run.refresh_from_db()
    return run.state


class TestDrain:
    def test_answers_every_case_and_concludes_the_run(self, a_run, rung):
        run = a_run(5)
        tasks.drain(run.pk)
        assert state_of(run) == Run.State.DONE
        assert (run.started_at is None, run.ended_at is None) == (False, False)
        assert run.scores["exact_match"]["value"] == 1.0
        outputs = run.results.order_by("id").values_list("output", "n_calls", "input_tokens")
        assert list(outputs) == [(f"answer {number}", 1, 1) for number in range(1, 6)]
        assert rung == []

    def test_the_second_bell_finds_nothing_to_do(self, a_run, rung):
        run = a_run(3)
        tasks.drain(run.pk)
        before = list(run.results.values()), list(Score.objects.values()), Run.objects.values().get()
        tasks.drain(run.pk)
        assert (list(run.results.values()), list(Score.objects.values()), Run.objects.values().get()) == before

    def test_calls_every_other_living_worker_once(self, a_run, rung):
        now_alive("worker:a:1", "worker:a:2", "worker:b:1")
        run = a_run(3)
        tasks.drain(run.pk)
        assert rung == [(DRAIN, run.pk)] * 2

    def test_leaves_a_paused_run_alone(self, a_run, rung):
        run = a_run(3, state=Run.State.PAUSED)
        tasks.drain(run.pk)
        assert set(run.results.values_list("state", flat=True)) == {"waiting"}

    def test_a_run_that_is_gone_is_no_trouble(self, rung):
        tasks.drain(12345)
        assert rung == []

    def test_every_row_fails_with_the_reason_when_there_is_no_connection(self, a_run, rung):
        run = a_run(3)
        Connection.objects.all().delete()
        tasks.drain(run.pk)
        assert state_of(run) == Run.State.INVALID
        errors = set(run.results.values_list("state", "error", "n_calls"))
        assert len(errors) == 1
        (state, error, n_calls) = errors.pop()
        assert (state, n_calls) == ("failed", 0)
        assert "names no connection of this project" in error
        assert Score.objects.filter(result__run=run, value=None).count() == 6

    def test_waits_without_ringing_while_the_index_of_the_revision_is_built(self, a_run, rung):
        run = a_run(3)
        Revision.objects.update(index_state=Revision.IndexState.WAITING)
        tasks.drain(run.pk)
        assert set(run.results.values_list("state", flat=True)) == {"waiting"}
        assert rung == []

    def test_a_case_that_cannot_be_rendered_costs_no_call(self, a_run, rung):
        run = a_run(2, budget_calls=10)
        Revision.objects.update(messages=[{"role": "user", "content": "{{input}} {{language}}"}])
        tasks.drain(run.pk)
        row = run.results.first()
        assert (row.state, row.n_calls) == ("failed", 0)
        assert "language" in row.error
        assert Allowance.objects.get(key=work.budget_key(run.pk)).taken == 0

    def test_a_place_that_may_not_be_called_is_not_called(self, a_run, rung, settings):
        settings.OUTBOUND_ALLOW = []
        run = a_run(1)
        tasks.drain(run.pk)
        row = run.results.get()
        assert (row.state, row.n_calls, row.attempts) == ("failed", 0, 1)
        assert row.error.startswith("refused: ")

    def test_rings_again_when_the_minute_is_over_and_rows_are_left(self, a_run, rung, monkeypatch):
        run = a_run(3)
        monkeypatch.setattr(Drain, "work", _asks_nothing)
        tasks.drain(run.pk)
        assert rung == [(DRAIN, run.pk)]

    def test_concludes_the_runs_that_waited_to_be_compared_with_it(self, a_run, rung):
        baseline, candidate = a_run(2), a_run(2)
        Run.objects.filter(pk=candidate.pk).update(baseline=baseline)
        tasks.drain(candidate.pk)
        assert state_of(candidate) == Run.State.RUNNING
        tasks.drain(baseline.pk)
        assert state_of(baseline) == Run.State.DONE
        assert state_of(candidate) == Run.State.DONE

    def test_leaves_no_allowance_of_the_run_behind(self, a_run, rung):
        run = a_run(2)
        tasks.drain(run.pk)
        assert not Allowance.objects.filter(key=width_key(run.pk)).exists()
        assert not AllowanceHold.objects.exists()


async def _asks_nothing(drain: Drain) -> None:
    """A visit whose time is over at once."""


class TestSweep:
    def test_rings_for_a_run_whose_bell_was_lost(self, a_run, rung):
        run = a_run(2)
        tasks.sweep()
        assert rung == [(DRAIN, run.pk)]

    def test_rings_once_for_each_living_worker_that_is_not_there(self, a_run, rung):
        now_alive("worker:a:1", "worker:a:2", "worker:b:1")
        run = a_run(2)
        allowances.open_allowance(width_key(run.pk), capacity=10)
        for holder in ("a:1:7:x", "a:1:8:y"):
            allowances.hold(width_key(run.pk), holder=holder, want=2, now=clock.now(), lease=dt.timedelta(seconds=20))
        tasks.sweep()
        assert rung == [(DRAIN, run.pk)] * 2

    def test_frees_the_rows_of_a_lost_worker_and_rings_for_them(self, a_run, rung):
        run = a_run(2)
        work.start(run, now=clock.now())
        work.claim(run, want=2, worker="lost", now=clock.now() - dt.timedelta(hours=1))
        tasks.sweep()
        assert set(run.results.values_list("state", "n_calls")) == {("waiting", 1)}
        assert rung == [(DRAIN, run.pk)]

    def test_concludes_a_run_whose_last_worker_died_before_it_could(self, a_run, rung):
        run = a_run(2)
        Result.objects.update(state="done", output="answer 1", finished_at=clock.now())
        tasks.sweep()
        assert state_of(run) == Run.State.DONE
        tasks.sweep()
        assert rung == []

    def test_does_nothing_where_nothing_is_left(self, a_run, rung):
        run = a_run(2)
        tasks.drain(run.pk)
        before = Run.objects.values().get()
        tasks.sweep()
        tasks.sweep()
        assert Run.objects.values().get() == before
        assert rung == []


def test_a_connection_that_was_changed_since_answers_nothing_of_the_run(settings: Any) -> None:
    """Answers of two models must never stand in one run, under hashes of one of them."""
    settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = "http://127.0.0.1:9/v1", ""
    run = exams.a_run(2, endpoint="openai http://elsewhere.example/v1 oracle/echo")
    tasks.drain(run.pk)
    assert {result.error for result in run.results.all()} == {
        "the connection was changed since the run began: start a new run"
    }
