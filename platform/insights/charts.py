"""Where everything of a figure stands in its picture: geometry for the templates, no colours and no markup."""

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from core import plots
from core.plots import Scale
from insights import units
from insights.figures import Line, Point, TrendFigure
from insights.queries import Marker
from insights.units import Unit

DAY_STEPS = (1, 2, 4, 7, 14, 28, 56, 112, 364)
# Room that words need: about this many pixels a character at 11 px, and this much between two lines.
CHARACTER = 6.2
LINE = 14


@dataclass(frozen=True)
class Size:
    """How large a picture is drawn, and how many labels it bears."""

    name: str
    width: int
    height: int
    n_x: int
    right: int


WIDE = Size("wide", 1166, 300, 8, 92)
HALF = Size("wide", 540, 240, 6, 76)
NARROW = Size("narrow", 326, 230, 3, 10)


@dataclass(frozen=True)
class Tick:
    at: float
    label: str
    anchor: str = ""


@dataclass(frozen=True)
class Gap:
    """A hatched span; its words, where they fit, one per line."""

    x: float
    width: float
    words: Sequence[tuple[float, str]]

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True)
class Flag:
    """A release: a line at `x`, and a flag on top of it where there is room."""

    x: float
    label: str
    left: float
    width: float
    is_shown: bool
    is_live: bool

    @property
    def middle(self) -> float:
        """Where its words stand: a flag at the picture's edge stands beside its line."""
        return round(self.left + self.width / 2, 1)


@dataclass(frozen=True)
class End:
    """What a line comes to, at its right end."""

    x: float
    y: float
    value: str
    name: str
    style: str


@dataclass(frozen=True)
class Drawing:
    """One figure, drawn in one size."""

    figure: TrendFigure
    size: Size
    left: float
    right: float
    top: float
    bottom: float
    y_ticks: Sequence[Tick]
    x_ticks: Sequence[Tick]
    gaps: Sequence[Gap]
    flags: Sequence[Flag]
    bands: Sequence[str]
    strokes: Sequence[tuple[str, str]]
    bars: Sequence[str]
    dots: Sequence[tuple[float, float]]
    whiskers: Sequence[str]
    ends: Sequence[End]
    described: str

    @property
    def key(self) -> str:
        return f"{self.figure.key}-{self.size.name}"

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2

    @property
    def depth(self) -> float:
        return self.bottom - self.top

    @property
    def centre(self) -> float:
        return (self.top + self.bottom) / 2


def draw(figure: TrendFigure, markers: Sequence[Marker], size: Size) -> Drawing:
    """The figure in this size: axes always, everything else where there is something."""
    top, bottom = 36.0, size.height - 26.0
    low, high, ticks = _range(figure)
    labels = [units.tick(figure.unit, tick, is_top=tick == ticks[-1]) for tick in ticks]
    left = round(12 + CHARACTER * max(len(label) for label in labels))
    right = size.width - (size.right if not figure.is_bars else 10)
    y = Scale(low, high, bottom, top)
    days = [point.at for point in figure.lines[0].points]
    x = _days(days, left, right, is_bars=figure.is_bars)
    return Drawing(
        figure=figure,
        size=size,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        y_ticks=[Tick(y.at(tick), label) for tick, label in zip(ticks, labels, strict=True)],
        x_ticks=list(_x_ticks(days, x, size)),
        gaps=[] if figure.is_empty else list(_gaps(figure, x, left, right, bottom, size)),
        flags=[] if figure.is_bars else list(_flags(markers, days, x, left, right, size)),
        bands=[path for line in figure.lines if line.has_band for path in _bands(line, x, y)],
        strokes=[] if figure.is_bars else [stroke for line in figure.lines for stroke in _strokes(line, x, y)],
        bars=list(_bars(figure.lines[0], x, y, (right - left) / max(1, len(days)))) if figure.is_bars else [],
        dots=[] if figure.is_bars else list(_dots(figure, x, y)),
        whiskers=[] if figure.is_bars else list(_whiskers(figure, x, y)),
        ends=[] if figure.is_bars or size.name == "narrow" else _ends(figure, x, y),
        described=_described(figure, markers),
    )


