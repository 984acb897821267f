"""Reading outputs back; they arrive by `outputs.ingest`."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock, paging
from core.problems import Missing
from outputs import filters, queries, serializers, traces
from outputs.models import Output, Step
from outputs.queries import Wanted
from outputs.services import limits
from outputs.services.limits import Limit
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
    """The outputs and steps of one trace, each after its parent, at most 500; where texts are long, fewer."""
    found = traces.trace(actor_of(request).project.pk, trace_id)
    if not found.spans:
        raise Missing("trace")
    here = found.spans[: traces.fitting(found.spans, queries.PAGE_BYTES)]
    bodies = queries.bodies(span.of for span in here if isinstance(span.of, Output))
    step_bodies = traces.step_bodies(span.of for span in here if isinstance(span.of, Step))
    outputs, steps = [], []
    for span in here:
        if isinstance(span.of, Output):
            outputs.append(serializers.shown_span(span, span.of, bodies.get(span.of.pk)))
        else:
            steps.append(serializers.shown_step(span, span.of, step_bodies.get(span.of.pk)))
    is_whole = found.is_whole and len(here) == len(found.spans)
    return Response({"trace_id": trace_id, "outputs": outputs, "steps": steps, "is_whole": is_whole})


@extend_schema(
    methods=["GET"],
    summary="How much the project may send",
    description="Null does not limit. `month` is what was sent of the month's quota.",
    responses=serializers.LimitsShape,
)
@extend_schema(
    methods=["PUT"],
    summary="Limit how much the project may send",
    description="What is not named is not limited. Audited; known to every process within 2 seconds.",
    request=serializers.LimitRequest,
    responses=serializers.LimitsShape,
)
@endpoint(GET=Scope.READ, PUT=Scope.ADMIN)
def ingest_limits(request: Request) -> Response:
    """What applies to rows by every way in."""
    now, by = clock.now(), actor_of(request)
    paging.refuse_unknown(request, set())
    if request.method == "PUT":
        asked = serializers.LimitRequest.read(request.data)
        limits.set_limit(limit=Limit(**asked), by=by, now=now)
    return Response(serializers.shown_limits(limits.state_of(by.project.pk, now=now)))


def _shown(outputs: list[Output]) -> list[object]:
    bodies = queries.bodies(outputs)
    return [serializers.shown(output, bodies.get(output.pk)) for output in outputs]


def _wanted(request: Request) -> Wanted:
    return filters.read(request.query_params.dict(), now=clock.now())
