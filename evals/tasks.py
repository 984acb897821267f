"""Bells of the evaluation room."""

from celery import shared_task

from core import bells, clock
from evals.engine import comparing, tryout, visits
from evals.models import Comparison, Tryout
from evals.services import comparisons, errands, tryouts, work


@shared_task(name="evals.tasks.drain")
def drain(run_id: int) -> None:
    """What could be done for the run in a minute is stored; if rows are left the bell is rung again.

    Whoever comes first calls the other workers. Losing this bell costs one sweep, doubling it one empty claim.
    """
    if visits.drain(run_id, call_others=lambda n: _ring(run_id, n)):
        _ring(run_id, 1)


@shared_task(name="evals.tasks.try_out")
def try_out(tryout_id: int) -> None:
    """The try-out has its answer or its error; a second bell finds nothing to do."""
    tryout.answer(tryout_id)


@shared_task(name="evals.tasks.compare")
def compare(comparison_id: int) -> None:
    """The two runs are compared; a second bell finds nothing to do."""
    comparing.work_out(comparison_id, now=clock.now())


@shared_task(name="evals.tasks.forget")
def forget() -> None:
    """Try-outs past their time are dropped; a repeat finds nothing."""
    tryouts.forget(now=clock.now())


@shared_task(name="evals.tasks.sweep")
def sweep() -> None:
    """Rows of lost workers wait again, runs with work have as many visitors as workers live, finished runs end.

    Try-outs and comparisons whose bell was lost are rung for again.
    """
    now = clock.now()
    work.reap(now=now)
    for run_id in work.runs_with_work(now=now):
        _ring(run_id, visits.n_missing(run_id))
    for run_id in work.runs_to_conclude():
        visits.conclude(run_id)
    for kind, bell in ((Tryout, tryouts.BELL), (Comparison, comparisons.BELL)):
        for errand_id in errands.waiting(kind, now=now):
            bells.ring(bell, errand_id)


def _ring(run_id: int, times: int) -> None:
    for _ in range(times):
        bells.ring("evals.tasks.drain", run_id)
