"""The work rows of runs, with a clock that only the test moves."""

import datetime as dt
import threading
from collections import Counter

import pytest
from django.db import connection

from evals.models import Result, Run, Score
from evals.scorers import Panel
from evals.services import runs, work
from evals.services.work import Finished, Work
from ledger import allowances
from ledger.models import Allowance
from tests import factories
from tests.evals import exams
from tests.evals.exams import NOW, a_run

pytestmark = pytest.mark.django_db

SECOND = dt.timedelta(seconds=1)
AFTER_THE_LEASE = NOW + dt.timedelta(hours=1)


def claim(run: Run, want: int = 100, *, worker: str = "w1", now: dt.datetime = NOW) -> list[Work]:
    return work.claim(run, want=want, worker=worker, now=now)


def done(one: Work, output: str = "an answer") -> Finished:
    scores = Panel(exams.SCORERS).score(output, one.expected, one)
    return Finished(one, Result.State.DONE, output=output, scores=scores)


def again(one: Work, *, not_before: dt.datetime) -> Finished:
    return Finished(one, Result.State.WAITING, error="timeout", not_before=not_before)


def states(run: Run) -> dict[str, int]:
    return dict(Counter(run.results.values_list("state", flat=True)))


def n_scores(run: Run) -> int:
    return Score.objects.filter(result__run=run).count()


def spent(run: Run) -> int:
    return Allowance.objects.get(key=work.budget_key(run.pk)).taken


class TestStart:
    def test_a_queued_run_runs_from_the_first_start(self):
        run = a_run()
        assert work.start(run, now=NOW)
        assert work.start(run, now=NOW + SECOND)
        run.refresh_from_db()
        assert (run.state, run.started_at) == (Run.State.RUNNING, NOW)

    @pytest.mark.parametrize("state", [Run.State.PAUSED, Run.State.CANCELLED, Run.State.DONE])
    def test_a_run_that_is_held_or_over_is_not_started(self, state):
        run = a_run(state=state)
        assert not work.start(run, now=NOW)
        run.refresh_from_db()
        assert run.state == state


class TestClaim:
    def test_leases_the_oldest_waiting_rows_with_all_that_is_needed_to_ask(self):
        run = a_run(3)
        first, second = claim(run, 2)
        assert [first.input, first.expected, second.input] == ["question 1", "answer 1", "question 2"]
        row = Result.objects.get(pk=first.result_id)
        assert (row.state, row.attempts, row.lease_token, row.worker) == ("leased", 1, first.token, "w1")
        assert (row.call_started_at, row.lease_until) == (NOW, NOW + work.lease())
        assert states(run) == {"leased": 2, "waiting": 1}

    def test_finds_nothing_the_second_time(self):
        run = a_run(3)
        assert len(claim(run)) == 3
        assert claim(run) == []

    def test_a_row_is_claimed_again_under_a_higher_token(self):
        run = a_run(1)
        (first,) = claim(run)
        work.reap(now=AFTER_THE_LEASE)
        (second,) = claim(run, now=AFTER_THE_LEASE)
        assert second.result_id == first.result_id
        assert (second.token > first.token, second.attempt) == (True, 2)

    def test_waits_for_the_moment_of_a_retry(self):
        run = a_run(1)
        (one,) = claim(run)
        work.finish(run, [again(one, not_before=NOW + SECOND)], now=NOW)
        assert claim(run, now=NOW) == []
        assert work.next_moment(run.pk, now=NOW) == NOW + SECOND
        assert len(claim(run, now=NOW + SECOND)) == 1

    @pytest.mark.parametrize("state", [Run.State.PAUSED, Run.State.CANCELLED, Run.State.DONE])
    def test_takes_nothing_of_a_run_that_is_held_or_over(self, state):
        run = a_run(3, state=state)
        assert claim(run) == []
        assert work.next_moment(run.pk, now=NOW) is None

    def test_takes_nothing_of_another_run(self):
        project_run, other = a_run(2), a_run(2)
        assert len(claim(project_run)) == 2
        assert states(other) == {"waiting": 2}


