"""What many requests brought, stored by one transaction; each gets the answer that the commit makes true."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.problems import Problem
from ledger.idempotency import StoredAnswer
from outputs import senders
from outputs.ingest import routes
from outputs.ingest.answers import Answer
from outputs.ingest.counting import count_of
from outputs.ingest.routes import Batch, Outcome
from outputs.senders import Sender
from outputs.services import contents, feedback, landing, outputs, repeats, steps, tallies
from outputs.services.landing import Arrival, Connection, Fate
from outputs.services.repeats import Ask
from outputs.services.tallies import Count, Source

OUTPUTS = "outputs"
FEEDBACK = "feedback"
STEPS = "steps"
SAYINGS = "sayings"
# In this order in every transaction, so that two of them wait for each other and never block each other.
STORES = {
    OUTPUTS: outputs.store_outputs,
    STEPS: steps.store_steps,
    SAYINGS: contents.store_sayings,
    FEEDBACK: feedback.store_feedback,
}


@dataclass(eq=False)
class Submission:
    """One request on its way: who sends, what it brought, how it is answered, its Idempotency-Key, how it counts."""

    sender: Sender
    batch: Batch
    answer: Callable[[Outcome], Answer]
    ask: Ask | None = None
    source: Source | None = None
    n_bytes: int = 0
    # What became of it, once the transaction stands; None where nothing did.
    count: Count | None = None

    @property
    def n_rows(self) -> int:
        return self.batch.n_rows


async def store(
    connection: Connection, submissions: Sequence[Submission], *, now: dt.datetime
) -> list[Answer | Problem]:
    """All of it stands, or nothing does; the answers are true once this returns.

    A sender that lost its right meanwhile is refused, a key used before gets its stored answer, and neither
    touches the others.

    Args:
        connection: from `Line.use`, in autocommit mode.
        submissions: no two with the same Idempotency-Key.
        now: the moment of arrival.

    Returns:
        one answer for each submission, in the same order; a problem where nothing of it was stored.
    """
    for submission in submissions:
        submission.count = None  # what an earlier try counted never was
    async with landing.undone(connection):
        # What is asked first goes with the beginning, and what is said last with the end: each wait costs.
        async with connection.pipeline():
            await connection.execute("BEGIN")
            refused = await senders.refused(connection, (submission.sender for submission in submissions))
        answered: dict[Submission, Answer | Problem] = {
            s: refused[s.sender] for s in submissions if s.sender in refused
        }
        answered |= await _repeated(connection, [s for s in submissions if s.ask and s not in answered])
        answered |= await _stored(connection, [s for s in submissions if s not in answered], now)
        async with connection.pipeline():
            await _count(connection, submissions, now)
            await connection.execute("COMMIT")
    return [answered[submission] for submission in submissions]


async def _repeated(connection: Connection, asking: list[Submission]) -> dict[Submission, Answer | Problem]:
    by_ask = {submission.ask: submission for submission in asking if submission.ask}
    if not by_ask:
        return {}
    known = await repeats.begin(connection, list(by_ask))
    for ask, found in known.items():
        if isinstance(found, StoredAnswer):
            again = by_ask[ask]
            again.count = count_of(Outcome(0, again.n_rows + again.batch.n_silent, again.batch.rejected), again.n_bytes)
    return {
        by_ask[ask]: Answer(found.status, found.body, found.headers) if isinstance(found, StoredAnswer) else found
        for ask, found in known.items()
    }


async def _stored(connection: Connection, todo: Sequence[Submission], now: dt.datetime) -> dict[Submission, Answer]:
    told = {submission: _Told(submission) for submission in todo}
    for kind, store_kind in STORES.items():
        rows = [(told[s], place, arrival) for s in todo for place, arrival in s.batch.rows.get(kind, ())]
        beside = [(told[s], arrival) for s in todo for arrival in s.batch.along.get(kind, ())]
        if not rows and not beside:
            continue
        fates = await store_kind(connection, [a for _, _, a in rows] + [a for _, a in beside], now=now)
        for (of, place, arrival), fate in zip(rows, fates[: len(rows)], strict=True):
            of.note(place, fate)
            of.keep(kind, arrival, fate)
        for (of, arrival), fate in zip(beside, fates[len(rows) :], strict=True):
            of.keep(kind, arrival, fate)
    answered = {}
    for submission, found in told.items():
        outcome = found.outcome()
        submission.count = count_of(outcome, submission.n_bytes)
        submission.count.stored, submission.count.redacted = found.stored, found.redacted
        answer = submission.answer(outcome)
        answered[submission] = answer
        if submission.ask is None:
            continue
        if answer.status < 300:
            kept = StoredAnswer(status=answer.status, headers=dict(answer.headers), body=answer.body)
            await repeats.finish(connection, submission.ask, kept)
        else:
            await repeats.give_back(connection, submission.ask)
    return answered


async def _count(connection: Connection, submissions: Sequence[Submission], now: dt.datetime) -> None:
    """The tally of these submissions stands: one row for each source."""
    counts: dict[Source, Count] = {}
    for submission in submissions:
        if submission.source is not None and submission.count is not None:
            counts.setdefault(submission.source, Count()).add(submission.count)
    await tallies.count(connection, counts, now=now)


class _Told:
    """Counts what became of one submission's rows."""

    def __init__(self, submission: Submission) -> None:
        self._rejected = dict(submission.batch.rejected)
        self._counts: Counter[Fate] = Counter({Fate.ACCEPTED: submission.batch.n_silent})
        self.stored: Counter[str] = Counter()
        self.redacted: Counter[str] = Counter()

    def keep(self, kind: str, arrival: Arrival, fate: Fate) -> None:
        if fate is Fate.ACCEPTED:
            self.stored[kind] += 1
            if arrival.redacted:
                self.redacted.update(arrival.redacted)

    def note(self, place: int, fate: Fate) -> None:
        self._counts[fate] += 1
        if fate is Fate.CONFLICT:
            self._rejected[place] = routes.said_otherwise()

    def outcome(self) -> Outcome:
        return Outcome(self._counts[Fate.ACCEPTED], self._counts[Fate.DUPLICATE], self._rejected)
