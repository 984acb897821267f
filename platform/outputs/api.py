"""Reading outputs back; they arrive by `outputs.ingest`."""

import datetime as dt

from django.utils.dateparse import parse_date, parse_datetime
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core import paging
from core.problems import FieldError, Invalid
from outputs import queries, serializers
from outputs.models import Output
from outputs.queries import Wanted
from projects.access import Scope
from projects.endpoint import actor_of, endpoint

FILTERS = {
    "prompt": "name of the prompt",
    "revision": "number or content hash of the revision",
    "model": "as the provider names it",
    "environment": "as sent",
    "tag": "one of the output's tags",
    "since": "arrived at this moment or later: ISO 8601, a day alone begins at midnight UTC",
    "until": "arrived before this moment",
    "status": "ok or error",
}
PARAMETERS = [OpenApiParameter(name, str, description=text) for name, text in FILTERS.items()]
PAGES = [
    OpenApiParameter("limit", int, description="rows on a page, 1 to 1000; 100 unless told"),
    OpenApiParameter("cursor", str, description="from `next` of the page before"),
]


@extend_schema(parameters=PARAMETERS + PAGES, responses=serializers.PageShape)
@endpoint(GET=Scope.READ)
def output_list(request: Request) -> Response:
    """The outputs of the project, newest first. A page holds fewer than `limit` when their texts are long."""
    paging.refuse_unknown(request, set(FILTERS))
    rows = queries.wanted_of(actor_of(request).project.pk, _wanted(request))
    return Response(paging.page_of(request, rows, _shown, fitting=queries.fitting))


@extend_schema(parameters=PARAMETERS, responses=serializers.CountShape)
@endpoint(GET=Scope.READ)
def output_count(request: Request) -> Response:
    """How many outputs of the project there are."""
    paging.refuse_unknown(request, set(FILTERS))
    return Response({"count": queries.wanted_of(actor_of(request).project.pk, _wanted(request)).count()})


@extend_schema(responses=serializers.WholeShape)
@endpoint(GET=Scope.READ)
def output_detail(request: Request, external_id: str) -> Response:
    """One output by the id it was sent with (slashes included), with its texts and all feedback on it."""
    return Response(serializers.shown_whole(queries.whole(actor_of(request).project.pk, external_id)))


def _shown(outputs: list[Output]) -> list[object]:
    bodies = queries.bodies(outputs)
    return [serializers.shown(output, bodies.get(output.pk)) for output in outputs]


def _wanted(request: Request) -> Wanted:
    said = {name: value for name in FILTERS if (value := request.query_params.get(name)) is not None}
    for name, value in said.items():
        if not value or len(value) > 200 or "\x00" in value:
            raise Invalid(FieldError(name, f"has {len(value)} characters; send 1 to 200, or leave it out"))
    return Wanted(
        prompt=said.get("prompt"),
        revision=said.get("revision"),
        model=said.get("model"),
        environment=said.get("environment"),
        tag=said.get("tag"),
        since=_moment("since", said.get("since")),
        until=_moment("until", said.get("until")),
        status=_status(said.get("status")),
    )


def _moment(name: str, text: str | None) -> dt.datetime | None:
    """A moment, or midnight UTC of a day; without an offset it is UTC."""
    if text is None:
        return None
    try:
        day = parse_date(text)
        # A space is what a forgotten encoding of `+` leaves.
        moment = parse_datetime(text.replace(" ", "+")) if day is None else dt.datetime.combine(day, dt.time())
    except ValueError:
        moment = None
    if moment is None:
        raise Invalid(FieldError(name, f"is {text[:40]!r}; send a moment as 2026-01-31T12:00:00Z or a day"))
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _status(text: str | None) -> Output.Status | None:
    if text is None:
        return None
    if text not in ("ok", "error"):
        raise Invalid(FieldError("status", f"is {text[:40]!r}; send ok or error"))
    return Output.Status[text.upper()]
