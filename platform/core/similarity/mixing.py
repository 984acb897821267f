"""A fixed 64-bit mixing function: the same on every machine, in every process and version."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def mix(values: Hashes) -> Hashes:
    """Return one well-spread 64-bit number for each number; different numbers stay different.

    Source: Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators", OOPSLA: SplitMix64.
    """
    mixed = (values ^ (values >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def constants(count: int, *, start: int) -> Hashes:
    """Return this many fixed numbers of SplitMix64's sequence from a start, shape (count,)."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    return mix(steps + np.uint64(start))
