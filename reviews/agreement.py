"""How far reviewers agree, and how far beyond chance: arrays in, figures out. No tables, no models.

Items that only one person judged say nothing here and are left out. Every interval resamples items, never answers:
the answers on one item go together. The same answers give the same figure, whatever the order.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from core.figures import Figure
from core.statistics import normal, proportions

# As few answers as can agree.
PAIR = 2
RESAMPLES = 1_000
SEED = 1960
# Below this share of resamples in which the figure is defined its ends would be those of another figure.
LEAST_DEFINED = 0.95
NO_SPREAD = 1e-9
# Counts of resamples held at once: 16 MB, and a few times as much for what is made of them.
_CELLS_AT_ONCE = 2_000_000

RAW = "share of same-item pairs that agree; Wilson's interval at the effective number of items"
COHEN = "Cohen's κ"
FLEISS = "Fleiss' κ"
ALPHA = "Krippendorff's α"
BOOTSTRAP = "bootstrap over items"
ALL_AGREE = "all agree: Wilson's lower end (conservative)"
NO_PAIR = "needs at least two reviewers on the same item"
NO_VARIANCE = "every answer is the same, so agreement cannot be told from chance"
TOO_UNIFORM = "too few items, or too much alike, for an interval"

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
# Resamples in rows (how often each row of items occurs) to the value in each; NaN where it is undefined.
Statistic = Callable[[Floats], Floats]
Weights = Literal["none", "linear", "quadratic"]


class Level(StrEnum):
    """What may be said of two different answers: that they differ, which is more, or by how much."""

    NOMINAL = "nominal"
    ORDINAL = "ordinal"
    INTERVAL = "interval"


@dataclass(frozen=True)
class Answers:
    """What was said about items by two people or more; alike items may share a row.

    Attributes:
        row: of each answer, shape (answers,).
        code: the answer as a place in `values`, shape (answers,).
        values: the different answers in their order.
        times: how many items each row stands for, shape (rows,).
    """

    row: Ints
    code: Ints
    values: npt.NDArray[Any]  # texts or numbers
    times: Ints

    @classmethod
    def of(
        cls, items: Sequence[Any], raters: Sequence[Any], values: Sequence[Any], order: Sequence[Any] = ()
    ) -> "Answers":
        """One row per answer in three sequences of one length; cells that are missing are simply not there.

        Where a rater answers the same item again, the last answer counts.

        Args:
            items: which item.
            raters: who answered.
            values: what; texts or numbers.
            order: of the values, where it is not their own.

        Raises:
            ValueError: the lengths differ.
        """
        last = {(item, rater): value for item, rater, value in zip(items, raters, values, strict=True)}
        of_item: dict[Any, list[Any]] = {}
        for (item, _), value in last.items():
            of_item.setdefault(item, []).append(value)
        return cls.of_rows(list(of_item.values()), np.ones(len(of_item), dtype=np.int64), order)

    @classmethod
    def of_rows(
        cls, said: Sequence[Sequence[Any]], times: Sequence[int] | Ints, order: Sequence[Any] = ()
    ) -> "Answers":
        """What was said about each row of items, and how many items it stands for."""
        known = list(order) or sorted({value for row in said for value in row})
        place = {value: code for code, value in enumerate(known)}
        alike: Counter[tuple[int, ...]] = Counter()
        for row, n in zip(said, times, strict=True):
            if len(row) >= PAIR:
                alike[tuple(sorted(place[value] for value in row))] += int(n)
        rows = sorted(alike)
        return cls(
            row=np.repeat(np.arange(len(rows)), [len(row) for row in rows]),
            code=np.array([code for row in rows for code in row], dtype=np.int64),
            values=np.array(known),
            times=np.array([alike[row] for row in rows], dtype=np.int64),
        )

    @classmethod
    def of_counts(cls, counts: Ints) -> "Answers":
        """From a count matrix, shape (items, values): how many people gave this value to this item."""
        rows, times = np.unique(counts[counts.sum(axis=1) >= PAIR], axis=0, return_counts=True)
        row, value = np.nonzero(rows)
        many = rows[row, value]
        return cls(np.repeat(row, many), np.repeat(value, many), np.arange(counts.shape[1]), times)

    @property
    def n_items(self) -> int:
        return int(self.times.sum())

    @cached_property
    def n(self) -> Floats:
        """Answers of each row."""
        return np.bincount(self.row, minlength=len(self.times)).astype(np.float64)

    @cached_property
    def counts(self) -> Floats:
        """The count matrix, shape (rows, values)."""
        shape = len(self.times), len(self.values)
        return np.bincount(self.row * shape[1] + self.code, minlength=shape[0] * shape[1]).reshape(shape).astype(float)

    @cached_property
    def squares(self) -> Floats:
        """Σ n_c² of each row, without the matrix: with numbers it would be as wide as it is long."""
        cell, n = np.unique(self.row * len(self.values) + self.code, return_counts=True)
        row, weights = cell // len(self.values), n.astype(np.float64) ** 2
        return np.bincount(row, weights=weights, minlength=len(self.times)).astype(np.float64)


def raw_agreement(answers: Answers, *, level: float = 0.95) -> Figure:
    """The share of the pairs of answers on the same item that are equal.

    The interval is Wilson's at (Σw)²/Σw² items, w the pairs of an item; it has a width where all agree, and is
    conservative where items have more than one pair.

    Returns:
        the figure with n = items that two people or more judged; undefined where there is none.

    Source: Wilson (1927), JASA 22, 209-212.
    """
    if not answers.n_items:
        return Figure.undefined(NO_PAIR, method=RAW, level=level)
    pairs = answers.n * (answers.n - 1)
    weight = float(answers.times @ pairs)
    share = float(answers.times @ (answers.squares - answers.n)) / weight
    n_effective = weight**2 / float(answers.times @ pairs**2)
    low, high = proportions.score_ends(share, n_effective, level=level)
    return Figure(share, low, high, level=level, n=answers.n_items, method=RAW)


def krippendorff_alpha(answers: Answers, measured: Level, *, level: float = 0.95) -> Figure:
    """Krippendorff's α: one minus observed over expected disagreement; any number of raters, cells may be missing.

    Args:
        answers: for `ordinal` with the values in their order, for `interval` with numbers as values.
        measured: the level at which answers differ.
        level: of the interval.

    Returns:
        the figure with n = items that two people or more judged; undefined where there is none, or where all
        answers are the same.

    Source: Krippendorff (2011), "Computing Krippendorff's alpha-reliability", University of Pennsylvania. The ordinal
        difference is that of the values' mid-ranks, which is the same.
    """
    method = f"{ALPHA}, {measured.value}"
    if not answers.n_items:
        return Figure.undefined(NO_PAIR, method=method, level=level)
    statistic = {Level.NOMINAL: _nominal, Level.ORDINAL: _ordinal, Level.INTERVAL: _interval}[measured](answers)
    total = float(answers.times @ answers.n)
    same = np.bincount(answers.code, weights=answers.times[answers.row])
    return _figure(statistic, answers.times, _differ(total, same), level, method)


def fleiss_kappa(answers: Answers, *, level: float = 0.95) -> Figure:
    """Fleiss' κ, for designs in which every item has the same number of answers; nominal.

    Returns:
        the figure with n = items; undefined where the number of answers differs from item to item, where no item has
        two, and where all answers are the same.

    Source: Fleiss (1971), "Measuring nominal scale agreement among many raters", Psychological Bulletin 76, 378-382.
    """
    if not answers.n_items:
        return Figure.undefined(NO_PAIR, method=FLEISS, level=level)
    each = float(answers.n[0])
    if (answers.n != each).any():
        reason = "needs the same number of reviewers on every item; α takes any number"
        return Figure.undefined(reason, n=answers.n_items, method=FLEISS, level=level)

    def statistic(drawn: Floats) -> Floats:
        n = drawn.sum(axis=1)
        observed = drawn @ ((each**2 - answers.squares) / (each * (each - 1))) / n
        shares = drawn @ answers.counts / (n * each)[:, None]
        return _beyond_chance(observed, 1 - (shares**2).sum(axis=1))

    shares = answers.times @ answers.counts / (answers.n_items * each)
    return _figure(statistic, answers.times, 1 - float((shares**2).sum()), level, FLEISS)


def cohen_kappa(
    first: Sequence[Any] | npt.NDArray[Any],  # texts or numbers
    second: Sequence[Any] | npt.NDArray[Any],
    *,
    weights: Weights = "none",
    times: Sequence[int] | Ints | None = None,
    level: float = 0.95,
) -> Figure:
    """Cohen's κ of two raters over the items that both judged.

    Args:
        first: the one's answers, texts or numbers, shape (items,).
        second: the other's, about the same items in the same order.
        weights: `none` for nominal answers; a disagreement of d steps weighs d (`linear`) or d² (`quadratic`). Steps
            are counted over the values that occur, as R's irr and scikit-learn count them.
        times: how many items each place stands for; 1 where it is left out.
        level: of the interval.

    Returns:
        the figure with n = items; undefined where there is none, or where both always gave the same one answer.

    Raises:
        ValueError: the two differ in length.

    Source: Cohen (1960), Educational and Psychological Measurement 20, 37-46; Cohen (1968), Psychological Bulletin 70,
        213-220. Equal to `sklearn.metrics.cohen_kappa_score`, which knows no resamples.
    """
    method = f"{COHEN}, {'unweighted' if weights == 'none' else f'{weights} weights'}"
    one, other = np.asarray(first), np.asarray(second)
    if one.shape != other.shape:
        raise ValueError(f"first, second: found {one.shape} and {other.shape} answers; give both about the same items")
    if not one.size:
        return Figure.undefined("needs two reviewers on the same items", method=method, level=level)
    values, codes = np.unique(np.concatenate([one, other]), return_inverse=True)
    n_values = len(values)
    cells, at = np.unique(codes[: one.size] * n_values + codes[one.size :], return_inverse=True)
    n = np.bincount(at, weights=np.ones(one.size) if times is None else np.asarray(times, dtype=np.float64))
    one, other = cells // n_values, cells % n_values
    distance = _distances(n_values, weights)
    by_one, by_other = np.eye(n_values)[one], np.eye(n_values)[other]

    def statistic(drawn: Floats) -> Floats:
        total = drawn.sum(axis=1)
        expected = ((drawn @ by_one @ distance) * (drawn @ by_other)).sum(axis=1) / total**2
        return _beyond_chance(drawn @ distance[one, other] / total, expected)

    total = n.sum()
    differ = 1 - float((n @ by_one) @ (n @ by_other)) / total**2
    return _figure(statistic, n.astype(np.int64), differ, level, method)


def _nominal(answers: Answers) -> Statistic:
    unlike = (answers.n**2 - answers.squares) / (answers.n - 1)

    def statistic(drawn: Floats) -> Floats:
        n, totals = drawn @ answers.n, drawn @ answers.counts
        return _beyond_chance(drawn @ unlike / n, _differ(n, totals))

    return statistic


def _interval(answers: Answers) -> Statistic:
    numbers = answers.values.astype(np.float64)[answers.code]
    # Differences do not change by a shift or a factor; squares of numbers around 0 and 1 lose no digits.
    numbers = numbers - numbers.mean()
    numbers = numbers / (np.abs(numbers).max() or 1.0)
    sums = np.bincount(answers.row, weights=numbers)
    squares = np.bincount(answers.row, weights=numbers**2)
    unlike = 2 * (answers.n * squares - sums**2) / (answers.n - 1)

    def statistic(drawn: Floats) -> Floats:
        n = drawn @ answers.n
        expected = 2 * (n * (drawn @ squares) - (drawn @ sums) ** 2) / (n * (n - 1))
        return _beyond_chance(drawn @ unlike / n, expected)

    return statistic


def _ordinal(answers: Answers) -> Statistic:
    """The distance of two values is the number of answers between them, so it changes with what is drawn."""

    def statistic(drawn: Floats) -> Floats:
        n, totals = drawn @ answers.n, drawn @ answers.counts
        ranks = (np.cumsum(totals, axis=1) - totals / 2) / n[:, None] - 0.5
        squares = ((drawn * (answers.n / (answers.n - 1))) @ answers.counts * ranks**2).sum(axis=1)
        sums = (drawn / (answers.n - 1) * (ranks @ answers.counts.T) ** 2).sum(axis=1)
        # Mid-ranks have the mean of all ranks, which was taken off.
        expected = 2 * (totals * ranks**2).sum(axis=1) / (n - 1)
        return _beyond_chance(2 * (squares - sums) / n, expected)

    return statistic


def _differ(n: Any, totals: Any) -> Any:  # Any: of one sample, or of each row of resamples
    """The share of all pairs of answers, of the same item or not, that differ."""
    return (n**2 - (totals**2).sum(axis=-1)) / (n * (n - 1))


def _beyond_chance(observed: Floats, expected: Floats) -> Floats:
    """1 - observed/expected disagreement; NaN where none is expected."""
    is_defined = expected > 1e-12
    return np.where(is_defined, 1 - observed / np.where(is_defined, expected, 1.0), np.nan)


def _distances(n_values: int, weights: Weights) -> Floats:
    steps = np.abs(np.subtract.outer(np.arange(n_values), np.arange(n_values))).astype(np.float64)
    return {"none": np.sign(steps), "linear": steps, "quadratic": steps**2}[weights]


def _figure(statistic: Statistic, times: Ints, differ: float, level: float, method: str) -> Figure:
    """The figure with its interval; `differ` is the share of pairs that differ by chance."""
    n = int(times.sum())
    value = float(statistic(times[None, :].astype(np.float64))[0])
    if np.isnan(value):
        return Figure.undefined(NO_VARIANCE, n=n, method=method, level=level)
    if value > 1 - 1e-12:
        least, _ = proportions.score_ends(1.0, n, level=level)
        low = max(-1.0, 1 - (1 - least) / differ)
        return Figure(1.0, low, 1.0, level=level, n=n, method=f"{method}; {ALL_AGREE}")
    found = _resampled(statistic, times)
    if len(found) < LEAST_DEFINED * RESAMPLES or np.ptp(found) < NO_SPREAD:
        return Figure(value, None, None, level=level, n=n, method=method, reason=TOO_UNIFORM)
    low, high = np.quantile(found, expanded_shares(n, level))
    ends = float(min(low, value)), float(max(high, value))
    return Figure(value, *ends, level=level, n=n, method=f"{method}; {BOOTSTRAP}")


def expanded_shares(n: int, level: float) -> tuple[float, float]:
    """Which of the resampled values are the ends: a little further out than the level says, for few items.

    A plain percentile interval is too narrow by the factor √((n-1)/n), and by the normal in the place of Student's
    t: for two reviewers and 30 items it covered .90. This one covered .929 to .996 at 30 and 50 items.

    Source: Hesterberg (2015), "What teachers should know about the bootstrap", The American Statistician 69, 371-386,
        section 3.4 (expanded percentile interval); the quantile of t by its expansion, Abramowitz and Stegun 26.7.5.
    """
    if n < PAIR:
        return 0.0, 1.0
    z, free = normal.two_sided_z(level), n - 1
    t = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    share = normal.share_below(-t * math.sqrt(n / free))
    return share, 1 - share


def _resampled(statistic: Statistic, times: Ints) -> Floats:
    """The statistic in resamples of as many items, where it is defined."""
    rng = np.random.default_rng(SEED)
    n = int(times.sum())
    step = max(1, _CELLS_AT_ONCE // len(times))
    sizes = [min(step, RESAMPLES - start) for start in range(0, RESAMPLES, step)]
    found = np.concatenate([statistic(rng.multinomial(n, times / n, size=size).astype(np.float64)) for size in sizes])
    return np.asarray(found[~np.isnan(found)])
