"""Runs: made with all their work in one go, paused, cancelled, and concluded once nothing is left to do."""

import datetime as dt
import logging
from typing import Any

from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from core.problems import Conflict
from evals import comparison, gate, queries, scorers
from evals.comparison import Sheet
from evals.gate import Demand, Judgement
from evals.models import Result, Run, Score
from evals.scorers import Panel
from evals.services import looks, planning, work
from evals.services.looks import Standing
from evals.services.planning import Answerer, Plan, RunRequest
from projects.access import Actor

State = Run.State
LIVE = (State.QUEUED, State.RUNNING)
RESULTS_AT_ONCE = 2_000
LONGEST_FAULT = 500

logger = logging.getLogger(__name__)


class WrongState(Conflict):
    """The run is over, or not in a state from which this can be done."""

    def __init__(self, run: Run, verb: str) -> None:
        super().__init__(f"Run {run.pk} is {run.state}; it cannot be {verb}.")


def create_run(*, request: RunRequest, by: Actor, now: dt.datetime) -> Run:
    """There is a run with all its work waiting, and a baseline run where it needs one that is not there.

    A run that shows gate scores of a revision which is not active takes a look first; with none left it is
    cancelled from the start and says so. Recorded answers are finished at once and scored by a worker.
    Ring `evals.tasks.drain` for the run and its baseline afterwards.

    Raises:
        Missing, Invalid, Unprocessable: see `planning.plan`.
    """
    with transaction.atomic():
        plan = planning.plan(request, by.project)
        standing = _reserved(plan) if plan.is_look else None
        if standing is not None and not standing.left:
            return _spent(plan, by, now)
        baseline = plan.baseline
        if plan.baseline_answerer is not None:
            baseline = _standing_run(plan, plan.baseline_answerer, by) or _baseline_run(
                plan, plan.baseline_answerer, by, now
            )
        run = _insert(plan, plan.answerer, baseline=baseline, by=by, now=now)
        if standing is not None:
            looks.record(run=run, prompt=plan.prompt, epoch=standing.epoch, now=now)
    return run


def conclude(run_id: int, *, now: dt.datetime) -> bool:
    """If all is answered, and its baseline concluded, the run has scores, final state and verdict.

    Says whether this call did it. A repeat, a call too early and two at once do nothing more: the run's row
    is locked. Answers without a score (adopted or recorded ones) get it first; a look at nothing but errors is
    given back. For workers: it may resample.

    A fault in scoring or judging ends the run as `failed`, names itself as the reason, and leaves the gate
    inconclusive: it would come again at every attempt. The database's own errors pass, and are tried again.
    """
    try:
        return _conclude(run_id, now)
    except DatabaseError:
        raise
    except Exception as fault:
        logger.exception("run %d could not be scored and judged", run_id)
        return _fail(run_id, fault, now)


def cancel(*, run: Run, by: Actor, now: dt.datetime) -> Run:
    """No further case of the run is asked; what is in flight is dropped, what is stored stays.

    Its look is free again if no score was stored. A repeat changes nothing.

    Raises:
        WrongState: it is over already.
    """
    with transaction.atomic():
        locked = Run.objects.select_for_update().get(pk=run.pk)
        if locked.state == State.CANCELLED:
            return locked
        if locked.state not in (*LIVE, State.PAUSED):
            raise WrongState(locked, "cancelled")
        locked.state, locked.ended_at, locked.reason = State.CANCELLED, now, f"cancelled by {by.name}"
        locked.save(update_fields=["state", "ended_at", "reason"])
        _drop_unfinished(locked)
        looks.give_back(run=locked, now=now)
    return locked


def pause(*, run: Run, by: Actor, now: dt.datetime) -> Run:
    """No further case is claimed; what is in flight is stored. A repeat changes nothing.

    Raises:
        WrongState: it is over.
    """
    return _move(run, from_states=LIVE, to=State.PAUSED, verb="paused")


def resume(*, run: Run, by: Actor, now: dt.datetime) -> Run:
    """A paused run waits for a worker again. A repeat changes nothing. Ring `evals.tasks.drain` afterwards.

    Raises:
        WrongState: it is over.
    """
    return _move(run, from_states=(State.PAUSED,), to=State.QUEUED, verb="resumed", already=LIVE)


