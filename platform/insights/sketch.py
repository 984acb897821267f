"""DDSketch: quantiles of positive numbers within 1 % from counts per bucket; sketches of parts add up."""

import math
from collections.abc import Mapping

from core.figures import Figure
from core.statistics import normal

RELATIVE_ERROR = 0.01
GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
# Nothing that we measure is faster: a microsecond, and zero, share the lowest bucket.
SMALLEST = 0.001
METHOD = "merged sketch, within 1 % of the true quantile; interval by order statistics"

# Bucket i counts the values above GAMMA ** (i - 1), up to GAMMA ** i.
Sketch = Mapping[int, int]


def bucket_of(value: float) -> int:
    """The bucket of a value.

    Source: Masson, Rim and Lee (2019), "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
        guarantees", PVLDB 12(12), definition 3.
    """
    return math.ceil(math.log(max(value, SMALLEST)) / math.log(GAMMA))


def bucket_sql(column: str) -> str:
    """The same in SQL; null where the column is."""
    # Not greatest(), which takes null for the smaller of two.
    clamped = f"CASE WHEN {column} < {SMALLEST} THEN {SMALLEST} ELSE {column} END"
    return f"ceil(ln({clamped}) / {math.log(GAMMA)!r})::int"


def middle_of(bucket: int) -> float:
    """The value that is within the relative error of everything in the bucket."""
    return 2 * GAMMA**bucket / (GAMMA + 1)


def merged(*sketches: Sketch) -> Sketch:
    """The sketch of all values of these."""
    total: dict[int, int] = {}
    for sketch in sketches:
        for bucket, n in sketch.items():
            total[bucket] = total.get(bucket, 0) + n
    return total


def quantile(sketch: Sketch, q: float, *, level: float = 0.95) -> Figure:
    """The q-quantile of the values, with the interval between the order statistics at the ends of its rank.

    Args:
        sketch: counts per bucket.
        q: strictly between 0 and 1.
        level: of the interval, which speaks of the process behind the values (normal ends of a binomial rank).
    """
    n = sum(sketch.values())
    if n == 0:
        return Figure.undefined("no output told its latency", method=METHOD, level=level)
    reach = normal.two_sided_z(level) * math.sqrt(n * q * (1 - q))
    ranks = [q * (n - 1), max(0.0, q * (n - 1) - reach), min(n - 1.0, q * (n - 1) + reach)]
    value, low, high = (_at_rank(sketch, rank) for rank in ranks)
    return Figure(value, low, high, level=level, n=n, method=METHOD)


def _at_rank(sketch: Sketch, rank: float) -> float:
    seen = 0
    for bucket in sorted(sketch):
        seen += sketch[bucket]
        if seen > rank:
            return middle_of(bucket)
    return middle_of(max(sketch))
