"""What the pages of runs, comparisons and try-outs show, each in a fixed number of statements."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, Func, OuterRef, Q, TextField
from django.db.models.fields.json import KT

from core.figures import Figure
from core.problems import Missing
from evals import gate, queries, wording
from evals.models import CasePart, Comparison, GatePolicy, GoldenSet, Result, Run, Score, Tryout
from evals.scorers import Panel, Scorer
from evals.services import looks
from ledger import heartbeats
from projects.models import Project
from prompts.models import Prompt

ROWS = 50
FLIPS = 20
LIVE = (Run.State.QUEUED, Run.State.RUNNING, Run.State.PAUSED)
MOVING = (Run.State.QUEUED, Run.State.RUNNING)
SHOWN = ("all", "errors", "failed", "flipped")
# The pace of a run is that of the last half minute; fewer answers than these say nothing about it.
PACE_S = 30
FEWEST_FOR_PACE = 5
LONGEST_SNIPPET = 300


# --- try-outs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TryoutShown:
    tryout: Tryout
    n_workers: int


def tryout(project: Project, tryout_id: int, *, now: dt.datetime) -> TryoutShown:
    """One try-out of the project, and whether anybody could answer it; two statements.

    Raises:
        Missing: there is none (any more).
    """
    found = Tryout.objects.select_related("revision__prompt").filter(project=project, pk=tryout_id).first()
    if found is None:
        raise Missing("try-out")
    return TryoutShown(found, n_helpers(now=now))


def n_helpers(*, now: dt.datetime) -> int:
    """How many processes that hear errands give signs of life; every kind of worker does."""
    return heartbeats.n_alive("worker", now=now) + heartbeats.n_alive("errands", now=now)


# --- runs -------------------------------------------------------------------------------------------------------------


class Snippet(Func):
    """The beginning of a JSON value's text, so that a list never carries whole outputs."""

    template = f"left(%(expressions)s #>> '{{}}', {LONGEST_SNIPPET})"
    output_field = TextField()


@dataclass(frozen=True)
class RunLine:
    """A run in a list; `done` of `total` where it still moves."""

    run: Run
    done: int
    figures: list[tuple[str, Figure]]

    @property
    def is_live(self) -> bool:
        return self.run.state in LIVE


@dataclass(frozen=True)
class RunLines:
    """A part of the list, the cursor of the next one, and whether anybody is at work."""

    lines: list[RunLine]
    next: int | None
    n_workers: int


def run_lines(project: Project, conditions: Mapping[str, str], *, cursor: int, now: dt.datetime) -> RunLines:
    """The project's runs of these conditions, newest first; three statements.

    Raises:
        Invalid: there is no such state.
    """
    rows = queries.runs_like(project, conditions).defer("gate", "gate_asked")
    rows = rows.annotate(verdict=KT("gate__verdict"))
    found = list((rows.filter(pk__lt=cursor) if cursor else rows).order_by("-pk")[: ROWS + 1])
    here = found[:ROWS]
    done = _n_finished(run.pk for run in here if run.state in LIVE)
    lines = [RunLine(run, done.get(run.pk, 0), _figures(run)) for run in here]
    return RunLines(lines, here[-1].pk if len(found) > ROWS else None, heartbeats.n_alive("worker", now=now))


@dataclass(frozen=True)
class Progress:
    """How far a run is, and what it took so far.

    `n_reused` answers were taken from earlier equal work. `left_s` is the time that is left at the pace of the last
    half minute; None where that would be a guess.
    """

    total: int
    n_done: int
    n_failed: int
    n_leased: int
    n_waiting: int
    n_dropped: int
    n_reused: int
    n_recent: int
    n_calls: int
    input_tokens: int | None
    output_tokens: int | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    n_timed: int
    n_workers: int
    left_s: float | None = None

    @property
    def n_finished(self) -> int:
        return self.n_done + self.n_failed

    @property
    def share(self) -> float:
        return self.n_finished / self.total if self.total else 1.0


def progress(run: Run, *, now: dt.datetime) -> Progress:
    """How far the run is; two statements."""
    with connection.cursor() as cursor:
        cursor.execute(PROGRESS, {"run": run.pk, "since": now - dt.timedelta(seconds=PACE_S)})
        counts = cursor.fetchone()
    n_workers = heartbeats.n_alive("worker", now=now)
    facts: list[Any] = [run.n_results, *counts, n_workers]
    found = Progress(*facts)
    return replace(found, left_s=_left_s(run, found, now))


