"""The work rows of runs: claimed under a lease, renewed, finished under its fence, freed when the lease ends.

A row's own `lease_token` is the fence: each claim raises it by one, and only who still holds that token on a leased
row may store an answer. Statements lock rows in the order of their ids, or skip what others have locked, so that
nobody waits in a circle.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, Min, OuterRef, Q

from evals.models import Result, Run
from evals.scorers import Panel, ScoreValue
from ledger import allowances

MAX_ATTEMPTS = 3
BUDGET_USED_UP = "budget used up: this run may make no further calls"
WORKER_LOST = f"worker_lost: {MAX_ATTEMPTS} workers ended, or stalled, while this case was in their hands"

ACTIVE = (Run.State.QUEUED, Run.State.RUNNING)
UNFINISHED = (Result.State.WAITING, Result.State.LEASED)


@dataclass(frozen=True)
class Work:
    """One claimed row: what is asked, what is expected, and the token under which the answer may be stored.

    It is the `Case` that scorers see.
    """

    result_id: int
    token: int
    attempt: int
    input: Any
    variables: dict[str, Any] | None
    expected: Any
    metadata: dict[str, Any]
    tags: list[str]


@dataclass(frozen=True)
class Finished:
    """What became of one piece of work: `done` or `failed` with its scores, or `waiting` for another attempt."""

    work: Work
    state: Result.State
    n_calls: int = 1
    output: str | None = None
    error: str = ""
    not_before: dt.datetime | None = None
    context_ids: Sequence[int] = ()
    latency_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    scores: Mapping[str, ScoreValue] = field(default_factory=dict)


def budget_key(run_id: int) -> str:
    """The allowance a run's calls are spent from."""
    return f"run:{run_id}:calls"


def lease() -> dt.timedelta:
    """How long a claim lasts without being renewed."""
    return dt.timedelta(seconds=settings.LEASE_SECONDS)


def start(run: Run, *, now: dt.datetime) -> bool:
    """A queued run is running from now; says whether the run may be worked on. A repeat changes nothing."""
    Run.objects.filter(pk=run.pk, state=Run.State.QUEUED).update(state=Run.State.RUNNING, started_at=now)
    if run.budget_calls is not None:
        allowances.open_allowance(budget_key(run.pk), capacity=run.budget_calls)
    return Run.objects.filter(pk=run.pk, state__in=ACTIVE).exists()


def claim(run: Run, *, want: int, worker: str, now: dt.datetime) -> list[Work]:
    """Up to `want` waiting rows of an active run are leased to this worker, each with a call reserved.

    Rows that others are just claiming are skipped. Where the run's budget of calls is used up, every row that still
    waits fails with that reason instead: a run ends, it never hangs.
    """
    with transaction.atomic():
        granted = want if run.budget_calls is None else allowances.spend(budget_key(run.pk), want)
        if granted == 0 < want:
            fail_waiting(run, reason=BUDGET_USED_UP, now=now)
        claimed = _lease(run.pk, granted, worker, now) if granted else []
        if run.budget_calls is not None:
            allowances.give_back(budget_key(run.pk), granted - len(claimed))
    return claimed


def renew(leases: Iterable[tuple[int, int]], *, now: dt.datetime) -> int:
    """The leases (result id, token) that are still held last longer; returns how many were.

    Rows that are being stored at this moment are left out: they need no lease any more.
    """
    ids, tokens = _columns(leases, 2)
    with connection.cursor() as cursor:
        cursor.execute(RENEW, [ids, tokens, now + lease()])
        return int(cursor.rowcount)


def finish(run: Run, batch: Sequence[Finished], *, now: dt.datetime) -> set[int]:
    """The answers are stored, each with its scores, in one transaction; returns the ids of the rows that took theirs.

    A row whose lease has passed to somebody else takes nothing: that answer is dropped, with its scores. Calls that
    were reserved and not made go back to the budget.
    """
    if not batch:
        return set()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(FINISH, [*_answer_columns(batch, now), *_score_columns(batch)])
        stored = {int(row[0]) for row in cursor.fetchall()}
        if run.budget_calls is not None:
            unused = sum(1 - one.n_calls for one in batch if one.work.result_id in stored)
            allowances.give_back(budget_key(run.pk), unused)
    return stored


