"""Where the bars of the ingest page stand: rows by route, one bar a minute or an hour."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.utils import timezone

from core.plots import Scale
from desk.ingest_queries import Bar

WIDTH, HEIGHT = 560, 190
TOP, BOTTOM, RIGHT = 10.0, 164.0, 552.0
CHARACTER = 6.2
# The most frequent routes have a tone of their own, in this order; the others share the last.
STYLES = ("bar-1", "bar-2", "bar-3")


@dataclass(frozen=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True)
class Tone:
    """A route and the tone of its bars."""

    words: str
    style: str


@dataclass(frozen=True)
class Row:
    """One span of the table beside the picture."""

    at: dt.datetime
    cells: Sequence[int]
    n: int


@dataclass(frozen=True)
class Chart:
    """One picture with its table."""

    key: str
    title: str
    unit: str
    left: float
    y_ticks: Sequence[Tick]
    x_ticks: Sequence[Tick]
    bars: Sequence[tuple[str, str]]
    tones: Sequence[Tone]
    rows: Sequence[Row]
    described: str

    @property
    def total(self) -> int:
        return sum(row.n for row in self.rows)


def draw(key: str, title: str, unit: str, bars: Sequence[Bar]) -> Chart:
    """The bars, oldest first; spans without rows stay empty."""
    tones = _tones(bars)
    y = _scale(bars)
    labels = [f"{tick:,.0f}" for tick in y.ticks(3)]
    left = round(10 + CHARACTER * max(map(len, labels)))
    slot = (RIGHT - left) / max(1, len(bars))
    names = [tone.words for tone in tones]
    return Chart(
        key=key,
        title=title,
        unit=unit,
        left=left,
        y_ticks=[Tick(y.at(tick), label) for tick, label in zip(y.ticks(3), labels, strict=True)],
        x_ticks=[
            Tick(round(left + slot * (place + 0.5), 1), f"{timezone.localtime(bar.at):%H:%M}")
            for place, bar in enumerate(bars)
            if (len(bars) - 1 - place) % (len(bars) // 4) == 0 and place
        ],
        bars=list(_bars(bars, tones, y, left, slot)),
        tones=tones,
        rows=[Row(bar.at, [bar.n_by_route.get(name, 0) for name in names], bar.n) for bar in reversed(bars) if bar.n],
        described=_described(bars, unit),
    )


def _tones(bars: Sequence[Bar]) -> list[Tone]:
    sums: dict[str, int] = {}
    for bar in bars:
        for route, n in bar.n_by_route.items():
            sums[route] = sums.get(route, 0) + n
    routes = sorted(sums, key=lambda route: (-sums[route], route))
    return [Tone(route, STYLES[min(place, len(STYLES) - 1)]) for place, route in enumerate(routes)]


def _scale(bars: Sequence[Bar]) -> Scale:
    most = max((bar.n for bar in bars), default=0) or 10
    found = Scale(0, most, BOTTOM, TOP).ticks(3)
    step = found[1] - found[0] if len(found) > 1 else most
    return Scale(0, found[-1] if found[-1] >= most else found[-1] + step, BOTTOM, TOP)


def _bars(bars: Sequence[Bar], tones: Sequence[Tone], y: Scale, left: float, slot: float) -> Iterator[tuple[str, str]]:
    width = round(max(1.0, slot * 0.72), 1)
    for place, bar in enumerate(bars):
        x, below = round(left + slot * (place + 0.5) - width / 2, 1), 0
        for tone in tones:
            n = bar.n_by_route.get(tone.words, 0)
            if n:
                yield f"M{x} {y.at(below)}V{y.at(below + n)}h{width}V{y.at(below)}z", tone.style
                below += n


def _described(bars: Sequence[Bar], unit: str) -> str:
    total, most = sum(bar.n for bar in bars), max(bars, key=lambda bar: bar.n, default=None)
    if most is None or not most.n:
        return "Nothing came."
    at = timezone.localtime(most.at)
    return f"{total:,} rows; most in the {unit} from {at:%H:%M}: {most.n:,}; in the last one {bars[-1].n:,}."