def _range(figure: TrendFigure) -> tuple[float, float, list[float]]:
    """The ends of the y axis and its ticks; an empty figure has an axis as well."""
    figures = [point.figure for line in figure.lines for point in line.points if point.figure.value is not None]
    banded = any(line.has_band for line in figure.lines)
    lows = [f.low if banded and f.low is not None else f.value for f in figures]
    highs = [f.high if banded and f.high is not None else f.value for f in figures]
    high = max([value for value in highs if value is not None], default=0.0)
    low = 0.0 if figure.from_zero or not lows else min(value for value in lows if value is not None)
    if high <= low:
        low, high = (0.0, _least(figure.unit)) if figure.from_zero or not figures else (low - 0.05, high + 0.05)
    if figure.unit == Unit.SHARE and not figure.from_zero:
        low, high = max(0.0, low), min(1.0, high)
    step = _step(low, high)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [round(number * step, 10) for number in range(first, last + 1)]
    return ticks[0], ticks[-1], ticks


def _least(unit: Unit) -> float:
    return {Unit.SHARE: 1.0, Unit.COUNT: 10.0, Unit.USD: 1.0, Unit.MS: 1000.0}[unit]


def _step(low: float, high: float) -> float:
    found = plots.ticks(low, high, 4)
    return found[1] - found[0] if len(found) > 1 else (high - low) or 1.0


def _days(days: Sequence[dt.datetime], left: float, right: float, *, is_bars: bool) -> list[float]:
    n = len(days)
    if is_bars:
        slot = (right - left) / max(1, n)
        return [round(left + slot * (index + 0.5), 1) for index in range(n)]
    step = (right - left) / max(1, n - 1)
    return [round(left + step * index, 1) if n > 1 else round((left + right) / 2, 1) for index in range(n)]


def _x_ticks(days: Sequence[dt.datetime], x: Sequence[float], size: Size) -> Iterator[Tick]:
    step = next((step for step in DAY_STEPS if math.ceil(len(days) / step) <= size.n_x), DAY_STEPS[-1])
    for index in range(0, len(days), step):
        label = units.day(days[index])
        if x[index] + CHARACTER * len(label) / 2 <= size.width:
            yield Tick(x[index], label, "" if index == 0 else "mid")


def _gaps(
    figure: TrendFigure, x: Sequence[float], left: float, right: float, bottom: float, size: Size
) -> Iterator[Gap]:
    """Hatched spans; the days before the first output are not undefined, they are not there yet."""
    half = (right - left) / max(1, len(x) - 1) / 2
    for is_gap, indices in groupby(range(len(x)), key=lambda index: _is_gap(figure, index)):
        span = list(indices)
        if not is_gap or (span[0] == 0 and figure.lines[0].points[0].short == "nothing arrived" and len(span) > 1):
            continue
        start, end = max(left, x[span[0]] - half), min(right, x[span[-1]] + half)
        words = [figure.lines[0].points[span[0]].short + ",", "undefined"]
        fits = end - start >= CHARACTER * max(len(word) for word in words) and size.name == "wide"
        placed = [(bottom - 24 + LINE * at, word) for at, word in enumerate(words)] if fits else []
        yield Gap(round(start, 1), round(end - start, 1), placed)


def _is_gap(figure: TrendFigure, index: int) -> bool:
    return not figure.is_bars and figure.lines[0].points[index].figure.value is None


def _flags(
    markers: Sequence[Marker],
    days: Sequence[dt.datetime],
    x: Sequence[float],
    left: float,
    right: float,
    size: Size,
) -> Iterator[Flag]:
    """One line per release; of flags that would overlap the later ones stay."""
    if not days:
        return
    one_prompt = len({marker.prompt for marker in markers}) <= 1
    per_day = (right - left) / max(1, len(days) - 1)
    taken = float("inf")
    found: list[Flag] = []
    for marker in reversed(markers):
        at = min(right, x[0] + per_day * (marker.at - days[0]).total_seconds() / 86_400)
        label = f"r{marker.revision}" if one_prompt or size.name == "narrow" else f"{marker.prompt} r{marker.revision}"
        width = 12 + CHARACTER * len(label)
        is_shown = at + width / 2 < taken
        if is_shown:
            taken = at - width / 2 - 4
        start = min(at - width / 2, size.width - width - 1)
        found.append(Flag(round(at, 1), label, round(start, 1), round(width, 1), is_shown, not found))
    yield from reversed(found)


