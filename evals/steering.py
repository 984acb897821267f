"""What is done to runs from outside, by pages and by the API alike: the service, and then the bells."""

import datetime as dt

from core import bells
from evals import queries
from evals.models import Comparison, Run
from evals.services import comparisons, runs
from evals.services.planning import RunRequest
from projects.access import Actor

DRAIN = "evals.tasks.drain"


def start(request: RunRequest, *, by: Actor, now: dt.datetime) -> Run:
    """As `runs.create_run`; workers know of it and of its baseline."""
    run = runs.create_run(request=request, by=by, now=now)
    for run_id in (run.baseline_id, run.pk):
        if run_id is not None:
            bells.ring(DRAIN, run_id)
    return run


def cancel(run: Run, *, by: Actor, now: dt.datetime) -> None:
    """As `runs.cancel`; runs that waited to be compared with it are concluded."""
    runs.cancel(run=run, by=by, now=now)
    for candidate_id in queries.waiting_for(run):
        bells.ring(DRAIN, candidate_id)


def resume(run: Run, *, by: Actor, now: dt.datetime) -> None:
    """As `runs.resume`; workers know of it."""
    runs.resume(run=run, by=by, now=now)
    bells.ring(DRAIN, run.pk)


def compare(candidate: Run, baseline: Run, *, by: Actor, now: dt.datetime) -> Comparison:
    """As `comparisons.ask`; a worker knows of it."""
    found = comparisons.ask(candidate=candidate, baseline=baseline, by=by, now=now)
    if not found.is_finished:
        bells.ring(comparisons.BELL, found.pk)
    return found
