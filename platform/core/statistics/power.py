"""What a golden set can see, and how many more cases would settle an open question."""

from __future__ import annotations

import math

from core.figures import Figure
from core.statistics import normal, paired

PAIRED_POWER = "paired power (Connor 1987)"
MEAN_POWER = "paired power (normal)"
PAIRED_SIZE = "paired sample size (Nam 1997)"
SHARE_SIZE = "one-proportion sample size (score test)"
MEAN_SIZE = "one-mean sample size (normal)"

_ON_THE_LINE = "the observed value lies on the line itself; more cases like these would never settle it"


def smallest_detectable_difference(
    n: int, discordant_share: float, *, power: float = 0.8, level: float = 0.95
) -> Figure:
    """Return the smallest true difference of paired pass rates that n cases would have shown.

    Shown means: the two-sided McNemar test at this level comes out significant with this power. Undefined
    where even discordant cases that all favour one side would be too few.

    Args:
        n: Cases in the set.
        discordant_share: Share of cases on which the two runs differ, 0 to 1.
        power: Wanted probability to see the difference.
        level: Two-sided confidence level of the test.

    Raises:
        ValueError: n is negative, or a share lies outside its range.

    Source: Connor (1987), "Sample size for testing differences in proportions for the paired-sample design",
        Biometrics 43, 207-211: sqrt(n)·d = z_level·sqrt(share) + z_power·sqrt(share - d²), solved for d.
    """
    z, z_power = normal.two_sided_z(level), normal.power_z(power)
    if n < 0 or not 0 <= discordant_share <= 1:
        raise ValueError(f"n, discordant_share: found {n} and {discordant_share}; give n >= 0 and a share of 0 to 1")
    smallest = _connor(n, discordant_share, z, z_power)
    if not smallest or smallest > discordant_share:
        found = f"{n * discordant_share:.0f} of {n} cases are discordant"
        reason = f"{found}: too few to show a difference even if all of them favoured one side"
        return Figure.undefined(reason, n=n, method=PAIRED_POWER, level=level)
    return Figure(value=smallest, low=None, high=None, level=level, n=n, method=PAIRED_POWER)


def smallest_detectable_mean_difference(n: int, spread: float, *, power: float = 0.8, level: float = 0.95) -> Figure:
    """Return the smallest true mean difference of graded scores that n cases would have shown.

    Args:
        n: Cases in the set; 0 gives an undefined figure.
        spread: Standard deviation of the differences over cases; 0 gives an undefined figure.
        power: Wanted probability to see the difference.
        level: Two-sided confidence level of the test.

    Source: normal approximation, (z_level + z_power)·spread / sqrt(n).
    """
    z, z_power = normal.two_sided_z(level), normal.power_z(power)
    if n < 1 or not spread > 0:
        reason = f"needs cases whose differences vary; found n = {n} and a spread of {spread}"
        return Figure.undefined(reason, n=max(n, 0), method=MEAN_POWER, level=level)
    value = (z + z_power) * spread / math.sqrt(n)
    return Figure(value=value, low=None, high=None, level=level, n=n, method=MEAN_POWER)


def cases_to_settle(
    better: int, worse: int, n: int, *, threshold: float, level: float = 0.95, power: float = 0.8
) -> Figure:
    """Return how many more cases would settle whether the paired difference lies above the threshold.

    Settled means: Tango's interval of the larger set lies on one side of the threshold. If the true shares
    of discordant cases are the observed ones, a set enlarged by this many cases settles it with this power.
    The value is 0 where the counts settle it already, and undefined where the observed difference is the
    threshold itself.

    Args:
        better: Cases that only the candidate passed.
        worse: Cases that only the baseline passed.
        n: Cases so far; 0 gives an undefined figure.
        threshold: -margin for non-inferiority, 0 for superiority; strictly inside -1 to 1.
        level: Two-sided confidence level of the gate.
        power: Wanted probability to settle it; 0.5 asks for the size at which the interval just touches
            the threshold if the shares stay exactly as observed.

    Raises:
        ValueError: The counts are impossible, or the threshold lies outside its range.

    Source: Nam (1997), "Establishing equivalence of two treatments and sample size requirements in
        matched-pairs design", Biometrics 53, 1422-1430:
        N = (z_level·s0 + z_power·s1)² / (d - threshold)², where s0 is the deviation under the threshold
        (Tango's constrained estimate) and s1 the observed one.
    """
    paired.refuse_impossible_counts(better, worse, n)
    if not -1 < threshold < 1:
        raise ValueError(f"threshold: found {threshold}; give -margin or 0, strictly between -1 and 1")
    if n == 0:
        return Figure.undefined("there is no case to project from", method=PAIRED_SIZE, level=level)
    difference = (better - worse) / n
    supposed = paired.score_deviation(better / n, worse / n, threshold)
    observed = math.sqrt(max((better + worse) / n - difference**2, 0.0))
    return _more_units(n, difference - threshold, supposed, observed, level=level, power=power, method=PAIRED_SIZE)


