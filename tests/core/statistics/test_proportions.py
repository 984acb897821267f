"""Wilson's interval against the published table and by simulation."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from core.figures import Figure
from core.statistics import proportions

# Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3 (score).
PUBLISHED = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
]


def agrees(figure: Figure, low: float, high: float) -> bool:
    """Whether both ends are the published ones at the four decimals that were printed."""
    return _ends(figure) == pytest.approx((low, high), abs=0.00006)


def _ends(figure: Figure) -> tuple[float, float]:
    assert figure.low is not None
    assert figure.high is not None
    return figure.low, figure.high


@pytest.mark.parametrize(("successes", "n", "low", "high"), PUBLISHED)
def test_equals_the_published_interval(successes: int, n: int, low: float, high: float) -> None:
    figure = proportions.wilson(successes, n)
    assert agrees(figure, low, high)
    assert figure.value == successes / n
    assert (figure.n, figure.level, figure.method) == (n, 0.95, "Wilson score interval")


@pytest.mark.parametrize(("successes", "n", "low", "high"), PUBLISHED)
def test_published_interval_is_missed_by_a_wrong_n_count_or_level(
    successes: int, n: int, low: float, high: float
) -> None:
    assert not agrees(proportions.wilson(successes, n + 1), low, high)
    assert not agrees(proportions.wilson(successes, n - 1), low, high)
    assert not agrees(proportions.wilson(successes + 1, n), low, high)
    assert not agrees(proportions.wilson(successes, n, level=0.945), low, high)


def test_has_a_width_where_no_case_or_every_case_passed() -> None:
    # z² / (n + z²) with z = 2.807
    reach = 7.8794 / (50 + 7.8794)
    assert _ends(proportions.wilson(0, 50, level=0.995)) == pytest.approx((0.0, reach), abs=1e-5)
    assert _ends(proportions.wilson(50, 50, level=0.995)) == pytest.approx((1 - reach, 1.0), abs=1e-5)


def test_is_undefined_without_cases() -> None:
    figure = proportions.wilson(0, 0)
    assert figure.value is None
    assert figure.reason == "there is no case to take a share of"


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, -1)])
def test_refuses_counts_that_do_not_fit(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="successes: found"):
        proportions.wilson(successes, n)


@pytest.mark.parametrize(("n", "level", "least"), [(40, 0.95, 0.925), (200, 0.95, 0.93), (770, 0.995, 0.99)])
def test_covers_every_true_share_as_often_as_it_says(n: int, level: float, least: float) -> None:
    shares = np.linspace(0.05, 0.95, 181)
    probabilities = stats.binom.pmf(np.arange(n + 1)[:, None], n, shares)
    covered = np.array([_covers(count, n, shares, level) for count in range(n + 1)])
    coverage = (probabilities * covered).sum(axis=0)
    assert coverage.min() >= least
    assert coverage.mean() == pytest.approx(level, abs=0.004)


# Newcombe (1998), Statistics in Medicine 17, 873-890, table II, method 10 (hybrid score, no continuity correction).
DIFFERENCES = [
    ((56, 70), (48, 80), 0.0524, 0.3339),
    ((9, 10), (3, 10), 0.1705, 0.8090),
    ((6, 7), (2, 7), 0.0582, 0.8062),
    ((5, 56), (0, 29), -0.0381, 0.1926),
    ((0, 10), (0, 20), -0.1611, 0.2775),
    ((10, 10), (0, 20), 0.6791, 1.0000),
]


@pytest.mark.parametrize(("after", "before", "low", "high"), DIFFERENCES)
def test_difference_equals_the_published_interval(
    after: tuple[int, int], before: tuple[int, int], low: float, high: float
) -> None:
    figure = proportions.difference(*after, before=before[0], n_before=before[1])
    assert agrees(figure, low, high)
    assert figure.value == pytest.approx(after[0] / after[1] - before[0] / before[1])
    assert (figure.n, figure.method) == (after[1] + before[1], proportions.NEWCOMBE)


@pytest.mark.parametrize(("after", "before", "low", "high"), DIFFERENCES)
def test_published_difference_is_missed_by_a_wrong_n_or_level(
    after: tuple[int, int], before: tuple[int, int], low: float, high: float
) -> None:
    assert not agrees(proportions.difference(after[0], after[1] + 1, before=before[0], n_before=before[1]), low, high)
    assert not agrees(proportions.difference(*after, before=before[0], n_before=before[1], level=0.945), low, high)


def test_difference_is_undefined_where_a_side_has_no_case() -> None:
    assert proportions.difference(1, 2, before=0, n_before=0).reason == "there is no case before"
    assert proportions.difference(0, 0, before=1, n_before=2).reason == "there is no case after"


@pytest.mark.simulation
@pytest.mark.parametrize("level", [0.95, 0.995])
@pytest.mark.parametrize(("n", "share"), [(200, 0.9), (300, 0.95), (770, 0.7)])
def test_covers_the_true_share_as_often_as_it_claims(n: int, share: float, level: float) -> None:
    passed = np.random.default_rng(20260101).binomial(n, share, size=2_000)
    covered = np.array([_covers(count, n, np.array([share]), level)[0] for count in range(n + 1)])
    coverage = covered[passed].mean()
    assert coverage >= level - 0.02
    if level == 0.95:
        assert coverage <= 0.97


def _covers(count: int, n: int, shares: NDArray[np.float64], level: float) -> NDArray[np.bool_]:
    low, high = _ends(proportions.wilson(count, n, level=level))
    return (low <= shares) & (shares <= high)
