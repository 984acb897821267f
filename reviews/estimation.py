"""How good production is, from reviews of what was drawn: arrays in, sums, figures out. No tables, no models.

A draw is unequal on purpose, so each reviewed output stands for 1/π outputs. Everything is kept as sums that add up:
those of hours make those of days, those of revisions those of prompts.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt

from core.figures import Figure
from core.statistics import normal, proportions

OF_PERIOD = "Hájek mean, weights 1/π; interval for the outputs of this period"
OF_REVISION = "Hájek mean, weights 1/π; interval for the revision behind the outputs"
CONSERVATIVE = "Hájek mean, weights 1/π; Wilson's interval at the effective n (conservative)"
OF_REVIEWED = "plain mean of the reviewed; no estimate for all outputs"
DIFFERENCE = "difference of Hájek means; interval from both intervals (MOVER)"
# Below the first, nothing is said; below the second, the plain interval is too narrow to be trusted.
LEAST_EFFECTIVE = 5
ENOUGH_EFFECTIVE = 200

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """Outputs that the same probability rules cover and that were judged alike.

    Attributes:
        probabilities: of the rules that match them.
        quality: their settled quality from 0 to 1, or None while there is none.
        n_covered: how many.
        n_drawn: how many of these some rule drew; only a drawn output has a quality here.
    """

    probabilities: Sequence[float]
    quality: float | None
    n_covered: int
    n_drawn: int


@dataclass(frozen=True)
class Sums:
    """What is known of a set of outputs: w = 1/π and a = (1 - π)/π² over the drawn and settled, y their quality."""

    n_covered: int = 0
    n_drawn: int = 0
    n_settled: int = 0
    y: float = 0.0
    w: float = 0.0
    wy: float = 0.0
    wyy: float = 0.0
    ww: float = 0.0
    wwy: float = 0.0
    wwyy: float = 0.0
    a: float = 0.0
    ay: float = 0.0
    ayy: float = 0.0
    lowest: float | None = None
    highest: float | None = None

    def __add__(self, other: "Sums") -> "Sums":
        both = {name.name: getattr(self, name.name) for name in fields(self)}
        for name, value in asdict(other).items():
            match name:
                case "lowest" | "highest":
                    known = [one for one in (both[name], value) if one is not None]
                    both[name] = (min if name == "lowest" else max)(known, default=None)
                case _:
                    both[name] += value
        return Sums(**both)

    @property
    def n_waiting(self) -> int:
        """Drawn and not settled: the hard ones are among them."""
        return self.n_drawn - self.n_settled

    @property
    def n_effective(self) -> float:
        """(Σw)²/Σw²: how many equally weighted reviews would say as much (Kish 1965)."""
        return self.w**2 / self.ww if self.ww else 0.0

    @property
    def mean(self) -> float:
        """Σwy/Σw; only where something is settled."""
        return min(1.0, max(0.0, self.wy / self.w))

    @property
    def has_spread(self) -> bool:
        return self.lowest != self.highest


def inclusion(probabilities: Sequence[float]) -> float:
    """π = 1 - ∏(1 - pᵢ): the probability that at least one of these independent draws takes the output."""
    return 1.0 - math.prod(1.0 - p for p in probabilities)


def sums_of(group: Group) -> Sums:
    """The sums of one group."""
    if group.quality is None:
        return Sums(n_covered=group.n_covered, n_drawn=group.n_drawn)
    n = group.n_drawn
    settled = sums(np.full(n, inclusion(group.probabilities)), np.full(n, group.quality))
    return Sums(n_covered=group.n_covered, n_drawn=n) + settled


def sums(pi: Floats, quality: Floats) -> Sums:
    """The sums of settled outputs; `n_covered` and `n_drawn` are left to whoever knows them.

    Args:
        pi: inclusion probabilities in (0, 1], one for each output.
        quality: from 0 to 1, in the same order.

    Raises:
        ValueError: a probability or a quality is out of its range, or the two differ in length.
    """
    if pi.shape != quality.shape:
        raise ValueError(f"pi, quality: found {pi.shape} and {quality.shape}; give one quality for each output")
    if pi.size and not (pi.min() > 0 and pi.max() <= 1):
        raise ValueError("pi: give probabilities above 0 and at most 1; what cannot be drawn has no weight")
    if quality.size and not (quality.min() >= 0 and quality.max() <= 1):
        raise ValueError("quality: give values from 0 to 1")
    w, a = 1 / pi, (1 - pi) / pi**2
    return Sums(
        n_settled=int(pi.size),
        y=float(quality.sum()),
        w=float(w.sum()),
        wy=float((w * quality).sum()),
        wyy=float((w * quality**2).sum()),
        ww=float((w**2).sum()),
        wwy=float((w**2 * quality).sum()),
        wwyy=float((w**2 * quality**2).sum()),
        a=float(a.sum()),
        ay=float((a * quality).sum()),
        ayy=float((a * quality**2).sum()),
        lowest=float(quality.min()) if quality.size else None,
        highest=float(quality.max()) if quality.size else None,
    )


def of_period(found: Sums, *, n_population: int, level: float = 0.95) -> Figure:
    """The mean quality of a period's outputs: how good what was said in it was.

    The variance is Σ(1-π)/π²·(y-ŷ)² / (Σ1/π)², which is 0 where every output was judged. With an effective n below
    200, or where all say the same, it is Wilson's interval at the effective n, which is conservative (the plain one
    covered .46 to .93 of the time in trials).

    Args:
        found: the sums over the period.
        n_population: outputs without an error in the period; all of them must have had a chance to be drawn.
        level: of the interval.

    Returns:
        the figure with n = settled outputs; undefined with its reason below an effective n of 5, and where some output
        could never be drawn.

    Source: Hájek (1971), comment on Basu; variance of the ratio under Poisson sampling: Särndal, Swensson and Wretman
        (1992), "Model assisted survey sampling", sections 5.6 to 5.8. Wilson (1927), JASA 22, 209-212.
    """
    squares = found.ayy - 2 * found.mean * found.ay + found.mean**2 * found.a if found.w else 0.0
    return _figure(found, n_population, squares, level, OF_PERIOD)


def of_revision(found: Sums, *, n_population: int, level: float = 0.95) -> Figure:
    """The mean quality of what made these outputs: how good its next ones will be.

    As `of_period`, but with the variance Σw²(y-ŷ)²/(Σw)², which does not vanish where every output was judged.
    Comparisons, guards and objectives speak of this.
    """
    squares = found.wwyy - 2 * found.mean * found.wwy + found.mean**2 * found.ww if found.w else 0.0
    return _figure(found, n_population, squares, level, OF_REVISION)


def of_reviewed(found: Sums, *, level: float = 0.95) -> Figure:
    """The plain mean of what was reviewed. It says nothing of the rest, and has no interval."""
    if not found.n_settled:
        return Figure.undefined(_nothing_settled(found), method=OF_REVIEWED, level=level)
    return Figure(found.y / found.n_settled, None, None, level=level, n=found.n_settled, method=OF_REVIEWED)


def difference(after: Figure, before: Figure) -> Figure:
    """After minus before, of two figures from `of_revision` with intervals at the same level.

    Source: MOVER, Zou and Donner (2008), Statistics in Medicine 27, 1693-1702; for Wilson's ends it is method 10 of
        Newcombe (1998), Statistics in Medicine 17, 873-890.
    """
    for figure, when in ((after, "after"), (before, "before")):
        if figure.value is None or figure.low is None or figure.high is None:
            return Figure.undefined(f"{when}: {figure.reason}", method=DIFFERENCE, level=after.level)
    assert after.value is not None and before.value is not None  # noqa: S101, PT018  # said above, for the types
    assert after.low is not None and before.high is not None  # noqa: S101, PT018
    assert after.high is not None and before.low is not None  # noqa: S101, PT018
    value = after.value - before.value
    low = value - math.hypot(after.value - after.low, before.high - before.value)
    high = value + math.hypot(after.high - after.value, before.value - before.low)
    return Figure(value, low, high, level=after.level, n=after.n + before.n, method=DIFFERENCE)


def _figure(found: Sums, n_population: int, squares: float, level: float, method: str) -> Figure:
    reason = _why_undefined(found, n_population)
    if reason is not None:
        return Figure.undefined(reason, n=found.n_settled, method=method, level=level)
    if found.n_effective < ENOUGH_EFFECTIVE or not found.has_spread:
        low, high = proportions.score_ends(found.mean, found.n_effective, level=level)
        return Figure(found.mean, low, high, level=level, n=found.n_settled, method=CONSERVATIVE)
    reach = normal.two_sided_z(level) * math.sqrt(max(0.0, squares)) / found.w
    low, high = max(0.0, found.mean - reach), min(1.0, found.mean + reach)
    return Figure(found.mean, low, high, level=level, n=found.n_settled, method=method)


def _why_undefined(found: Sums, n_population: int) -> str | None:
    if n_population <= 0:
        return "no output without an error arrived"
    n_uncovered = n_population - found.n_covered
    if n_uncovered > 0:
        return f"{n_uncovered:,} of {n_population:,} outputs could never be drawn: no sampling rule covers them"
    if not found.n_settled:
        return _nothing_settled(found)
    if found.n_effective < LEAST_EFFECTIVE:
        n = f"{found.n_effective:.1f}"
        return f"too few reviews, with an effective n of {n}; at least {LEAST_EFFECTIVE} is needed"
    return None


def _nothing_settled(found: Sums) -> str:
    if found.n_drawn:
        return f"none of the {found.n_drawn:,} drawn outputs is settled yet"
    return "none of the outputs was drawn for review"
