"""A figure is either whole or says why it is not."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from core.figures import Figure, PValue


class TestFigure:
    def test_survives_json_unchanged(self) -> None:
        figure = Figure(value=0.5, low=0.4, high=0.6, level=0.995, n=40, method="Wilson score interval")
        assert Figure.from_dict(json.loads(json.dumps(figure.as_dict()))) == figure

    def test_has_the_seven_fields_of_the_public_contract(self) -> None:
        fields = Figure.undefined("no case").as_dict()
        assert list(fields) == ["value", "low", "high", "level", "n", "method", "reason"]

    def test_turns_numpy_numbers_into_json_numbers(self) -> None:
        figure = Figure(value=np.float64(0.5), low=np.float32(0.25), high=None, n=np.int64(3))  # type: ignore[arg-type]
        assert json.loads(json.dumps(figure.as_dict()))["n"] == 3

    def test_says_why_it_is_undefined(self) -> None:
        figure = Figure.undefined("no case", n=3, method="mean", level=0.9)
        assert (figure.value, figure.low, figure.high) == (None, None, None)
        assert (figure.reason, figure.n, figure.method, figure.level) == ("no case", 3, "mean", 0.9)

    def test_refuses_to_be_undefined_without_a_reason(self) -> None:
        with pytest.raises(ValueError, match="must say why"):
            Figure(value=None, low=None, high=None)

    def test_refuses_an_interval_without_a_value(self) -> None:
        with pytest.raises(ValueError, match="no interval"):
            Figure(value=None, low=0.1, high=0.2, reason="no case")

    @pytest.mark.parametrize("field", ["value", "low", "high"])
    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
    def test_refuses_a_number_that_is_none(self, field: str, number: float) -> None:
        numbers: dict[str, float | None] = {"value": 0.5, "low": None, "high": None, field: number}
        with pytest.raises(ValueError, match=f"^{field}: found"):
            Figure(**numbers)  # type: ignore[arg-type]

    def test_refuses_a_negative_n(self) -> None:
        with pytest.raises(ValueError, match="n: found -1"):
            Figure(value=0.5, low=None, high=None, n=-1)

    @pytest.mark.parametrize("level", [0, 1, 95, math.nan])
    def test_refuses_a_level_that_is_no_share(self, level: float) -> None:
        with pytest.raises(ValueError, match="level: found"):
            Figure(value=0.5, low=None, high=None, level=level)

    def test_refuses_an_interval_beside_its_value(self) -> None:
        with pytest.raises(ValueError, match=r"low: 0\.6 lies above"):
            Figure(value=0.5, low=0.6, high=0.7)
        with pytest.raises(ValueError, match=r"high: 0\.4 lies below"):
            Figure(value=0.5, low=0.3, high=0.4)

    def test_lets_an_end_pass_its_value_by_a_rounding_error(self) -> None:
        assert Figure(value=0.3, low=0.1 + 0.2, high=0.3).value == 0.3

    def test_refuses_stored_fields_it_does_not_know(self) -> None:
        with pytest.raises(ValueError, match="unknown field 'mean'"):
            Figure.from_dict({"mean": 0.5})
        with pytest.raises(ValueError, match="value is missing"):
            Figure.from_dict({"low": 0.5})


class TestPValue:
    def test_says_why_it_is_undefined(self) -> None:
        assert PValue.undefined("no case differs", method="sign").as_dict() == {
            "value": None,
            "method": "sign",
            "reason": "no case differs",
        }

    def test_refuses_to_be_undefined_without_a_reason(self) -> None:
        with pytest.raises(ValueError, match="must say why"):
            PValue(value=None)

    @pytest.mark.parametrize("number", [-0.1, 1.1, math.nan])
    def test_refuses_a_number_that_is_no_probability(self, number: float) -> None:
        with pytest.raises(ValueError, match="between 0 and 1"):
            PValue(value=number)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("core.figures", "numpy"),
        ("core.statistics.paired", "scipy"),
        ("core.statistics.power", "scipy"),
        ("core.statistics.holm", "scipy"),
        ("core.similarity.tfidf", "scipy"),
        ("core.similarity.tfidf", "sklearn"),
        ("core.similarity.minhash", "scipy"),
    ],
)
def test_is_imported_by_web_processes_without_the_heavy_library(module: str, heavy: str) -> None:
    script = f"import sys, {module}; sys.exit({heavy!r} in sys.modules)"
    path = [entry for entry in sys.path if entry]
    done = subprocess.run([sys.executable, "-c", f"import sys; sys.path[:] = {path!r}; {script}"], check=False)
    assert done.returncode == 0
