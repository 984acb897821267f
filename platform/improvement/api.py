"""The API of proposals."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core import bells, clock, paging
from improvement import queries, serializers, services
from improvement.models import Proposal
from projects.access import Scope
from projects.endpoint import actor_of, endpoint
from prompts import queries as prompts
from prompts.models import Prompt


@extend_schema(methods=["GET"], summary="Proposals of a prompt", responses=serializers.ProposalShape(many=True))
@extend_schema(
    methods=["POST"],
    summary="Propose a candidate revision from what verdicts taught",
    request=serializers.NewProposal,
    responses={202: serializers.ProposalDetail},
)
@endpoint(GET=Scope.READ, POST=Scope.EVALUATE)
def proposals(request: Request, name: str) -> Response:
    prompt = prompts.prompt_named(actor_of(request).project.pk, name)
    if request.method == "POST":
        return _propose(request, prompt)
    paging.refuse_unknown(request, set())
    rows = queries.proposals_of(prompt.project_id).filter(prompt=prompt)
    return Response(paging.page(request, rows, lambda row: serializers.ProposalShape(row).data))


@extend_schema(summary="One proposal with the origins of what it adds", responses=serializers.ProposalDetail)
@endpoint(GET=Scope.READ)
def proposal(request: Request, proposal_id: int) -> Response:
    return Response(_detail(queries.proposal(actor_of(request).project.pk, proposal_id)))


@extend_schema(
    summary="Approve a proposal",
    description="Signed-in people alone. It moves no label: a release still asks for evidence.",
    request=serializers.Decision,
    responses=serializers.ProposalDetail,
)
@endpoint(POST=Scope.APPROVE)
def approval(request: Request, proposal_id: int) -> Response:
    return _decided(request, proposal_id, services.approve)


@extend_schema(
    summary="Reject a proposal",
    description="Signed-in people alone, with a reason.",
    request=serializers.Decision,
    responses=serializers.ProposalDetail,
)
@endpoint(POST=Scope.APPROVE)
def rejection(request: Request, proposal_id: int) -> Response:
    return _decided(request, proposal_id, services.reject)


def _decided(request: Request, proposal_id: int, decide: Callable[..., Proposal]) -> Response:
    found = queries.proposal(actor_of(request).project.pk, proposal_id)
    asked = serializers.Decision.read(request.data)
    decide(proposal=found, reason=asked["reason"], by=actor_of(request), now=clock.now())
    return Response(_detail(queries.proposal(actor_of(request).project.pk, proposal_id)))


def _propose(request: Request, prompt: Prompt) -> Response:
    asked = serializers.NewProposal.read(request.data)
    made = services.propose(prompt=prompt, kind=asked["kind"], by=actor_of(request), now=clock.now())
    bells.ring("improvement.tasks.build", made.pk)
    url = request.build_absolute_uri(f"/api/v1/proposals/{made.pk}")
    return Response({**_detail(made), "url": url}, status=202, headers={"Location": url})


def _detail(proposal: Proposal) -> dict[str, Any]:
    run = queries.newest_run(proposal)
    return {
        **serializers.ProposalShape(proposal).data,
        "origins": [serializers.CauseShape(cause).data for cause in queries.causes(proposal)],
        "run": None if run is None else run.pk,
    }
