"""The figures of the trends page: what each shows per day, how it was made, and why a day shows nothing."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from core.figures import Figure
from insights import units
from insights.queries import Span
from insights.units import Unit

QUALITY, OUTPUTS, ERRORS, COST, LATENCY = KEYS = ("quality", "outputs", "errors", "cost", "latency")


@dataclass(frozen=True)
class Point:
    """One day of a line; an undefined figure says in `short` why, in two or three words."""

    at: dt.datetime
    figure: Figure
    short: str = ""


@dataclass(frozen=True)
class Line:
    """One line of a figure. With `has_band` its intervals are drawn around it."""

    name: str
    points: Sequence[Point]
    style: str = "line"
    has_band: bool = False


@dataclass(frozen=True)
class Row:
    """One day of the table behind a figure: its cells in words, the last one says how or why not."""

    at: dt.datetime
    cells: Sequence[str]
    said: str

    @property
    def day(self) -> str:
        return units.day(self.at)


@dataclass(frozen=True)
class TrendFigure:
    """One figure of the page: lines or bars over the same days, with all that stands around them."""

    key: str
    title: str
    method: str
    unit: Unit
    lines: Sequence[Line]
    empty: str
    is_bars: bool = False
    from_zero: bool = False
    remark: str = ""
    waiting: Sequence[int] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw: no figure, or of an exact count no more than nothing."""
        values = [point.figure.value for line in self.lines for point in line.points]
        return not any(values) if self.unit == Unit.COUNT else all(value is None for value in values)

    @property
    def columns(self) -> list[str]:
        """The heads of the table behind the figure."""
        intervals = [] if self.is_bars else ["95\N{NARROW NO-BREAK SPACE}% interval"]
        named = [head for line in self.lines for head in (line.name, *intervals)]
        return ["Day", *named, "n", *(["Waiting"] if self.waiting else [])]

    @property
    def rows(self) -> list[Row]:
        """The table behind the figure, newest day first."""
        return list(reversed(list(self._rows())))

    @property
    def gaps(self) -> list[str]:
        """The spans of days that show nothing, each with its reason: `30 Oct to 1 Nov: no reviews`."""
        first = self.lines[0].points
        found = []
        for short, points in groupby(first, key=lambda point: point.short if point.figure.value is None else None):
            if short is not None:
                found.append(f"{_days([point.at for point in points])}: {short}")
        return found

    def _rows(self) -> Iterator[Row]:
        for index, point in enumerate(self.lines[0].points):
            at_once = [line.points[index].figure for line in self.lines]
            cells = [cell for figure in at_once for cell in self._cells(figure)]
            waiting = [f"{self.waiting[index]:,}"] if self.waiting else []
            figure = at_once[0]
            said = figure.reason or figure.method
            yield Row(point.at, [*cells, f"{figure.n:,}", *waiting], said)

    def _cells(self, figure: Figure) -> list[str]:
        value = "undefined" if figure.value is None else units.shown(self.unit, figure.value)
        return [value] if self.is_bars else [value, units.interval(self.unit, figure)]


def all_of(days: Sequence[Span], *, question: str) -> list[TrendFigure]:
    """The five figures over these days, in the order of the page."""
    return [
        _quality(days, question),
        _outputs(days),
        _errors(days),
        _cost(days),
        _latency(days),
    ]


def _quality(days: Sequence[Span], question: str) -> TrendFigure:
    n_waiting = sum(day.sums.n_waiting for day in days)
    asked = f"Asked: {question}. " if question else ""
    return TrendFigure(
        QUALITY,
        "Good answers per day",
        f"{asked}Reviews weighted by 1/π (Hájek), 95 % band; Wilson's interval where the effective n is below 200.",
        Unit.SHARE,
        [Line("Good answers", _points(days, Span.quality, _why_no_quality), has_band=True)],
        "It fills when a sampling rule covers what arrives and its draws are reviewed.",
        remark=f"{n_waiting:,} drawn and not settled yet; the hard ones are among them." if n_waiting else "",
        waiting=[day.sums.n_waiting for day in days],
    )


def _outputs(days: Sequence[Span]) -> TrendFigure:
    return TrendFigure(
        OUTPUTS,
        "Outputs per day",
        "Exact count, by day of arrival (UTC), errors among them.",
        Unit.COUNT,
        [Line("Outputs", [Point(day.at, day.volume.outputs()) for day in days])],
        "It fills with the first output that arrives.",
        is_bars=True,
        from_zero=True,
    )


def _errors(days: Sequence[Span]) -> TrendFigure:
    return TrendFigure(
        ERRORS,
        "Errors per day",
        "Share of the outputs that ended in an error, Wilson's 95 % interval.",
        Unit.SHARE,
        [Line("Errors", _points(days, lambda day: day.volume.errors(), _why_nothing), has_band=True)],
        "It fills with the first output that arrives.",
        from_zero=True,
    )


def _cost(days: Sequence[Span]) -> TrendFigure:
    n, n_unpriced = sum(day.volume.n for day in days), sum(day.volume.n_unpriced for day in days)
    return TrendFigure(
        COST,
        "Cost per day",
        "Exact sum over the outputs that have a cost, as sent or by the price table.",
        Unit.USD,
        [Line("Cost", _points(days, lambda day: day.volume.cost(), _why_no_cost))],
        f"All {n:,} outputs are unpriced: set prices of their models, or send cost_usd with them."
        if n
        else "It fills with the first priced output.",
        is_bars=True,
        from_zero=True,
        remark=f"{n_unpriced:,} of {n:,} outputs are unpriced and not in the sums." if 0 < n_unpriced < n else "",
    )


def _latency(days: Sequence[Span]) -> TrendFigure:
    def quantile(q: float) -> Callable[[Span], Figure]:
        return lambda day: day.volume.latency_quantile(q)

    return TrendFigure(
        LATENCY,
        "Latency per day",
        "From merged sketches, within 1 % of the true quantile; intervals by order statistics stand in the table.",
        Unit.MS,
        [
            Line("p50", _points(days, quantile(0.5), _why_no_latency), style="line-3"),
            Line("p95", _points(days, quantile(0.95), _why_no_latency)),
        ],
        "It fills with the first output that tells its latency.",
        from_zero=True,
    )


def _points(days: Sequence[Span], of: Callable[[Span], Figure], why: Callable[[Span], str]) -> list[Point]:
    found = [(day, of(day)) for day in days]
    return [Point(day.at, figure, "" if figure.value is not None else why(day)) for day, figure in found]


def _why_no_quality(day: Span) -> str:
    if not day.volume.n_ok:
        return "nothing arrived"
    if day.sums.n_covered < day.volume.n_ok:
        return "not all covered by a rule"
    if not day.sums.n_settled:
        return "no reviews"
    return "too few reviews"


def _why_nothing(day: Span) -> str:
    return "nothing arrived"


def _why_no_cost(day: Span) -> str:
    return "nothing priced" if day.volume.n else "nothing arrived"


def _why_no_latency(day: Span) -> str:
    return "no latency told" if day.volume.n else "nothing arrived"


def _days(moments: Sequence[dt.datetime]) -> str:
    first, last = units.day(moments[0]), units.day(moments[-1])
    return first if first == last else f"{first} to {last}"
