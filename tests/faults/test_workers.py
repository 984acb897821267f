"""Real workers on a real broker and a real database, while one thing after another is killed under them.

Nothing here waits for a time to pass: every blow falls when the rows show that the moment has come, and every end is
read from rows and from the model server's own log of calls.
"""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from config.environment import ROOT
from config.launcher import Site
from connections.models import Connection
from core import clock
from evals.engine import visits
from evals.engine.drain import question_key
from evals.models import GoldenCase, Result, Run, Score
from ledger import heartbeats
from ledger.models import AllowanceHold
from projects.models import Project
from tests import factories
from tests.evals import exams

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]

N_CASES, TRIALS, N_SCORERS = 120, 2, len(exams.SCORERS)
N_RESULTS = N_CASES * TRIALS
WORKERS = ("worker-1", "worker-2")
LEASE_S, REAPER_S = 2, 0.5
BROKERS = ("valkey", "redis", "rabbitmq")


def on(merge: str) -> pytest.MarkDecorator:
    """With this broker at every merge, with each at night: the truth stands in rows, whatever rings the bell."""
    each = [pytest.param(name, marks=() if name == merge else pytest.mark.nightly) for name in BROKERS]
    return pytest.mark.parametrize("broker_url", each, indirect=True)


@dataclass
class Oracle:
    """The model server beside the test, with its log of every question it was ever asked."""

    port: int
    log: Path

    @property
    def calls(self) -> list[tuple[str, str]]:
        """The question and the key of each call, in order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(question, key) for question, _, key in (line.partition("\t") for line in lines)]


@pytest.fixture
def oracle(tmp_path: Path) -> Iterator[Oracle]:
    log = tmp_path / "calls"
    command = [sys.executable, str(ROOT / "tests" / "oracle.py"), "--ms", "100", "--log", str(log)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server.stdout:
        port = int(server.stdout.readline())
    yield Oracle(port, log)
    server.kill()
    server.wait()


@pytest.fixture
def crew(transactional_db: None, oracle: Oracle) -> Iterator[Callable[..., Site]]:
    """Starts two workers on the test's own database; whatever happens they are gone before it is emptied."""
    folder = Path(tempfile.mkdtemp(prefix="ratchet-test-"))
    folder.chmod(0o755)
    sites = []

    def start(broker_url: str = "") -> Site:
        site = Site(
            folder / "var",
            web=False,
            workers=len(WORKERS),
            beat=False,
            restarts=False,
            database_url=database_url(),
            broker_url=broker_url,
            variables={
                "RATCHET_MODE": "test",
                "RATCHET_LEASE_SECONDS": str(LEASE_S),
                "RATCHET_REAPER_SECONDS": str(REAPER_S),
                "RATCHET_OUTBOUND_ALLOW": f"127.0.0.1:{oracle.port}",
            },
        )
        sites.append(site)
        site.start()
        wait_until(lambda: heartbeats.n_alive("worker", now=clock.now()) == len(WORKERS), "two workers beat")
        return site

    yield start
    for site in sites:
        site.stop()
    shutil.rmtree(folder)


def database_url() -> str:
    """Of the database that this test's rows are in."""
    found = connection.settings_dict
    places = {"host": found["HOST"], "port": found["PORT"], "user": found["USER"], "password": found["PASSWORD"]}
    given = {name: value for name, value in places.items() if value}
    return f"postgresql:///{found['NAME']}?{urllib.parse.urlencode(given)}"


