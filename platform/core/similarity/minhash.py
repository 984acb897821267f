"""Near-duplicate candidates that a database can find: MinHash bands in an indexed array of integers."""

from __future__ import annotations

import numpy as np

from core.similarity import mixing
from core.similarity.mixing import Hashes
from core.similarity.shingles import shingles

# Texts that share 0.8 of their shingles agree in some band with probability 1 - (1 - 0.8**6)**20 = 0.998,
# texts that share 0.3 with 0.014. Changing either number makes stored bands worthless.
BANDS = 20
ROWS = 6

_SEEDS = mixing.constants(BANDS * ROWS, start=20)
_BAND_SEEDS = mixing.constants(BANDS, start=21)
# Shingles hashed at once: bounds memory at 4 MB for the longest text.
_LOT = 4096


def bands(text: str) -> list[int]:
    """Return the text's 20 band values as signed 64-bit integers, for a `bigint[]` with a GIN index.

    Texts whose arrays overlap (`&&`) are candidates and have to be verified by `shingles.is_near`; of the
    pairs at a Jaccard similarity of 0.8 at least 99 % overlap, and equal texts always do. The values are the
    same in every process and version, and a value stands for one band only.

    Source: Broder (1997), "On the resemblance and containment of documents"; banding: Leskovec, Rajaraman &
        Ullman, "Mining of Massive Datasets", chapter 3.4.
    """
    return bands_of(shingles(text))


def bands_of(hashes: Hashes) -> list[int]:
    """Return the band values of a non-empty set of shingles; `bands` of the text that has them."""
    rows = _smallest(hashes).reshape(BANDS, ROWS)
    values = _BAND_SEEDS
    for row in range(ROWS):
        values = mixing.mix(values ^ rows[:, row])
    return [int(value) for value in values.view(np.int64)]


def _smallest(hashes: Hashes) -> Hashes:
    """Return the smallest value of each of the 120 hash functions over a set of shingles."""
    smallest = np.full(len(_SEEDS), np.iinfo(np.uint64).max, dtype=np.uint64)
    for start in range(0, len(hashes), _LOT):
        hashed = mixing.mix(hashes[start : start + _LOT] ^ _SEEDS[:, np.newaxis])
        smallest = np.minimum(smallest, hashed.min(axis=1))
    return smallest
