"""One try-out from claim to answer, on the path that runs take."""

import asyncio
import contextlib
import datetime as dt
import hashlib
import os
import secrets
import socket
import time
from collections.abc import Iterator

from django.conf import settings

from connections import queries as connections
from connections.queries import Endpoint
from core import clock, outbound
from core.problems import Problem
from evals.engine.keeper import kept
from evals.models import Tryout
from evals.services import errands, tryouts
from evals.targets import Answer, Question
from evals.targets.prompt import PromptTarget
from ledger import allowances
from prompts import queries as prompts
from prompts.rendering import Serving

# An endpoint that is full of runs makes room within a few seconds: its slots are shared fairly.
PATIENCE_S = 10.0
LOOK_AGAIN_S = 0.2


def answer(tryout_id: int) -> None:
    """The try-out has its answer, or says why not; one that is finished, gone or in other hands is left alone.

    Where the endpoint has no slot, or the revision's index is not ready, it waits for the next bell.
    """
    tryout = errands.claim(Tryout, tryout_id, now=clock.now())
    if tryout is None:
        return
    with kept(tryout):
        found = _answered(tryout)
    if found is None:
        errands.give_up(tryout)
    else:
        tryouts.store(tryout=tryout, answer=found, now=clock.now())


def _answered(tryout: Tryout) -> Answer | None:
    try:
        endpoint = connections.resolve(tryout.project_id, tryout.revision.model)
        serving = prompts.serving(tryout.revision)
    except Problem as problem:
        return None if problem.retry_after is not None else Answer(text=None, error=problem.detail, n_calls=0)
    question = Question(input=tryout.input or {}, variables=tryout.variables, key=_key(tryout))
    with _slot(endpoint) as is_free:
        return asyncio.run(_asked(serving, endpoint, question)) if is_free else None


async def _asked(serving: Serving, endpoint: Endpoint, question: Question) -> Answer:
    async with outbound.client() as client:
        return await PromptTarget(serving, endpoint, client).answer(question)


@contextlib.contextmanager
def _slot(endpoint: Endpoint) -> Iterator[bool]:
    """One of the endpoint's slots is ours inside the block; says whether there was one within our patience."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    allowances.open_allowance(endpoint.allowance_key, capacity=endpoint.concurrency)
    give_up_at = time.monotonic() + PATIENCE_S
    # A call may take as long as the gate lets it; who dies meanwhile keeps one slot for no longer than that.
    longest = dt.timedelta(seconds=outbound.DEFAULT_LIMITS.total_s + settings.LEASE_SECONDS)
    try:
        while not (is_free := _held(endpoint, holder, longest)) and time.monotonic() < give_up_at:
            time.sleep(LOOK_AGAIN_S)
        yield is_free
    finally:
        allowances.release(endpoint.allowance_key, holder=holder)


def _held(endpoint: Endpoint, holder: str, lease: dt.timedelta) -> bool:
    return allowances.hold(endpoint.allowance_key, holder=holder, want=1, now=clock.now(), lease=lease) == 1


def _key(tryout: Tryout) -> str:
    """The same for every attempt at one try-out, and for nothing else anywhere."""
    asked = f"tryout {tryout.pk} {tryout.created_at.isoformat()}"
    return "ratchet-" + hashlib.blake2b(asked.encode(), digest_size=16).hexdigest()
