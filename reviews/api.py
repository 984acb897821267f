"""The room by HTTP: rubrics, queues and their rules, the reviewer's desk, verdicts."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock, paging
from core.problems import Invalid, Missing
from core.rest import field_errors
from projects.access import Actor, Scope
from projects.endpoint import actor_of, endpoint
from prompts.models import Prompt
from reviews import queries, waiting
from reviews import serializers as shapes
from reviews.models import Queue, Rubric
from reviews.services import adjudication, assignment, intake, items, queues, rubrics, rules
from reviews.services.assignment import HandedIn
from reviews.services.queues import Wanted


@extend_schema(methods=["GET"], responses=shapes.RubricPage)
@extend_schema(
    methods=["POST"],
    request=shapes.RubricRequest,
    responses={
        201: shapes.RubricShown,
        200: OpenApiResponse(shapes.RubricShown, "This content is known already."),
    },
)
@endpoint(GET=Scope.READ, POST=Scope.EVALUATE)
def rubric_list(request: Request) -> Response:
    """Every version of every rubric; a new one."""
    actor = actor_of(request)
    if request.method == "GET":
        paging.refuse_unknown(request, {"name"})
        versions = Rubric.objects.of(actor.project.pk)
        if "name" in request.query_params:
            versions = versions.filter(name=request.query_params["name"])
        return Response(paging.page(request, versions, _shown_by(shapes.RubricShown)))
    asked = shapes.RubricRequest.read(request.data)
    rubric, is_new = rubrics.create_rubric(
        name=asked["name"],
        asked=asked["questions"],
        quality=asked["quality"],
        guideline=asked["guideline"],
        by=actor,
        now=clock.now(),
    )
    return _made(shapes.RubricShown(rubric).data, is_new)


@extend_schema(methods=["GET"], responses=shapes.QueuePage)
@extend_schema(
    methods=["POST"],
    request=shapes.QueueRequest,
    responses={
        201: shapes.QueueShown,
        200: OpenApiResponse(shapes.QueueShown, "The queue existed; it is as asked."),
    },
)
@endpoint(GET=Scope.READ, POST=Scope.EVALUATE)
def queue_list(request: Request) -> Response:
    """The queues; a new one, or another content for one that exists."""
    actor = actor_of(request)
    if request.method == "GET":
        paging.refuse_unknown(request, set())
        found = Queue.objects.of(actor.project.pk).select_related("rubric").prefetch_related("adjudicators")
        return Response(paging.page(request, found, _shown_by(shapes.QueueShown)))
    asked = shapes.QueueRequest.read(request.data)
    name = asked.pop("name")
    queue, is_new = queues.put_queue(name=name, wanted=Wanted(**asked), by=actor, now=clock.now())
    return _made(shapes.QueueShown(queue).data, is_new)


@extend_schema(methods=["GET"], responses=shapes.QueueWithCounters)
@endpoint(GET=Scope.READ)
def queue_detail(request: Request, name: str) -> Response:
    """One queue, with its items by state and how many of them the asker has judged."""
    actor = actor_of(request)
    queue = _queue(actor, name)
    counted = queries.counters(queue, reviewer=actor.identity)
    return Response({**shapes.QueueShown(queue).data, "counters": shapes.CountersShown(counted).data})


@extend_schema(
    methods=["POST"],
    request=shapes.ItemsRequest,
    responses={
        201: shapes.ItemsAdded,
        202: OpenApiResponse(shapes.IntakeAccepted, "A worker takes in all that match; `url` tells how far it is."),
    },
)
@endpoint(POST=Scope.EVALUATE)
def item_list(request: Request, name: str) -> Response:
    """Outputs put into a queue by hand: these, or all that match a filter."""
    actor = actor_of(request)
    queue = _queue(actor, name)
    asked = shapes.ItemsRequest.read(request.data)
    if "filter" in asked:
        found, _ = intake.ask(queue=queue, given=asked["filter"], by=actor, now=clock.now())
        url = request.build_absolute_uri(reverse("reviews:api-intake-detail", args=[queue.name, found.pk]))
        return Response({**shapes.IntakeShown(found).data, "url": url}, status=202, headers={"Location": url})
    added = items.add_outputs(queue=queue, external_ids=asked["outputs"])
    return Response(shapes.ItemsAdded(added).data, status=201)


@extend_schema(methods=["GET"], responses=shapes.IntakeShown)
@endpoint(GET=Scope.READ)
def intake_detail(request: Request, name: str, intake_id: int) -> Response:
    """How far an intake of this queue is."""
    found = queries.intake_of(_queue(actor_of(request), name), intake_id)
    return Response(shapes.IntakeShown(found).data)


@extend_schema(methods=["GET"], responses=shapes.RulePage)
@extend_schema(
    methods=["POST"],
    request=shapes.RuleRequest,
    responses={
        201: shapes.RuleShown,
        200: OpenApiResponse(shapes.RuleShown, "The queue has this rule already."),
    },
)
@endpoint(GET=Scope.READ, POST=Scope.EVALUATE)
def rule_list(request: Request, name: str) -> Response:
    """The sampling rules of a queue; a new one."""
    actor = actor_of(request)
    queue = _queue(actor, name)
    if request.method == "GET":
        paging.refuse_unknown(request, set())
        return Response(paging.page(request, queue.rules.all(), _shown_by(shapes.RuleShown)))
    asked = shapes.RuleRequest.read(request.data)
    rule, is_new = rules.create_rule(queue=queue, rate=asked["rate"], given=asked["filter"], by=actor, now=clock.now())
    return _made(shapes.RuleShown(rule).data, is_new)


@extend_schema(
    methods=["POST"],
    request=shapes.Nothing,
    responses={200: shapes.AssignedShown, 204: OpenApiResponse(description="Nothing here needs you.")},
)
@endpoint(POST=Scope.REVIEW)
def queue_next(request: Request, name: str) -> Response:
    """The item to judge next, with the lease under which to hand it in."""
    shapes.Nothing.read(request.data)
    assigned = assignment.claim_next(queue_name=name, by=actor_of(request), now=clock.now())
    if assigned is None:
        return Response(status=204)
    return Response(shapes.AssignedShown(assigned).data)


@extend_schema(methods=["POST"], request=shapes.ReviewRequest, responses={201: shapes.ReviewShown})
@endpoint(POST=Scope.REVIEW)
def item_review(request: Request, item_id: int) -> Response:
    """What one person thinks of an item."""
    asked = shapes.ReviewRequest.read(request.data)
    lease = asked.pop("lease")
    review = assignment.submit_review(
        item_id=item_id, lease=lease, handed_in=HandedIn(**asked), by=actor_of(request), now=clock.now()
    )
    return Response(shapes.ReviewShown(review).data, status=201)


@extend_schema(methods=["POST"], request=shapes.SkipRequest, responses=shapes.SkipShown)
@endpoint(POST=Scope.REVIEW)
def item_skip(request: Request, item_id: int) -> Response:
    """Pass over an item for good."""
    asked = shapes.SkipRequest.read(request.data)
    passed = assignment.skip(item_id=item_id, reason=asked["reason"], by=actor_of(request), now=clock.now())
    return Response(shapes.SkipShown(passed).data)


@extend_schema(methods=["POST"], request=shapes.ReleaseRequest, responses=shapes.ReleaseShown)
@endpoint(POST=Scope.REVIEW)
def item_release(request: Request, item_id: int) -> Response:
    """Put an item back, for anybody."""
    shapes.ReleaseRequest.read(request.data)
    return Response(shapes.ReleaseShown(assignment.release(item_id=item_id, by=actor_of(request))).data)


@extend_schema(methods=["POST"], request=shapes.VerdictRequest, responses={201: shapes.VerdictShown})
@endpoint(POST=Scope.REVIEW)
def item_verdict(request: Request, item_id: int) -> Response:
    """An adjudicator's word on an item."""
    asked = shapes.VerdictRequest.read(request.data)
    actor = actor_of(request)
    verdict = adjudication.adjudicate(item_id=item_id, **asked, by=actor, now=clock.now())
    shown = queries.verdicts(actor.project.pk).get(pk=verdict.pk)
    return Response(shapes.VerdictShown(shown).data, status=201)


