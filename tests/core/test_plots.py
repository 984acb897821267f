"""Places in a picture follow from the figures alone."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.figures import Figure
from core.plots import Scale, ticks, whisker

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


class TestScale:
    def test_puts_the_ends_at_the_ends(self) -> None:
        scale = Scale(0, 10, 20, 120)
        assert (scale.at(0), scale.at(5), scale.at(10)) == (20, 70, 120)

    def test_may_run_backwards_as_heights_do(self) -> None:
        assert Scale(0, 1, 200, 0).at(0.25) == 150

    def test_keeps_what_lies_beyond_at_its_end(self) -> None:
        scale = Scale(0, 1, 0, 100)
        assert (scale.at(-3), scale.at(3)) == (0, 100)

    def test_puts_everything_in_the_middle_where_there_is_no_extent(self) -> None:
        assert Scale(3, 3, 0, 100).at(3) == 50

    @given(NUMBERS, NUMBERS, NUMBERS)
    def test_never_leaves_the_line(self, low: float, high: float, value: float) -> None:
        assert 10 <= Scale(low, high, 10, 90).at(value) <= 90


class TestTicks:
    @pytest.mark.parametrize(
        ("low", "high", "expected"),
        [
            (0, 1, [0, 0.5, 1]),
            (-5, 10, [-5, 0, 5, 10]),
            (0, 90, [0, 50]),
            (0, 15.6, [0, 5, 10, 15]),
            (0.8, 1.0, [0.8, 0.85, 0.9, 0.95, 1.0]),
            (0, 3, [0, 1, 2, 3]),
        ],
    )
    def test_are_round(self, low: float, high: float, expected: list[float]) -> None:
        assert ticks(low, high) == pytest.approx(expected)

    def test_are_the_one_place_there_is_where_the_scale_has_no_extent(self) -> None:
        assert ticks(3, 3) == [3]

    @given(NUMBERS, st.floats(1e-3, 1e6), st.integers(1, 8))
    def test_stay_inside_are_even_and_few(self, low: float, extent: float, about: int) -> None:
        high = low + extent
        found = ticks(low, high, about)
        slack = extent * 1e-6
        assert all(low - slack <= tick <= high + slack for tick in found)
        assert len(found) <= 2 * about + 2
        steps = [b - a for a, b in pairwise(found)]
        assert steps == pytest.approx([steps[0]] * len(steps), rel=1e-3) if steps else True


class TestWhisker:
    SCALE = Scale(-1, 1, 0, 200)

    def test_puts_dot_and_ends_where_the_figure_is(self) -> None:
        place = whisker(Figure(value=0.5, low=0.25, high=0.75, n=9, method="m"), self.SCALE)
        assert (place.low, place.dot, place.high, place.zero) == (125, 150, 175, 100)

    @pytest.mark.parametrize(("low", "high", "crosses"), [(-0.1, 0.2, True), (0.1, 0.2, False), (0, 0.2, True)])
    def test_knows_whether_the_interval_holds_zero(self, low: float, high: float, crosses: bool) -> None:
        assert whisker(Figure(value=0.15, low=low, high=high, n=9, method="m"), self.SCALE).crosses_zero is crosses

    def test_has_no_dot_for_an_undefined_figure(self) -> None:
        place = whisker(Figure.undefined("all pairs tie"), self.SCALE)
        assert place.dot is None
        assert place.zero == 100

    def test_has_no_extent_where_there_is_no_interval(self) -> None:
        place = whisker(Figure(value=0.5, low=None, high=None, n=9, method="m"), self.SCALE)
        assert place.low == place.dot == place.high

    def test_has_no_zero_where_the_scale_does_not_reach_it(self) -> None:
        assert whisker(Figure(value=0.9, low=None, high=None, n=9, method="m"), Scale(0.5, 1, 0, 9)).zero is None
