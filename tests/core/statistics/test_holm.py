"""Holm's adjustment against a published example, and what it promises."""

import numpy as np
import pytest

from core.figures import PValue
from core.statistics import holm


def _adjusted(*values: float) -> list[float | None]:
    return [p.value for p in holm.adjust([PValue(value=value, method="sign test") for value in values])]


def test_equals_the_published_example() -> None:
    # The four hypotheses of the common textbook example; R: p.adjust(c(.01, .04, .03, .005), "holm").
    assert _adjusted(0.01, 0.04, 0.03, 0.005) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_published_example_is_missed_by_bonferroni_and_by_leaving_one_out() -> None:
    published = [0.03, 0.06, 0.06, 0.02]
    assert [4 * p for p in (0.01, 0.04, 0.03, 0.005)] != pytest.approx(published)
    assert _adjusted(0.01, 0.04, 0.005) != pytest.approx([0.03, 0.06, 0.02])


def test_never_exceeds_one_and_never_falls_below_a_smaller_one() -> None:
    assert _adjusted(0.9, 0.8, 0.7) == [1.0, 1.0, 1.0]
    assert _adjusted(0.02, 0.025) == pytest.approx([0.04, 0.04])


def test_says_which_values_were_adjusted() -> None:
    adjusted = holm.adjust([PValue(value=0.01, method="sign test"), PValue(value=0.02, method="sign test")])
    assert {p.method for p in adjusted} == {"sign test, Holm-adjusted over 2"}


def test_leaves_a_single_test_and_an_undefined_one_as_they_are() -> None:
    alone, undefined = PValue(value=0.03, method="sign test"), PValue.undefined("no case differs")
    assert holm.adjust([alone, undefined]) == [alone, undefined]
    assert holm.adjust([]) == []


@pytest.mark.simulation
def test_keeps_false_alarms_among_five_true_hypotheses_rare() -> None:
    draws = np.random.default_rng(20260107).random((2_000, 5))
    alarms = np.mean([min(value for value in _adjusted(*one) if value is not None) < 0.05 for one in draws])
    unadjusted = np.mean(draws.min(axis=1) < 0.05)
    assert alarms <= 0.05 + 0.015
    assert unadjusted > 0.2
