"""What a set can see and what it lacks: published sizes, the intervals they speak of, and simulation."""

import math

import numpy as np
import pytest

from core.figures import Figure
from core.statistics import paired, power, proportions


class TestSmallestDetectableDifference:
    def test_equals_the_published_size(self) -> None:
        # Chow, Shao & Wang (2008), "Sample size calculations in clinical research", McNemar's test:
        # shares 0.2 and 0.5 of discordant cases, 80 % power at 5 %: n = 59, and 58 are too few.
        assert _value(power.smallest_detectable_difference(59, 0.7)) <= 0.3
        assert _value(power.smallest_detectable_difference(58, 0.7)) > 0.3

    def test_solves_connors_equation(self) -> None:
        n, share, z, z_power = 770, 0.1, 2.807033768, 0.841621234
        d = _value(power.smallest_detectable_difference(n, share, level=0.995))
        assert math.sqrt(n) * d == pytest.approx(z * math.sqrt(share) + z_power * math.sqrt(share - d * d))

    def test_shrinks_with_cases_and_grows_with_discordance_power_and_level(self) -> None:
        usual = _value(power.smallest_detectable_difference(400, 0.1))
        assert _value(power.smallest_detectable_difference(800, 0.1)) < usual
        assert _value(power.smallest_detectable_difference(400, 0.2)) > usual
        assert _value(power.smallest_detectable_difference(400, 0.1, power=0.9)) > usual
        assert _value(power.smallest_detectable_difference(400, 0.1, level=0.995)) > usual

    def test_never_exceeds_the_discordant_share(self) -> None:
        for n in range(1, 500):
            figure = power.smallest_detectable_difference(n, 0.05)
            assert figure.value is None or figure.value <= 0.05 + 1e-12

    @pytest.mark.parametrize(("n", "share"), [(0, 0.5), (2, 1.0), (100, 0.0), (100, 0.03), (77, 0.05)])
    def test_is_undefined_with_too_few_discordant_cases(self, n: int, share: float) -> None:
        figure = power.smallest_detectable_difference(n, share)
        assert figure.value is None
        assert "too few to show a difference" in str(figure.reason)

    def test_refuses_impossible_input(self) -> None:
        with pytest.raises(ValueError, match="discordant_share: found"):
            power.smallest_detectable_difference(10, 1.2)
        with pytest.raises(ValueError, match=r"power: found 0\.4"):
            power.smallest_detectable_difference(10, 0.2, power=0.4)

    @pytest.mark.simulation
    def test_is_seen_as_often_as_it_promises(self) -> None:
        n, share = 500, 0.12
        d = _value(power.smallest_detectable_difference(n, share))
        seen = _share_settled(n, (share + d) / 2, (share - d) / 2, threshold=0.0)
        assert seen == pytest.approx(0.8, abs=0.03)

    def test_of_a_graded_score_is_the_normal_one(self) -> None:
        # (1.96 + 0.8416) · 0.3 / sqrt(100)
        assert _value(power.smallest_detectable_mean_difference(100, 0.3)) == pytest.approx(0.08405, abs=1e-5)
        assert power.smallest_detectable_mean_difference(100, 0.0).value is None
        assert power.smallest_detectable_mean_difference(0, 0.3).value is None


