"""One visit to a run: a scripted target at the network's edge, everything else real."""

import asyncio
import datetime as dt
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from django.db import connection

from core import clock
from evals.engine import drain
from evals.engine.drain import Drain
from evals.engine.share import Share, width_key
from evals.models import Result, Run, Score
from evals.scorers import Panel
from evals.services import runs, work
from evals.targets import Answer, Question
from ledger import allowances
from ledger.models import AllowanceHold
from tests import factories
from tests.evals.exams import a_run

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")
ENDPOINT = "connection:of the test"


class Scripted:
    """Answers every question after `seconds`, unless the script says otherwise; remembers what it was asked."""

    def __init__(self, script: Callable[[Question], Awaitable[Answer]] | None = None, seconds: float = 0.0) -> None:
        self.script = script
        self.seconds = seconds
        self.asked: list[str] = []
        self.keys: set[str] = set()
        self.at_once = self.most_at_once = 0

    async def answer(self, question: Question) -> Answer:
        self.asked.append(question.input)
        self.keys.add(question.key)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
            if self.script is not None:
                return await self.script(question)
            return Answer(text=question.input.replace("question", "answer"), context_ids=(1, 2))
        finally:
            self.at_once -= 1


def visit(run: Run, target: Scripted, *, width: int = 10, claiming_s: float = 20, holder: str = "w1") -> Drain:
    work.start(run, now=clock.now())
    share = Share(holder, run.pk, ENDPOINT, endpoint_width=width, run_width=width)
    share.arrive()
    made = Drain(run, target, Panel(run.scorers), share, claiming_s)
    asyncio.run(made.work())
    return made


async def elsewhere(step: Callable[[], T]) -> T:
    """As another process would do it: in a thread of its own, with a connection of its own."""

    def alone() -> T:
        try:
            return step()
        finally:
            connection.close()

    return await asyncio.to_thread(alone)


def failing_at(wanted: str, answer: Answer) -> Callable[[Question], Awaitable[Answer]]:
    async def script(question: Question) -> Answer:
        return answer if question.input == wanted else Answer(text="something")

    return script


def results(run: Run) -> dict[str, Result]:
    return {result.case.input: result for result in run.results.select_related("case")}


def test_every_case_is_asked_once_and_every_scorer_has_said_something():
    run = a_run(25, trials=2)
    target = Scripted()
    visit(run, target)
    assert Counter(target.asked) == Counter({f"question {n}": 2 for n in range(1, 26)})
    assert len(target.keys) == 50
    assert set(run.results.values_list("state", "attempts", "n_calls")) == {("done", 1, 1)}
    assert Score.objects.filter(result__run=run, value=1.0).count() == 25 * 2 * 2
    assert run.results.first().context_ids == [1, 2]


def test_a_second_visit_asks_nothing():
    run = a_run(3)
    visit(run, Scripted())
    again = Scripted()
    visit(run, again)
    assert again.asked == []


def test_never_more_calls_in_flight_than_the_share_and_the_slots_are_used():
    run = a_run(40)
    target = Scripted(seconds=0.02)
    visit(run, target, width=7)
    assert target.most_at_once == 7


def test_two_visitors_share_the_width_and_no_case_is_asked_twice():
    run = a_run(120)
    target, other = Scripted(seconds=0.05), Scripted(seconds=0.05)

    async def both() -> None:
        await asyncio.gather(
            elsewhere(lambda: visit(run, target, width=6, holder="w1")),
            elsewhere(lambda: visit(run, other, width=6, holder="w2")),
        )

    asyncio.run(both())
    assert Counter(target.asked + other.asked) == Counter({f"question {n}": 1 for n in range(1, 121)})
    assert min(len(target.asked), len(other.asked)) > 20


def test_everything_held_is_given_back_at_the_end():
    run = a_run(3)
    visit(run, Scripted())
    assert not AllowanceHold.objects.exists()
    assert allowances.holders(width_key(run.pk), now=clock.now()) == []


def test_a_retryable_failure_is_tried_three_times_and_then_stored(monkeypatch):
    monkeypatch.setattr(drain, "retry_pause", lambda attempt, retry_after: dt.timedelta(milliseconds=1))
    run = a_run(5)
    target = Scripted(failing_at("question 2", Answer(None, "timeout: no answer", is_retryable=True)))
    visit(run, target)
    assert Counter(target.asked)["question 2"] == 3
    row = results(run)["question 2"]
    assert (row.state, row.error, row.attempts, row.n_calls) == ("failed", "timeout: no answer", 3, 3)
    assert set(row.scores.values_list("value", "reason")) == {(None, "no answer: timeout: no answer")}
    assert len(target.keys) == 5


