"""The room by HTTP: trends as points of figures."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from connections import price_queries
from core import clock, paging
from core.figures import Figure
from core.problems import FieldError, Invalid, Missing
from core.rest import field_errors
from insights import costs, queries, report
from insights import serializers as shapes
from insights.queries import Span
from projects.access import Scope
from projects.endpoint import actor_of, endpoint
from reviews.models import Rubric

METRICS: Mapping[str, Callable[[Span], Figure]] = {
    "quality": Span.quality,
    "outputs": lambda span: span.volume.outputs(),
    "errors": lambda span: span.volume.errors(),
    "cost_usd": lambda span: span.volume.cost(),
    "latency_p50": lambda span: span.volume.latency_quantile(0.5),
    "latency_p95": lambda span: span.volume.latency_quantile(0.95),
    "reviews": Span.reviews,
}
ASK_RUBRIC = ("quality", "reviews")
# The longest period by span, and how much of it is shown where none is asked for.
LONGEST = {
    "hour": dt.timedelta(days=31),
    "day": dt.timedelta(days=report.LONGEST_DAYS),
    "week": dt.timedelta(days=report.LONGEST_DAYS),
}
DEFAULT = {"hour": dt.timedelta(days=2), "day": dt.timedelta(days=30), "week": dt.timedelta(weeks=26)}


@extend_schema(methods=["GET"], parameters=[shapes.TrendFilter], responses=shapes.Trend)
@endpoint(GET=Scope.READ)
def trend(request: Request) -> Response:
    """One metric over time. A span in which nothing arrived has no point."""
    project_id = actor_of(request).project.pk
    asked = _asked(request)
    since, until = _period(asked)
    choice = queries.choice(
        project_id, prompt=asked.get("prompt", ""), revision=asked.get("revision"), model=asked.get("model")
    )
    group = asked.get("group", "")
    found = queries.series(choice, since=since, until=until, by=asked["by"], group=group)
    rubric = _rubric(project_id, asked, found) if asked["metric"] in ASK_RUBRIC else None
    named = queries.names(group, list(found), project_id) if group else {}
    of = METRICS[asked["metric"]]
    points = [
        {"at": at, "group": named.get(key), **of(span).as_dict()}
        for key, series in found.items()
        for at, span in series.spans(rubric.pk if rubric else None).items()
    ]
    return Response(
        shapes.Trend(
            {
                "metric": asked["metric"],
                "by": asked["by"],
                "group": group or None,
                "rubric": rubric
                and {"name": rubric.name, "version": rubric.version, "question": rubric.quality["question"]},
                "points": sorted(points, key=lambda point: (point["at"], point["group"] or "")),
            }
        ).data
    )


@extend_schema(methods=["GET"], responses=shapes.UnpricedList)
@endpoint(GET=Scope.READ)
def unpriced(request: Request) -> Response:
    """The models of which outputs that arrived in the last 30 days have no cost, and why; the most first."""
    paging.refuse_unknown(request, set())
    project_id, now = actor_of(request).project.pk, clock.now()
    period = report.last_days(DEFAULT["day"].days, now.astimezone(dt.UTC).date())
    book = price_queries.book(project_id)
    found = costs.unpriced(costs.by_model(project_id, book, since=period.start, until=period.end, now=now))
    return Response({"results": [shapes.UnpricedModel(one).data for one in found], "next": None})


def _asked(request: Request) -> dict[str, Any]:
    asked = shapes.TrendFilter(data=request.query_params)
    paging.refuse_unknown(request, set(asked.fields))
    if not asked.is_valid():
        raise Invalid(*field_errors(asked.errors))
    found = dict(asked.validated_data)
    if "revision" in found and "prompt" not in found:
        raise Invalid(FieldError("prompt", "is missing; a revision is a number within its prompt"))
    return found


def _period(asked: Mapping[str, Any]) -> tuple[dt.datetime, dt.datetime]:
    """[since, until) in whole spans of the rollups."""
    by = asked["by"]
    until = asked.get("until") or clock.now() + dt.timedelta(days=1)
    since = asked.get("since") or until - DEFAULT[by]
    if since >= until:
        raise Invalid(FieldError("since", f"is {since.isoformat()}, not before until, {until.isoformat()}"))
    if until - since > LONGEST[by] + dt.timedelta(days=1):
        raise Invalid(FieldError("since", f"lies more than {LONGEST[by].days} days before until; ask for less"))
    since = since.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
    return (since if by == "hour" else since.replace(hour=0)), until.astimezone(dt.UTC)


def _rubric(project_id: int, asked: Mapping[str, Any], found: Mapping[str, queries.Series]) -> Rubric | None:
    """The quality question: of the rubric that is named, else the one with the most settled verdicts."""
    settled: dict[int, int] = {}
    for series in found.values():
        for rubric_id, sums in series.sums.items():
            settled[rubric_id] = settled.get(rubric_id, 0) + sum(one.n_settled for one in sums.values())
    known = Rubric.objects.of(project_id)
    if "rubric" in asked:
        named = list(known.filter(name=asked["rubric"]).order_by("pk"))
        if not named:
            raise Missing("rubric")
        return max(named, key=lambda rubric: (settled.get(rubric.pk, -1), rubric.pk))
    if not settled:
        return None
    return known.filter(pk=max(settled, key=lambda pk: (settled[pk], pk))).first()
