"""What the figures of quality are, against values reckoned by hand, against mutations, and by simulation."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from reviews import estimation
from reviews.estimation import Group, Sums

Z = stats.norm.ppf(0.975)


def sums(pi: list[float], quality: list[float], *, n_population: int | None = None) -> Sums:
    """All of a population of `n_population` covered; these drawn and settled."""
    settled = estimation.sums(np.array(pi), np.array(quality))
    return Sums(n_covered=n_population or len(pi), n_drawn=len(pi)) + settled


class TestInclusion:
    def test_is_the_chance_of_at_least_one_draw(self) -> None:
        assert estimation.inclusion([0.5, 0.2]) == pytest.approx(1 - 0.5 * 0.8)
        assert estimation.inclusion([0.3]) == pytest.approx(0.3)
        assert estimation.inclusion([1.0, 0.1]) == 1.0

    def test_agrees_with_every_outcome_counted(self) -> None:
        rates = [0.1, 0.35, 0.6]
        chance = sum(
            math.prod(rate if hit else 1 - rate for rate, hit in zip(rates, hits, strict=True))
            for hits in product([True, False], repeat=3)
            if any(hits)
        )
        assert estimation.inclusion(rates) == pytest.approx(chance)


class TestSums:
    def test_of_parts_add_up_to_those_of_the_whole(self) -> None:
        pi, quality = [0.1, 0.5, 1.0, 0.25], [1.0, 0.0, 0.5, 1.0]
        parts = sums(pi[:1], quality[:1]) + sums(pi[1:], quality[1:])
        whole = sums(pi, quality)
        for name in Sums.__dataclass_fields__:
            assert getattr(parts, name) == pytest.approx(getattr(whole, name)), name

    def test_with_nothing_are_what_they_were(self) -> None:
        one = sums([0.5], [0.25])
        assert one + Sums() == Sums() + one == one

    def test_of_a_group_weigh_each_output(self) -> None:
        found = estimation.sums_of(Group([0.5, 0.2], 0.5, n_covered=3, n_drawn=3))
        assert (found.n_covered, found.n_drawn, found.n_settled) == (3, 3, 3)
        assert found.w == pytest.approx(3 / 0.6)
        assert found.wy == pytest.approx(1.5 / 0.6)

    def test_of_a_group_without_a_verdict_are_counts_alone(self) -> None:
        found = estimation.sums_of(Group([0.5], None, n_covered=10, n_drawn=4))
        assert found == Sums(n_covered=10, n_drawn=4)
        assert found.n_waiting == 4

    @pytest.mark.parametrize(
        ("pi", "quality"), [([0.0], [1.0]), ([1.1], [1.0]), ([0.5], [1.2]), ([0.5], [-0.1]), ([0.5], [1.0, 0.0])]
    )
    def test_refuse_what_is_no_probability_and_no_quality(self, pi: list[float], quality: list[float]) -> None:
        with pytest.raises(ValueError, match="give"):
            estimation.sums(np.array(pi), np.array(quality))


class TestMean:
    def test_weighs_by_the_inverse_of_the_chance(self) -> None:
        # By hand: (10·1 + 2·0 + 1·1) / (10 + 2 + 1).
        assert sums([0.1, 0.5, 1.0], [1, 0, 1]).mean == pytest.approx(11 / 13)

    def test_is_not_the_unweighted_one(self) -> None:
        found = sums([0.1] * 10 + [1.0] * 90, [1.0] * 10 + [0.0] * 90)
        assert found.mean == pytest.approx(100 / 190)
        assert estimation.of_reviewed(found).value == pytest.approx(0.1)

    def test_of_the_reviewed_has_no_interval_and_says_what_it_is(self) -> None:
        figure = estimation.of_reviewed(sums([0.5, 0.5], [1, 0]))
        assert (figure.value, figure.low, figure.high, figure.n) == (0.5, None, None, 2)
        assert "of the reviewed" in figure.method
        assert estimation.of_reviewed(Sums(n_drawn=3)).reason == "none of the 3 drawn outputs is settled yet"


class TestEffectiveNumber:
    def test_is_kishs(self) -> None:
        # Kish 1965: (Σw)²/Σw²; by hand (10 + 2 + 1)² / (100 + 4 + 1).
        assert sums([0.1, 0.5, 1.0], [1, 0, 1]).n_effective == pytest.approx(169 / 105)

    def test_is_the_number_where_all_weigh_the_same(self) -> None:
        assert sums([0.2] * 50, [1.0] * 50).n_effective == pytest.approx(50)


def two_strata(n_risky: int = 200, n_other: int = 200) -> Sums:
    """Risky outputs drawn at .8 and half of them good; the others at .1, nine in ten good."""
    half, tenth = n_risky // 2, n_other // 10
    pi = [0.8] * n_risky + [0.1] * n_other
    quality = [1.0] * half + [0.0] * (n_risky - half) + [1.0] * (n_other - tenth) + [0.0] * tenth
    return sums(pi, quality)


class TestOfPeriod:
    def test_has_the_variance_of_the_definition(self) -> None:
        found = two_strata()
        pi = np.array([0.8] * 200 + [0.1] * 200)
        quality = np.array([1.0] * 100 + [0.0] * 100 + [1.0] * 180 + [0.0] * 20)
        weight = 1 / pi
        mean = (weight * quality).sum() / weight.sum()
        variance = ((1 - pi) / pi**2 * (quality - mean) ** 2).sum() / weight.sum() ** 2
        figure = estimation.of_period(found, n_population=400)
        assert figure.value == pytest.approx(mean)
        assert figure.low == pytest.approx(mean - Z * math.sqrt(variance))
        assert figure.high == pytest.approx(mean + Z * math.sqrt(variance))
        assert (figure.n, figure.level, figure.method) == (400, 0.95, estimation.OF_PERIOD)

    def test_has_a_known_value(self) -> None:
        # By hand: mean 1925/2250; (0.2/0.64·75.2840 + 0.9/0.01·18.3951) = 1679.08, its root over 2250 is 0.018212.
        figure = estimation.of_period(two_strata(), n_population=400)
        assert figure.value == pytest.approx(0.855556, abs=1e-6)
        assert (figure.low, figure.high) == (pytest.approx(0.819861, abs=1e-6), pytest.approx(0.891250, abs=1e-6))

    def test_vanishes_where_every_output_was_judged(self) -> None:
        figure = estimation.of_period(sums([1.0] * 300, [1.0] * 200 + [0.0] * 100), n_population=300)
        assert figure.low == figure.value == figure.high == pytest.approx(2 / 3)

    @pytest.mark.parametrize("n", [5, 40, 199])
    def test_below_an_effective_number_of_200_is_wilsons(self, n: int) -> None:
        quality = [1.0] * (n - n // 4) + [0.0] * (n // 4)
        figure = estimation.of_period(sums([0.5] * n, quality), n_population=n)
        wilson = stats.binomtest(n - n // 4, n).proportion_ci(method="wilson")
        assert (figure.low, figure.high) == (pytest.approx(wilson.low), pytest.approx(wilson.high))
        assert "conservative" in figure.method

    def test_from_200_on_is_not(self) -> None:
        figure = estimation.of_period(sums([0.5] * 200, [1.0] * 150 + [0.0] * 50), n_population=200)
        assert figure.method == estimation.OF_PERIOD

    def test_where_all_say_the_same_is_wilsons_as_well(self) -> None:
        figure = estimation.of_period(sums([0.5] * 500, [1.0] * 500), n_population=500)
        assert figure.value == figure.high == 1.0
        assert figure.low == pytest.approx(stats.binomtest(500, 500).proportion_ci(method="wilson").low)
        assert "conservative" in figure.method

    def test_of_graded_answers_that_all_say_the_same_keeps_a_width(self) -> None:
        figure = estimation.of_period(sums([0.5] * 500, [0.5] * 500), n_population=500)
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low < 0.47
        assert figure.high > 0.53

    def test_below_an_effective_number_of_five_is_undefined(self) -> None:
        assert estimation.of_period(sums([0.5] * 5, [1, 1, 1, 0, 0]), n_population=5).value == 0.6
        few = estimation.of_period(sums([0.5] * 4, [1, 1, 1, 0]), n_population=4)
        assert few.value is None
        assert few.reason == "too few reviews, with an effective n of 4.0; at least 5 is needed"
        uneven = estimation.of_period(sums([0.001] + [1.0] * 50, [1.0] * 51), n_population=51)
        assert uneven.value is None
        assert uneven.n == 51

    def test_is_undefined_where_an_output_could_never_be_drawn_and_says_how_many(self) -> None:
        figure = estimation.of_period(two_strata(), n_population=403)
        assert figure.value is None
        assert figure.reason == "3 of 403 outputs could never be drawn: no sampling rule covers them"

    @pytest.mark.parametrize(
        ("found", "n", "reason"),
        [
            (Sums(), 0, "no output without an error arrived"),
            (Sums(n_covered=9), 9, "none of the outputs was drawn for review"),
            (Sums(n_covered=9, n_drawn=2), 9, "none of the 2 drawn outputs is settled yet"),
        ],
    )
    def test_says_what_is_missing(self, found: Sums, n: int, reason: str) -> None:
        assert estimation.of_period(found, n_population=n).reason == reason

    def test_keeps_its_ends_between_0_and_1(self) -> None:
        figure = estimation.of_period(sums([0.01] * 300, [1.0] * 299 + [0.0]), n_population=300)
        assert figure.high == 1.0

    def test_widens_with_the_level(self) -> None:
        narrow, wide = (estimation.of_period(two_strata(), n_population=400, level=level) for level in (0.8, 0.99))
        assert wide.low < narrow.low < narrow.high < wide.high
        assert wide.level == 0.99


class TestOfRevision:
    def test_has_the_variance_of_the_definition(self) -> None:
        found = two_strata()
        weight = np.array([1 / 0.8] * 200 + [1 / 0.1] * 200)
        quality = np.array([1.0] * 100 + [0.0] * 100 + [1.0] * 180 + [0.0] * 20)
        mean = (weight * quality).sum() / weight.sum()
        reach = Z * math.sqrt((weight**2 * (quality - mean) ** 2).sum()) / weight.sum()
        figure = estimation.of_revision(found, n_population=400)
        assert (figure.low, figure.high) == (pytest.approx(mean - reach), pytest.approx(mean + reach))

    def test_does_not_vanish_where_every_output_was_judged(self) -> None:
        figure = estimation.of_revision(sums([1.0] * 300, [1.0] * 200 + [0.0] * 100), n_population=300)
        assert figure.low < figure.value < figure.high


class TestDifference:
    def test_is_newcombes_for_two_shares(self) -> None:
        # Newcombe 1998, method 10, his example 56/70 against 48/80: difference .2, interval .0524 to .3339.
        after = estimation.of_revision(sums([1.0] * 70, [1.0] * 56 + [0.0] * 14), n_population=70)
        before = estimation.of_revision(sums([1.0] * 80, [1.0] * 48 + [0.0] * 32), n_population=80)
        figure = estimation.difference(after, before)
        assert figure.value == pytest.approx(0.2)
        assert (figure.low, figure.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))
        assert figure.n == 150

    def test_is_undefined_where_one_side_is_and_says_which(self) -> None:
        known = estimation.of_revision(two_strata(), n_population=400)
        missing = estimation.of_revision(Sums(), n_population=0)
        assert estimation.difference(known, missing).reason == "before: no output without an error arrived"
        assert estimation.difference(missing, known).reason == "after: no output without an error arrived"


def drawn(dice: np.random.Generator, quality: np.ndarray, pi: np.ndarray) -> Sums:
    taken = dice.random(len(pi)) < pi
    return Sums(n_covered=len(pi), n_drawn=int(taken.sum())) + estimation.sums(pi[taken], quality[taken])


def coverage(figures: list, truth: float) -> float:
    defined = [figure for figure in figures if figure.value is not None]
    return sum(figure.low <= truth <= figure.high for figure in defined) / len(defined)


@pytest.mark.simulation
class TestCoverage:
    """2,000 seeded draws from one fixed period, whose true mean is known."""

    @pytest.mark.parametrize(
        ("n", "rates", "good"),
        [
            (3000, (0.6, 0.12), (0.7, 0.95)),  # effective n about 380: the plain interval
            (1200, (0.4, 0.08), (0.6, 0.9)),  # below 200: Wilson's
            (400, (0.3, 0.05), (0.5, 0.97)),  # few and uneven
        ],
    )
    def test_of_the_period_is_what_it_claims(
        self, n: int, rates: tuple[float, float], good: tuple[float, float]
    ) -> None:
        dice = np.random.default_rng(20)
        risky = dice.random(n) < 0.25
        pi = np.where(risky, *rates)
        quality = (dice.random(n) < np.where(risky, *good)).astype(float)
        figures = [estimation.of_period(drawn(dice, quality, pi), n_population=n) for _ in range(2000)]
        assert coverage(figures, quality.mean()) >= 0.93

    def test_without_the_weights_is_not(self) -> None:
        """The mutation that matters: reviews taken for a uniform sample."""
        dice = np.random.default_rng(21)
        risky = dice.random(3000) < 0.25
        pi = np.where(risky, 0.6, 0.12)
        quality = (dice.random(3000) < np.where(risky, 0.7, 0.95)).astype(float)
        figures = []
        for _ in range(300):
            taken = dice.random(3000) < pi
            even = estimation.sums(np.full(taken.sum(), 0.2), quality[taken])
            figures.append(estimation.of_period(Sums(n_covered=3000, n_drawn=even.n_settled) + even, n_population=3000))
        assert coverage(figures, quality.mean()) < 0.5

    def test_of_the_revision_is_what_it_claims(self) -> None:
        dice = np.random.default_rng(22)
        figures = []
        for _ in range(2000):
            risky = dice.random(1500) < 0.25
            pi = np.where(risky, 0.6, 0.3)
            quality = (dice.random(1500) < np.where(risky, 0.7, 0.95)).astype(float)
            figures.append(estimation.of_revision(drawn(dice, quality, pi), n_population=1500))
        assert coverage(figures, 0.25 * 0.7 + 0.75 * 0.95) >= 0.93