class TestCasesToSettle:
    @pytest.mark.parametrize("level", [0.95, 0.995])
    @pytest.mark.parametrize(
        ("better", "worse", "n", "threshold"),
        [(6, 5, 100, -0.02), (0, 0, 100, -0.02), (9, 5, 100, 0.0), (3, 8, 100, -0.02), (5, 12, 300, 0.0)],
    )
    def test_at_even_odds_is_where_the_interval_of_the_same_shares_leaves_the_threshold(
        self, better: int, worse: int, n: int, threshold: float, level: float
    ) -> None:
        more = int(_value(power.cases_to_settle(better, worse, n, threshold=threshold, level=level, power=0.5)))
        assert more > 0
        assert _is_settled(better, worse, n, n + more, threshold, level)
        assert not _is_settled(better, worse, n, n + more - 1, threshold, level)

    def test_asks_for_more_cases_to_be_surer(self) -> None:
        even = _value(power.cases_to_settle(9, 5, 100, threshold=0.0, power=0.5))
        assert _value(power.cases_to_settle(9, 5, 100, threshold=0.0)) > 1.5 * even

    def test_is_zero_where_nothing_is_open(self) -> None:
        assert power.cases_to_settle(20, 5, 200, threshold=0.0).value == 0

    def test_is_undefined_on_the_threshold_and_without_cases(self) -> None:
        assert "never settle" in str(power.cases_to_settle(4, 4, 100, threshold=0.0).reason)
        assert "never settle" in str(power.cases_to_settle(2, 4, 100, threshold=-0.02).reason)
        assert power.cases_to_settle(0, 0, 0, threshold=-0.02).value is None

    def test_refuses_impossible_input(self) -> None:
        with pytest.raises(ValueError, match="better, worse: found"):
            power.cases_to_settle(5, 5, 8, threshold=0.0)
        with pytest.raises(ValueError, match="threshold: found -1"):
            power.cases_to_settle(5, 5, 80, threshold=-1)

    @pytest.mark.simulation
    def test_settles_as_often_as_it_promises(self) -> None:
        more = int(_value(power.cases_to_settle(10, 6, 100, threshold=-0.02, level=0.995)))
        settled = _share_settled(100 + more, 0.10, 0.06, threshold=-0.02, level=0.995)
        assert settled == pytest.approx(0.8, abs=0.03)

    def test_of_a_share_is_where_wilsons_interval_leaves_the_floor(self) -> None:
        more = int(_value(power.cases_to_settle_share(85, 100, floor=0.8, power=0.5)))
        fewer, enough = 100 + more - 20, 100 + more + 20
        assert _low(proportions.wilson(round(0.85 * fewer), fewer)) < 0.8
        assert _low(proportions.wilson(round(0.85 * enough), enough)) > 0.8
        assert power.cases_to_settle_share(99, 100, floor=0.8).value == 0
        assert power.cases_to_settle_share(80, 100, floor=0.8).value is None
        assert power.cases_to_settle_share(0, 0, floor=0.8).value is None

    def test_of_a_share_refuses_impossible_input(self) -> None:
        with pytest.raises(ValueError, match="successes: found 5"):
            power.cases_to_settle_share(5, 4, floor=0.8)
        with pytest.raises(ValueError, match="floor: found 1"):
            power.cases_to_settle_share(3, 4, floor=1)

    def test_of_a_mean_is_the_normal_one(self) -> None:
        # ((1.96 + 0.8416) · 0.3 / 0.05)² = 282.6
        assert _value(power.cases_to_settle_mean(0.03, 0.3, 100, threshold=-0.02)) == 283 - 100
        assert power.cases_to_settle_mean(0.03, 0.0, 100, threshold=-0.02).value is None


def _value(figure: Figure) -> float:
    assert figure.value is not None, figure.reason
    return figure.value


def _low(figure: Figure) -> float:
    assert figure.low is not None
    return figure.low


def _is_settled(better: int, worse: int, n: int, larger: int, threshold: float, level: float) -> bool:
    """Whether the score test of a larger set with the same shares refutes the threshold."""
    z = {0.95: 1.959963984540054, 0.995: 2.807033768343811}[level]
    deviation = paired.score_deviation(better / n, worse / n, threshold)
    return math.sqrt(larger) * abs((better - worse) / n - threshold) > z * deviation


def _share_settled(n: int, better: float, worse: float, *, threshold: float, level: float = 0.95) -> float:
    draws = np.random.default_rng(20260106).multinomial(n, [better, worse, 1 - better - worse], size=2_000)
    figures = [paired.tango(int(one), int(other), n, level=level) for one, other, _ in draws]
    return float(np.mean([not figure.low <= threshold <= figure.high for figure in figures]))  # type: ignore[operator]