def test_a_failure_that_will_not_pass_is_stored_at_once():
    run = a_run(3)
    target = Scripted(failing_at("question 2", Answer(None, "declined: no", n_calls=0)))
    visit(run, target)
    row = results(run)["question 2"]
    assert (row.state, row.attempts, row.n_calls) == ("failed", 1, 0)


def test_a_target_that_breaks_on_one_case_costs_one_result():
    async def script(question: Question) -> Answer:
        if question.input == "question 2":
            raise ZeroDivisionError
        return Answer(text="something")

    run = a_run(3)
    visit(run, Scripted(script))
    assert Counter(run.results.values_list("state", flat=True)) == {"done": 2, "failed": 1}
    assert results(run)["question 2"].error == "the target broke: ZeroDivisionError"


def test_the_budget_ends_the_run_and_not_one_call_more_is_made():
    run = a_run(30, budget_calls=12)
    target = Scripted()
    visit(run, target)
    assert len(target.asked) == 12
    assert work.is_finished(run.pk)
    assert run.results.filter(state="failed", error=work.BUDGET_USED_UP).count() == 18
    assert Score.objects.filter(result__run=run).count() == 60


def test_when_the_time_is_over_what_was_not_begun_waits_for_others():
    run = a_run(30)
    made = visit(run, Scripted(seconds=0.3), width=5, claiming_s=0.5)
    assert made.ready == type(made.ready)()
    assert set(run.results.exclude(state="done").values_list("state", "attempts")) == {("waiting", 0)}
    assert run.results.filter(state="done").exists()


def test_leaves_early_when_another_run_has_nobody(monkeypatch):
    monkeypatch.setattr(drain, "POLITE_AFTER_S", 0.0)
    run, others = a_run(200), []

    async def script(question: Question) -> Answer:
        if len(target.asked) == 2 and not others:
            others.append(await elsewhere(lambda: a_run(1)))
        return Answer(text="something")

    target = Scripted(script, seconds=0.1)
    visit(run, target, width=2)
    left = run.results.filter(state="waiting", attempts=0).count()
    assert 0 < left < 200
    assert run.results.filter(state="done").count() == 200 - left
    monkeypatch.undo()
    visit(others[0], Scripted())
    assert others[0].results.get().state == "done"


def test_a_pause_lets_what_is_in_flight_finish_and_claims_nothing_more():
    run = a_run(60)
    actor = factories.an_actor(run.project)

    async def script(question: Question) -> Answer:
        if question.input == "question 5":
            await elsewhere(lambda: runs.pause(run=run, by=actor, now=clock.now()))
        return Answer(text="something")

    target = Scripted(script, seconds=0.05)
    visit(run, target, width=5)
    done = run.results.filter(state="done").count()
    assert done == len(target.asked)
    assert done < 60
    assert set(run.results.exclude(state="done").values_list("state", flat=True)) == {"waiting"}


def test_a_cancelled_run_takes_no_answer_any_more():
    run = a_run(60)
    actor = factories.an_actor(run.project)

    async def script(question: Question) -> Answer:
        await elsewhere(lambda: runs.cancel(run=run, by=actor, now=clock.now()))
        return Answer(text="something")

    visit(run, Scripted(script), width=5)
    assert set(run.results.values_list("state", flat=True)) == {"dropped"}
    assert not Score.objects.filter(result__run=run).exists()


def test_leases_are_renewed_while_the_event_loop_is_busy(settings):
    settings.LEASE_SECONDS = 0.4
    run = a_run(1)
    reaped = []

    async def script(question: Question) -> Answer:
        # The loop itself is blocked, as by a slow scorer, for three leases.
        waiting = threading.Event()
        waiting.wait(1.2)
        reaped.append(await elsewhere(lambda: work.reap(now=clock.now())))
        return Answer(text="something")

    target = Scripted(script)
    visit(run, target)
    assert reaped == [work.Reaped(0, 0)]
    assert target.asked == ["question 1"]


def test_an_answer_that_the_database_refuses_costs_one_result():
    async def script(question: Question) -> Answer:
        return Answer(text="something", input_tokens=2**70 if question.input == "question 2" else 1)

    run = a_run(4)
    visit(run, Scripted(script))
    states = {asked: result.state for asked, result in results(run).items()}
    assert states == {"question 1": "done", "question 2": "failed", "question 3": "done", "question 4": "done"}
    assert Score.objects.filter(result__run=run).count() == 8


@pytest.mark.parametrize(
    ("attempt", "retry_after", "low", "high"),
    [(1, None, 0.5, 1), (2, None, 1, 2), (1, 7.0, 7, 7.7), (1, 9999.0, 60, 66)],
)
def test_a_retry_waits_as_long_as_was_asked_for_or_longer_each_time(attempt, retry_after, low, high):
    pauses = [drain.retry_pause(attempt, retry_after).total_seconds() for _ in range(100)]
    assert low <= min(pauses) < max(pauses) <= high
