"""Two finished runs beside each other: asked for by anybody who may read, worked out once by a worker."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.figures import Figure, PValue
from core.problems import Conflict, Unprocessable
from core.statistics import holm
from evals import comparison, gate, hygiene, queries, wording
from evals.comparison import Integers, Sheet
from evals.gate import Demand
from evals.models import Comparison, Run
from evals.scorers import Panel, Scorer
from evals.services import runs
from projects.access import Actor

# Ring it with the comparison's id after `ask`; a bell that is lost costs one sweep.
BELL = "evals.tasks.compare"
COMPARABLE = (Run.State.DONE, Run.State.INVALID)
# A slice is a tag; more would be a wall, and smaller ones say nothing.
MOST_SLICES = 12
SMALLEST_SLICE = 5
EVERYTHING_ELSE = "everything else"


class NotComparable(Conflict):
    """A run of the pair has no scores, or not all of them yet."""

    def __init__(self, run: Run) -> None:
        over = run.state in (Run.State.CANCELLED, Run.State.FAILED)
        said = "it has no scores to compare" if over else "compare it when it is done"
        super().__init__(f"Run {run.pk} is {run.state}: {said}.", reasons=[f"run {run.pk} is {run.state}"])


def ask(*, candidate: Run, baseline: Run, by: Actor, now: dt.datetime) -> Comparison:
    """There is a comparison of the two, done or waiting for a worker; a repeat finds it. No look is taken.

    One that failed waits again, with all its attempts. Ring `BELL` with its id while it waits.

    Raises:
        Unprocessable, NotComparable: as `refuse_incomparable`.
    """
    refuse_incomparable(candidate, baseline)
    found, _ = Comparison.objects.get_or_create(
        candidate=candidate,
        baseline=baseline,
        defaults={"project": by.project, "created_at": now, "created_by": by.name},
    )
    # The lease's token goes on growing: a worker that comes back from the failed attempts has lost it.
    failed = Comparison.objects.filter(pk=found.pk, state=Comparison.State.FAILED)
    if failed.update(state=Comparison.State.WAITING, attempts=0, error="", finished_at=None):
        found.refresh_from_db()
    return found


def refuse_incomparable(candidate: Run, baseline: Run) -> None:
    """Nothing, where the two can be compared.

    Raises:
        Unprocessable: it is one run twice.
        NotComparable: 409, one of them is not done.
    """
    if candidate.pk == baseline.pk:
        raise Unprocessable(f"Run {candidate.pk} is asked to be compared with itself; name another run.")
    for run in (candidate, baseline):
        if run.state not in COMPARABLE:
            raise NotComparable(run)


def result_of(candidate: Run, baseline: Run) -> dict[str, Any]:
    """What page and API show of the two, as JSON types; a repeat says the same.

    Where the baseline is the candidate's own, the gate's judgement is taken as it is stored. Elsewhere the pair is
    judged by what the candidate was asked, or by the default margin at 95 %; such a verdict gates nothing.
    """
    pair = _paired(candidate, baseline)
    is_gate = candidate.gate is not None and candidate.baseline_id == baseline.pk
    found = dict(candidate.gate or {}) if is_gate else _judged(pair)
    demand = wording.demand_in(found)
    names = wording.sides(candidate, baseline)
    scorers = [_scorer_row(pair, one, demand) for one in found["scorers"]] or _unjudged(pair, found["sentence"])
    return {
        "verdict": found["verdict"],
        "sentence": wording.headline(found, names, pair.scorers),
        "because": found["sentence"],
        "is_gate": is_gate,
        "candidate": candidate.pk,
        "baseline": baseline.pk,
        "names": {"candidate": names.candidate, "baseline": names.baseline},
        "asked": found["asked"],
        "paired": len(pair.candidate.case_ids),
        "cases": {"candidate": pair.n_candidate, "baseline": pair.n_baseline},
        "compared": len(pair.kept),
        "left_out": found["left_out"],
        "errors": {"candidate": _n_errors(pair.candidate), "baseline": _n_errors(pair.baseline)},
        "scorers": [*scorers, *_one_sided(candidate, baseline, pair)],
        "slices": _slices(pair, found, demand) if found["scorers"] else [],
    }


@dataclass(frozen=True)
class Pair:
    """Two runs on the cases that both hold with equal content, by the candidate's ids.

    Attributes:
        kept: The ids of those that no context holds, which alone are compared.
        tags: Of each kept case.
    """

    first: Run
    second: Run
    candidate: Sheet
    baseline: Sheet
    scorers: Mapping[str, Scorer]
    n_candidate: int
    n_baseline: int
    texts: Mapping[int, str]
    context_inputs: list[str]
    kept: Integers
    tags: Mapping[int, list[str]]


def _paired(candidate: Run, baseline: Run) -> Pair:
    ours, theirs = queries.cases_of_run(candidate), queries.cases_of_run(baseline)
    our_ids = {(case.key, case.content_hash): case.id for case in ours}
    their_ids = {(case.key, case.content_hash): case.id for case in theirs}
    same = {their_ids[name]: our_ids[name] for name in our_ids.keys() & their_ids.keys()}
    panel = Panel(candidate.scorers)
    keys = [key for key in panel.keys if key in Panel(baseline.scorers).keys]
    shared = np.array(sorted(same.values()), dtype=np.int64)
    texts = queries.case_texts(shared)
    inputs = queries.context_inputs(candidate, baseline)
    is_out = hygiene.left_out([texts[int(case_id)] for case_id in shared], inputs)
    return Pair(
        first=candidate,
        second=baseline,
        candidate=queries.sheet(candidate, keys=keys).of_cases(shared),
        baseline=_renamed(queries.sheet(baseline, keys=keys), same),
        scorers={key: panel.scorers[key] for key in keys},
        n_candidate=len(ours),
        n_baseline=len(theirs),
        texts=texts,
        context_inputs=inputs,
        kept=shared[~is_out],
        tags={case.id: case.tags for case in ours},
    )


def _renamed(sheet: Sheet, names: Mapping[int, int]) -> Sheet:
    """The lines of these cases, under the ids that the other run has for them."""
    own = np.array([case_id for case_id in sheet.case_ids if int(case_id) in names], dtype=np.int64)
    found = sheet.of_cases(own)
    renamed = np.array([names[int(case_id)] for case_id in own], dtype=np.int64)
    order = np.argsort(renamed)
    return Sheet(renamed[order], {key: values[order] for key, values in found.values.items()})


def _judged(pair: Pair) -> dict[str, Any]:
    demand = Demand(looks=1) if pair.first.gate_asked is None else runs.demand_of(pair.first)
    if not pair.scorers:
        return gate.undecided("the two runs have no scorer in common", demand).as_dict()
    if not len(pair.candidate.case_ids):
        return gate.undecided("the two runs share no case", demand).as_dict()
    return gate.judge(
        demand,
        pair.scorers,
        candidate=pair.candidate,
        baseline=pair.baseline,
        case_texts=pair.texts,
        context_inputs=pair.context_inputs,
        seed=pair.first.seed,
    ).as_dict()


def _scorer_row(pair: Pair, judged: Mapping[str, Any], demand: Demand) -> dict[str, Any]:
    key = judged["scorer"]
    return {
        **{name: judged[name] for name in ("scorer", "verdict", "difference", "p", "smallest_detectable", "floor")},
        "sentence": judged["sentence"],
        "threshold": demand.threshold(key),
        "candidate": _score(pair, pair.candidate, key, pair.kept).as_dict(),
        "baseline": _score(pair, pair.baseline, key, pair.kept).as_dict(),
        "better": judged["better"],
        "worse": judged["worse"],
    }


def _one_sided(candidate: Run, baseline: Run, pair: Pair) -> list[dict[str, Any]]:
    """A row without figures for each scorer that only one of the runs has."""
    return [
        _blank_row(key, f"run {other.pk} was not scored by it")
        for run, other in ((candidate, baseline), (baseline, candidate))
        for key in Panel(run.scorers).keys
        if key not in pair.scorers
    ]


def _unjudged(pair: Pair, sentence: str) -> list[dict[str, Any]]:
    """A row without figures for each scorer that both runs have, where nothing could be judged by any."""
    reason = sentence.removeprefix("Inconclusive: ").removesuffix(".")
    return [_blank_row(key, reason) for key in pair.scorers]


def _blank_row(key: str, reason: str) -> dict[str, Any]:
    undefined = Figure.undefined(reason).as_dict()
    row = {"scorer": key, "verdict": None, "difference": undefined, "sentence": reason, "threshold": None}
    blank = {"candidate": undefined, "baseline": undefined, "smallest_detectable": None, "floor": None}
    return {**row, **blank, "p": PValue.undefined(reason).as_dict(), "better": [], "worse": []}


def _slices(pair: Pair, found: Mapping[str, Any], demand: Demand) -> list[dict[str, Any]]:
    """The deciding scorer by tag, p values adjusted over the slices: to explore, they decide nothing."""
    judged = wording.deciding(found)
    if judged is None or judged["scorer"] not in pair.scorers:
        return []
    groups = _groups(pair)
    compared = [_slice(pair, judged["scorer"], name, ids, demand) for name, ids in groups]
    adjusted = holm.adjust([PValue(**row["p"]) for row in compared])
    return [{**row, "p": p.as_dict()} for row, p in zip(compared, adjusted, strict=True)]


def _groups(pair: Pair) -> list[tuple[str, Integers]]:
    """The most frequent tags with their cases, the largest first, and the cases that stand in none of them."""
    by_tag: dict[str, list[int]] = {}
    for case_id in map(int, pair.kept):
        for tag in set(pair.tags[case_id]):
            by_tag.setdefault(tag, []).append(case_id)
    largest = sorted(by_tag.items(), key=lambda group: (-len(group[1]), group[0]))[:MOST_SLICES]
    shown = [(tag, ids) for tag, ids in largest if len(ids) >= SMALLEST_SLICE]
    if not shown:
        return []
    covered = {case_id for _, ids in shown for case_id in ids}
    rest = [case_id for case_id in map(int, pair.kept) if case_id not in covered]
    groups = [*shown, (EVERYTHING_ELSE, rest)] if rest else shown
    return [(name, np.array(sorted(ids), dtype=np.int64)) for name, ids in groups]


def _slice(pair: Pair, key: str, name: str, ids: Integers, demand: Demand) -> dict[str, Any]:
    ours, theirs = pair.candidate.of_cases(ids), pair.baseline.of_cases(ids)
    found = comparison.compare(
        ours.values[key],
        theirs.values[key],
        pair.scorers[key],
        case_ids=ids,
        level=demand.level,
        seed=pair.first.seed,
    )
    return {
        "name": name,
        "candidate": _score(pair, pair.candidate, key, ids).as_dict(),
        "baseline": _score(pair, pair.baseline, key, ids).as_dict(),
        "difference": found.difference.as_dict(),
        "p": found.p.as_dict(),
        "better": len(found.better),
        "worse": len(found.worse),
    }


def _score(pair: Pair, sheet: Sheet, key: str, ids: Integers) -> Figure:
    return comparison.score_figure(sheet.of_cases(ids).values[key], pair.scorers[key], seed=pair.first.seed)


def _n_errors(sheet: Sheet) -> int:
    return int(sheet.errored.sum())