def _runs(line: Line) -> Iterator[list[int]]:
    """The indices of days in a row that have a figure: nothing is joined across one that has none."""
    for is_defined, indices in groupby(
        range(len(line.points)), key=lambda index: line.points[index].figure.value is not None
    ):
        if is_defined:
            yield list(indices)


def _strokes(line: Line, x: Sequence[float], y: Scale) -> Iterator[tuple[str, str]]:
    for run in _runs(line):
        if len(run) > 1:
            yield _path([(x[index], y.at(line.points[index].figure.value or 0)) for index in run]), line.style


def _bands(line: Line, x: Sequence[float], y: Scale) -> Iterator[str]:
    for run in _runs(line):
        ends = [(index, line.points[index].figure) for index in run]
        if len(run) > 1 and all(figure.low is not None for _, figure in ends):
            over = [(x[index], y.at(figure.high or 0)) for index, figure in ends]
            under = [(x[index], y.at(figure.low or 0)) for index, figure in reversed(ends)]
            yield _path([*over, *under]) + "Z"


def _dots(figure: TrendFigure, x: Sequence[float], y: Scale) -> Iterator[tuple[float, float]]:
    """A day alone, and the last day of each line."""
    for line in figure.lines:
        for run in _runs(line):
            if len(run) == 1 or run[-1] == len(x) - 1:
                yield x[run[-1]], y.at(line.points[run[-1]].figure.value or 0)


def _whiskers(figure: TrendFigure, x: Sequence[float], y: Scale) -> Iterator[str]:
    for line in figure.lines:
        for run in _runs(line):
            point = line.points[run[0]].figure
            if len(run) == 1 and line.has_band and point.low is not None and point.high is not None:
                at, low, high = x[run[0]], y.at(point.low), y.at(point.high)
                yield f"M{at} {low}V{high}M{at - 4} {low}h8M{at - 4} {high}h8"


def _bars(line: Line, x: Sequence[float], y: Scale, slot: float) -> Iterator[str]:
    width = round(max(1.0, min(32.0, slot * 0.68)), 1)
    for at, point in zip(x, line.points, strict=True):
        if point.figure.value:
            yield f"M{round(at - width / 2, 1)} {y.start}V{y.at(point.figure.value)}h{width}V{y.start}z"


def _ends(figure: TrendFigure, x: Sequence[float], y: Scale) -> list[End]:
    """The last figure of each line in words, moved apart where they would touch."""
    ends: list[End] = []
    for line in sorted(figure.lines, key=lambda line: -(_last(line) or 0)):
        value = _last(line)
        if value is None:
            continue
        at = y.at(value) + 4
        if ends and at - ends[-1].y < 2 * LINE:
            at = ends[-1].y + 2 * LINE
        name = line.name if len(figure.lines) > 1 else units.day(line.points[-1].at)
        ends.append(End(x[-1] + 12, round(at, 1), units.shown(figure.unit, value), name, line.style))
    return ends


def _last(line: Line) -> float | None:
    return line.points[-1].figure.value if line.points else None


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in places)


def _described(figure: TrendFigure, markers: Sequence[Marker]) -> str:
    """The picture in words, for whoever does not see it."""
    said = []
    for line in figure.lines:
        defined = [point for point in line.points if point.figure.value is not None]
        if defined:
            said.append(f"{line.name}: {_spread(figure.unit, defined)}.")
    if figure.is_empty:
        said.append(f"Nothing to draw yet. {figure.empty}")
    elif not figure.is_bars and figure.gaps:
        said.append(f"Undefined: {'; '.join(figure.gaps)}.")
    if markers and not figure.is_bars:
        released = ", ".join(f"{marker.prompt} r{marker.revision} on {units.day(marker.at)}" for marker in markers)
        said.append(f"Released: {released}.")
    return " ".join(said)


def _spread(unit: Unit, points: Sequence[Point]) -> str:
    values = sorted(points, key=lambda point: point.figure.value or 0)
    lowest, highest, last = values[0], values[-1], points[-1]
    return (
        f"{units.shown(unit, last.figure.value)} on {units.day(last.at)}, "
        f"lowest {units.shown(unit, lowest.figure.value)} on {units.day(lowest.at)}, "
        f"highest {units.shown(unit, highest.figure.value)} on {units.day(highest.at)}"
    )
