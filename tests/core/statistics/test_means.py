"""Means of bounded scores: the two intervals against references and by simulation."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from core.figures import Figure
from core.statistics import betting, bootstrap, means

Floats = NDArray[np.float64]


class TestBca:
    @pytest.mark.parametrize("level", [0.95, 0.995])
    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_equals_scipys_on_the_same_resamples(self, seed: int, level: float) -> None:
        # Skewed and all different, so that bias and acceleration matter and no tie is counted half.
        values = np.sort(np.random.default_rng(seed).beta(0.5, 3, size=300))
        expected = stats.bootstrap(
            (values,),
            np.mean,
            confidence_level=level,
            n_resamples=bootstrap.RESAMPLES,
            method="BCa",
            batch=1_000,
            rng=np.random.default_rng(seed),
        ).confidence_interval
        low, high = bootstrap.bca_interval(values, level=level, seed=seed)
        assert low == pytest.approx(expected.low, abs=1e-12)
        assert high == pytest.approx(expected.high, abs=1e-12)
        # Neither the plain percentile interval nor one value fewer comes near.
        resampled = np.random.default_rng(seed).choice(values, size=(bootstrap.RESAMPLES, 300)).mean(axis=1)
        assert abs(np.quantile(resampled, (1 + level) / 2) - expected.high) > 1e-4
        assert abs(bootstrap.bca_interval(values[:-1], level=level, seed=seed)[1] - expected.high) > 1e-4

    def test_counts_few_distinct_values_to_the_same_interval(self) -> None:
        values = np.random.default_rng(3).choice([0, 0.25, 0.5, 1.0], size=400, p=[0.1, 0.2, 0.3, 0.4])
        counted = bootstrap.bca_interval(values, level=0.95, seed=1)
        expected = stats.bootstrap(
            (values,), np.mean, n_resamples=10_000, batch=1_000, rng=np.random.default_rng(1)
        ).confidence_interval
        # Other draws of the same distribution: a twentieth of the width apart at most.
        assert counted == pytest.approx(tuple(expected), abs=(expected.high - expected.low) / 20)

    def test_counts_ties_half(self) -> None:
        # A tenth of the resampled means equals the observed one; whole ties would shift both ends up.
        low, high = bootstrap.bca_interval(np.tile([0.0, 1.0], 32), level=0.95, seed=0)
        assert (low, high) == (0.375, 0.625)

    def test_stays_bounded_in_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        values = np.random.default_rng(4).random(1_000)
        whole = bootstrap.bca_interval(values, level=0.95, seed=1, resamples=500)
        monkeypatch.setattr(bootstrap, "_INDICES_AT_ONCE", 7_000)
        assert bootstrap.bca_interval(values, level=0.95, seed=1, resamples=500) == whole

    def test_refuses_values_without_spread(self) -> None:
        with pytest.raises(ValueError, match="all are equal"):
            bootstrap.bca_interval(np.full(50, 0.5), level=0.95, seed=0)


# Computed once by inverting the hedged capital process of Waudby-Smith & Ramdas (2024) on a grid of 20,001
# means (bets capped at 3/4, running intersection), with a program that shares no line with ours.
TENTHS = np.array([3, 7, 9, 4, 8, 8, 10, 6, 5, 9, 7, 7]) / 10
BINARY = np.array([0.0] * 3 + [1.0] * 17)
HALVES = np.full(25, 0.5)
REFERENCE = [
    (TENTHS, 0.95, 0.44790, 0.82795),
    (TENTHS, 0.995, 0.35490, 0.90015),
    (BINARY, 0.95, 0.58115, 1.0),
    (BINARY, 0.995, 0.48590, 1.0),
    (HALVES, 0.95, 0.41085, 0.58915),
    (HALVES, 0.995, 0.36590, 0.63410),
]
GRID = 1 / 20_000


class TestBetting:
    @pytest.mark.parametrize(("values", "level", "low", "high"), REFERENCE)
    def test_equals_the_reference(self, values: Floats, level: float, low: float, high: float) -> None:
        interval = betting.hedged_interval(values, score_range=(0, 1), level=level, seed=7)
        assert interval == pytest.approx((low, high), abs=GRID)

    @pytest.mark.parametrize(("values", "level", "low", "high"), REFERENCE)
    def test_reference_is_missed_by_one_value_less_or_another_level(
        self, values: Floats, level: float, low: float, high: float
    ) -> None:
        for mutant in (
            betting.hedged_interval(values[:-1], score_range=(0, 1), level=level, seed=7),
            betting.hedged_interval(values, score_range=(0, 1), level=level - 0.004, seed=7),
            betting.hedged_interval(values, score_range=(0, 1.02), level=level, seed=7),
        ):
            assert mutant != pytest.approx((low, high), abs=GRID)

    def test_narrows_with_every_value_and_never_leaves_the_range(self) -> None:
        widths = []
        for n in (1, 10, 100, 1_000):
            low, high = betting.hedged_interval(np.full(n, 2.0), score_range=(1, 2), level=0.95, seed=0)
            assert 1 <= low <= high <= 2
            widths.append(high - low)
        assert widths == sorted(widths, reverse=True)
        assert widths[0] > 0.5 > 0.02 > widths[-1]

    @pytest.mark.simulation
    @pytest.mark.parametrize("n", [5, 20, 200])
    def test_covers_at_least_its_level_even_of_rare_events(self, n: int) -> None:
        rng = np.random.default_rng(20260103)
        covered = 0
        for seed, values in enumerate((rng.random((2_000, n)) < 0.03).astype(np.float64)):
            low, high = betting.hedged_interval(values, score_range=(0, 1), level=0.95, seed=seed)
            covered += low <= 0.03 <= high
        # Conservative by construction, so there is no upper bound.
        assert covered / 2_000 >= 0.95


class TestMean:
    def test_names_its_method_and_n(self) -> None:
        figure = means.mean(np.linspace(0, 1, 101), level=0.9)
        assert figure.value == pytest.approx(0.5)
        assert (figure.n, figure.level, figure.method) == (101, 0.9, "bootstrap (BCa)")

    def test_bets_where_nearly_all_values_are_equal(self) -> None:
        scores = np.ones(200)
        scores[:9] = 0.5
        assert means.mean(scores).method == "betting interval for bounded means"
        scores[:10] = 0.5
        assert means.mean(scores).method == "bootstrap (BCa)"

    def test_sees_equal_decimals_as_equal(self) -> None:
        scores = np.full(60, 0.3)
        scores[:30] = 0.1 + 0.2
        assert means.mean(scores).method == "betting interval for bounded means"

    def test_bets_alike_whatever_the_order_of_cases(self) -> None:
        assert means.mean(TENTHS) == means.mean(TENTHS[::-1]) == means.mean(np.roll(TENTHS, 5))

    def test_holds_its_mean_even_at_a_level_that_asks_for_next_to_no_width(self) -> None:
        scores = np.array([5, 10, 1, 6, 4, 8, 2, 9, 5]) / 10
        low, _ = betting.hedged_interval(scores, score_range=(0, 1), level=0.05, seed=0)
        assert low > scores.mean()
        assert means.mean(scores, level=0.05, seed=0).low == pytest.approx(scores.mean())

    def test_is_undefined_without_cases(self) -> None:
        assert means.mean([]).reason == "there is no case to take a mean of"

    def test_has_an_interval_for_a_single_case(self) -> None:
        figure = means.mean([0.8])
        assert figure.low == pytest.approx(0.0, abs=0.2)
        assert figure.high == 1.0

    @pytest.mark.parametrize("score", [math.nan, math.inf, 1.01, -0.01])
    def test_refuses_a_score_outside_the_range_by_place(self, score: float) -> None:
        with pytest.raises(ValueError, match=r"values\[2\]: found .* the declared range is 0.0 to 1.0"):
            means.mean([0.1, 0.2, score])

    @pytest.mark.parametrize("score_range", [(0, math.inf), (1, 1), (1, 0), (math.nan, 1)])
    def test_refuses_an_empty_or_endless_range(self, score_range: tuple[float, float]) -> None:
        with pytest.raises(ValueError, match="score_range: found"):
            means.mean([0.5], score_range=score_range)

    @pytest.mark.simulation
    def test_covers_a_skewed_mean_as_often_as_it_claims(self) -> None:
        rng = np.random.default_rng(20260104)
        assert 0.93 <= _coverage(rng.beta(1, 4, size=(2_000, 50)), truth=0.2, level=0.95) <= 0.97

    @pytest.mark.simulation
    @pytest.mark.parametrize(("n", "level"), [(100, 0.95), (200, 0.995)])
    def test_covers_a_graded_difference_as_often_as_it_claims(self, n: int, level: float) -> None:
        rng = np.random.default_rng(20260105)
        values, shares = np.array([-1, -0.5, 0, 0.5, 1]), np.array([0.05, 0.05, 0.7, 0.1, 0.1])
        draws = rng.choice(values, p=shares, size=(2_000, n))
        coverage = _coverage(draws, truth=float(values @ shares), level=level)
        assert coverage >= level - 0.02
        if level == 0.95:
            assert coverage <= 0.97


def _coverage(draws: Floats, *, truth: float, level: float) -> float:
    figures = [means.mean(one, score_range=(-1, 1), level=level, seed=seed) for seed, one in enumerate(draws)]
    return float(np.mean([_covers(figure, truth) for figure in figures]))


def _covers(figure: Figure, truth: float) -> bool:
    assert figure.low is not None
    assert figure.high is not None
    return figure.low <= truth <= figure.high