def _move(run: Run, *, from_states: tuple[State, ...], to: State, verb: str, already: tuple[State, ...] = ()) -> Run:
    with transaction.atomic():
        locked = Run.objects.select_for_update().get(pk=run.pk)
        if locked.state in (to, *already):
            return locked
        if locked.state not in from_states:
            raise WrongState(locked, verb)
        locked.state = to
        locked.save(update_fields=["state"])
    return locked


def spend(*, run: Run, now: dt.datetime) -> None:
    """The run has served a release and is evidence for no other. A repeat keeps the first moment."""
    Run.objects.filter(pk=run.pk, spent_at=None).update(spent_at=now)


def _conclude(run_id: int, now: dt.datetime) -> bool:
    with transaction.atomic():
        run = _locked(run_id)
        if run is None or run.state not in LIVE or _is_unfinished(run):
            return False
        if run.baseline is not None and run.baseline.state in (*LIVE, State.PAUSED):
            return False
        _score_what_is_missing(run)
        sheet = queries.sheet(run)
        run.scores = _figures(run, sheet)
        run.gate = None if run.gate_asked is None else _judged(run, sheet).as_dict()
        run.state, run.reason = _final_state(run, sheet)
        _end(run, now)
    return True


def _fail(run_id: int, fault: Exception, now: dt.datetime) -> bool:
    """The run is over without scores of its own; says whether this call ended it."""
    said = work.storable(f"{type(fault).__name__}: {fault}")[:LONGEST_FAULT]
    reason = f"its answers could not be scored and judged, {said}"
    with transaction.atomic():
        run = _locked(run_id)
        if run is None or run.state not in LIVE:
            return False
        if run.gate_asked is not None:
            run.gate = gate.undecided(reason, demand_of(run)).as_dict()
        run.state, run.reason = State.FAILED, reason
        _end(run, now)
    return True


def _end(run: Run, now: dt.datetime) -> None:
    run.started_at, run.ended_at = run.started_at or now, now
    run.save(update_fields=["scores", "gate", "state", "reason", "started_at", "ended_at"])
    looks.give_back(run=run, now=now)


def _reserved(plan: Plan) -> Standing:
    looks.lock(plan.version.golden_set_id)
    limit = None if plan.policy is None else plan.policy.looks
    return looks.standing(version=plan.version, prompt=plan.prompt, limit=limit)


def _spent(plan: Plan, by: Actor, now: dt.datetime) -> Run:
    """A run that asks nothing, because its exam may not be looked at again."""
    judgement = gate.undecided(gate.REFRESH, plan.demand or Demand())
    run = _row(plan, plan.answerer, baseline=plan.baseline, by=by, now=now)
    run.state, run.reason, run.gate, run.ended_at = State.CANCELLED, gate.REFRESH, judgement.as_dict(), now
    run.save()
    return run


def _standing_run(plan: Plan, answerer: Answerer, by: Actor) -> Run | None:
    """A run of the active revision from the very same recipe, done or on its way, in which no answer errored."""
    errors = Result.objects.filter(run=OuterRef("pk"), state=Result.State.FAILED)
    found = Run.objects.filter(~Exists(errors), project=by.project, recipe_hash=plan.recipe_hash(answerer))
    done = found.filter(state=State.DONE)
    live = found.filter(state__in=LIVE, reuses_results=True)
    return done.order_by("-id").first() or live.order_by("-id").first()


def _baseline_run(plan: Plan, answerer: Answerer, by: Actor, now: dt.datetime) -> Run:
    """A run of the active revision, with every stored answer of equal work adopted."""
    return _insert(plan, answerer, baseline=None, by=by, now=now, is_baseline=True)


def _insert(
    plan: Plan,
    answerer: Answerer | None,
    *,
    baseline: Run | None,
    by: Actor,
    now: dt.datetime,
    is_baseline: bool = False,
) -> Run:
    run = _row(plan, answerer, baseline=baseline, by=by, now=now, is_baseline=is_baseline)
    run.save()
    run.n_results = _insert_results(run, plan, answerer, now)
    run.save(update_fields=["n_results"])
    return run


