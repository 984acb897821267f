"""The gate: pass, fail or inconclusive, and whether a run is evidence for a release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from core.figures import Figure, PValue
from core.statistics import holm, power
from evals import comparison, hygiene, queries
from evals.comparison import Comparison, Sheet
from evals.models import GatePolicy, Run
from evals.scorers import Scorer
from prompts.models import Label

Verdict = Literal["pass", "fail", "inconclusive"]

NON_INFERIORITY, SUPERIORITY, FLOOR = "non_inferiority", "superiority", "floor"
KINDS = (NON_INFERIORITY, SUPERIORITY, FLOOR)
DEFAULT_MARGIN = 0.02
DEFAULT_ERROR_SHARE = 0.02
DEFAULT_LOOKS = 10

REFRESH = "refresh the gate part: all looks at these gate cases are spent"


@dataclass(frozen=True)
class Demand:
    """What is asked of a candidate.

    Attributes:
        kind: `non_inferiority`, `superiority` or `floor`.
        margin: By how much a candidate may be worse and still not be inferior, in units of the score.
        margins: The same for single scorers, by key; others take `margin`.
        floor: What the candidate's own score must lie above, whatever the baseline's is; None asks nothing.
        max_error_share: The share of errors, on either side, above which nothing is believed.
        looks: How often the same gate cases may be looked at; it sets the level.
    """

    kind: str = NON_INFERIORITY
    margin: float = DEFAULT_MARGIN
    margins: Mapping[str, float] = field(default_factory=dict)
    floor: float | None = None
    max_error_share: float = DEFAULT_ERROR_SHARE
    looks: int = DEFAULT_LOOKS

    @property
    def level(self) -> float:
        """The two-sided level of each interval: all looks together err in at most 5 of 100 cases."""
        return 1 - 0.05 / self.looks

    def threshold(self, key: str) -> float:
        """What the difference by this scorer must lie above."""
        return 0.0 if self.kind == SUPERIORITY else -self.margins.get(key, self.margin)

    def as_dict(self) -> dict[str, Any]:
        """Everything asked, as JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Judged:
    """What the gate says by one scorer."""

    scorer: str
    verdict: Verdict
    sentence: str
    difference: Figure
    p: PValue
    floor: Figure | None = None
    better: tuple[int, ...] = ()
    worse: tuple[int, ...] = ()
    smallest_detectable: Figure | None = None
    more_cases: Figure | None = None

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON types; cases by id."""
        shown = asdict(self)
        return {**shown, "better": list(self.better), "worse": list(self.worse)}


@dataclass(frozen=True)
class Judgement:
    """What the gate says: one of three verdicts, in one plain sentence, with everything it rests on."""

    verdict: Verdict
    sentence: str
    demand: Demand
    left_out: int = 0
    scorers: tuple[Judged, ...] = ()

    @property
    def difference(self) -> Figure:
        """That of the scorer which decided."""
        if not self.scorers:
            return Figure.undefined(self.sentence, level=self.demand.level)
        return _deciding(self.scorers).difference

    def as_dict(self) -> dict[str, Any]:
        """The judgement as it is stored with the run, as JSON types."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "difference": self.difference.as_dict(),
            "left_out": self.left_out,
            "asked": {**self.demand.as_dict(), "level": self.demand.level},
            "scorers": [judged.as_dict() for judged in self.scorers],
        }


def undecided(reason: str, demand: Demand, *, n_left_out: int = 0) -> Judgement:
    """Inconclusive, for this reason; never a pass, never a failure."""
    return Judgement("inconclusive", f"Inconclusive: {reason}.", demand, n_left_out)


