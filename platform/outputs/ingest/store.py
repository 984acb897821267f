"""What many requests brought, stored by one transaction; each gets the answer that the commit makes true."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from core.problems import FieldError, Problem
from ledger.idempotency import StoredAnswer
from outputs import senders
from outputs.ingest import answers
from outputs.ingest.answers import Answer
from outputs.ingest.batches import Batch
from outputs.senders import Sender
from outputs.services import feedback, outputs, repeats
from outputs.services.repeats import Ask
from outputs.services.staging import Arrival, Connection, Fate

OUTPUTS = "outputs"
FEEDBACK = "feedback"
STORES = {OUTPUTS: outputs.store_outputs, FEEDBACK: feedback.store_feedback}

SAID_OTHERWISE = "belongs to a row that says something else; use a new id for new content"


@dataclass(eq=False)
class Submission:
    """One request on its way: who sends, the kind of its rows, the rows, and its Idempotency-Key."""

    sender: Sender
    kind: str
    batch: Batch
    ask: Ask | None = None

    @property
    def n_rows(self) -> int:
        return len(self.batch.rows)


async def store(connection: Connection, submissions: Sequence[Submission], *, now: dt.datetime) -> list[Answer]:
    """All of it stands, or nothing does; the answers are true once this returns.

    A sender that lost its right meanwhile is refused, a key used before gets its stored answer, and neither
    touches the others.

    Args:
        connection: from `Line.use`, in autocommit mode.
        submissions: no two with the same Idempotency-Key.
        now: the moment of arrival.

    Returns:
        one answer for each submission, in the same order.
    """
    async with connection.transaction():
        answered: dict[Submission, Answer] = {}
        refused = await senders.refused(connection, (submission.sender for submission in submissions))
        for submission in submissions:
            if submission.sender in refused:
                answered[submission] = answers.of_problem(refused[submission.sender])
        answered |= await _repeated(connection, [s for s in submissions if s.ask and s not in answered])
        for kind in STORES:
            todo = [s for s in submissions if s.kind == kind and s not in answered]
            answered |= await _stored(connection, kind, todo, now)
    return [answered[submission] for submission in submissions]


async def _repeated(connection: Connection, asking: list[Submission]) -> dict[Submission, Answer]:
    by_ask = {submission.ask: submission for submission in asking if submission.ask}
    if not by_ask:
        return {}
    known = await repeats.begin(connection, list(by_ask))
    return {
        by_ask[ask]: Answer(found.status, found.body, found.headers)
        if isinstance(found, StoredAnswer)
        else answers.of_problem(found)
        for ask, found in known.items()
    }


async def _stored(
    connection: Connection, kind: str, todo: list[Submission], now: dt.datetime
) -> dict[Submission, Answer]:
    arrivals: list[Arrival] = [arrival for submission in todo for _, arrival in submission.batch.rows]
    fates = iter(await STORES[kind](connection, arrivals, now=now) if arrivals else ())
    answered = {}
    for submission in todo:
        answer = _answer(submission.batch, [next(fates) for _ in submission.batch.rows])
        answered[submission] = answer
        if submission.ask is None:
            continue
        if answer.status < 300:
            kept = StoredAnswer(status=answer.status, headers=dict(answer.headers), body=answer.body)
            await repeats.finish(connection, submission.ask, kept)
        else:
            await repeats.give_back(connection, submission.ask)
    return answered


def _answer(batch: Batch, fates: list[Fate]) -> Answer:
    """201 with what became of the rows, or 400 where every one of them is bad."""
    rejected = dict(batch.rejected)
    for (place, _), fate in zip(batch.rows, fates, strict=True):
        if fate is Fate.CONFLICT:
            rejected[place] = (FieldError("id", SAID_OTHERWISE),)
    if rejected and len(rejected) == len(batch.rows) + len(batch.rejected):
        return answers.of_problem(nothing_stored(rejected))
    counts = {"accepted": fates.count(Fate.ACCEPTED), "duplicates": fates.count(Fate.DUPLICATE)}
    return Answer(201, orjson.dumps({**counts, "rejected": _shown(rejected)}))


Rejections = Mapping[int, tuple[FieldError, ...]]


def nothing_stored(rejected: Rejections) -> Problem:
    """Every row is bad: a problem that names each."""
    errors = [FieldError(error.field, error.message, place) for place in sorted(rejected) for error in rejected[place]]
    detail = f"None of the {len(rejected)} rows was stored." if len(rejected) > 1 else "The row was not stored."
    return Problem(400, detail, errors=errors, extra={"rejected": _shown(rejected)})


def _shown(rejected: Rejections) -> list[dict[str, Any]]:
    return [{"index": place, "errors": [error.as_dict() for error in rejected[place]]} for place in sorted(rejected)]
