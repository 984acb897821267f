"""Mean of a graded score over cases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.figures import Figure
from core.statistics import betting, bootstrap

BCA = "bootstrap (BCa)"
BETTING = "betting interval for bounded means"

# Below these a bootstrap knows too little of the distribution to resample it.
FEWEST_UNITS = 30
FEWEST_OFF_COMMONEST = 10

Floats = NDArray[np.float64]


def mean(
    values: Sequence[float] | Floats,
    *,
    score_range: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
    seed: int = 0,
) -> Figure:
    """Return the mean of one value per case, with an interval that speaks of cases like these.

    The interval is the BCa bootstrap with 10,000 resamples; with n below 30, or with fewer than 10 values
    off the commonest one (all equal included), the betting interval for bounded means takes its place.
    Where a case ran several times, give the mean of the case: cases are the unit. BCa covers 0.93 and more
    where it claims 0.95 from n = 50 on; the betting interval is conservative by construction.
    Order does not matter; the same values, range, level and seed give the same figure.

    Args:
        values: One value per case, shape (n,); none gives an undefined figure.
        score_range: The range that the scorer declares; needs not be reached.
        level: Two-sided confidence level.
        seed: Seed of resampling and order of bets.

    Raises:
        ValueError: A value is not finite or outside the range, or the range is empty or not finite.

    Source: Efron (1987) and Waudby-Smith & Ramdas (2024); see `bootstrap` and `betting`.
    """
    scores = _checked(values, score_range)
    if not len(scores):
        return Figure.undefined("there is no case to take a mean of", method=BCA, level=level)
    average = float(scores.mean())
    if _is_thin(scores):
        method = BETTING
        low, high = betting.hedged_interval(scores, score_range=score_range, level=level, seed=seed)
        # A running intersection may end beside the mean; widening it to the mean costs no coverage.
        low, high = min(low, average), max(high, average)
    else:
        method = BCA
        low, high = bootstrap.bca_interval(scores, level=level, seed=seed)
    return Figure(value=average, low=low, high=high, level=level, n=len(scores), method=method)


def _checked(values: Sequence[float] | Floats, score_range: tuple[float, float]) -> Floats:
    scores = np.asarray(values, dtype=np.float64)
    lowest, highest = score_range
    if not (np.isfinite(lowest) and np.isfinite(highest) and lowest < highest):
        raise ValueError(f"score_range: found {score_range}; give two finite ends, the lower one first")
    if scores.ndim != 1:
        raise ValueError(f"values: found shape {scores.shape}; give one value per case, shape (n,)")
    # A mean of trials or a difference may pass the declared end by a rounding error, and no further.
    slack = 1e-9 * (highest - lowest)
    inside = (scores >= lowest - slack) & (scores <= highest + slack)
    if not inside.all():
        at = int(np.argmin(inside))
        raise ValueError(f"values[{at}]: found {scores[at]}; the declared range is {lowest} to {highest}")
    return np.asarray(np.clip(scores, lowest, highest))


def _is_thin(scores: Floats) -> bool:
    if len(scores) < FEWEST_UNITS:
        return True
    # Differences of equal decimals (0.3 - 0.1 and 0.5 - 0.3) are equal up to rounding.
    commonest = int(np.unique(np.round(scores, 12), return_counts=True)[1].max())
    return len(scores) - commonest < FEWEST_OFF_COMMONEST
