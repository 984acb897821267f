"""One shown number with everything a reader needs to trust it: interval, level, n and method."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

# Intervals come out of iterative solvers, so an end may pass the value by a rounding error.
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that may be shown, exported or gated on; an undefined one says why.

    Attributes:
        value: The estimate, or None where it is undefined; then `reason` says why.
        low: Lower end of the interval, or None where the method gives none.
        high: Upper end of the interval, or None where the method gives none.
        level: Confidence level of the interval, strictly between 0 and 1.
        n: Number of units (cases, items, outputs) the figure rests on.
        method: Name of the method, as the reader sees it.
        reason: Why the value is undefined, or a remark on a defined value.

    Raises:
        ValueError: A number is NaN or infinite, an undefined value has no reason, n is negative,
            the level is not inside (0, 1), or the interval does not hold the value.
    """

    value: float | None
    low: float | None
    high: float | None
    level: float = 0.95
    n: int = 0
    method: str = ""
    reason: str | None = None

    def __post_init__(self) -> None:
        self._refuse_unusable_numbers()
        if self.n < 0:
            raise ValueError(f"n: found {self.n}; give the number of units, 0 or more")
        if self.value is None:
            self._refuse_unexplained()
        else:
            self._refuse_outside_interval(self.value)

    @classmethod
    def undefined(cls, reason: str, *, n: int = 0, method: str = "", level: float = 0.95) -> Self:
        """Return a figure without a value that says why there is none.

        Args:
            reason: What is missing, in words a reader understands.
            n: Number of units there were.
            method: Name of the method that could not be applied.
            level: Confidence level that was asked for.
        """
        return cls(value=None, low=None, high=None, level=level, n=n, method=method, reason=reason)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:  # Any: the values of a decoded JSON object
        """Rebuild a figure from `as_dict()`; equal to the original.

        Raises:
            ValueError: A field is unknown, `value` is missing, or the numbers do not make a figure.
        """
        fields = cls.__dataclass_fields__.keys()
        if unknown := sorted(stored.keys() - fields):
            raise ValueError(f"figure: unknown field {unknown[0]!r}; known are {', '.join(fields)}")
        if "value" not in stored:
            raise ValueError("figure: value is missing; give a number, or null and a reason")
        return cls(**{"low": None, "high": None, **stored})

    def as_dict(self) -> dict[str, Any]:  # Any: floats, ints, strings and None, ready for JSON
        """Return the seven fields as JSON types, in the order of the public contract."""
        return asdict(self)

    def _refuse_unusable_numbers(self) -> None:
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if number is None:
                continue
            if not math.isfinite(number):
                raise ValueError(f"{name}: found {number}; an undefined figure has value None and a reason")
            # numpy's scalars are not JSON: a stored figure holds Python's own numbers.
            object.__setattr__(self, name, float(number))
        if not 0 < self.level < 1:
            raise ValueError(f"level: found {self.level}; give a share between 0 and 1, such as 0.95")
        object.__setattr__(self, "level", float(self.level))
        object.__setattr__(self, "n", int(self.n))

    def _refuse_unexplained(self) -> None:
        if not self.reason:
            raise ValueError("reason: a figure without a value must say why; use Figure.undefined(reason)")
        if self.low is not None or self.high is not None:
            raise ValueError("low, high: a figure without a value has no interval; leave both None")

    def _refuse_outside_interval(self, value: float) -> None:
        slack = TOLERANCE * max(1.0, abs(value))
        if self.low is not None and self.low > value + slack:
            raise ValueError(f"low: {self.low} lies above the value {value}; check the interval's method")
        if self.high is not None and self.high < value - slack:
            raise ValueError(f"high: {self.high} lies below the value {value}; check the interval's method")


@dataclass(frozen=True, slots=True)
class PValue:
    """The p value of one test, or the reason why the test says nothing.

    Attributes:
        value: A probability in [0, 1], or None where the test is undefined; then `reason` says why.
        method: Name of the test, as the reader sees it.
        reason: Why there is no value.

    Raises:
        ValueError: The value is no probability, or an undefined one has no reason.
    """

    value: float | None
    method: str = ""
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.value is None:
            if not self.reason:
                raise ValueError("reason: a p value that is undefined must say why")
            return
        if not 0 <= self.value <= 1:
            raise ValueError(f"value: found {self.value}; a p value lies between 0 and 1")
        object.__setattr__(self, "value", float(self.value))

    @classmethod
    def undefined(cls, reason: str, *, method: str = "") -> Self:
        """Return a p value without a value that says why there is none."""
        return cls(value=None, method=method, reason=reason)

    def as_dict(self) -> dict[str, Any]:  # Any: float, strings and None, ready for JSON
        """Return the three fields as JSON types."""
        return asdict(self)