def judge(
    demand: Demand,
    scorers: Mapping[str, Scorer],
    *,
    candidate: Sheet,
    baseline: Sheet | None,
    case_texts: Mapping[int, str],
    context_inputs: list[str],
    no_baseline: str = "there is no baseline to compare with",
    may_stand_alone: bool = False,
    seed: int = 0,
) -> Judgement:
    """Decide whether the candidate may take the baseline's place; a repeat decides the same.

    Each scorer is judged at the full level: all pass → pass, one fails → fail, else inconclusive. A floor is
    held in addition to the difference; alone it decides only where nothing is released yet.

    Args:
        demand: What is asked.
        scorers: By key; at least one.
        candidate: The candidate's scores of all its cases.
        baseline: The baseline's, or None.
        case_texts: The text of each case by id, for hygiene.
        context_inputs: The example inputs of both sides' contexts.
        no_baseline: Why there is none, in words that end a sentence.
        may_stand_alone: No baseline is expected: a demand of kind `floor` may decide without one.
        seed: Of the bootstrap.
    """
    if not len(candidate.case_ids):
        return undecided("the golden version holds no case of this part", demand)
    is_alone = baseline is None and may_stand_alone and demand.kind == FLOOR
    if baseline is None and not is_alone:
        return undecided(no_baseline, demand)
    return _judge_cases(demand, scorers, candidate, baseline, case_texts, context_inputs, seed)


def _judge_cases(
    demand: Demand,
    scorers: Mapping[str, Scorer],
    candidate: Sheet,
    baseline: Sheet | None,
    case_texts: Mapping[int, str],
    context_inputs: list[str],
    seed: int,
) -> Judgement:
    shared = candidate.case_ids if baseline is None else comparison.shared_cases(candidate, baseline)
    is_out = hygiene.left_out([case_texts[int(case_id)] for case_id in shared], context_inputs)
    n_out = int(is_out.sum())
    reason = _unusable(demand, candidate, baseline, n_out, len(shared))
    if reason:
        return undecided(reason, demand, n_left_out=n_out)
    kept = shared[~is_out]
    ours = candidate.of_cases(kept)
    theirs = None if baseline is None else baseline.of_cases(kept)
    judged = _holm_adjusted([_judge_scorer(demand, key, one, ours, theirs, seed) for key, one in scorers.items()])
    decisive = _deciding(judged)
    return Judgement(decisive.verdict, _sentence(decisive, judged, n_out), demand, n_out, tuple(judged))


def _unusable(demand: Demand, candidate: Sheet, baseline: Sheet | None, n_out: int, n: int) -> str:
    """Why these two runs cannot be compared at all, or nothing."""
    for side, sheet in (("candidate", candidate), ("baseline", baseline)):
        if sheet is not None and sheet.error_share > demand.max_error_share:
            return (
                f"invalid run, {sheet.error_share:.1%} of the {side}'s answers errored and at most"
                f" {demand.max_error_share:.1%} may"
            )
    if n == 0:
        return "the two runs share no case"
    if n_out > hygiene.LARGEST_SHARE_LEFT_OUT * n:
        return (
            f"{n_out} of {n} cases equal or nearly equal an input in a context and were left out; more than"
            f" {hygiene.LARGEST_SHARE_LEFT_OUT:.0%} is too many, refresh the golden set"
        )
    return ""


def _judge_scorer(
    demand: Demand, key: str, scorer: Scorer, candidate: Sheet, baseline: Sheet | None, seed: int
) -> Judged:
    values = candidate.values[key]
    floor = None if demand.floor is None else comparison.good_share(values, scorer, level=demand.level, seed=seed)
    if baseline is None:
        return _judge_floor_alone(demand, key, floor)
    found = comparison.compare(
        values, baseline.values[key], scorer, case_ids=candidate.case_ids, level=demand.level, seed=seed
    )
    return _judge_difference(demand, key, found, floor)