@extend_schema(methods=["GET"], parameters=[shapes.VerdictFilter], responses=shapes.VerdictPage)
@endpoint(GET=Scope.READ)
def verdict_list(request: Request) -> Response:
    """The standing verdicts."""
    actor = actor_of(request)
    conditions = _verdict_filter(request, actor)
    found = queries.verdicts(actor.project.pk, **conditions)
    return Response(paging.page(request, found, _shown_by(shapes.VerdictShown)))


@extend_schema(
    methods=["GET"],
    parameters=[OpenApiParameter("wait", int, description="seconds to wait for a verdict, 1 to 30; none unless told")],
    responses={200: shapes.VerdictShown, 204: OpenApiResponse(description="Nothing is settled about it yet.")},
)
@endpoint(GET=Scope.READ)
def output_verdict(request: Request, external_id: str) -> Response:
    """What people decided about an output: the newest of its standing verdicts."""
    actor = actor_of(request)
    paging.refuse_unknown(request, {"wait"})
    seconds = paging.whole_number(request, "wait", default=0, largest=waiting.LONGEST_SECONDS)
    output = queries.output_named(actor.project.pk, external_id)
    verdict = queries.verdict_on(output)
    if verdict is not None:
        return Response(shapes.VerdictShown(verdict).data)
    wish = waiting.Wish(actor.project.pk, output.pk, seconds)
    return Response(status=204, headers=wish.headers() if seconds else None)


def _verdict_filter(request: Request, actor: Actor) -> dict[str, Any]:
    """The conditions of the query; a queue or prompt that is not here is named as one."""
    asked = shapes.VerdictFilter(data=request.query_params)
    paging.refuse_unknown(request, set(asked.fields))
    if not asked.is_valid():
        raise Invalid(*field_errors(asked.errors))
    conditions = dict(asked.validated_data)
    if "queue" in conditions:
        conditions["queue"] = _queue(actor, conditions["queue"])
    if "prompt" in conditions:
        conditions["prompt"] = Prompt.objects.of(actor.project.pk).filter(name=conditions["prompt"]).first()
        if conditions["prompt"] is None:
            raise Missing("prompt")
    return conditions


def _queue(actor: Actor, name: str) -> Queue:
    queue = Queue.objects.of(actor.project.pk).select_related("rubric").filter(name=name).first()
    if queue is None:
        raise Missing("queue")
    return queue


def _made(shown: Any, is_new: bool) -> Response:
    return Response(shown, status=201 if is_new else 200)


def _shown_by(shape: Any) -> Any:
    return lambda row: shape(row).data