def _left_s(run: Run, found: Progress, now: dt.datetime) -> float | None:
    if run.state != Run.State.RUNNING or not found.n_workers or found.n_recent < FEWEST_FOR_PACE:
        return None
    seconds = PACE_S if run.started_at is None else min(PACE_S, (now - run.started_at).total_seconds())
    return (found.total - found.n_finished) * seconds / found.n_recent if seconds > 0 else None


@dataclass(frozen=True)
class RunShown:
    """A run as its page shows it.

    Attributes:
        headline: The verdict in one plain sentence, or what the run is doing.
        verdict: `pass`, `fail`, `inconclusive`, or nothing where no gate was asked.
        because: The gate's own sentence.
        not_evidence: Why it cannot serve a release now; empty where it can, None where no gate was asked by policy.
        looks_left: At the gate cases; None for other parts.
        has_look: Whether the run took one that was not given back.
        faults: The most frequent errors with their counts.
    """

    run: Run
    progress: Progress
    headline: str
    verdict: str
    because: str
    figures: list[tuple[str, Figure]]
    not_evidence: list[str] | None
    looks_left: int | None
    has_look: bool
    faults: list[tuple[str, int]]
    left_out: int
    level: float | None
    judged: Sequence[Mapping[str, Any]] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        return self.run.state in LIVE

    @property
    def is_moving(self) -> bool:
        return self.run.state in MOVING

    @property
    def is_over(self) -> bool:
        return self.run.state in (Run.State.DONE, Run.State.INVALID)


def run_shown(project: Project, run_id: int, *, now: dt.datetime) -> RunShown:
    """The run with all that its page says of it; a fixed number of statements.

    Raises:
        Missing: there is none.
    """
    rows = queries.runs(project).select_related("baseline__revision", "look")
    run = rows.filter(pk=run_id).first()
    if run is None:
        raise Missing("run")
    stored = run.gate or {}
    panel = Panel(run.scorers)
    return RunShown(
        run=run,
        progress=progress(run, now=now),
        headline=_headline(run, stored, panel),
        verdict=stored.get("verdict", ""),
        because=stored.get("sentence", ""),
        figures=_figures(run),
        not_evidence=None if run.policy is None else gate.is_evidence(run, run.policy.label),
        looks_left=looks.left_for(run),
        has_look=hasattr(run, "look") and run.look.returned_at is None,
        faults=_faults(run),
        left_out=stored.get("left_out", 0),
        level=stored.get("asked", {}).get("level"),
        judged=stored.get("scorers", []),
    )


def _headline(run: Run, stored: Mapping[str, Any], panel: Panel) -> str:
    if stored:
        return wording.headline(stored, wording.sides(run, run.baseline), panel.scorers)
    words = {
        Run.State.QUEUED: "is waiting to begin",
        Run.State.RUNNING: "is running",
        Run.State.PAUSED: "is paused",
        Run.State.DONE: "is done; no gate was asked",
        Run.State.CANCELLED: "was cancelled",
        Run.State.FAILED: "failed",
        Run.State.INVALID: "has too many errors to be believed",
    }
    return f"Run {run.pk} {words[Run.State(run.state)]}."


def _figures(run: Run) -> list[tuple[str, Figure]]:
    return [(key, Figure.from_dict(stored)) for key, stored in run.scores.items()]


def _n_finished(run_ids: Iterable[int]) -> dict[int, int]:
    finished = Result.objects.filter(run__in=list(run_ids), state__in=(Result.State.DONE, Result.State.FAILED))
    return dict(finished.values_list("run").annotate(n=Count("pk")))


def _faults(run: Run) -> list[tuple[str, int]]:
    failed = run.results.filter(state=Result.State.FAILED).values_list("error")
    return [(error or "no reason was stored", n) for error, n in failed.annotate(n=Count("pk")).order_by("-n")[:5]]


# --- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ResultLines:
    """A part of a run's results, in the order of its cases, and the cursor of the next part."""

    lines: Sequence[Result]
    next: int | None


def result_lines(run: Run, *, shown: str, cursor: int) -> ResultLines:
    """The results of the run that are to be shown, with the beginnings of their texts; two statements, or three.

    Args:
        run: Whose.
        shown: One of `SHOWN`; `flipped` are the cases that the gate counted as better or worse than the baseline.
        cursor: After which result; 0 begins.
    """
    rows = run.results.filter(_WHICH[shown](run), pk__gt=cursor)
    rows = rows.annotate(said=Snippet("output"), asked=Snippet("case__input"), wanted=Snippet("case__expected"))
    rows = rows.select_related("case").prefetch_related("scores")
    rows = rows.defer("output", "case__input", "case__variables", "case__expected", "case__metadata")
    found = list(rows.order_by("pk")[: ROWS + 1])
    return ResultLines(found[:ROWS], found[ROWS - 1].pk if len(found) > ROWS else None)


