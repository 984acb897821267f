"""Scores of runs as arrays: one run's figure, and two runs on the same cases. Pure; + is always better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.figures import Figure, PValue
from core.statistics import means, paired, power, proportions
from evals.scorers import Scorer

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Sheet:
    """What the scorers of one run said, case by case.

    Attributes:
        case_ids: The cases in rising order, shape (n,).
        values: For each scorer's key its values as it gave them, shape (n, trials); NaN where there is none.
    """

    case_ids: Integers
    values: Mapping[str, Floats]

    @property
    def errored(self) -> Mask:
        """Which answers failed, or could not be scored by one of the scorers, shape (n, trials)."""
        missing = [np.isnan(values) for values in self.values.values()]
        return np.any(missing, axis=0) if missing else np.zeros((len(self.case_ids), 1), dtype=bool)

    @property
    def error_share(self) -> float:
        """The share of such answers; 0 for a run without cases."""
        return float(self.errored.mean()) if self.errored.size else 0.0

    def of_cases(self, case_ids: Integers) -> Sheet:
        """The same for these cases alone; each must be among the run's."""
        rows = np.searchsorted(self.case_ids, case_ids)
        return Sheet(case_ids, {key: values[rows] for key, values in self.values.items()})


@dataclass(frozen=True)
class Comparison:
    """Candidate - baseline by one scorer over the same cases.

    Attributes:
        difference: With every error counted as a failure.
        worst_case: The same with the candidate's errors as failures and the baseline's as passes.
        p: Of the exact McNemar test, or of the signed-rank test for graded scores.
        better: Cases (by id) that the candidate answered better, shape (b,).
        worse: Cases that it answered worse, shape (w,).
        smallest_detectable: The smallest difference that this many cases would have shown at 80 % power.
        spread: Standard deviation of the differences over cases.
        is_counted: Passes were counted case by case, rather than means of a case compared.
    """

    difference: Figure
    worst_case: Figure
    p: PValue
    better: Integers
    worse: Integers
    smallest_detectable: Figure
    spread: float
    is_counted: bool

    def cases_to_settle(self, threshold: float) -> Figure:
        """How many more cases like these would settle whether the difference lies above the threshold."""
        n, level = self.difference.n, self.difference.level
        if self.is_counted:
            return power.cases_to_settle(len(self.better), len(self.worse), n, threshold=threshold, level=level)
        difference = self.difference.value or 0.0
        return power.cases_to_settle_mean(difference, self.spread, n, threshold=threshold, level=level)


def score_figure(values: Floats, scorer: Scorer, *, level: float = 0.95, seed: int = 0) -> Figure:
    """What a run shows for one scorer: the pass rate (Wilson), or the mean over cases (BCa or betting).

    Errors are not dropped: each counts as the scorer's worst value, and the figure's remark counts them.
    Several trials of a case make one unit, the case's mean (Miller 2024, "Adding error bars to evals").

    Args:
        values: As the scorer gave them, shape (n, trials), NaN for errors.
        scorer: Whose values they are.
        level: Two-sided confidence level.
        seed: Of the bootstrap.
    """
    worst = scorer.range[0] if scorer.higher_is_better else scorer.range[1]
    filled = np.where(np.isnan(values), worst, values)
    figure = _level_figure(
        filled,
        scorer,
        best=max(scorer.range) if scorer.higher_is_better else min(scorer.range),
        level=level,
        seed=seed,
    )
    n_errors = int(np.isnan(values).sum())
    if figure.value is None or not n_errors:
        return figure
    remark = f"{n_errors} of {values.size} answers errored or could not be scored and count as failed"
    return Figure(**{**figure.as_dict(), "reason": remark})


def good_share(values: Floats, scorer: Scorer, *, level: float, seed: int = 0) -> Figure:
    """As `score_figure`, turned so that more is better: what a floor is held against."""
    turned = _turned(values, scorer, errors_pass=False)
    return _level_figure(turned, scorer, best=scorer.range[1], level=level, seed=seed)


