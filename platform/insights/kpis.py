"""The row of key figures: each with its interval, its change, and the number it rests on."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from core import plots
from core.figures import Figure
from core.plots import Scale, Whisker
from insights import units
from insights.queries import Span
from insights.report import Report
from insights.units import Unit

WIDTH = 200
MARGIN = 6


@dataclass(frozen=True)
class Kpi:
    """One figure of the row. `was` is where the period before stands on the same scale."""

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


@dataclass(frozen=True)
class Kind:
    """How a key figure is made and told; `rises` says whether more of it is good, None that it is neither."""

    name: str
    unit: Unit
    of: Callable[[Span], Figure]
    n: Callable[[Span], str]
    rises: bool | None


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
    ),
    Kind("Errors", Unit.SHARE, lambda span: span.volume.errors(), lambda span: f"n {span.volume.n:,}", rises=False),
    Kind(
        "Cost per good answer",
        Unit.USD,
        cost_per_good_answer,
        lambda span: (
            f"n {span.volume.n_priced:,}" + (f", {span.volume.n_unpriced:,} unpriced" if span.volume.n_unpriced else "")
        ),
        rises=False,
    ),
    Kind(
        "Latency, p95",
        Unit.MS,
        lambda span: span.volume.latency_quantile(0.95),
        lambda span: f"n {sum(span.volume.latency.values()):,}",
        rises=False,
    ),
)


def of(report: Report) -> list[Kpi]:
    """The five key figures of what is compared."""
    now, before = report.compared.now, report.compared.before
    found = [_kpi(kind, now, before) for kind in KINDS]
    # What is behind the answers is compared as such; the other intervals are compared with each other.
    found[0] = _gained(found[0], report.compared.gain)
    return [*found, _waiting(now)]


def _kpi(kind: Kind, now: Span, before: Span) -> Kpi:
    figure, was = kind.of(now), kind.of(before)
    if figure.value is None:
        return Kpi(kind.name, "undefined", "", kind.n(now), reason=figure.reason or "")
    scale = _scale(figure, was)
    change, tone = _change(kind, figure, was)
    return Kpi(
        name=kind.name,
        value=units.shown(kind.unit, figure.value),
        interval=units.interval(kind.unit, figure),
        n=kind.n(now),
        place=plots.whisker(figure, scale),
        was=None if was.value is None else scale.at(was.value),
        change=change,
        since="" if was.value is None else f"from {units.shown(kind.unit, was.value)}",
        tone=tone,
    )


def _scale(figure: Figure, was: Figure) -> Scale:
    """From the lowest to the highest of both with a fifth of room; the zero of a whisker's mute is not meant here."""
    known = [end for one in (figure, was) for end in (one.value, one.low, one.high) if end is not None]
    low, high = min(known), max(known)
    room = (high - low) * 0.25 or abs(high) * 0.05 or 1.0
    return Scale(low - room, high + room, MARGIN, WIDTH - MARGIN)


def _change(kind: Kind, figure: Figure, was: Figure) -> tuple[str, str]:
    """The change, and whether it is good or bad news: only where the two intervals do not touch."""
    if figure.value is None or was.value is None:
        return "", ""
    difference = figure.value - was.value
    words = units.relative(figure.value, was.value) if kind.unit == Unit.USD and was.value else ""
    words = words or units.change(kind.unit, difference)
    apart = None not in (figure.low, figure.high, was.low, was.high) and (
        (figure.low or 0) > (was.high or 0) or (figure.high or 0) < (was.low or 0)
    )
    if not apart or kind.rises is None:
        return f"{words}, within noise", ""
    return words, "good" if (difference > 0) == kind.rises else "bad"


def _gained(kpi: Kpi, gain: Figure) -> Kpi:
    if gain.value is None or gain.low is None or gain.high is None:
        return kpi
    words = units.change(Unit.SHARE, gain.value)
    if gain.low <= 0 <= gain.high:
        return replace(kpi, change=f"{words}, within noise", tone="")
    return replace(kpi, change=words, tone="good" if gain.value > 0 else "bad")


def _waiting(now: Span) -> Kpi:
    """Drawn and not settled: an exact count."""
    return Kpi(
        name="Waiting for a verdict",
        value=f"{now.sums.n_waiting:,}",
        interval="an exact count",
        n=f"n {now.sums.n_drawn:,} drawn",
    )