def _judge_difference(demand: Demand, key: str, found: Comparison, floor: Figure | None) -> Judged:
    threshold = demand.threshold(key)
    by_difference = side(found.difference, threshold)
    if by_difference == "pass" and side(found.worst_case, threshold) != "pass":
        by_difference = "inconclusive"
        said = f"{key} would not pass had the errors gone against the candidate"
    else:
        said = _said_of_difference(demand, key, found.difference, by_difference)
    by_floor: Verdict = "pass" if floor is None else side(floor, demand.floor or 0.0)
    verdict = _together([by_difference, by_floor])
    more = found.cases_to_settle(threshold) if by_difference == "inconclusive" else None
    if floor is not None and by_floor == verdict and by_difference != verdict:
        said, more = _said_of_floor(demand, key, floor, by_floor), _more_for_floor(demand, floor, by_floor)
    return Judged(
        scorer=key,
        verdict=verdict,
        sentence=said + _said_of_more(more),
        difference=found.difference,
        p=found.p,
        floor=floor,
        better=tuple(int(case_id) for case_id in found.better),
        worse=tuple(int(case_id) for case_id in found.worse),
        smallest_detectable=found.smallest_detectable,
        more_cases=more,
    )


def _judge_floor_alone(demand: Demand, key: str, floor: Figure | None) -> Judged:
    assert floor is not None, "a demand of kind floor has one"  # noqa: S101  # held by table and edge
    verdict = side(floor, demand.floor or 0.0)
    more = _more_for_floor(demand, floor, verdict)
    none = "nothing is released yet, so there is no baseline"
    return Judged(
        scorer=key,
        verdict=verdict,
        sentence=_said_of_floor(demand, key, floor, verdict) + _said_of_more(more),
        difference=Figure.undefined(none, n=floor.n, level=demand.level),
        p=PValue.undefined(none),
        floor=floor,
        more_cases=more,
    )


def side(figure: Figure, line: float) -> Verdict:
    """On which side of the line the whole interval lies; on both, or undefined → inconclusive."""
    if figure.low is not None and figure.low > line:
        return "pass"
    if figure.high is not None and figure.high < line:
        return "fail"
    return "inconclusive"


def _together(verdicts: list[Verdict]) -> Verdict:
    if "fail" in verdicts:
        return "fail"
    return "inconclusive" if "inconclusive" in verdicts else "pass"


def _deciding(judged: list[Judged] | tuple[Judged, ...]) -> Judged:
    """The scorer that decides: the first that fails, else the first that cannot tell, else the first."""
    verdict = _together([one.verdict for one in judged])
    return next(one for one in judged if one.verdict == verdict)


def _holm_adjusted(judged: list[Judged]) -> list[Judged]:
    """Shown together, p values are adjusted; verdicts rest on intervals and stay."""
    adjusted = holm.adjust([one.p for one in judged])
    return [Judged(**{**vars(one), "p": p}) for one, p in zip(judged, adjusted, strict=True)]


def _more_for_floor(demand: Demand, floor: Figure, verdict: Verdict) -> Figure | None:
    if verdict != "inconclusive" or floor.value is None or demand.floor is None or not 0 < demand.floor < 1:
        return None
    passed = round(floor.value * floor.n)
    return power.cases_to_settle_share(passed, floor.n, floor=demand.floor, level=demand.level)


def _sentence(decisive: Judged, judged: list[Judged], n_out: int) -> str:
    words = {"pass": "Pass", "fail": "Fail", "inconclusive": "Inconclusive"}
    others = f" (the deciding one of {len(judged)} scorers)" if len(judged) > 1 else ""
    out = f"; {n_out} cases were left out because a context holds their like" if n_out else ""
    return f"{words[decisive.verdict]}: {decisive.sentence}{others}{out}."


def _said_of_difference(demand: Demand, key: str, figure: Figure, verdict: Verdict) -> str:
    if figure.value is None:
        return f"{key} has no difference, {figure.reason}"
    words = {"pass": "lies above", "fail": "lies below", "inconclusive": "reaches across"}
    line = "0" if demand.kind == SUPERIORITY else f"{demand.threshold(key):+.3f}"
    return f"{key} differs by {figure.value:+.3f} and its {_interval(figure, '+.3f')} {words[verdict]} {line}"


