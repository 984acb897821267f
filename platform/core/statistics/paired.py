"""Two runs on the same cases, always compared case by case; + means that the candidate is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from core.figures import Figure, PValue
from core.statistics import means, normal

TANGO = "Tango score interval"
MCNEMAR = "exact McNemar test"
WILCOXON = "Wilcoxon signed-rank test"

# Halvings of [-1, 1]: ends exact to 1e-15.
_HALVINGS = 51

Scores = Sequence[float] | NDArray[np.float64]


def tango(better: int, worse: int, n: int, *, level: float = 0.95) -> Figure:
    """Return the difference of two paired pass rates, candidate - baseline, with Tango's score interval.

    The interval has a width even where no case is discordant: then it reaches z²/(n + z²) to either side.
    From n = 30 on its exact coverage stays at or above 0.93 where it claims 0.95; with fewer than about five
    expected discordant cases it is conservative, because few outcomes are possible.

    Args:
        better: Cases that the candidate passed and the baseline failed.
        worse: Cases that the candidate failed and the baseline passed.
        n: Cases that both ran, concordant ones included; 0 gives an undefined figure.
        level: Two-sided confidence level.

    Raises:
        ValueError: A count is negative, or better and worse exceed n.

    Source: Tango (1998), "Equivalence test and confidence interval for the difference in proportions for
        the paired-sample design", Statistics in Medicine 17, 891-908.
    """
    z = normal.two_sided_z(level)
    refuse_impossible_counts(better, worse, n)
    if n == 0:
        return Figure.undefined("there is no case that both runs share", method=TANGO, level=level)
    low = -_upper_end(worse, better, n, z)
    high = _upper_end(better, worse, n, z)
    return Figure(value=(better - worse) / n, low=low, high=high, level=level, n=n, method=TANGO)


def score_deviation(better_share: float, worse_share: float, difference: float) -> float:
    """Return the standard deviation of one case's difference if the true difference were this one.

    It is taken at the most likely shares of discordant cases under that difference.

    Args:
        better_share: Observed share of cases that only the candidate passed.
        worse_share: Observed share of cases that only the baseline passed.
        difference: Supposed true difference, strictly inside -1 to 1.

    Source: Tango (1998), equations for the constrained maximum likelihood estimate.
    """
    b = -better_share - worse_share + (2 - better_share + worse_share) * difference
    c = -worse_share * difference * (1 - difference)
    worse_supposed = (math.sqrt(max(b * b - 8 * c, 0.0)) - b) / 4
    return math.sqrt(max(2 * worse_supposed + difference * (1 - difference), 0.0))


def mcnemar_exact(better: int, worse: int) -> PValue:
    """Return the two-sided exact p value that discordant cases fall to either side alike.

    Args:
        better: Cases that only the candidate passed.
        worse: Cases that only the baseline passed. With no discordant case the value is undefined.

    Raises:
        ValueError: A count is negative.

    Source: McNemar (1947), Psychometrika 12, 153-157, with the binomial distribution.
    """
    refuse_impossible_counts(better, worse, better + worse)
    if better + worse == 0:
        return PValue.undefined("no case is discordant, so nothing speaks for either side", method=MCNEMAR)
    from scipy.stats import binomtest  # costs a second to import: only where a p value is wanted

    return PValue(value=float(binomtest(better, better + worse, 0.5).pvalue), method=MCNEMAR)


def paired_mean_difference(
    candidate: Scores,
    baseline: Scores,
    *,
    score_range: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
    seed: int = 0,
) -> Figure:
    """Return the mean difference of graded scores, candidate - baseline, over the same cases.

    Interval: paired BCa bootstrap with 10,000 resamples; with n below 30, or fewer than 10 differences that
    are not zero (or off whatever difference is commonest), the betting interval for bounded means, which is
    conservative by construction. What `means.mean` says of order, seed and coverage holds here.

    Args:
        candidate: One score per case, shape (n,); of several trials the case's mean.
        baseline: The scores of the same cases in the same order, shape (n,).
        score_range: The range that the scorer declares.
        level: Two-sided confidence level.
        seed: Seed of resampling and order of bets.

    Raises:
        ValueError: The two differ in length, or a score is not finite or outside the range.
    """
    lowest, highest = score_range
    differences = _differences(candidate, baseline, score_range)
    reach = highest - lowest
    return means.mean(differences, score_range=(-reach, reach), level=level, seed=seed)


def wilcoxon(candidate: Scores, baseline: Scores) -> PValue:
    """Return the two-sided p value of the signed-rank test on paired graded scores.

    Cases without a difference are left out; with none left the value is undefined.

    Raises:
        ValueError: The two differ in length, or a score is not finite.

    Source: Wilcoxon (1945), Biometrics Bulletin 1, 80-83; scipy.stats.wilcoxon.
    """
    # Rounding makes ties of equal decimals; the test ranks, so the twelfth decimal is no information.
    differences = np.round(_differences(candidate, baseline, (-math.inf, math.inf)), 12)
    differences = differences[differences != 0]
    if not len(differences):
        return PValue.undefined("no case differs, so nothing speaks for either side", method=WILCOXON)
    from scipy import stats  # costs a second to import: only where a p value is wanted

    return PValue(value=float(stats.wilcoxon(differences).pvalue), method=WILCOXON)


def refuse_impossible_counts(better: int, worse: int, n: int) -> None:
    """Raise ValueError unless better and worse are counts that fit into n."""
    if better < 0 or worse < 0 or better + worse > n:
        raise ValueError(f"better, worse: found {better} and {worse} of n = {n}; give counts that add up to at most n")


def _upper_end(better: int, worse: int, n: int, z: float) -> float:
    """Return the largest difference that the score test does not refute."""
    estimate = (better - worse) / n

    def is_refuted(difference: float) -> bool:
        reach = z * score_deviation(better / n, worse / n, difference) / math.sqrt(n)
        return difference - estimate >= reach

    return _first_true(is_refuted, estimate, 1.0)


def _first_true(question: Callable[[float], bool], no: float, yes: float) -> float:
    """Return where the answer changes between a place of no and a place of yes."""
    for _ in range(_HALVINGS):
        middle = (no + yes) / 2
        if question(middle):
            yes = middle
        else:
            no = middle
    return no


def _differences(candidate: Scores, baseline: Scores, score_range: tuple[float, float]) -> NDArray[np.float64]:
    sides = {"candidate": np.asarray(candidate, np.float64), "baseline": np.asarray(baseline, np.float64)}
    if sides["candidate"].shape != sides["baseline"].shape:
        raise ValueError(f"candidate, baseline: found {len(candidate)} and {len(baseline)} scores; give the same cases")
    for side, scores in sides.items():
        usable = np.isfinite(scores) & (scores >= score_range[0]) & (scores <= score_range[1])
        if not usable.all():
            at = int(np.argmin(usable))
            raise ValueError(f"{side}[{at}]: found {scores[at]}; give a finite score inside the range {score_range}")
    return sides["candidate"] - sides["baseline"]
