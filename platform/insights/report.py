"""The trends of a project over a period, put together: days, what is compared with what, and what it comes to."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from core.figures import Figure
from core.statistics import proportions
from insights import queries
from insights.queries import DAY, Choice, Marker, Options, Span
from reviews import estimation
from reviews.models import Rubric

LONGEST_DAYS = 731


@dataclass(frozen=True)
class Period:
    """Days of arrival (UTC), from `since` to `until`, both of them included."""

    since: dt.date
    until: dt.date

    @property
    def n_days(self) -> int:
        return (self.until - self.since).days + 1

    @property
    def start(self) -> dt.datetime:
        return dt.datetime.combine(self.since, dt.time(), dt.UTC)

    @property
    def end(self) -> dt.datetime:
        """The moment after the last day."""
        return dt.datetime.combine(self.until, dt.time(), dt.UTC) + DAY

    @property
    def before(self) -> "Period":
        """As many days, ending the day before."""
        return Period(self.since - DAY * self.n_days, self.since - DAY)

    def days(self) -> list[dt.datetime]:
        return [self.start + DAY * index for index in range(self.n_days)]


def last_days(n: int, today: dt.date) -> Period:
    """The n days that end today."""
    return Period(today - DAY * (n - 1), today)


@dataclass(frozen=True)
class Compared:
    """Two spans: what is now, what was before, and what lies between them."""

    now: Span
    before: Span
    now_period: Period
    before_period: Period
    release: Marker | None = None

    @cached_property
    def gain(self) -> Figure:
        """How much better what is behind the outputs became."""
        return estimation.difference(self.now.quality_behind(), self.before.quality_behind())

    @cached_property
    def errors(self) -> Figure:
        """By how much the share of errors rose."""
        now, before = self.now.volume, self.before.volume
        return proportions.difference(now.n_errors, now.n, before=before.n_errors, n_before=before.n)


@dataclass(frozen=True)
class Report:
    """All that the page says."""

    choice: Choice
    period: Period
    rubric: Rubric | None
    rubrics: Sequence[Rubric]
    days: Sequence[Span]
    compared: Compared
    markers: Sequence[Marker]
    options: Options

    @cached_property
    def whole(self) -> Span:
        """The whole period as one span."""
        return _sum(self.days, self.period)

    @cached_property
    def covered(self) -> Period | None:
        """The latest days in a row, up to the last with outputs, in which every output could be drawn."""
        arrived = [day for day in self.days if day.volume.n_ok]
        kept: list[Span] = []
        for day in reversed(arrived):
            if day.sums.n_covered < day.volume.n_ok:
                break
            kept.append(day)
        return Period(kept[-1].at.date(), self.period.until) if kept else None


def report(choice: Choice, period: Period, *, rubric_id: int | None = None) -> Report:
    """The trends of these outputs over this period, from rollups alone: six statements, whatever their number.

    Args:
        choice: which outputs.
        period: which days.
        rubric_id: one of the quality questions asked of them; without it the one with the most settled verdicts.
    """
    before = period.before
    found = queries.series(choice, since=before.start, until=period.end, by="day").get("", queries.Series({}, {}))
    options = queries.options(choice, since=period.start, until=period.end)
    rubrics = [rubric for rubric in options.rubrics if rubric.pk in found.sums]
    rubric = _asked(rubrics, found, rubric_id)
    spans = found.spans(rubric.pk if rubric else None)
    markers = queries.markers(choice, since=period.start, until=period.end)
    days = _days(spans, period)
    return Report(
        choice=choice,
        period=period,
        rubric=rubric,
        rubrics=rubrics,
        days=days,
        # A release splits the days of its own prompt alone: what other prompts answered did not come of it.
        compared=_compared(days, _days(spans, before), period, markers if choice.prompt is not None else ()),
        markers=markers,
        options=options,
    )


def _asked(rubrics: Sequence[Rubric], found: queries.Series, wanted: int | None) -> Rubric | None:
    """The quality question that is shown: figures of two never stand in one series."""
    for rubric in rubrics:
        if rubric.pk == wanted:
            return rubric

    def settled(rubric: Rubric) -> tuple[int, int]:
        total = sum(found.sums[rubric.pk].values(), start=estimation.Sums())
        return total.n_settled, total.n_covered

    return max(rubrics, key=settled, default=None)


def _days(spans: dict[dt.datetime, Span], period: Period) -> list[Span]:
    return [spans.get(day, Span(day)) for day in period.days()]


def _sum(days: Sequence[Span], period: Period) -> Span:
    return sum(days, start=Span(period.start))


def _compared(days: Sequence[Span], before: Sequence[Span], period: Period, markers: Sequence[Marker]) -> Compared:
    """The days after the newest release against those before it in the period; without one, against the period before.

    The day of the release belongs to neither: both revisions answered on it.
    """
    for marker in reversed(markers):
        on = marker.at.date()
        after_release = [day for day in days if day.at.date() > on]
        before_release = [day for day in days if day.at.date() < on]
        if any(day.volume.n for day in after_release) and any(day.volume.n for day in before_release):
            now_period, before_period = Period(on + DAY, period.until), Period(period.since, on - DAY)
            now, was = _sum(after_release, now_period), _sum(before_release, before_period)
            return Compared(now, was, now_period, before_period, marker)
    return Compared(_sum(days, period), _sum(before, period.before), period, period.before)
