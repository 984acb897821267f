"""Paired comparisons against published values and by simulation."""

import math
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from core.figures import Figure
from core.statistics import paired, proportions

# better, worse, n, level, low, high
PUBLISHED = [
    # Tango (1998), Statistics in Medicine 17, 891-908: the two worked examples.
    (9, 3, 32, 0.95, -0.027, 0.390),
    (0, 1, 44, 0.90, -0.096, 0.037),
    # Fagerland, Lydersen & Laake (2014), Statistics in Medicine 33, 2850-2875: airway hyper-responsiveness
    # and complete response, Tango's asymptotic score interval.
    (1, 7, 21, 0.95, -0.517, -0.026),
    (6, 16, 161, 0.95, -0.124, -0.0054),
]


def agrees(figure: Figure, low: float, high: float) -> bool:
    """Whether both ends are the published ones at the three decimals that were printed."""
    return _ends(figure) == pytest.approx((low, high), abs=0.00055)


def _ends(figure: Figure) -> tuple[float, float]:
    assert figure.low is not None
    assert figure.high is not None
    return figure.low, figure.high


class TestTango:
    @pytest.mark.parametrize(("better", "worse", "n", "level", "low", "high"), PUBLISHED)
    def test_equals_the_published_interval(
        self, better: int, worse: int, n: int, level: float, low: float, high: float
    ) -> None:
        figure = paired.tango(better, worse, n, level=level)
        assert agrees(figure, low, high)
        assert figure.value == (better - worse) / n
        assert (figure.n, figure.level, figure.method) == (n, level, "Tango score interval")

    @pytest.mark.parametrize(("better", "worse", "n", "level", "low", "high"), PUBLISHED)
    def test_published_interval_is_missed_by_wrong_counts(
        self, better: int, worse: int, n: int, level: float, low: float, high: float
    ) -> None:
        assert not agrees(paired.tango(better, worse, n - 1, level=level), low, high)
        assert not agrees(paired.tango(better, worse, n + 1, level=level), low, high)
        assert not agrees(paired.tango(better + 1, worse, n, level=level), low, high)
        assert not agrees(paired.tango(worse, better, n, level=level), low, high)
        assert not agrees(paired.tango(better, worse, n, level=level + 0.01), low, high)

    @pytest.mark.parametrize(("better", "worse", "n", "level", "low", "high"), PUBLISHED)
    def test_published_interval_is_missed_by_walds(
        self, better: int, worse: int, n: int, level: float, low: float, high: float
    ) -> None:
        difference = (better - worse) / n
        reach = 1.96 * math.sqrt((better + worse) / n - difference**2) / math.sqrt(n)
        wald = Figure(value=difference, low=difference - reach, high=difference + reach, n=n)
        assert not agrees(wald, low, high)

    def test_published_interval_is_missed_by_an_unpaired_one(self) -> None:
        # 13 and 7 of 32 passed: Newcombe's interval for two independent samples.
        one, other = 13 / 32, 7 / 32
        one_low, one_high = _ends(proportions.wilson(13, 32))
        other_low, other_high = _ends(proportions.wilson(7, 32))
        difference = one - other
        low = difference - math.hypot(one - one_low, other_high - other)
        high = difference + math.hypot(one_high - one, other - other_low)
        assert not agrees(Figure(value=difference, low=low, high=high, n=32), -0.027, 0.390)

    def test_has_a_width_without_any_discordant_case(self) -> None:
        figure = paired.tango(0, 0, 770, level=0.995)
        assert figure.value == 0
        # z² / (n + z²) with z = 2.807
        assert figure.high == pytest.approx(7.8794 / (770 + 7.8794), abs=1e-6)
        assert figure.low == pytest.approx(-7.8794 / (770 + 7.8794), abs=1e-6)

    def test_mirrors_when_the_runs_change_places(self) -> None:
        low, high = _ends(paired.tango(17, 4, 90))
        assert _ends(paired.tango(4, 17, 90)) == pytest.approx((-high, -low))

    @pytest.mark.parametrize("n", [1, 5, 200])
    def test_stays_inside_the_possible_where_every_case_differs(self, n: int) -> None:
        assert paired.tango(n, 0, n).high == 1.0
        assert paired.tango(0, n, n).low == -1.0

    def test_refutes_exactly_what_the_score_test_refutes(self) -> None:
        better, worse, n, z = 30, 12, 200, 1.959963984540054
        for end in _ends(paired.tango(better, worse, n)):
            deviation = paired.score_deviation(better / n, worse / n, end)
            assert abs((better - worse) / n - end) * math.sqrt(n) / deviation == pytest.approx(z)

    def test_is_undefined_without_cases(self) -> None:
        assert paired.tango(0, 0, 0).reason == "there is no case that both runs share"

    @pytest.mark.parametrize(("better", "worse", "n"), [(-1, 0, 5), (0, -1, 5), (3, 3, 5), (0, 0, -1)])
    def test_refuses_counts_that_do_not_fit(self, better: int, worse: int, n: int) -> None:
        with pytest.raises(ValueError, match="better, worse: found"):
            paired.tango(better, worse, n)

    @pytest.mark.parametrize(("level", "least"), [(0.95, 0.93), (0.995, 0.99)])
    def test_covers_every_true_difference_as_often_as_it_says(self, level: float, least: float) -> None:
        n = 50
        counts = [(better, worse) for better in range(n + 1) for worse in range(n + 1 - better)]
        figures = [paired.tango(better, worse, n, level=level) for better, worse in counts]
        outcomes = np.array([(better, worse, n - better - worse) for better, worse in counts])
        for discordant in (0.02, 0.05, 0.1, 0.2, 0.4):
            for share in np.linspace(0.05, 0.95, 19):
                truth = discordant * (2 * share - 1)
                shares = [discordant * share, discordant * (1 - share), 1 - discordant]
                covered = [figure.low <= truth <= figure.high for figure in figures]
                assert stats.multinomial.pmf(outcomes, n, shares)[covered].sum() >= least

    @pytest.mark.simulation
    @pytest.mark.parametrize("level", [0.95, 0.995])
    @pytest.mark.parametrize(
        ("n", "better", "worse"),
        [(50, 0.15, 0.1), (100, 0.05, 0.05), (200, 0.2, 0.1), (770, 0.08, 0.04), (770, 0.02, 0.02)],
    )
    def test_covers_the_true_difference_as_often_as_it_claims(
        self, n: int, better: float, worse: float, level: float
    ) -> None:
        figures = _tango_draws(n, better, worse, level)
        truth = better - worse
        coverage = np.mean([figure.low <= truth <= figure.high for figure in figures])  # type: ignore[operator]
        assert coverage >= level - 0.02
        if level == 0.95:
            assert coverage <= 0.97

    @pytest.mark.simulation
    def test_lets_a_candidate_on_the_margin_pass_no_more_often_than_its_level_says(self) -> None:
        figures = _tango_draws(770, 0.04, 0.06, 0.995)
        passed = np.mean([figure.low > -0.02 for figure in figures])  # type: ignore[operator]
        # A quarter of a percent, and three standard errors of 2,000 draws.
        assert passed <= 0.0025 + 0.0034