def _row(
    plan: Plan,
    answerer: Answerer | None,
    *,
    baseline: Run | None,
    by: Actor,
    now: dt.datetime,
    is_baseline: bool = False,
) -> Run:
    asks = plan.demand is not None and not is_baseline
    return Run(
        project=by.project,
        golden_version=plan.version,
        part=plan.part,
        target_kind=Run.TargetKind.RECORDED if answerer is None else Run.TargetKind.PROMPT,
        revision=None if answerer is None else answerer.revision,
        connection_id=None if answerer is None else answerer.endpoint.connection_id,
        model="" if answerer is None else answerer.model,
        scorers=plan.scorers,
        trials=plan.trials,
        concurrency=plan.concurrency,
        seed=plan.seed,
        budget_calls=None if is_baseline else plan.budget_calls,
        reuses_results=is_baseline,
        recipe_hash="" if answerer is None else plan.recipe_hash(answerer),
        endpoint="" if answerer is None else answerer.endpoint.identity,
        policy=None if is_baseline else plan.policy,
        baseline=baseline,
        gate_asked=_asked(plan) if asks else None,
        n_results=0,
        created_at=now,
        created_by=by.name,
    )


def _asked(plan: Plan) -> dict[str, Any]:
    assert plan.demand is not None  # noqa: S101  # asked where there is one
    return {**plan.demand.as_dict(), "no_baseline": plan.no_baseline}


def _insert_results(run: Run, plan: Plan, answerer: Answerer | None, now: dt.datetime) -> int:
    """All work of the run in one statement, and the scores of adopted answers in a second."""
    cases: dict[str, Any] = {
        "project": run.project_id,
        "run": run.pk,
        "set": plan.version.golden_set_id,
        "number": plan.version.number,
        "part": plan.part,
        "now": now,
    }
    with connection.cursor() as cursor:
        if answerer is None:
            cases |= {"keys": list(plan.outputs), "outputs": list(plan.outputs.values())}
            cursor.execute(INSERT_RECORDED, cases)
            return int(cursor.rowcount)
        cases |= {"trials": plan.trials, "prefix": plan.work_prefix(answerer), "reuses": run.reuses_results}
        cursor.execute(INSERT_WORK, cases)
        n_results = int(cursor.rowcount)
        if run.reuses_results:
            cursor.execute(ADOPT_SCORES, [run.pk, [scorers.key(spec) for spec in run.scorers]])
    return n_results


def _locked(run_id: int) -> Run | None:
    return (
        Run.objects.select_for_update(of=("self",))
        .select_related("baseline", "golden_version", "revision")
        .filter(pk=run_id)
        .first()
    )


def _is_unfinished(run: Run) -> bool:
    return run.results.filter(state__in=(Result.State.WAITING, Result.State.LEASED)).exists()


def _score_what_is_missing(run: Run) -> None:
    panel = Panel(run.scorers)
    ids = queries.results_missing_scores(run, len(panel.keys))
    for start in range(0, len(ids), RESULTS_AT_ONCE):
        results = Result.objects.select_related("case").filter(pk__in=ids[start : start + RESULTS_AT_ONCE])
        rows = [row for result in results for row in _score_rows(panel, result)]
        Score.objects.bulk_create(rows, ignore_conflicts=True)


def _score_rows(panel: Panel, result: Result) -> list[Score]:
    if result.state == Result.State.DONE:
        said = panel.score(result.output, result.case.expected, result.case)
    else:
        said = panel.no_answer(result.error or result.state)
    return [Score(result=result, scorer=key, value=one.value, reason=one.reason) for key, one in said.items()]


def _figures(run: Run, sheet: Sheet) -> dict[str, Any]:
    return {
        key: comparison.score_figure(sheet.values[key], scorer, seed=run.seed).as_dict()
        for key, scorer in Panel(run.scorers).scorers.items()
    }


def _judged(run: Run, candidate: Sheet) -> Judgement:
    no_baseline = (run.gate_asked or {}).get("no_baseline", "")
    baseline = run.baseline
    if baseline is not None and baseline.state in (State.CANCELLED, State.FAILED):
        no_baseline, baseline = f"the baseline, run {baseline.pk}, was {baseline.state}", None
    return gate.judge(
        demand_of(run),
        Panel(run.scorers).scorers,
        candidate=candidate,
        baseline=None if baseline is None else queries.sheet(baseline, keys=list(candidate.values)),
        case_texts=queries.case_texts(candidate.case_ids),
        context_inputs=queries.context_inputs(run, baseline),
        no_baseline=no_baseline,
        may_stand_alone=run.baseline is None,
        seed=run.seed,
    )


