"""The normal distribution's quantiles, from the standard library so that no one loads scipy for them."""

from __future__ import annotations

from statistics import NormalDist

_STANDARD = NormalDist()


def two_sided_z(level: float) -> float:
    """Return the z that a two-sided interval of this level reaches to on each side (1.96 for 0.95).

    Raises:
        ValueError: The level is not strictly between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: found {level}; give a share between 0 and 1, such as 0.95")
    return quantile((1 + level) / 2)


def power_z(power: float) -> float:
    """Return the z that a test needs on top of its critical value to reach this power (0.84 for 0.8).

    Raises:
        ValueError: The power is not at least 0.5 and below 1.
    """
    if not 0.5 <= power < 1:
        raise ValueError(f"power: found {power}; give a share from 0.5 up to but without 1, such as 0.8")
    return quantile(power)


def quantile(share: float) -> float:
    """Return the standard normal quantile of a share strictly between 0 and 1."""
    return _STANDARD.inv_cdf(share)


def share_below(z: float) -> float:
    """Return the share of the standard normal distribution below z."""
    return _STANDARD.cdf(z)
