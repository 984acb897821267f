"""From a bell to a visit: what a run asks of whom, and what is to be done when nothing is left."""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass

from connections import queries as connections
from connections.queries import Endpoint
from core import clock, outbound
from core.problems import Conflict, Problem
from evals.engine.drain import CLAIMING_S, Drain
from evals.engine.share import Share, visitors, width_key
from evals.models import Run
from evals.scorers import Panel
from evals.services import runs, work
from evals.targets.prompt import PromptTarget
from ledger import allowances, heartbeats
from prompts import queries as prompts
from prompts.rendering import Serving

logger = logging.getLogger(__name__)


def drain(run_id: int, *, call_others: Callable[[int], None] = lambda n: None, claiming_s: float = CLAIMING_S) -> bool:
    """What this process could do for the run in a minute is stored; says whether rows are left to claim.

    A run whose rows are all finished is concluded, and so are runs that waited to be compared with it. A repeat, or
    a visit to a run that is paused, over or gone, finds nothing to do.

    Args:
        run_id: of the run.
        call_others: told how many living workers are not at work on the run yet.
        claiming_s: for how long new work is claimed.
    """
    run = Run.objects.select_related("revision").filter(pk=run_id).first()
    if run is None or not work.start(run, now=clock.now()):
        return False
    casting = _casting(run) if work.next_moment(run_id, now=clock.now()) is not None else None
    if casting is not None:
        share = casting.share(run)
        share.arrive()
        call_others(n_missing(run_id))
        asyncio.run(_drained(run, casting, share, claiming_s))
    conclude(run_id)
    # Where nobody can answer yet, the sweep comes back; a bell would be rung without end.
    return casting is not None and work.has_work(run_id, now=clock.now())


def conclude(run_id: int) -> None:
    """If nothing of the run is left to do it has its final state, and so have those that waited for it."""
    if not work.is_finished(run_id):
        return
    allowances.close_allowance(width_key(run_id))
    for one in (run_id, *work.candidates_of(run_id)):
        runs.conclude(one, now=clock.now())


def n_missing(run_id: int) -> int:
    """How many living workers are not at work on a run that has rows to claim."""
    now = clock.now()
    if not work.has_work(run_id, now=now):
        return 0
    visiting = {worker_of(holder) for holder in visitors(run_id, now=now)}
    return max(0, max(1, heartbeats.n_alive("worker", now=now)) - len(visiting))


def worker_of(visitor: str) -> str:
    """`host:pid` of the main process of the worker that a visitor belongs to."""
    return visitor.rsplit(":", 2)[0]


def _visitor() -> str:
    """A name for one visit of this process, which is a child of its worker's main process."""
    return f"{socket.gethostname()}:{os.getppid()}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Casting:
    """Who answers a run's cases."""

    serving: Serving
    endpoint: Endpoint

    def share(self, run: Run) -> Share:
        """What this visit may hold of the run's and the endpoint's width."""
        widest = self.endpoint.concurrency
        return Share(
            holder=_visitor(),
            run_id=run.pk,
            endpoint_key=self.endpoint.allowance_key,
            endpoint_width=widest,
            run_width=min(run.concurrency or widest, widest),
        )


def _casting(run: Run) -> Casting | None:
    """None where nobody can answer: then what waits has failed for that reason, or a later visit finds out."""
    assert run.revision is not None, "held by the constraint run_prompt_target_has_revision"  # noqa: S101
    try:
        endpoint = connections.resolve(run.project_id, run.model or run.revision.model)
        if run.endpoint and run.endpoint != endpoint.identity:
            raise Conflict("the connection was changed since the run began: start a new run")
        return Casting(prompts.serving(run.revision), endpoint)
    except Problem as problem:
        logger.warning("run %d cannot be worked on: %s", run.pk, problem.detail)
        if problem.retry_after is None:
            work.fail_waiting(run, reason=problem.detail, now=clock.now())
        return None


async def _drained(run: Run, casting: Casting, share: Share, claiming_s: float) -> None:
    async with outbound.client() as client:
        target = PromptTarget(casting.serving, casting.endpoint, client)
        await Drain(run, target, Panel(run.scorers), share, claiming_s).work()
