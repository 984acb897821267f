"""What the ingest page shows, out of tallies: a fixed number of statements, none of them over the outputs."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Sum

from insights.models import Rollup
from outputs.models import Tally
from outputs.services import limits
from outputs.services.limits import LimitState
from projects.models import Project, User

MINUTES, HOURS = 60, 48
RECENT = dt.timedelta(hours=48)
SILENT_AFTER = dt.timedelta(hours=3)
MOST_SOURCES = 50
MOST_REASONS = 12
MOST_MODELS = 10
# Counts that no worker has summed up yet are read one by one, so no more of them than this; the newest.
MOST_MOMENTS = 20_000

ROUTE_WORDS: Mapping[str, str] = {
    "/api/v1/outputs": "JSON outputs",
    "/api/v1/feedback": "JSON feedback",
    "/v1/traces": "OpenTelemetry traces",
    "/v1/logs": "OpenTelemetry logs",
    "/api/v1/imports": "file imports",
}
CONSUMER_WORDS: Mapping[str, str] = {
    "outputs.search": "Search",
    "outputs.contents": "Messages sent apart from their output",
    "reviews.sampling": "Sampling for review",
    "insights.hours": "Trends",
}

_COUNTED = f"""
    WITH counted AS (
        (SELECT * FROM outputs_tally WHERE project_id = %(project)s AND grain = 0 ORDER BY id DESC LIMIT {MOST_MOMENTS})
        UNION ALL
        SELECT * FROM outputs_tally WHERE project_id = %(project)s AND grain > 0
    )"""  # noqa: S608 # constants above
_SERIES = f"""{_COUNTED}
    SELECT 'minute', date_trunc('minute', starts_at), route, sum(accepted + duplicates + rejected)
    FROM counted WHERE grain < 2 AND starts_at >= %(hour_ago)s GROUP BY 2, 3
    UNION ALL
    SELECT 'hour', date_trunc('hour', starts_at), route, sum(accepted + duplicates + rejected)
    FROM counted WHERE grain < 3 AND starts_at >= %(days_ago)s GROUP BY 2, 3"""  # noqa: S608 # constants above
_SOURCES = f"""{_COUNTED}
    SELECT sender, route, instrument, min(first_at), max(last_at), sum(accepted), sum(duplicates), sum(rejected),
        sum(refused), sum(accepted + duplicates + rejected) FILTER (WHERE grain < 3 AND starts_at >= %(day_ago)s),
        sum(sum(accepted)) OVER (), sum(sum(duplicates)) OVER (), sum(sum(rejected)) OVER (),
        sum(sum(refused)) OVER (), sum(sum(n_bytes)) OVER (), count(*) OVER ()
    FROM counted GROUP BY sender, route, instrument
    ORDER BY max(last_at) DESC, sender, route LIMIT {MOST_SOURCES}"""  # noqa: S608 # constants above
_TOLD = f"""{_COUNTED}, told AS (
        SELECT 'reason' AS what, key, value::bigint AS n, last_at FROM counted, jsonb_each_text(reasons)
        WHERE last_at >= %(days_ago)s
        UNION ALL
        SELECT 'refusal', key, value::bigint, last_at FROM counted, jsonb_each_text(refusals)
        WHERE last_at >= %(days_ago)s
        UNION ALL
        SELECT 'redacted', key, value::bigint, last_at FROM counted, jsonb_each_text(redacted)
        UNION ALL
        SELECT 'stored', key, value::bigint, last_at FROM counted, jsonb_each_text(stored)
    )
    SELECT what, key, sum(n), max(last_at) FROM told GROUP BY what, key ORDER BY what, sum(n) DESC, key"""  # noqa: S608
_LAG = """
    SELECT consumer, count(*) FILTER (WHERE parked_at IS NULL), min(created_at) FILTER (WHERE parked_at IS NULL),
        count(*) FILTER (WHERE parked_at IS NOT NULL)
    FROM ledger_handover WHERE project_id = %s GROUP BY consumer ORDER BY consumer"""


@dataclass(frozen=True)
class Bar:
    """What came in one span: rows by route."""

    at: dt.datetime
    n_by_route: Mapping[str, int]

    @property
    def n(self) -> int:
        return sum(self.n_by_route.values())


@dataclass(frozen=True)
class Told:
    """A reason, a detector or a kind of row: how often, and when last."""

    words: str
    n: int
    last_at: dt.datetime


@dataclass(frozen=True)
class Seen:
    """A source as it was seen; `is_silent` where nothing came for three hours."""

    sender: str
    route: str
    instrument: str
    first_at: dt.datetime
    last_at: dt.datetime
    accepted: int
    duplicates: int
    rejected: int
    refused: int
    in_a_day: int
    is_silent: bool


@dataclass(frozen=True)
class Totals:
    """Of all time: sent = accepted + duplicates + rejected; `refused` are requests."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    refused: int = 0
    n_bytes: int = 0
    n_sources: int = 0

    @property
    def sent(self) -> int:
        return self.accepted + self.duplicates + self.rejected


@dataclass(frozen=True)
class Lag:
    """How far a consumer of what is stored is behind."""

    words: str
    n_waiting: int
    seconds: float
    n_parked: int


@dataclass(frozen=True)
class Unpriced:
    """A model whose outputs have no cost."""

    model: str
    n: int


