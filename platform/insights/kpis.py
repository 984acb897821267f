"""The row of key figures: each with its interval, its change, and the number it rests on.

Whether a change is news is for the interval of the change itself to say; where there is none, nothing is said.
"""

from collections.abc import Callable
from dataclasses import dataclass

from core import plots
from core.figures import Figure
from core.plots import Scale, Whisker
from core.tags import NARROW
from insights import units
from insights.queries import Span
from insights.report import Compared, Report
from insights.units import Unit

WIDTH = 200
MARGIN = 6


@dataclass(frozen=True)
class Kpi:
    """One figure of the row.

    Attributes:
        was: Where the period before stands on the same scale.
        change: From the period before to this one.
        tone: Whether that is good or bad; empty where it cannot be told.
        change_interval: Of the change, with its level and number; empty where the change has none.
        change_method: By which it was reckoned.
    """

    name: str
    value: str
    interval: str
    n: str
    reason: str = ""
    place: Whisker | None = None
    was: float | None = None
    change: str = ""
    since: str = ""
    tone: str = ""
    change_interval: str = ""
    change_method: str = ""


@dataclass(frozen=True)
class Kind:
    """How a key figure is made and told.

    Attributes:
        rises: Whether more of it is good.
        change: Its change with an interval; None where no method gives one.
    """

    name: str
    unit: Unit
    of: Callable[[Span], Figure]
    n: Callable[[Span], str]
    rises: bool = False
    change: Callable[[Compared], Figure] | None = None


def cost_per_good_answer(span: Span) -> Figure:
    """Cost over good answers, among the outputs that have a price; its interval is that of the quality."""
    method, quality, volume = "cost over good answers; interval of the quality", span.quality(), span.volume
    cost = volume.cost()
    if cost.value is None:
        return Figure.undefined(cost.reason or "", n=volume.n, method=method)
    if quality.value is None or not quality.low or not quality.high:
        reason = "quality is undefined" if quality.value is None else "no answer may be good at all"
        return Figure.undefined(reason, n=volume.n_priced, method=method)
    per_answer = cost.value / volume.n_priced * volume.n / volume.n_ok
    return Figure(
        per_answer / quality.value,
        per_answer / quality.high,
        per_answer / quality.low,
        n=volume.n_priced,
        method=method,
    )


KINDS = (
    Kind(
        "Good answers",
        Unit.SHARE,
        Span.quality,
        lambda span: f"n {span.sums.n_settled:,} of {span.volume.n_ok:,} outputs",
        rises=True,
        change=lambda compared: compared.gain,
    ),
    Kind(
        "Errors",
        Unit.SHARE,
        lambda span: span.volume.errors(),
        lambda span: f"n {span.volume.n:,}",
        change=lambda compared: compared.errors,
    ),
    Kind(
        "Cost per good answer",
        Unit.USD,
        cost_per_good_answer,
        lambda span: (
            f"n {span.volume.n_priced:,}" + (f", {span.volume.n_unpriced:,} unpriced" if span.volume.n_unpriced else "")
        ),
    ),
    Kind(
        "Latency, p95",
        Unit.MS,
        lambda span: span.volume.latency_quantile(0.95),
        lambda span: f"n {sum(span.volume.latency.values()):,}",
    ),
)


def of(report: Report) -> list[Kpi]:
    """The five key figures of what is compared."""
    return [*(_kpi(kind, report.compared) for kind in KINDS), _waiting(report.compared.now)]


def _kpi(kind: Kind, compared: Compared) -> Kpi:
    now = compared.now
    figure, was = kind.of(now), kind.of(compared.before)
    if figure.value is None:
        return Kpi(kind.name, "undefined", "", kind.n(now), reason=figure.reason or "")
    scale = _scale(figure, was)
    change = Change() if was.value is None else _change(kind, figure.value, was.value, compared)
    return Kpi(
        name=kind.name,
        value=units.shown(kind.unit, figure.value),
        interval=units.interval(kind.unit, figure),
        n=kind.n(now),
        place=plots.whisker(figure, scale),
        was=None if was.value is None else scale.at(was.value),
        change=change.words,
        since="" if was.value is None else f"from {units.shown(kind.unit, was.value)}",
        tone=change.tone,
        change_interval=change.interval,
        change_method=change.method,
    )


def _scale(figure: Figure, was: Figure) -> Scale:
    """From the lowest to the highest of both with a fifth of room; the zero of a whisker's mute is not meant here."""
    known = [end for one in (figure, was) for end in (one.value, one.low, one.high) if end is not None]
    low, high = min(known), max(known)
    room = (high - low) * 0.25 or abs(high) * 0.05 or 1.0
    return Scale(low - room, high + room, MARGIN, WIDTH - MARGIN)


@dataclass(frozen=True)
class Change:
    """A change as it is told; without an interval of its own it has neither tone nor word."""

    words: str = ""
    tone: str = ""
    interval: str = ""
    method: str = ""


def _change(kind: Kind, value: float, was: float, compared: Compared) -> Change:
    found = None if kind.change is None else kind.change(compared)
    if found is None or found.value is None or found.low is None or found.high is None:
        return Change(
            units.relative(value, was) if kind.unit == Unit.USD and was else units.change(kind.unit, value - was)
        )
    words = units.change(kind.unit, found.value)
    ends = f"{units.change(kind.unit, found.low).removesuffix(' points')} to {units.change(kind.unit, found.high)}"
    interval = f"{ends} ({100 * found.level:g}{NARROW}%, n {found.n:,})"
    if found.low <= 0 <= found.high:
        return Change(f"{words}, within noise", "", interval, found.method)
    return Change(words, "good" if (found.value > 0) == kind.rises else "bad", interval, found.method)


def _waiting(now: Span) -> Kpi:
    """Drawn and not settled: an exact count."""
    return Kpi(
        name="Waiting for a verdict",
        value=f"{now.sums.n_waiting:,}",
        interval="an exact count",
        n=f"n {now.sums.n_drawn:,} drawn",
    )
