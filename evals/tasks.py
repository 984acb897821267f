"""Bells of the evaluation room."""

from celery import shared_task

from core import bells, clock
from evals.engine import visits
from evals.services import work
from ledger import heartbeats


@shared_task(name="evals.tasks.drain")
def drain(run_id: int) -> None:
    """What could be done for the run in a minute is stored; if rows are left the bell is rung again.

    Losing this bell costs one sweep, doubling it one empty claim.
    """
    if visits.drain(run_id):
        bells.ring("evals.tasks.drain", run_id)


@shared_task(name="evals.tasks.sweep")
def sweep() -> None:
    """Rows of lost workers wait again, runs with work have as many visitors as workers live, finished runs end."""
    now = clock.now()
    work.reap(now=now)
    n_workers = max(1, heartbeats.n_alive("worker", now=now))
    for run_id in work.runs_with_work(now=now):
        for _ in range(n_workers - visits.n_visitors(run_id)):
            bells.ring("evals.tasks.drain", run_id)
    for run_id in work.runs_to_conclude():
        visits.conclude(run_id)