@cache
def _tango_of(better: int, worse: int, n: int, level: float) -> Figure:
    return paired.tango(better, worse, n, level=level)


def _tango_draws(n: int, better: float, worse: float, level: float) -> list[Figure]:
    draws = np.random.default_rng(20260102).multinomial(n, [better, worse, 1 - better - worse], size=2_000)
    return [_tango_of(int(one), int(other), n, level) for one, other, _ in draws]


class TestMcnemar:
    # Fagerland, Lydersen & Laake (2013), BMC Medical Research Methodology 13:91: exact conditional test.
    @pytest.mark.parametrize(("better", "worse", "p"), [(1, 7, 0.0703), (6, 16, 0.0525)])
    def test_equals_the_published_p_value(self, better: int, worse: int, p: float) -> None:
        assert paired.mcnemar_exact(better, worse).value == pytest.approx(p, abs=0.00005)
        assert paired.mcnemar_exact(worse, better).value == pytest.approx(p, abs=0.00005)

    def test_published_p_value_is_missed_by_one_case_or_one_side(self) -> None:
        for better, worse in [(1, 8), (2, 7), (2, 6)]:
            assert paired.mcnemar_exact(better, worse).value != pytest.approx(0.0703, abs=0.00005)

    def test_is_undefined_without_a_discordant_case(self) -> None:
        p = paired.mcnemar_exact(0, 0)
        assert p.value is None
        assert p.reason == "no case is discordant, so nothing speaks for either side"

    def test_refuses_negative_counts(self) -> None:
        with pytest.raises(ValueError, match="better, worse: found -1"):
            paired.mcnemar_exact(-1, 3)