class TestFinish:
    def test_stores_the_answer_and_one_score_per_scorer(self):
        run = a_run(2)
        first, second = claim(run)
        stored = work.finish(run, [done(first, "answer 1"), done(second, "no idea")], now=NOW + SECOND)
        assert stored == {first.result_id, second.result_id}
        row = Result.objects.get(pk=first.result_id)
        assert (row.state, row.output, row.n_calls, row.finished_at) == ("done", "answer 1", 1, NOW + SECOND)
        assert row.lease_until is None
        assert dict(row.scores.values_list("scorer", "value")) == {"exact_match": 1.0, "contains": 1.0}
        assert n_scores(run) == 4
        assert work.is_finished(run.pk)

    def test_the_second_time_nothing_is_stored(self):
        run = a_run(1)
        (one,) = claim(run)
        work.finish(run, [done(one, "first")], now=NOW)
        assert work.finish(run, [done(one, "second")], now=NOW) == set()
        assert run.results.get().output == "first"
        assert n_scores(run) == 2

    def test_drops_the_answer_of_a_worker_that_lost_its_lease(self):
        run = a_run(1)
        (zombie,) = claim(run)
        work.reap(now=AFTER_THE_LEASE)
        assert work.finish(run, [done(zombie, "too late")], now=AFTER_THE_LEASE) == set()
        (heir,) = claim(run, worker="w2", now=AFTER_THE_LEASE)
        assert work.finish(run, [done(zombie, "too late")], now=AFTER_THE_LEASE) == set()
        assert n_scores(run) == 0
        assert work.finish(run, [done(heir, "in time")], now=AFTER_THE_LEASE) == {heir.result_id}
        assert run.results.get().output == "in time"

    def test_stores_the_others_of_a_batch_with_a_zombie_in_it(self):
        run = a_run(2)
        zombie, living = claim(run)
        Result.objects.filter(pk=zombie.result_id).update(lease_token=99)
        assert work.finish(run, [done(zombie), done(living)], now=NOW) == {living.result_id}
        assert n_scores(run) == 2

    def test_counts_the_calls_of_every_attempt(self):
        run = a_run(1)
        (one,) = claim(run)
        work.finish(run, [again(one, not_before=NOW)], now=NOW)
        (one,) = claim(run)
        work.finish(run, [done(one)], now=NOW)
        assert run.results.get().n_calls == 2

    def test_nothing_comes_back_into_a_cancelled_run(self):
        run = a_run(3)
        first, second, _ = claim(run)
        runs.cancel(run=run, by=factories.an_actor(run.project), now=NOW)
        assert work.finish(run, [done(first), again(second, not_before=NOW)], now=NOW) == set()
        work.reap(now=AFTER_THE_LEASE)
        assert states(run) == {"dropped": 3}

    @pytest.mark.parametrize("text", ["a\x00b", "lone \ud800 surrogate", "\ud83d\ude00 is one in two halves"])
    def test_stores_texts_that_the_database_cannot_hold(self, text):
        run = a_run(1)
        (one,) = claim(run)
        failed = Finished(one, Result.State.FAILED, output=text, error=text)
        assert work.finish(run, [failed], now=NOW) == {one.result_id}
        assert run.results.get().output == work.storable(text)


class TestGiveUp:
    def test_the_row_waits_as_if_it_had_not_been_claimed(self):
        run = a_run(1, budget_calls=5)
        work.start(run, now=NOW)
        (one,) = claim(run)
        assert (work.give_up(run, [one]), work.give_up(run, [one])) == (1, 0)
        row = run.results.get()
        assert (row.state, row.attempts, row.call_started_at, spent(run)) == ("waiting", 0, None, 0)


class TestRenew:
    def test_prolongs_what_is_held_and_nothing_else(self):
        run = a_run(2)
        mine, lost = claim(run)
        Result.objects.filter(pk=lost.result_id).update(lease_token=99)
        leases = [(mine.result_id, mine.token), (lost.result_id, lost.token)]
        assert work.renew(leases, now=NOW + SECOND) == 1
        ends = dict(run.results.values_list("pk", "lease_until"))
        assert ends == {mine.result_id: NOW + SECOND + work.lease(), lost.result_id: NOW + work.lease()}

    def test_a_renewed_lease_is_not_reaped(self):
        run = a_run(1)
        (one,) = claim(run)
        later = NOW + work.lease()
        work.renew([(one.result_id, one.token)], now=later)
        assert work.reap(now=later + SECOND) == work.Reaped(0, 0)


class TestReap:
    def test_leaves_a_living_lease(self):
        run = a_run(1)
        claim(run)
        assert work.reap(now=NOW + work.lease()) == work.Reaped(0, 0)

    def test_frees_what_a_lost_worker_held_and_counts_its_call(self):
        run = a_run(2)
        claim(run)
        assert work.reap(now=AFTER_THE_LEASE) == work.Reaped(n_freed=2, n_failed=0)
        assert work.reap(now=AFTER_THE_LEASE) == work.Reaped(0, 0)
        assert set(run.results.values_list("state", "n_calls")) == {("waiting", 1)}

    def test_gives_up_a_row_after_three_lost_workers(self):
        run = a_run(1)
        now = NOW
        for _ in range(work.MAX_ATTEMPTS):
            assert len(claim(run, now=now)) == 1
            now += dt.timedelta(hours=1)
            work.reap(now=now)
        row = run.results.get()
        assert (row.state, row.n_calls, row.finished_at) == ("failed", 3, now)
        assert "worker_lost" in row.error
        assert set(row.scores.values_list("scorer", "value")) == {("exact_match", None), ("contains", None)}
        assert all("worker_lost" in reason for reason in row.scores.values_list("reason", flat=True))