def wait_until(came: Callable[[], bool], what: str, *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not came():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def a_run(oracle: Oracle, *, n_cases: int = N_CASES, trials: int = TRIALS, width: int = 8) -> Run:
    """A run whose rows wait; no bell is rung, the sweep has to find it."""
    project = factories.a_project()
    a_connection(project, oracle, width)
    revision = exams.a_revision(project, model="oracle/echo")
    return exams.a_run(n_cases, project=project, trials=trials, revision=revision, model="oracle/echo")


def a_connection(project: Project, oracle: Oracle, width: int) -> None:
    base_url = f"http://127.0.0.1:{oracle.port}/v1"
    Connection.objects.create(project=project, name="oracle", base_url=base_url, concurrency=width)


def stored(run: Run) -> int:
    return run.results.filter(state=Result.State.DONE).count()


def is_shared(run: Run) -> bool:
    """Both workers have stored answers."""
    done = run.results.filter(state=Result.State.DONE)
    return len({visits.worker_of(visitor) for visitor in done.values_list("worker", flat=True)}) == len(WORKERS)


def is_over(run: Run) -> bool:
    run.refresh_from_db()
    return run.state not in (Run.State.QUEUED, Run.State.RUNNING)


def wait_for_the_end(run: Run) -> None:
    wait_until(lambda: is_over(run), f"the end of {run}, {Counter(run.results.values_list('state', flat=True))}")


def assert_complete(run: Run, *, n_results: int = N_RESULTS) -> None:
    """P3: every result and every score is there, and nothing is held any more."""
    assert run.results.count() == n_results
    assert run.results.exclude(state__in=[Result.State.DONE, Result.State.FAILED]).count() == 0
    assert Score.objects.filter(result__run=run).count() == n_results * N_SCORERS
    assert Score.objects.filter(result__run=run, value=None, reason="").count() == 0


def in_hands_of(run: Run, pid: int) -> int:
    """How many rows are leased to the worker with this main process."""
    leased = run.results.filter(state=Result.State.LEASED).values_list("worker", flat=True)
    return sum(visits.worker_of(visitor).endswith(f":{pid}") for visitor in leased)


def keys_stored(run: Run) -> set[str]:
    """The key of each call whose answer is stored."""
    ids = run.results.filter(state=Result.State.DONE).values_list("pk", flat=True)
    return {question_key(run, result_id) for result_id in ids}


@on("rabbitmq")
@pytest.mark.parametrize("victim", WORKERS)
def test_a_killed_worker_costs_at_most_the_calls_it_had_in_flight(crew, oracle, broker_url, victim):
    site = crew(broker_url)
    run = a_run(oracle)
    wait_until(lambda: is_shared(run) and stored(run) >= N_RESULTS // 4, "both workers have stored answers")
    before = keys_stored(run)
    lost = in_hands_of(run, site.kill(victim))
    wait_for_the_end(run)

    assert run.state == Run.State.DONE
    assert_complete(run)
    assert run.results.exclude(state=Result.State.DONE).count() == 0
    assert lost > 0
    assert len(oracle.calls) <= N_RESULTS + lost
    times = Counter(key for _, key in oracle.calls)
    assert {times[key] for key in before} == {1}


def test_a_broker_that_is_killed_and_comes_back_empty_loses_no_work(crew, oracle):
    site = crew()
    run = a_run(oracle)
    wait_until(lambda: stored(run) >= N_RESULTS // 4, "a quarter is stored")
    site.kill("valkey")
    site.restart("valkey")
    wait_for_the_end(run)
    assert_complete(run)
    assert len(oracle.calls) == N_RESULTS
    # Bells are heard again, too: another run is found and finished.
    second = a_run(oracle, n_cases=5, trials=1)
    wait_for_the_end(second)
    assert_complete(second, n_results=5)


@on("redis")
def test_cut_database_connections_lose_no_answer(crew, oracle, broker_url):
    crew(broker_url)
    run = a_run(oracle)
    for share in (0.2, 0.4, 0.6):
        wait_until(lambda share=share: stored(run) >= N_RESULTS * share, f"{share:.0%} are stored")
        cut_connections()
    wait_for_the_end(run)
    assert run.state == Run.State.DONE
    assert_complete(run)
    # An answer whose storing was cut is stored by the next try; only a claim that was cut may cost a call.
    assert len(oracle.calls) == N_RESULTS


def cut_connections() -> None:
    with psycopg.connect(database_url(), autocommit=True) as own:
        own.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)",
            [connection.connection.info.backend_pid],
        )


@on("valkey")
def test_a_case_that_is_always_cut_fails_alone_after_three_calls(crew, oracle, broker_url):
    crew(broker_url)
    run = a_run(oracle, n_cases=20, trials=1)
    poisoned = run.results.order_by("id")[7]
    GoldenCase.objects.filter(pk=poisoned.case_id).update(input="question poison")
    wait_for_the_end(run)
    assert_complete(run, n_results=20)
    poisoned.refresh_from_db()
    calls = [question for question, _ in oracle.calls].count("question poison")
    assert (poisoned.state, poisoned.n_calls, calls) == (Result.State.FAILED, 3, 3)
    assert "unreachable" in poisoned.error
    assert stored(run) == 19


@on("rabbitmq")
def test_a_worker_that_froze_beyond_its_lease_stores_nothing_when_it_wakes(crew, oracle, broker_url):
    site = crew(broker_url)
    run = a_run(oracle)
    pid = site.children["worker-1"]
    wait_until(lambda: is_shared(run) and in_hands_of(run, pid) > 0, "the first worker has calls in flight")
    site.kill("worker-1", signal.SIGSTOP)
    frozen = set(run.results.filter(state=Result.State.LEASED).values_list("pk", "lease_token"))
    wait_for_the_end(run)
    finished = dict(run.results.values_list("pk", "finished_at"))
    site.kill("worker-1", signal.SIGCONT)
    log = site.home.log("worker-1")
    wait_until(lambda: "their lease had ended and were dropped" in log.read_text(), "the late answers come and go")

    assert frozen
    assert_complete(run)
    assert dict(run.results.values_list("pk", "finished_at")) == finished
    wait_until(lambda: not AllowanceHold.objects.exists(), "nothing is held any more")