def give_up(run: Run, works: Sequence[Work]) -> int:
    """Claimed work that was never begun waits again as if it had not been claimed; returns how many rows did."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(GIVE_UP, _columns(((work.result_id, work.token) for work in works), 2))
        n_back = int(cursor.rowcount)
        if run.budget_calls is not None:
            allowances.give_back(budget_key(run.pk), n_back)
    return n_back


def fail_waiting(run: Run, *, reason: str, now: dt.datetime) -> int:
    """Every row of the run that still waits has failed for this reason, with null scores; returns how many."""
    waiting = Result.objects.filter(run=run, state=Result.State.WAITING)
    with transaction.atomic(), connection.cursor() as cursor:
        ids = list(waiting.order_by("id").select_for_update().values_list("id", flat=True))
        waiting.filter(id__in=ids).update(state=Result.State.FAILED, error=reason, finished_at=now)
        cursor.execute(INSERT_SCORES, _null_score_columns({run.pk: ids}, {run.pk: run.scorers}, reason))
    return len(ids)


@dataclass(frozen=True)
class Reaped:
    """How many rows of lost workers wait again, and how many were given up for good."""

    n_freed: int
    n_failed: int


def reap(*, now: dt.datetime) -> Reaped:
    """No lease that has ended is left: its row waits again, or has failed after three attempts.

    The call that was open is counted as made. Any number of workers may reap at once.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(REAP, {"now": now, "most": MAX_ATTEMPTS, "reason": WORKER_LOST})
        found = cursor.fetchall()
        failed: dict[int, list[int]] = {}
        for result_id, run_id, state in found:
            if state == Result.State.FAILED:
                failed.setdefault(run_id, []).append(result_id)
        specs = dict(Run.objects.filter(pk__in=failed).values_list("pk", "scorers"))
        cursor.execute(INSERT_SCORES, _null_score_columns(failed, specs, WORKER_LOST))
    n_failed = sum(map(len, failed.values()))
    return Reaped(n_freed=len(found) - n_failed, n_failed=n_failed)


def next_moment(run_id: int, *, now: dt.datetime) -> dt.datetime | None:
    """When a row of the run can next be claimed (maybe now); None where nothing waits or the run is held."""
    waiting = Result.objects.filter(run=run_id, run__state__in=ACTIVE, state=Result.State.WAITING)
    if waiting.filter(Q(not_before=None) | Q(not_before__lte=now)).exists():
        return now
    moment: dt.datetime | None = waiting.aggregate(first=Min("not_before"))["first"]
    return moment


def has_work(run_id: int, *, now: dt.datetime) -> bool:
    """Whether a row of the run can be claimed now."""
    return next_moment(run_id, now=now) == now


def is_finished(run_id: int) -> bool:
    """Whether no row of the run waits or is in somebody's hands."""
    return not Result.objects.filter(run=run_id, state__in=UNFINISHED).exists()


def runs_with_work(*, now: dt.datetime) -> list[int]:
    """Active runs in which some row can be claimed now."""
    waiting = Result.objects.filter(run=OuterRef("pk"), state=Result.State.WAITING)
    claimable = waiting.filter(Q(not_before=None) | Q(not_before__lte=now))
    return list(_active().filter(Exists(claimable)).order_by("id").values_list("id", flat=True))


def runs_to_conclude() -> list[int]:
    """Active runs in which nothing is left to do, baselines before their candidates."""
    unfinished = Result.objects.filter(run=OuterRef("pk"), state__in=UNFINISHED)
    order = F("baseline_id").asc(nulls_first=True)
    return list(_active().filter(~Exists(unfinished)).order_by(order, "id").values_list("id", flat=True))


def candidates_of(run_id: int) -> list[int]:
    """Active runs that wait to be compared with this one."""
    return list(_active().filter(baseline=run_id).order_by("id").values_list("id", flat=True))


def _active() -> Any:
    return Run.objects.filter(state__in=ACTIVE)


def _lease(run_id: int, n: int, worker: str, now: dt.datetime) -> list[Work]:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, {"run": run_id, "now": now, "n": n, "until": now + lease(), "worker": worker[:200]})
        return sorted((_work(*row) for row in cursor.fetchall()), key=lambda work: work.result_id)


def _work(result_id: int, token: int, attempt: int, tags: list[str], *texts: str | None) -> Work:
    asked, variables, expected, metadata = (None if text is None else orjson.loads(text) for text in texts)
    return Work(result_id, token, attempt, asked, variables, expected, metadata or {}, tags)