class TestWilcoxon:
    # Hollander & Wolfe (1973), "Nonparametric statistical methods", table 3.1: depression scale of nine
    # patients at two visits; two-sided exact p = 2 · 0.0195.
    FIRST = (1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30)
    SECOND = (0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29)

    def test_equals_the_published_p_value(self) -> None:
        assert paired.wilcoxon(self.FIRST, self.SECOND).value == pytest.approx(0.0390625)

    def test_published_p_value_is_missed_when_pairs_are_broken(self) -> None:
        broken = self.SECOND[1:] + self.SECOND[:1]
        assert paired.wilcoxon(self.FIRST, broken).value != pytest.approx(0.0390625, abs=0.001)

    def test_is_undefined_where_no_case_differs(self) -> None:
        p = paired.wilcoxon([0.1 + 0.2, 0.5], [0.3, 0.5])
        assert p.value is None
        assert p.reason == "no case differs, so nothing speaks for either side"


def _graded(seed: int, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correlated scores in quarters; the candidate is a little better."""
    rng = np.random.default_rng(seed)
    ability = rng.normal(size=n)
    sides = [np.clip(np.round(2 + ability + rng.normal(size=n) + lift), 0, 4) / 4 for lift in (0.3, 0.0)]
    return sides[0], sides[1]


class TestMeanDifference:
    def test_pairs_case_by_case(self) -> None:
        candidate, baseline = _graded(1, 200)
        figure = paired.paired_mean_difference(candidate, baseline)
        assert figure.value == pytest.approx(float(candidate.mean() - baseline.mean()))
        assert figure.method == "bootstrap (BCa)"
        assert figure.n == 200
        shuffled = np.random.default_rng(2).permutation(baseline)
        unpaired = paired.paired_mean_difference(candidate, shuffled)
        assert unpaired.value == pytest.approx(figure.value)
        assert _width(unpaired) > 1.2 * _width(figure)

    def test_takes_the_case_as_unit_and_not_the_trial(self) -> None:
        candidate, baseline = _graded(1, 100)
        by_trial = paired.paired_mean_difference(np.tile(candidate, 4), np.tile(baseline, 4))
        assert _width(by_trial) < 0.6 * _width(paired.paired_mean_difference(candidate, baseline))

    def test_repeats_itself_whatever_the_order_of_cases(self) -> None:
        candidate, baseline = _graded(3, 150)
        order = np.random.default_rng(4).permutation(150)
        first = paired.paired_mean_difference(candidate, baseline, seed=5)
        second = paired.paired_mean_difference(candidate[order], baseline[order], seed=5)
        assert (first.low, first.high) == (second.low, second.high)

    def test_mirrors_when_the_runs_change_places(self) -> None:
        candidate, baseline = _graded(6, 20)
        one = paired.paired_mean_difference(candidate, baseline)
        other = paired.paired_mean_difference(baseline, candidate)
        assert one.value == pytest.approx(-other.value)  # type: ignore[operator]

    @pytest.mark.parametrize(
        ("n", "n_different", "method"),
        [
            (29, 29, "betting interval for bounded means"),
            (30, 30, "bootstrap (BCa)"),
            (400, 9, "betting interval for bounded means"),
            (400, 10, "bootstrap (BCa)"),
        ],
    )
    def test_bets_where_a_bootstrap_knows_too_little(self, n: int, n_different: int, method: str) -> None:
        baseline = np.full(n, 0.5)
        candidate = baseline.copy()
        candidate[:n_different] += np.random.default_rng(7).uniform(0.1, 0.5, n_different)
        assert paired.paired_mean_difference(candidate, baseline).method == method

    def test_has_a_width_where_no_case_differs(self) -> None:
        same = np.full(500, 0.7)
        figure = paired.paired_mean_difference(same, same, level=0.995)
        assert figure.value == 0
        assert 0.005 < _width(figure) < 0.05

    def test_scales_with_the_declared_range(self) -> None:
        candidate, baseline = _graded(8, 20)
        unit = paired.paired_mean_difference(candidate, baseline)
        percent = paired.paired_mean_difference(100 * candidate, 100 * baseline, score_range=(0, 100))
        assert percent.low == pytest.approx(100 * unit.low)  # type: ignore[operator]
        assert percent.high == pytest.approx(100 * unit.high)  # type: ignore[operator]

    def test_is_undefined_without_cases(self) -> None:
        assert paired.paired_mean_difference([], []).value is None

    def test_refuses_runs_of_different_cases(self) -> None:
        with pytest.raises(ValueError, match="found 2 and 3 scores"):
            paired.paired_mean_difference([0.1, 0.2], [0.1, 0.2, 0.3])

    @pytest.mark.parametrize("score", [math.nan, math.inf, 1.5, -0.1])
    def test_refuses_a_score_outside_its_range_by_name(self, score: float) -> None:
        with pytest.raises(ValueError, match=r"baseline\[1\]: found"):
            paired.paired_mean_difference([0.1, 0.2], [0.1, score])


def _width(figure: Figure) -> float:
    low, high = _ends(figure)
    return high - low
