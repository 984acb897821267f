"""Bootstrap interval of a mean, bounded in memory whatever the number of values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.statistics import normal

RESAMPLES = 10_000
# Indices drawn at once: 16 MB of them, and as much again for the values they pick.
_INDICES_AT_ONCE = 2_000_000
# Drawing how often each value occurs pays off while few values occur.
_VALUES_PER_DISTINCT = 8

Floats = NDArray[np.float64]


def bca_interval(values: Floats, *, level: float, seed: int, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Return the bias-corrected and accelerated bootstrap interval of the mean of the values.

    The same values in any order, level, seed and number of resamples give the same interval. scipy's own
    BCa spends memory and time of order n squared on the jackknife, which for a mean has a closed form.

    Args:
        values: One finite number per unit, shape (n,), with at least two different ones.
        level: Two-sided confidence level.
        seed: Seed of the resampling.
        resamples: Number of bootstrap samples.

    Raises:
        ValueError: All values are equal, so that resampling shows no spread.

    Source: Efron (1987), "Better bootstrap confidence intervals", JASA 82, 171-185.
    """
    values = np.sort(values)
    if values[0] == values[-1]:
        raise ValueError("values: all are equal, so a bootstrap has no spread; use an interval for bounded means")
    means = _resampled_means(values, resamples, np.random.default_rng(seed))
    bias = _bias(means, float(values.mean()))
    acceleration = _acceleration(values)
    z = normal.two_sided_z(level)
    shares = [_adjusted_share(side, bias, acceleration) for side in (-z, z)]
    low, high = np.quantile(means, shares)
    return float(low), float(high)


def _resampled_means(values: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) * _VALUES_PER_DISTINCT <= len(values):
        occurrences = rng.multinomial(len(values), counts / len(values), size=resamples)
        return np.asarray(occurrences @ distinct / len(values))
    return _means_by_index(values, resamples, rng)


def _means_by_index(values: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    n = len(values)
    means = np.empty(resamples)
    step = max(1, _INDICES_AT_ONCE // n)
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        means[start:stop] = values[rng.integers(0, n, size=(stop - start, n))].mean(axis=1)
    return means


def _bias(means: Floats, observed: float) -> float:
    """Return z0: how far the observed mean sits from the median of the resampled ones, ties counted half."""
    # Sums of the same values in another order differ by rounding; they are ties all the same.
    slack = 1e-12 * max(1.0, abs(observed))
    below = np.count_nonzero(means < observed - slack)
    up_to = np.count_nonzero(means <= observed + slack)
    share = (below + up_to) / (2 * len(means))
    edge = 0.5 / len(means)
    return normal.quantile(min(max(share, edge), 1 - edge))


def _acceleration(values: Floats) -> float:
    """Return a: a sixth of the skewness of the jackknife means, in closed form for a mean."""
    deviations = values - values.mean()
    return float((deviations**3).sum() / (6 * (deviations**2).sum() ** 1.5))


def _adjusted_share(z: float, bias: float, acceleration: float) -> float:
    shifted = bias + z
    return normal.share_below(bias + shifted / (1 - acceleration * shifted))