def result(run: Run, result_id: int) -> Result:
    """One result of the run, whole; two statements.

    Raises:
        Missing: there is none.
    """
    found = queries.results(run).select_related("case__verdict").filter(pk=result_id).first()
    if found is None:
        raise Missing("result")
    return found


def _failed(run: Run) -> Q:
    """Answers that some scorer calls wrong: not the best value of a binary scorer, the worst of another."""
    wrong = Q(value=None)
    for key, scorer in Panel(run.scorers).scorers.items():
        low, high = scorer.range
        best, worst = (high, low) if scorer.higher_is_better else (low, high)
        wrong |= (Q(scorer=key) & ~Q(value=best)) if scorer.is_binary else Q(scorer=key, value=worst)
    return Q(Exists(Score.objects.filter(wrong, result=OuterRef("pk"))), state=Result.State.DONE)


def _flipped(run: Run) -> Q:
    judged = (run.gate or {}).get("scorers", [])
    return Q(case__in={case_id for one in judged for case_id in (*one["better"], *one["worse"])})


_WHICH = {
    "all": lambda run: Q(),
    "errors": lambda run: Q(state=Result.State.FAILED),
    "failed": _failed,
    "flipped": _flipped,
}


# --- the form of a new run --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choices:
    """What a new run can be made of."""

    prompts: list[Prompt]
    golden_sets: list[GoldenSet]
    policies: list[GatePolicy]


def choices(project: Project) -> Choices:
    """The project's prompts, its golden sets with a version, and the policies in force; three statements."""
    policies = GatePolicy.objects.in_force().filter(label__prompt__project=project)
    return Choices(
        prompts=list(project.prompts.order_by("name")),
        golden_sets=list(project.golden_sets.filter(versions__number=1).order_by("name")),
        policies=list(policies.select_related("label__prompt", "golden_set").order_by("label__prompt__name")),
    )


@dataclass(frozen=True)
class LookTaken:
    """What a run would take: whether it is a look at all, and how many are left before it."""

    golden_set: str
    version: int
    left: int
    limit: int


def look_taken(project: Project, *, prompt: str, golden_set: str, part: str, policy: str) -> LookTaken | None:
    """The look that a run of the prompt on this set, or under this label's policy, would take.

    None where it takes none (another part), or where what is asked does not exist (the form says so when it is
    sent). A run of the revision that is active takes none either, which is only known then.
    """
    if "\x00" in prompt + golden_set + policy:
        return None  # PostgreSQL takes no such text, so nothing has such a name
    found_prompt = project.prompts.filter(name=prompt).first()
    limit = None
    if policy and found_prompt is not None:
        rule = GatePolicy.objects.in_force().filter(label__prompt=found_prompt, label__name=policy).first()
        exam = None if rule is None else rule.golden_set
        part, limit = (CasePart.GATE, rule.looks) if rule is not None else (part, None)
    else:
        exam = GoldenSet.objects.filter(project=project, name=golden_set).first()
    if exam is None or found_prompt is None or part != CasePart.GATE:
        return None
    version = exam.versions.select_related("golden_set").order_by("-number").first()
    if version is None:
        return None
    standing = looks.standing(version=version, prompt=found_prompt, limit=limit)
    return LookTaken(exam.name, version.number, standing.left, standing.limit)


# --- comparisons ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answered:
    """What one run answered to a case: the beginning of it, and what one scorer said over all trials.

    Of several trials the one shown is that which makes the difference plainest.
    """

    result_id: int
    text: str
    error: str
    is_good: bool
    n_good: int
    n_trials: int
    reason: str


@dataclass(frozen=True)
class Flip:
    """A case on which the two runs differ by one scorer."""

    id: int
    key: str
    asked: str
    tags: list[str]
    candidate: Answered
    baseline: Answered


@dataclass(frozen=True)
class Flips:
    """A part of the cases that flipped, and the cursor of the next part."""

    flips: list[Flip]
    next: int | None


def own_gate(candidate: Run, baseline: Run) -> tuple[dict[str, Any], str] | None:
    """What the candidate's gate said of this very baseline, as it is stored, and that in one plain sentence."""
    if not candidate.gate or candidate.baseline_id != baseline.pk:
        return None
    sides, panel = wording.sides(candidate, baseline), Panel(candidate.scorers)
    return candidate.gate, wording.headline(candidate.gate, sides, panel.scorers)


