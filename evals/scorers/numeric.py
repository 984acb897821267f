"""The answer's number is the expected one."""

import math
import re
from typing import Any, ClassVar

from evals.scorers.registry import Case, ScoreValue, scorer

# Whatever could be a number: a sign, then digits, commas and points, then an exponent. Possessive, so that no
# text, however hostile, is read twice.
_WRITTEN = re.compile(r"(?<![\w.,])[-+\N{MINUS SIGN}]?[\d.,]++(?:[eE][-+]?\d++)?", re.ASCII)
_PLAIN = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
# A comma is read as thousands only where it can be nothing else; "3,5" stays unread.
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")


@scorer
class Numeric:
    """1 where the one number of the answer lies close enough to the expected one, else 0.

    Close enough: |answer - expected| ≤ max(tolerance, relative · |expected|).

    Attributes:
        tolerance: Absolute distance that is still right.
        relative: Distance as a share of the expected number that is still right.
    """

    name: ClassVar[str] = "numeric"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    is_binary: ClassVar[bool] = True

    tolerance: float = 0.0
    relative: float = 0.0

    def __post_init__(self) -> None:
        for argument in ("tolerance", "relative"):
            value = getattr(self, argument)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{argument}: is {value}; send a finite number from 0")

    def score(self, output: str, expected: Any, case: Case) -> ScoreValue:
        """Read the answer's number; an answer with none, or with two different ones, is wrong.

        Taking the first or last of several would guess what the answer means, and a gate must not rest on a
        guess: "between 3 and 5" is not 3. The same number said twice is one. `60%` is read as 60, never 0.6.
        """
        wanted = _expected_number(expected)
        if wanted is None:
            return ScoreValue(None, "the case does not expect a finite number")
        found = numbers(output)
        if len(found) != 1:
            said = "holds no number" if not found else f"holds {len(found)} different numbers; one must be the answer"
            return ScoreValue(0.0, said)
        if found[0] is None:
            return ScoreValue(0.0, "holds a number that can be read in more than one way, or that is too large")
        distance = abs(found[0] - wanted)
        reach = max(self.tolerance, self.relative * abs(wanted))
        return ScoreValue(1.0) if distance <= reach else ScoreValue(0.0, f"{found[0]:g} is {distance:g} away")


def numbers(text: str) -> list[float | None]:
    """The different numbers of a text, in the order they come; None stands for one that has two readings."""
    written = (match.group().replace("\N{MINUS SIGN}", "-").rstrip(".,") for match in _WRITTEN.finditer(text))
    return list(dict.fromkeys(_value(one) for one in written if any(digit in "0123456789" for digit in one)))


def _value(written: str) -> float | None:
    if _THOUSANDS.fullmatch(written):
        written = written.replace(",", "")
    elif not _PLAIN.fullmatch(written):
        return None  # 3,5 and 1.2.3: a decimal comma, a list, a version or a date
    number = float(written)
    return number if math.isfinite(number) else None


def _expected_number(expected: Any) -> float | None:
    if isinstance(expected, bool):
        return None
    if isinstance(expected, int | float):
        return float(expected) if math.isfinite(expected) else None
    found = numbers(expected) if isinstance(expected, str) else []
    return found[0] if len(found) == 1 else None
