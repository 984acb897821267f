"""The API of releases."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock, paging
from core.problems import Missing
from evals.models import Run
from projects.access import Scope
from projects.endpoint import actor_of, endpoint
from prompts import queries as prompts
from prompts.models import Prompt
from releases import queries, serializers, services


@extend_schema(methods=["GET"], summary="Releases of a prompt", responses=serializers.ReleaseShape(many=True))
@extend_schema(
    methods=["POST"],
    summary="Move a label to a revision, on evidence",
    request=serializers.NewRelease,
    responses={201: serializers.ReleaseShape},
)
@endpoint(GET=Scope.READ, POST=Scope.RELEASE)
def releases(request: Request, name: str) -> Response:
    prompt = prompts.prompt_named(actor_of(request).project.pk, name)
    if request.method == "POST":
        return _release(request, prompt)
    paging.refuse_unknown(request, set())
    return Response(paging.page(request, queries.releases_of(prompt), lambda row: serializers.ReleaseShape(row).data))


@extend_schema(
    summary="Go back to what the label pointed at before",
    request=serializers.Rollback,
    responses={201: serializers.ReleaseShape},
)
@endpoint(POST=Scope.RELEASE)
def rollback(request: Request, name: str, release_id: int) -> Response:
    prompt = prompts.prompt_named(actor_of(request).project.pk, name)
    found = queries.releases_of(prompt).filter(pk=release_id).first()
    if found is None:
        raise Missing("release")
    asked = serializers.Rollback.read(request.data)
    made = services.roll_back(release=found, reason=asked["reason"], by=actor_of(request), now=clock.now())
    return Response(serializers.ReleaseShape(made).data, status=201)


def _release(request: Request, prompt: Prompt) -> Response:
    asked = serializers.NewRelease.read(request.data)
    revision = prompt.revisions.filter(number=asked["revision"]).first()
    if revision is None:
        raise Missing("revision")
    if asked["initial"]:
        made = services.release_initially(
            prompt=prompt,
            label_name=asked["label"],
            revision=revision,
            reason=asked["reason"],
            by=actor_of(request),
            now=clock.now(),
        )
    else:
        made = services.release(
            prompt=prompt,
            label_name=asked["label"],
            revision=revision,
            run=_run(request, asked.get("run")),
            note=asked["reason"],
            by=actor_of(request),
            now=clock.now(),
        )
    return Response(serializers.ReleaseShape(made).data, status=201)


def _run(request: Request, run_id: int | None) -> Run | None:
    """The run that is offered as evidence; a foreign one is as unknown as one that never was."""
    if run_id is None:
        return None
    run = Run.objects.filter(project=actor_of(request).project, pk=run_id).first()
    if run is None:
        raise Missing("run")
    return run