@dataclass(frozen=True)
class Arrivals:
    """All that the page says about what arrives."""

    totals: Totals
    minutes: Sequence[Bar]
    hours: Sequence[Bar]
    sources: Sequence[Seen]
    state: LimitState
    reasons: Sequence[Told] = ()
    refusals: Sequence[Told] = ()
    redacted: Sequence[Told] = ()
    stored: Sequence[Told] = ()
    lags: Sequence[Lag] = ()
    unpriced: Sequence[Unpriced] = ()
    is_behind: bool = False
    routes: Sequence[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.totals.n_sources


def arrivals(project: Project, *, now: dt.datetime) -> Arrivals:
    """What came to the project; at most eleven statements, whatever there is."""
    asked = {
        "project": project.pk,
        "hour_ago": _whole_minute(now) - dt.timedelta(minutes=MINUTES - 1),
        "day_ago": now - dt.timedelta(days=1),
        "days_ago": _whole_hour(now) - dt.timedelta(hours=HOURS - 1),
    }
    totals, sources = _sources(asked, now)
    if not totals.n_sources:
        return Arrivals(totals, [], [], [], limits.state_of(project.pk, now=now))
    minutes, hours = _series(asked, now)
    told = _told(asked)
    return Arrivals(
        totals=totals,
        minutes=minutes,
        hours=hours,
        sources=sources,
        state=limits.state_of(project.pk, now=now),
        reasons=told["reason"][:MOST_REASONS],
        refusals=told["refusal"][:MOST_REASONS],
        redacted=told["redacted"],
        stored=told["stored"],
        lags=_lags(project.pk, now),
        unpriced=_unpriced(project.pk, now),
        is_behind=_is_behind(project.pk, now),
        routes=sorted({route for bar in (*minutes, *hours) for route in bar.n_by_route}),
    )


def route_words(route: str) -> str:
    return ROUTE_WORDS.get(route, route)


def _rows(statement: str, parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def _sources(asked: Mapping[str, Any], now: dt.datetime) -> tuple[Totals, list[Seen]]:
    rows = _rows(_SOURCES, asked)
    if not rows:
        return Totals(), []
    totals = Totals(*(int(value) for value in rows[0][10:]))
    people = _people([row[0] for row in rows])
    return totals, [
        Seen(
            sender=people.get(sender, _sender_words(sender)),
            route=route_words(route),
            instrument=instrument,
            first_at=first_at,
            last_at=last_at,
            accepted=int(accepted),
            duplicates=int(duplicates),
            rejected=int(rejected),
            refused=int(refused),
            in_a_day=int(in_a_day or 0),
            is_silent=now - last_at > SILENT_AFTER,
        )
        for sender, route, instrument, first_at, last_at, accepted, duplicates, rejected, refused, in_a_day, *_ in rows
    ]


def _people(senders: Sequence[str]) -> dict[str, str]:
    ids = [sender.removeprefix("user:") for sender in senders if sender.startswith("user:")]
    known = User.objects.filter(pk__in=[int(found) for found in ids if found.isdecimal()])
    return {f"user:{pk}": email for pk, email in known.values_list("pk", "email")}


def _sender_words(sender: str) -> str:
    kind, _, name = sender.partition(":")
    return f"{kind} {name}" if name else sender


def _series(asked: Mapping[str, Any], now: dt.datetime) -> tuple[list[Bar], list[Bar]]:
    found: dict[tuple[str, dt.datetime], dict[str, int]] = defaultdict(dict)
    for grain, at, route, n in _rows(_SERIES, asked):
        found[grain, at.astimezone(dt.UTC)][route_words(route)] = int(n)
    minute, hour = _whole_minute(now), _whole_hour(now)
    minutes = [minute - dt.timedelta(minutes=back) for back in reversed(range(MINUTES))]
    hours = [hour - dt.timedelta(hours=back) for back in reversed(range(HOURS))]
    return (
        [Bar(at, found.get(("minute", at), {})) for at in minutes],
        [Bar(at, found.get(("hour", at), {})) for at in hours],
    )


def _told(asked: Mapping[str, Any]) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = defaultdict(list)
    for what, words, n, last_at in _rows(_TOLD, asked):
        found[what].append(Told(words, int(n), last_at))
    return found


def _lags(project_id: int, now: dt.datetime) -> list[Lag]:
    known = {consumer: rest for consumer, *rest in _rows(_LAG, [project_id])}
    found = []
    for consumer in sorted({*CONSUMER_WORDS, *known}, key=lambda name: (name not in CONSUMER_WORDS, name)):
        n, oldest, n_parked = known.get(consumer, (0, None, 0))
        seconds = (now - oldest).total_seconds() if oldest else 0.0
        found.append(Lag(CONSUMER_WORDS.get(consumer, consumer), n, max(0.0, seconds), n_parked))
    return found


def _unpriced(project_id: int, now: dt.datetime) -> list[Unpriced]:
    """Of the last week, from rollups."""
    days = Rollup.objects.filter(
        project_id=project_id, grain="day", starts_at__gte=now - dt.timedelta(days=7), n_unpriced__gt=0
    )
    rows = days.order_by().values("model").annotate(n=Sum("n_unpriced")).order_by("-n", "model")[:MOST_MODELS]
    return [Unpriced(row["model"], row["n"]) for row in rows]


def _is_behind(project_id: int, now: dt.datetime) -> bool:
    """Whether so many counts wait to be summed up that the oldest of them are missing on the page."""
    moments = Tally.objects.filter(project_id=project_id, grain=Tally.Grain.MOMENT)
    return moments.order_by("-id")[MOST_MOMENTS:].exists()


def _whole_minute(now: dt.datetime) -> dt.datetime:
    return now.astimezone(dt.UTC).replace(second=0, microsecond=0)


def _whole_hour(now: dt.datetime) -> dt.datetime:
    return _whole_minute(now).replace(minute=0)