def cases_to_settle_share(successes: int, n: int, *, floor: float, level: float = 0.95, power: float = 0.8) -> Figure:
    """Return how many more cases would settle whether a pass rate lies above the floor.

    Settled means: Wilson's interval of the larger set lies on one side of the floor. Otherwise as
    `cases_to_settle`.

    Raises:
        ValueError: The counts are impossible, or the floor lies outside 0 to 1 (both excluded).

    Source: sample size of the one-proportion score test, whose inversion is Wilson's interval:
        N = (z_level·sqrt(f(1 - f)) + z_power·sqrt(p(1 - p)))² / (p - f)².
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes: found {successes} of n = {n}; give a count from 0 to n")
    if not 0 < floor < 1:
        raise ValueError(f"floor: found {floor}; give a share strictly between 0 and 1")
    if n == 0:
        return Figure.undefined("there is no case to project from", method=SHARE_SIZE, level=level)
    share = successes / n
    supposed, observed = math.sqrt(floor * (1 - floor)), math.sqrt(share * (1 - share))
    return _more_units(n, share - floor, supposed, observed, level=level, power=power, method=SHARE_SIZE)


def cases_to_settle_mean(
    difference: float, spread: float, n: int, *, threshold: float, level: float = 0.95, power: float = 0.8
) -> Figure:
    """Return how many more cases would settle whether a mean difference lies above the threshold.

    Args:
        difference: Observed mean difference.
        spread: Standard deviation of the differences over cases; 0 gives an undefined figure.
        n: Cases so far; 0 gives an undefined figure.
        threshold: -margin for non-inferiority, 0 for superiority, in units of the score.
        level: Two-sided confidence level of the gate.
        power: Wanted probability to settle it.

    Source: normal approximation, N = ((z_level + z_power)·spread / (difference - threshold))².
    """
    if n < 1 or not spread > 0:
        reason = f"needs cases whose differences vary; found n = {n} and a spread of {spread}"
        return Figure.undefined(reason, n=max(n, 0), method=MEAN_SIZE, level=level)
    return _more_units(n, difference - threshold, spread, spread, level=level, power=power, method=MEAN_SIZE)


def _connor(n: int, share: float, z: float, z_power: float) -> float | None:
    """Return the larger root of Connor's equation in d, the one that is a difference to be seen."""
    under_root = n + z_power**2 - z**2
    if under_root < 0:
        return None
    return math.sqrt(share) * (math.sqrt(n) * z + z_power * math.sqrt(under_root)) / (n + z_power**2)


def _more_units(
    n: int, distance: float, supposed: float, observed: float, *, level: float, power: float, method: str
) -> Figure:
    z, z_power = normal.two_sided_z(level), normal.power_z(power)
    # Shares of counts carry rounding errors; a distance of that size is none.
    if abs(distance) < 1e-12:
        return Figure.undefined(_ON_THE_LINE, n=n, method=method, level=level)
    if math.sqrt(n) * abs(distance) > z * supposed:
        more = 0
    else:
        # At power 0.5 the interval just touches the line at a whole N, and touching settles nothing yet.
        needed = math.floor(((z * supposed + z_power * observed) / distance) ** 2) + 1
        more = max(1, needed - n)
    return Figure(value=more, low=None, high=None, level=level, n=n, method=method)
