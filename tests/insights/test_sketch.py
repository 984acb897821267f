"""Latency quantiles out of buckets."""

import random

import numpy as np
import pytest
from django.db import connection

from insights import sketch


def sketched(values: list[float]) -> dict[int, int]:
    found: dict[int, int] = {}
    for value in values:
        found[sketch.bucket_of(value)] = found.get(sketch.bucket_of(value), 0) + 1
    return found


@pytest.mark.parametrize("q", [0.5, 0.9, 0.95, 0.99])
def test_a_quantile_is_within_one_percent(q: float) -> None:
    dice = random.Random(7)
    values = sorted(dice.lognormvariate(6, 1.2) for _ in range(5000))
    exact = values[int(q * (len(values) - 1))]
    assert sketch.quantile(sketched(values), q).value == pytest.approx(exact, rel=0.0101)


def test_the_middle_of_a_bucket_is_within_one_percent_of_all_in_it() -> None:
    for value in (0.001, 0.5, 1, 17, 1000, 1e9):
        assert sketch.middle_of(sketch.bucket_of(value)) == pytest.approx(value, rel=0.01 + 1e-9)


def test_sketches_of_parts_make_the_sketch_of_the_whole() -> None:
    values = [random.Random(8).lognormvariate(5, 1) for _ in range(400)]
    assert sketch.merged(sketched(values[:150]), sketched(values[150:])) == sketched(values)


def test_the_interval_covers_the_true_quantile() -> None:
    dice = np.random.default_rng(9)
    truth = float(np.exp(6 + 0.5 * 1.6448536))
    hits = 0
    for _ in range(400):
        figure = sketch.quantile(sketched(list(dice.lognormal(6, 0.5, 300))), 0.95)
        hits += figure.low <= truth * 1.01 and truth * 0.99 <= figure.high
    assert hits / 400 >= 0.93


def test_nothing_has_no_quantile_and_says_so() -> None:
    figure = sketch.quantile({}, 0.5)
    assert (figure.value, figure.n, figure.reason) == (None, 0, "no output told its latency")


@pytest.mark.django_db
def test_sql_finds_the_same_bucket() -> None:
    values = [0.0, 0.0005, 0.001, 1.0, 1.02, 99.7, 1000.0, 12345.6, 1e15]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {sketch.bucket_sql('v')} FROM unnest(%s::float8[]) WITH ORDINALITY AS t (v, i) ORDER BY i",
            [values],
        )
        assert [bucket for (bucket,) in cursor.fetchall()] == [sketch.bucket_of(value) for value in values]
        cursor.execute(f"SELECT {sketch.bucket_sql('null::float8')}")
        assert cursor.fetchone() == (None,)