def _said_of_floor(demand: Demand, key: str, figure: Figure, verdict: Verdict) -> str:
    if figure.value is None:
        return f"{key} has no value, {figure.reason}"
    words = {"pass": "lies above", "fail": "lies below", "inconclusive": "reaches across"}
    interval = _interval(figure, ".3f")
    return f"{key} is {figure.value:.3f} and its {interval} {words[verdict]} the floor {demand.floor:g}"


def _interval(figure: Figure, shape: str) -> str:
    return f"{figure.level:.1%} interval {figure.low:{shape}} to {figure.high:{shape}} over {figure.n} cases"


def _said_of_more(more: Figure | None) -> str:
    if more is None:
        return ""
    if more.value is None:
        return f"; {more.reason}"
    return f"; about {more.value:.0f} more cases would settle it" if more.value else ""


def is_evidence(run: Run, label: Label) -> list[str]:
    """Why this run does not prove that its revision may be released under the label; empty: it does.

    Call it with the label's row locked, so that neither policy nor active revision can change meanwhile.
    Whether the revision was rolled back since is for releases to say.
    """
    policy = queries.policy_of_label(label)
    if policy is None:
        return [f"label {label.name} has no policy, so nothing can be evidence: put a policy first"]
    return [
        *_not_a_test_of_the_prompt(run, label),
        *_not_under_policy(run, policy),
        *_not_on_the_newest_exam(run, policy),
        *_not_against_the_active(run, label, policy),
        *_spent(run),
    ]


def stands_as_evidence(run: Run) -> bool:
    """Whether the run would be evidence for the label of its policy, as things are now."""
    return run.policy is not None and not is_evidence(run, run.policy.label)


def _not_a_test_of_the_prompt(run: Run, label: Label) -> Iterator[str]:
    if run.target_kind != Run.TargetKind.PROMPT or run.revision is None:
        yield f"run {run.pk} scored recorded answers: evidence is what our workers executed"
    elif run.revision.prompt_id != label.prompt_id:
        yield f"run {run.pk} tested another prompt"
    elif run.model != run.revision.model:
        yield f"run {run.pk} tested the revision with another model, {run.model}"
    if run.state != Run.State.DONE:
        yield f"run {run.pk} is {run.state}, not done"
    elif (run.gate or {}).get("verdict") != "pass":
        yield f"the verdict of run {run.pk} is {(run.gate or {}).get('verdict', 'missing')}, not pass"


def _not_under_policy(run: Run, policy: GatePolicy) -> Iterator[str]:
    asked = run.policy
    if asked is None or asked.label_id != policy.label_id:
        yield f"run {run.pk} was not made under this label's policy"
        return
    if asked.content_hash != policy.content_hash:
        yield f"run {run.pk} was made under policy version {asked.version}; {policy.version} is in force"
    if run.scorers != policy.scorers or run.part != policy.part:
        yield f"run {run.pk} used other scorers or another part than the policy"


def _not_on_the_newest_exam(run: Run, policy: GatePolicy) -> Iterator[str]:
    version = run.golden_version
    if version.golden_set_id != policy.golden_set_id:
        yield f"run {run.pk} used another golden set"
    elif version.number != queries.newest_number(version.golden_set, at=run.created_at):
        yield f"run {run.pk} used version {version.number}, which was not the newest when it began"


def _not_against_the_active(run: Run, label: Label, policy: GatePolicy) -> Iterator[str]:
    baseline = run.baseline
    if label.revision_id is None:
        if policy.kind != FLOOR:
            yield f"nothing is released as {label.name} to compare with: make an initial release"
        return
    if baseline is None or baseline.target_kind != Run.TargetKind.PROMPT:
        yield f"run {run.pk} has no executed baseline"
    elif baseline.revision_id != label.revision_id:
        yield f"the baseline of run {run.pk} is not the revision that is active now"


def _spent(run: Run) -> Iterator[str]:
    # Asked again: the run may have been read before the label was locked.
    if Run.objects.filter(pk=run.pk, spent_at__isnull=False).exists():
        yield f"run {run.pk} was spent on an earlier release"
