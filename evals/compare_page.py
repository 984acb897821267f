"""How a comparison is drawn: a table whose rows share one scale, the zone beyond the margin, the words beside. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.figures import Figure, PValue
from core.plots import Scale, Whisker, whisker
from evals import wording

WIDTH = 376
EDGE = 10.0
# So that a plot of tiny differences does not look like one of large ones.
SMALLEST_REACH = 0.02
SMALLEST_P = 0.001


@dataclass(frozen=True)
class Row:
    """One scorer, or one slice: both scores, the difference, and where it stands in the plot.

    Attributes:
        zone: Where the zone beyond the margin ends, from the left; None where the row has no margin.
    """

    scorer: str
    candidate: Figure
    baseline: Figure
    difference: Figure
    p: PValue
    n_better: int
    n_worse: int
    verdict: str | None
    is_deciding: bool
    place: Whisker
    zone: float | None
    better: Sequence[int] = ()
    worse: Sequence[int] = ()
    sentence: str = ""
    smallest_detectable: Figure | None = None

    @property
    def p_words(self) -> str:
        if self.p.value is None:
            return ""
        return f"< {SMALLEST_P}" if self.p.value < SMALLEST_P else f"{self.p.value:.3f}"


@dataclass(frozen=True)
class Tick:
    at: float
    words: str


@dataclass(frozen=True)
class Sight:
    """A finished comparison as the page shows it."""

    verdict: str
    sentence: str
    because: str
    is_gate: bool
    facts: Mapping[str, Any]
    level: float
    rows: list[Row]
    slices: list[Row]
    ticks: list[Tick]
    zero: float
    methods: str
    margin: float | None

    @property
    def margin_words(self) -> str:
        """The line that must not be crossed, in points; nothing where it is zero or unknown."""
        return _points(-self.margin) if self.margin else ""

    @property
    def level_words(self) -> str:
        return f"{100 * self.level:g}\N{NARROW NO-BREAK SPACE}%"

    @property
    def with_flips(self) -> list[Row]:
        """The scorers that both runs have, the deciding one first."""
        return sorted((row for row in self.rows if row.verdict), key=lambda row: not row.is_deciding)

    @property
    def deciding(self) -> Row | None:
        return next((row for row in self.rows if row.is_deciding), None)


def sight(result: Mapping[str, Any]) -> Sight:
    """The stored result of a comparison, drawn."""
    deciding = wording.deciding({"scorers": [one for one in result["scorers"] if one["verdict"]], **_verdict(result)})
    demand = wording.demand_in(result)
    scale = _scale(result)
    rows = [_scorer_row(one, scale, is_deciding=one is deciding) for one in result["scorers"]]
    margin = None if deciding is None else -demand.threshold(deciding["scorer"])
    return Sight(
        verdict=result["verdict"],
        sentence=result["sentence"],
        because=result["because"],
        is_gate=result["is_gate"],
        facts=result,
        level=demand.level,
        rows=rows,
        slices=[_slice_row(one, scale, deciding) for one in result["slices"]],
        ticks=[Tick(scale.at(value), _points(value)) for value in scale.ticks(5)],
        zero=scale.at(0),
        methods="; ".join(dict.fromkeys(_methods(rows))),
        margin=margin,
    )


def _verdict(result: Mapping[str, Any]) -> dict[str, Any]:
    return {"verdict": result["verdict"]}


def _scale(result: Mapping[str, Any]) -> Scale:
    """From the lowest to the highest end of any interval, zero and margins included."""
    reaches = [0.0, SMALLEST_REACH, -SMALLEST_REACH]
    for row in (*result["scorers"], *result["slices"]):
        difference = row["difference"]
        reaches += [end for end in (difference["low"], difference["high"], row.get("threshold")) if end is not None]
    low, high = min(reaches), max(reaches)
    room = 0.06 * (high - low)
    return Scale(max(-1.0, low - room), min(1.0, high + room), EDGE, WIDTH - EDGE)


def _scorer_row(one: Mapping[str, Any], scale: Scale, *, is_deciding: bool) -> Row:
    difference = Figure.from_dict(one["difference"])
    detectable = one["smallest_detectable"]
    return Row(
        scorer=one["scorer"],
        candidate=Figure.from_dict(one["candidate"]),
        baseline=Figure.from_dict(one["baseline"]),
        difference=difference,
        p=PValue(**one["p"]),
        n_better=len(one["better"]),
        n_worse=len(one["worse"]),
        verdict=one["verdict"],
        is_deciding=is_deciding,
        place=whisker(difference, scale),
        zone=None if one["threshold"] is None else scale.at(one["threshold"]),
        better=one["better"],
        worse=one["worse"],
        sentence=one["sentence"],
        smallest_detectable=None if detectable is None else Figure.from_dict(detectable),
    )


def _slice_row(one: Mapping[str, Any], scale: Scale, deciding: Mapping[str, Any] | None) -> Row:
    difference = Figure.from_dict(one["difference"])
    return Row(
        scorer=one["name"],
        candidate=Figure.from_dict(one["candidate"]),
        baseline=Figure.from_dict(one["baseline"]),
        difference=difference,
        p=PValue(**one["p"]),
        n_better=one["better"],
        n_worse=one["worse"],
        verdict=None,
        is_deciding=False,
        place=whisker(difference, scale),
        zone=None if deciding is None else scale.at(deciding["threshold"]),
    )


def _points(value: float) -> str:
    sign = "" if value == 0 else "+" if value > 0 else wording.MINUS
    return f"{sign}{100 * abs(value):g}"


def _methods(rows: Sequence[Row]) -> list[str]:
    return [said for row in rows if row.difference.value is not None for said in (row.difference.method, row.p.method)]