class TestBudget:
    def test_no_more_calls_are_claimed_than_the_budget_holds(self):
        run = a_run(5, budget_calls=3)
        work.start(run, now=NOW)
        assert len(claim(run, 2)) == 2
        assert len(claim(run, 2)) == 1
        assert spent(run) == 3

    def test_what_is_left_fails_with_its_reason_when_it_is_used_up(self):
        run = a_run(5, budget_calls=3)
        work.start(run, now=NOW)
        held = claim(run, 3)
        assert claim(run) == []
        work.finish(run, [done(one) for one in held], now=NOW)
        assert states(run) == {"done": 3, "failed": 2}
        assert set(run.results.filter(state="failed").values_list("error", flat=True)) == {work.BUDGET_USED_UP}
        assert n_scores(run) == 10
        assert work.is_finished(run.pk)

    def test_a_retry_costs_another_call(self):
        run = a_run(1, budget_calls=1)
        work.start(run, now=NOW)
        (one,) = claim(run)
        work.finish(run, [again(one, not_before=NOW)], now=NOW)
        assert claim(run) == []
        assert run.results.get().error == work.BUDGET_USED_UP

    def test_a_call_that_was_never_made_goes_back(self):
        run = a_run(1, budget_calls=1)
        work.start(run, now=NOW)
        (one,) = claim(run)
        work.finish(run, [Finished(one, Result.State.FAILED, n_calls=0, error="no input")], now=NOW)
        assert spent(run) == 0

    def test_a_zombie_gives_nothing_back(self):
        run = a_run(1, budget_calls=2)
        work.start(run, now=NOW)
        (zombie,) = claim(run)
        work.reap(now=AFTER_THE_LEASE)
        work.finish(run, [Finished(zombie, Result.State.FAILED, n_calls=0)], now=AFTER_THE_LEASE)
        assert spent(run) == 1

    def test_what_was_reserved_beyond_the_rows_goes_back(self):
        run = a_run(1, budget_calls=10)
        work.start(run, now=NOW)
        claim(run, 5)
        assert spent(run) == 1
        assert allowances.spend(work.budget_key(run.pk), 100) == 9


class TestFailWaiting:
    def test_only_waiting_rows_fail_and_a_repeat_finds_none(self):
        run = a_run(3)
        claim(run, 1)
        assert work.fail_waiting(run, reason="no such connection", now=NOW) == 2
        assert work.fail_waiting(run, reason="no such connection", now=NOW) == 0
        assert states(run) == {"leased": 1, "failed": 2}
        assert n_scores(run) == 4


class TestWhatIsLeft:
    def test_a_run_with_claimable_rows_has_work(self):
        run = a_run(1)
        assert work.runs_with_work(now=NOW) == [run.pk]
        assert work.runs_to_conclude() == []
        (one,) = claim(run)
        assert work.runs_with_work(now=NOW) == []
        assert work.runs_to_conclude() == []
        work.finish(run, [done(one)], now=NOW)
        assert work.runs_to_conclude() == [run.pk]

    def test_baselines_come_before_their_candidates(self):
        project_run = a_run(0)
        candidate = Run.objects.get(pk=project_run.pk)
        baseline = a_run(0)
        Run.objects.filter(pk=candidate.pk).update(baseline=baseline)
        assert work.runs_to_conclude() == [baseline.pk, candidate.pk]
        assert work.candidates_of(baseline.pk) == [candidate.pk]

    def test_held_and_finished_runs_have_neither(self):
        a_run(1, state=Run.State.PAUSED)
        a_run(0, state=Run.State.DONE)
        assert work.runs_with_work(now=NOW) == []
        assert work.runs_to_conclude() == []


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_many_claimers_never_hold_the_same_row(self):
        run = a_run(60)
        claimed: list[int] = []
        line = threading.Barrier(6)

        def claim_all(worker: str) -> None:
            try:
                line.wait()
                while mine := claim(run, 3, worker=worker):
                    claimed.extend(one.result_id for one in mine)
            finally:
                connection.close()

        threads = [threading.Thread(target=claim_all, args=(f"w{n}",)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # A claimer that found every free row locked by another may have left early: no row twice is what holds.
        assert len(claimed) == len(set(claimed))
        claimed.extend(one.result_id for one in claim(run))
        assert sorted(claimed) == sorted(run.results.values_list("pk", flat=True))

    def test_claiming_against_a_budget_at_once_never_passes_it(self):
        run = a_run(30, budget_calls=10)
        work.start(run, now=NOW)
        claimed: list[int] = []
        line = threading.Barrier(4)

        def claim_all() -> None:
            try:
                line.wait()
                for _ in range(10):
                    claimed.extend(one.result_id for one in claim(run, 2))
            finally:
                connection.close()

        threads = [threading.Thread(target=claim_all) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(claimed) == 10
        assert states(run) == {"leased": 10, "failed": 20}