def demand_of(run: Run) -> Demand:
    asked = run.gate_asked or {}
    return Demand(**{name: value for name, value in asked.items() if name != "no_baseline"})


def _final_state(run: Run, sheet: Sheet) -> tuple[State, str]:
    allowed = (run.gate_asked or {}).get("max_error_share", gate.DEFAULT_ERROR_SHARE)
    if sheet.error_share <= allowed:
        return State.DONE, ""
    share = f"{sheet.error_share:.1%} of the answers errored or could not be scored; at most {allowed:.1%} may"
    return State.INVALID, share


def _drop_unfinished(run: Run) -> None:
    """Nothing waits or is leased any more; whoever still works on a case has lost its fence."""
    with connection.cursor() as cursor:
        cursor.execute(DROP_UNFINISHED, [run.pk])


_CASES = """
evals_goldencase c WHERE c.golden_set_id = %(set)s AND c.part = %(part)s AND c.first_version <= %(number)s
  AND (c.last_version IS NULL OR c.last_version >= %(number)s)
"""

# Adopted is only what a worker executed: never a recorded answer (it has no work hash), never an adopted one.
INSERT_WORK = f"""
INSERT INTO evals_result (project_id, run_id, case_id, trial, state, attempts, n_calls, lease_token, worker,
    work_hash, output, error, context_ids, latency_ms, input_tokens, output_tokens, reused_from_id,
    finished_at)
SELECT %(project)s, %(run)s, work.case_id, work.trial,
    CASE WHEN old.id IS NULL THEN 'waiting' ELSE 'done' END, 0, 0, 0, '', work.work_hash, old.output, '',
    coalesce(old.context_ids, '{{}}'), old.latency_ms, old.input_tokens, old.output_tokens, old.id,
    CASE WHEN old.id IS NOT NULL THEN %(now)s::timestamptz END
FROM (
    SELECT asked.id AS case_id, t.trial,
        sha256(convert_to(%(prefix)s || ':' || asked.content_hash || ':' || t.trial, 'UTF8')) AS work_hash
    FROM (SELECT c.id, c.content_hash FROM {_CASES}) asked
    CROSS JOIN generate_series(1, %(trials)s) AS t(trial)
) work
LEFT JOIN LATERAL (
    SELECT r.* FROM evals_result r
    WHERE %(reuses)s AND r.project_id = %(project)s AND r.work_hash = work.work_hash AND r.state = 'done'
      AND r.reused_from_id IS NULL
    ORDER BY r.id LIMIT 1
) old ON true
ORDER BY work.case_id, work.trial
"""  # noqa: S608  # put together from constants

ADOPT_SCORES = """
INSERT INTO evals_score (result_id, scorer, value, reason)
SELECT r.id, s.scorer, s.value, s.reason
FROM evals_result r JOIN evals_score s ON s.result_id = r.reused_from_id
WHERE r.run_id = %s AND s.scorer = ANY(%s) AND s.value IS NOT NULL
"""

INSERT_RECORDED = f"""
INSERT INTO evals_result (project_id, run_id, case_id, trial, state, attempts, n_calls, lease_token, worker,
    output, error, context_ids, finished_at)
SELECT %(project)s, %(run)s, asked.id, 1,
    CASE WHEN given.output IS NULL THEN 'failed' ELSE 'done' END, 0, 0, 0, '',
    to_jsonb(given.output),
    CASE WHEN given.output IS NULL THEN 'no answer was recorded for this case' ELSE '' END, '{{}}', %(now)s
FROM (SELECT c.id, c.key FROM {_CASES}) asked
LEFT JOIN unnest(%(keys)s::text[], %(outputs)s::text[]) AS given(key, output) ON given.key = asked.key
ORDER BY asked.id
"""  # noqa: S608  # put together from constants

DROP_UNFINISHED = """
WITH unfinished AS (
    SELECT id FROM evals_result WHERE run_id = %s AND state IN ('waiting', 'leased') ORDER BY id FOR UPDATE
)
UPDATE evals_result r SET state = 'dropped', lease_until = NULL, lease_token = r.lease_token + 1
FROM unfinished WHERE r.id = unfinished.id
"""