def compare(
    candidate: Floats, baseline: Floats, scorer: Scorer, *, case_ids: Integers, level: float, seed: int = 0
) -> Comparison:
    """Compare two runs case by case.

    Binary values of one trial each: Tango's interval and the exact McNemar test. Graded values, or several
    trials on either side: case means, paired bootstrap (BCa) or betting interval, and the signed-rank test.

    Args:
        candidate: Its values by this scorer, shape (n, trials), NaN for errors.
        baseline: The baseline's values of the same cases in the same order, shape (n, its trials).
        scorer: Whose values they are.
        case_ids: The cases, shape (n,).
        level: Two-sided confidence level of the intervals.
        seed: Of the bootstrap.
    """
    is_counted = scorer.is_binary and candidate.shape[1] == baseline.shape[1] == 1
    ours = _turned(candidate, scorer, errors_pass=False).mean(axis=1)
    theirs = _turned(baseline, scorer, errors_pass=False).mean(axis=1)
    theirs_at_best = _turned(baseline, scorer, errors_pass=True).mean(axis=1)
    gaps = np.round(ours - theirs, 12)
    return Comparison(
        difference=_difference(ours, theirs, scorer, is_counted, level, seed),
        worst_case=_difference(ours, theirs_at_best, scorer, is_counted, level, seed),
        p=_p_value(gaps, ours, theirs, is_counted),
        better=case_ids[gaps > 0],
        worse=case_ids[gaps < 0],
        smallest_detectable=_smallest_detectable(gaps, is_counted, level),
        spread=float(gaps.std(ddof=1)) if len(gaps) > 1 else 0.0,
        is_counted=is_counted,
    )


def shared_cases(one: Sheet, other: Sheet) -> Integers:
    """The ids of the cases that both runs have, in rising order."""
    return np.intersect1d(one.case_ids, other.case_ids, assume_unique=True)


def sheet_of(rows: Sequence[tuple[int, int, str | None, float | None]], *, keys: Sequence[str], trials: int) -> Sheet:
    """The sheet of a run from its rows (case id, trial from 1, scorer's key, value), in any order.

    A case that stands in any row has a line; what no row gives a value for is an error. A scorer that is
    not in `keys` is left out.
    """
    case_ids = np.unique(np.array([row[0] for row in rows], dtype=np.int64))
    values = {key: np.full((len(case_ids), trials), np.nan) for key in keys}
    line_of = {int(case_id): line for line, case_id in enumerate(case_ids)}
    for case_id, trial, key, value in rows:
        if key in values and value is not None:
            values[key][line_of[case_id], trial - 1] = value
    return Sheet(case_ids, values)


def _turned(values: Floats, scorer: Scorer, *, errors_pass: bool) -> Floats:
    """Values inside the scorer's range with the better end up, and each error at one end of it."""
    lowest, highest = scorer.range
    turned = values if scorer.higher_is_better else lowest + highest - values
    return np.where(np.isnan(turned), highest if errors_pass else lowest, turned)


def _level_figure(filled: Floats, scorer: Scorer, *, best: float, level: float, seed: int) -> Figure:
    if scorer.is_binary and filled.shape[1] == 1:
        return proportions.wilson(int((filled == best).sum()), filled.shape[0], level=level)
    return means.mean(filled.mean(axis=1), score_range=scorer.range, level=level, seed=seed)


def _difference(ours: Floats, theirs: Floats, scorer: Scorer, is_counted: bool, level: float, seed: int) -> Figure:
    if is_counted:
        return paired.tango(int((ours > theirs).sum()), int((ours < theirs).sum()), len(ours), level=level)
    return paired.paired_mean_difference(ours, theirs, score_range=scorer.range, level=level, seed=seed)


def _p_value(gaps: Floats, ours: Floats, theirs: Floats, is_counted: bool) -> PValue:
    if is_counted:
        return paired.mcnemar_exact(int((gaps > 0).sum()), int((gaps < 0).sum()))
    return paired.wilcoxon(ours, theirs)


def _smallest_detectable(gaps: Floats, is_counted: bool, level: float) -> Figure:
    n = len(gaps)
    if is_counted:
        share = float((gaps != 0).mean()) if n else 0.0
        return power.smallest_detectable_difference(n, share, level=level)
    spread = float(gaps.std(ddof=1)) if n > 1 else 0.0
    return power.smallest_detectable_mean_difference(n, spread, level=level)