def _columns(rows: Iterable[Sequence[Any]], width: int) -> list[list[Any]]:
    """Rows as one list per column, as `unnest` takes them."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]


def _answer_columns(batch: Sequence[Finished], now: dt.datetime) -> list[list[Any]]:
    return _columns((_answer_row(one, now) for one in batch), 12)


def _answer_row(one: Finished, now: dt.datetime) -> tuple[Any, ...]:
    return (
        one.work.result_id,
        one.work.token,
        one.state.value,
        one.n_calls,
        None if one.output is None else orjson.dumps(storable(one.output)).decode(),
        storable(one.error),
        one.not_before,
        None if one.state == Result.State.WAITING else now,
        "{" + ",".join(map(str, one.context_ids)) + "}",
        one.latency_ms,
        one.input_tokens,
        one.output_tokens,
    )


def _score_columns(batch: Sequence[Finished]) -> list[list[Any]]:
    rows = (
        (one.work.result_id, scorer, score.value, storable(score.reason))
        for one in batch
        for scorer, score in one.scores.items()
    )
    return _columns(rows, 4)


def _null_score_columns(failed: Mapping[int, Sequence[int]], specs: Mapping[int, Any], reason: str) -> list[list[Any]]:
    """A null score of every scorer of its run for each failed result, the results given by run."""
    rows = (
        (result_id, scorer, score.value, score.reason)
        for run_id, result_ids in failed.items()
        for scorer, score in Panel(specs[run_id]).no_answer(reason).items()
        for result_id in result_ids
    )
    return _columns(rows, 4)


def storable(text: str) -> str:
    """The text with what PostgreSQL cannot hold (NUL, lone surrogates) replaced by U+FFFD."""
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


CLAIM = """
WITH picked AS (
    SELECT r.id FROM evals_result r
    WHERE r.run_id = %(run)s AND r.state = 'waiting' AND (r.not_before IS NULL OR r.not_before <= %(now)s)
      AND EXISTS (SELECT 1 FROM evals_run WHERE id = %(run)s AND state IN ('queued', 'running'))
    ORDER BY r.id LIMIT %(n)s FOR UPDATE OF r SKIP LOCKED
)
UPDATE evals_result r
SET state = 'leased', attempts = r.attempts + 1, lease_token = r.lease_token + 1, lease_until = %(until)s,
    call_started_at = %(now)s, worker = %(worker)s
FROM picked, evals_goldencase c
WHERE r.id = picked.id AND c.id = r.case_id
RETURNING r.id, r.lease_token, r.attempts, c.tags, c.input::text, c.variables::text, c.expected::text,
    c.metadata::text
"""

RENEW = """
WITH held AS (
    SELECT r.id FROM evals_result r JOIN unnest(%s::bigint[], %s::bigint[]) AS g(id, token) USING (id)
    WHERE r.lease_token = g.token AND r.state = 'leased'
    ORDER BY r.id FOR UPDATE OF r SKIP LOCKED
)
UPDATE evals_result r SET lease_until = %s FROM held WHERE r.id = held.id
"""

FINISH = """
WITH given AS (
    SELECT * FROM unnest(
        %s::bigint[], %s::bigint[], %s::text[], %s::int[], %s::jsonb[], %s::text[], %s::timestamptz[],
        %s::timestamptz[], %s::text[], %s::float8[], %s::bigint[], %s::bigint[]
    ) AS g(id, token, state, n_calls, output, error, not_before, finished_at, context_ids, latency_ms,
           input_tokens, output_tokens)
), held AS (
    SELECT r.id FROM evals_result r JOIN given USING (id)
    WHERE r.lease_token = given.token AND r.state = 'leased'
    ORDER BY r.id FOR UPDATE OF r
), stored AS (
    UPDATE evals_result r
    SET state = g.state, n_calls = r.n_calls + g.n_calls, output = g.output, error = g.error, not_before = g.not_before,
        finished_at = g.finished_at, context_ids = g.context_ids::bigint[], latency_ms = g.latency_ms,
        input_tokens = g.input_tokens, output_tokens = g.output_tokens, lease_until = NULL
    FROM given g JOIN held USING (id)
    WHERE r.id = g.id
    RETURNING r.id
), scored AS (
    INSERT INTO evals_score (result_id, scorer, value, reason)
    SELECT s.result_id, s.scorer, s.value, s.reason
    FROM unnest(%s::bigint[], %s::text[], %s::float8[], %s::text[]) AS s(result_id, scorer, value, reason)
    JOIN stored ON stored.id = s.result_id
)
SELECT id FROM stored
"""

GIVE_UP = """
WITH held AS (
    SELECT r.id FROM evals_result r JOIN unnest(%s::bigint[], %s::bigint[]) AS g(id, token) USING (id)
    WHERE r.lease_token = g.token AND r.state = 'leased'
    ORDER BY r.id FOR UPDATE OF r
)
UPDATE evals_result r
SET state = 'waiting', attempts = r.attempts - 1, lease_until = NULL, call_started_at = NULL, worker = ''
FROM held WHERE r.id = held.id
"""

INSERT_SCORES = """
INSERT INTO evals_score (result_id, scorer, value, reason)
SELECT * FROM unnest(%s::bigint[], %s::text[], %s::float8[], %s::text[])
"""

REAP = """
WITH ended AS (
    SELECT id FROM evals_result WHERE state = 'leased' AND lease_until < %(now)s ORDER BY id FOR UPDATE SKIP LOCKED
)
UPDATE evals_result r
SET state = CASE WHEN r.attempts >= %(most)s THEN 'failed' ELSE 'waiting' END,
    error = CASE WHEN r.attempts >= %(most)s THEN %(reason)s ELSE r.error END,
    finished_at = CASE WHEN r.attempts >= %(most)s THEN %(now)s::timestamptz END,
    n_calls = r.n_calls + 1, lease_until = NULL
FROM ended WHERE r.id = ended.id
RETURNING r.id, r.run_id, r.state
"""
