"""Where things stand in a picture: linear scales with round ticks. No colours, no words, no SVG."""

import math
from dataclasses import dataclass

from core.figures import Figure


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` on a line from `start` to `end` (pixels; `end` may lie before `start`)."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value, to a tenth of a pixel; values beyond the ends stand at the ends."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + min(1.0, max(0.0, share)) * (self.end - self.start), 1)

    def ticks(self, about: int = 4) -> list[float]:
        """Round values inside the scale, `about` of them."""
        return ticks(self.low, self.high, about)


@dataclass(frozen=True)
class Whisker:
    """A figure on a scale: the dot, both ends (equal to the dot where there is no interval), and the zero."""

    dot: float | None
    low: float
    high: float
    zero: float | None
    crosses_zero: bool


def whisker(figure: Figure, scale: Scale) -> Whisker:
    """Where the figure's dot and interval stand; an undefined figure has no dot."""
    zero = scale.at(0) if scale.low <= 0 <= scale.high else None
    if figure.value is None:
        return Whisker(None, scale.start, scale.start, zero, crosses_zero=True)
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    return Whisker(scale.at(figure.value), scale.at(low), scale.at(high), zero, crosses_zero=low <= 0 <= high)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten from `low` to `high`."""
    if high <= low:
        return [low]
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]
