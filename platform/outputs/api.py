"""Reading outputs back; they arrive by `outputs.ingest`."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock, paging
from core.problems import Missing
from outputs import filters, queries, serializers
from outputs.models import Output
from outputs.queries import Wanted
from projects.access import Scope
from projects.endpoint import actor_of, endpoint

PARAMETERS = [OpenApiParameter(name, str, description=text) for name, text in filters.FIELDS.items()]
PAGES = [
    OpenApiParameter("limit", int, description="rows on a page, 1 to 1000; 100 unless told"),
    OpenApiParameter("cursor", str, description="from `next` of the page before"),
]


@extend_schema(parameters=PARAMETERS + PAGES, responses=serializers.PageShape)
@endpoint(GET=Scope.READ)
def output_list(request: Request) -> Response:
    """The outputs of the project, newest first. A page holds fewer than `limit` when their texts are long."""
    paging.refuse_unknown(request, set(filters.FIELDS))
    rows = queries.wanted_of(actor_of(request).project.pk, _wanted(request))
    return Response(paging.page_of(request, rows, _shown, fitting=queries.fitting))


@extend_schema(parameters=PARAMETERS, responses=serializers.CountShape)
@endpoint(GET=Scope.READ)
def output_count(request: Request) -> Response:
    """How many outputs of the project there are."""
    paging.refuse_unknown(request, set(filters.FIELDS))
    return Response({"count": queries.wanted_of(actor_of(request).project.pk, _wanted(request)).count()})


@extend_schema(responses=serializers.WholeShape)
@endpoint(GET=Scope.READ)
def output_detail(request: Request, external_id: str) -> Response:
    """One output by the id it was sent with (slashes included), with its texts and all feedback on it."""
    return Response(serializers.shown_whole(queries.whole(actor_of(request).project.pk, external_id)))


@extend_schema(responses=serializers.TraceShape)
@endpoint(GET=Scope.READ)
def trace_detail(request: Request, trace_id: str) -> Response:
    """The outputs of one trace, each after its parent, at most 500; where texts are long, fewer."""
    spans = queries.trace(actor_of(request).project.pk, trace_id)
    if not spans:
        raise Missing("trace")
    here = spans[: queries.fitting([span.output for span in spans])]
    bodies = queries.bodies(span.output for span in here)
    shown = [serializers.shown_span(span, bodies.get(span.output.pk)) for span in here]
    is_whole = len(here) == len(spans) < queries.MOST_SPANS
    return Response({"trace_id": trace_id, "outputs": shown, "is_whole": is_whole})


def _shown(outputs: list[Output]) -> list[object]:
    bodies = queries.bodies(outputs)
    return [serializers.shown(output, bodies.get(output.pk)) for output in outputs]


def _wanted(request: Request) -> Wanted:
    return filters.read(request.query_params.dict(), now=clock.now())