def comparison(candidate: Run, baseline: Run) -> Comparison | None:
    """What was worked out, or is being worked out, of the two; one statement."""
    return Comparison.objects.filter(candidate=candidate, baseline=baseline).first()


def flips(candidate: Run, baseline: Run, case_ids: Sequence[int], *, scorer: str, better: bool, cursor: int) -> Flips:
    """The cases of these ids (as the candidate's set has them), in their order; four statements.

    Args:
        candidate: The run that is compared.
        baseline: The run it is compared with; its cases are found by their keys.
        case_ids: Of the cases that flipped.
        scorer: By which they did.
        better: Whether the candidate answered them better.
        cursor: After which case; 0 begins.
    """
    left = sorted(case_id for case_id in case_ids if case_id > cursor)
    here = left[:FLIPS]
    ours = _answers(candidate, Q(case__in=here), scorer)
    keys = [rows[0].case.key for rows in ours.values()]
    theirs = _answers(baseline, Q(case__key__in=keys), scorer)
    judge = Panel(candidate.scorers).scorers[scorer]
    found = [_flip(rows, theirs[key], judge, scorer, better=better) for key, rows in ours.items() if key in theirs]
    return Flips(found, here[-1] if len(left) > FLIPS else None)


def _answers(run: Run, which: Q, scorer: str) -> dict[str, list[Result]]:
    """The results of these cases by key, trial by trial, in the order of the cases."""
    rows = run.results.filter(which).select_related("case").prefetch_related("scores").order_by("case_id", "trial")
    rows = rows.annotate(said=Snippet("output", template=LONG), asked=Snippet("case__input"))
    found: dict[str, list[Result]] = {}
    for row in rows.defer("output", "case__input", "case__variables", "case__expected", "case__metadata"):
        found.setdefault(row.case.key, []).append(row)
    return found


def _flip(ours: list[Result], theirs: list[Result], judge: Scorer, scorer: str, *, better: bool) -> Flip:
    case = ours[0].case
    return Flip(
        id=case.pk,
        key=case.key,
        asked=ours[0].asked or "",  # type: ignore[attr-defined]  # annotated
        tags=case.tags,
        candidate=_answered(ours, judge, scorer, best=better),
        baseline=_answered(theirs, judge, scorer, best=not better),
    )


def _answered(rows: list[Result], judge: Scorer, scorer: str, *, best: bool) -> Answered:
    """Of the trials the best one, or the worst."""
    low, high = judge.range

    def goodness(row: Result) -> float:
        value = next((one.value for one in row.scores.all() if one.scorer == scorer), None)
        if value is None:
            return low
        return value if judge.higher_is_better else low + high - value

    shown = (max if best else min)(rows, key=goodness)
    said = next((one.reason for one in shown.scores.all() if one.scorer == scorer), "")
    return Answered(
        result_id=shown.pk,
        text=shown.said or "",  # type: ignore[attr-defined]  # annotated
        error=shown.error,
        is_good=goodness(shown) == high,
        n_good=sum(goodness(row) == high for row in rows),
        n_trials=len(rows),
        reason=said,
    )


# As Snippet, for texts that are read rather than listed.
LONG = "left(%(expressions)s #>> '{}', 4000)"

PROGRESS = """
SELECT count(*) FILTER (WHERE state = 'done') AS n_done,
    count(*) FILTER (WHERE state = 'failed') AS n_failed,
    count(*) FILTER (WHERE state = 'leased') AS n_leased,
    count(*) FILTER (WHERE state = 'waiting') AS n_waiting,
    count(*) FILTER (WHERE state = 'dropped') AS n_dropped,
    count(*) FILTER (WHERE reused_from_id IS NOT NULL) AS n_reused,
    count(*) FILTER (WHERE finished_at > %(since)s AND reused_from_id IS NULL) AS n_recent,
    coalesce(sum(n_calls), 0)::bigint AS n_calls,
    sum(input_tokens) FILTER (WHERE reused_from_id IS NULL)::bigint,
    sum(output_tokens) FILTER (WHERE reused_from_id IS NULL)::bigint,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE reused_from_id IS NULL),
    percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE reused_from_id IS NULL),
    count(latency_ms) FILTER (WHERE reused_from_id IS NULL)
FROM evals_result WHERE run_id = %(run)s
"""
