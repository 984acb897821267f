"""One proportion: the share of cases that passed."""

from __future__ import annotations

import math

from core.figures import Figure
from core.statistics import normal

WILSON = "Wilson score interval"
NEWCOMBE = "difference of two proportions; Newcombe's hybrid score interval"


def wilson(successes: int, n: int, *, level: float = 0.95) -> Figure:
    """Return the share of successes with Wilson's score interval.

    The interval keeps a width at 0 and at n successes. Its coverage swings around the level with n and the
    true share: for shares of 0.05 to 0.95 and a claimed 0.95 it averages 0.95, and its exact minimum is 0.925
    from n = 40 on and 0.93 from n = 200 on.

    Args:
        successes: Cases that passed, 0 to n.
        n: Cases in all; 0 gives an undefined figure.
        level: Two-sided confidence level.

    Raises:
        ValueError: n is negative, or successes lie outside 0 to n.

    Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference",
        JASA 22, 209-212; method 3 of Newcombe (1998), Statistics in Medicine 17, 857-872.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes: found {successes} of n = {n}; give a count from 0 to n")
    if n == 0:
        return Figure.undefined("there is no case to take a share of", method=WILSON, level=level)
    share = successes / n
    low, high = score_ends(share, n, level=level)
    return Figure(value=share, low=low, high=high, level=level, n=n, method=WILSON)


def score_ends(share: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's ends for a share of n, which need not be whole, as an effective n is not.

    They lie in [0, 1] and hold the share itself, not a rounding error beside it.
    """
    z = normal.two_sided_z(level)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, min(share, centre - reach)), min(1.0, max(share, centre + reach))


def difference(successes: int, n: int, *, before: int, n_before: int, level: float = 0.95) -> Figure:
    """Return the share of successes minus the share before, of two independent samples, with its interval.

    `n` of the figure counts both samples.

    Args:
        successes: Cases that passed, 0 to n.
        n: Cases in all.
        before: Cases that passed in the other sample, 0 to n_before.
        n_before: Cases of the other sample in all; 0 in either gives an undefined figure.
        level: Two-sided confidence level.

    Raises:
        ValueError: as `wilson`.

    Source: method 10 of Newcombe (1998), "Interval estimation for the difference between independent proportions:
        comparison of eleven methods", Statistics in Medicine 17, 873-890.
    """
    one, other = wilson(successes, n, level=level), wilson(before, n_before, level=level)
    if one.value is None or other.value is None:
        return Figure.undefined(
            f"there is no case {'after' if one.value is None else 'before'}",
            n=n + n_before,
            method=NEWCOMBE,
            level=level,
        )
    value = one.value - other.value
    low = value - math.hypot(one.value - (one.low or 0.0), (other.high or 0.0) - other.value)
    high = value + math.hypot((one.high or 0.0) - one.value, other.value - (other.low or 0.0))
    return Figure(value=value, low=low, high=high, level=level, n=n + n_before, method=NEWCOMBE)
