"""The API of prompts: what production asks before each call, and how engineers add revisions."""

from typing import Any

from django.http import HttpResponse
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core import bells, clock, paging
from core.problems import FieldError, Invalid
from projects.access import Scope
from projects.endpoint import actor_of, endpoint
from prompts import queries, serializers, services
from prompts.models import Prompt, Revision

# A label may move at any moment, so every use asks again; an unchanged revision costs a 304.
CACHING = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie, Ratchet-Project"}


@extend_schema(methods=["GET"], summary="Prompts of the project", responses=serializers.PromptListed(many=True))
@extend_schema(
    methods=["POST"],
    summary="Create a prompt",
    description="A repeat answers 200 with the prompt that exists, unchanged.",
    request=serializers.PromptRequest,
    responses={200: serializers.PromptListed, 201: serializers.PromptListed},
)
@endpoint(GET=Scope.READ, POST=Scope.EVALUATE)
def prompts(request: Request) -> Response:
    if request.method == "POST":
        return _create_prompt(request)
    paging.refuse_unknown(request, set())
    return Response(paging.page(request, Prompt.objects.of(actor_of(request).project.pk), _listed))


@extend_schema(
    summary="A prompt, or one of its revisions",
    description="Without parameters the prompt; with `label` or `revision` that revision with an ETag.",
    parameters=[
        OpenApiParameter("label", OpenApiTypes.STR, description="the revision that this label points at"),
        OpenApiParameter("revision", OpenApiTypes.INT, description="the revision of this number"),
    ],
    responses={200: serializers.RevisionShown, 304: None},
)
@endpoint(GET=Scope.READ)
def prompt(request: Request, name: str) -> Response | HttpResponse:
    paging.refuse_unknown(request, {"label", "revision"})
    asked: dict[str, Any] = {
        key: request.query_params[key] for key in ("label", "revision") if key in request.query_params
    }
    if not asked:
        shown = queries.prompt_shown(actor_of(request).project.pk, name)
        labels = serializers.LabelShown(shown.labels, many=True).data
        return Response({**_listed(shown.prompt), "labels": labels, "newest": shown.newest})
    if "revision" in asked:
        asked["revision"] = paging.whole_number(request, "revision", default=0, largest=serializers.LARGEST_NUMBER)
    return _conditional(request, name, _asked_for(request, name, asked))


@extend_schema(methods=["GET"], summary="Revisions of a prompt", responses=serializers.RevisionListed(many=True))
@extend_schema(
    methods=["POST"],
    summary="Save a revision",
    description="The same content is the same revision: a repeat answers 200 with it.",
    request=serializers.RevisionRequest,
    responses={200: serializers.RevisionSaved, 201: serializers.RevisionSaved},
)
@endpoint(GET=Scope.READ, POST=Scope.EVALUATE)
def revisions(request: Request, name: str) -> Response:
    found = queries.prompt_named(actor_of(request).project.pk, name)
    if request.method == "POST":
        return _create_revision(request, found)
    paging.refuse_unknown(request, set())
    rows = queries.revisions_of(found)
    return Response(paging.page(request, rows, lambda row: serializers.RevisionListed(row).data))


@extend_schema(
    summary="Set the shares of the parts",
    description="For groups of verdicts that have no part yet; percent, together 100.",
    request=serializers.PartsRequest,
    responses=serializers.PartsShown,
)
@endpoint(PUT=Scope.ADMIN)
def parts(request: Request, name: str) -> Response:
    found = queries.prompt_named(actor_of(request).project.pk, name)
    asked = serializers.PartsRequest.read(request.data)
    saved = services.set_parts(prompt=found, **asked, by=actor_of(request), now=clock.now())
    return Response(serializers.PartsShown(saved).data)


@extend_schema(
    summary="Render a prompt for an input",
    description="The context is chosen for these variables. A missing variable is named.",
    request=serializers.RenderRequest,
    responses=serializers.RenderedShown,
)
@endpoint(POST=Scope.READ)
def render(request: Request, name: str) -> Response:
    asked = _render_request(request, name)
    revision = _asked_for(request, name, asked)
    rendered = queries.serving(revision).render(asked["variables"])
    # Asked for before every call of a model: put together by hand, in the shape of `RenderedShown`.
    return Response({"revision": revision.number, **vars(rendered)})


def _render_request(request: Request, name: str) -> dict[str, Any]:
    """The body; where it is wrong, whether the prompt exists is said first, as everywhere."""
    try:
        return serializers.RenderRequest.read(request.data)
    except Invalid:
        queries.prompt_named(actor_of(request).project.pk, name)
        raise


def _create_prompt(request: Request) -> Response:
    asked = serializers.PromptRequest.read(request.data)
    made, created = services.create_prompt(**asked, by=actor_of(request), now=clock.now())
    return Response(_listed(made), status=201 if created else 200)


def _create_revision(request: Request, found: Prompt) -> Response:
    asked = serializers.RevisionRequest.read(request.data)
    selection = asked.pop("selection") or {}
    asked["context"] = serializers.context_lines(asked["context"])
    made, created = services.create_revision(prompt=found, **asked, **selection, by=actor_of(request), now=clock.now())
    if made.index_state == Revision.IndexState.WAITING:
        bells.ring("prompts.tasks.build_index", made.pk)
    return Response(serializers.RevisionSaved(made).data, status=201 if created else 200)


def _asked_for(request: Request, name: str, asked: dict[str, Any]) -> Revision:
    """The revision that exactly one of `label` and `revision` names."""
    if "label" in asked and "revision" in asked:
        raise Invalid(FieldError("label", "send either label or revision"))
    project_id = actor_of(request).project.pk
    if "label" in asked:
        return queries.labelled(project_id, name, asked["label"])
    return queries.numbered(project_id, name, asked["revision"])


def _conditional(request: Request, name: str, revision: Revision) -> Response | HttpResponse:
    """The revision, or 304 where the client has it: then its context is never read."""
    etag = f'"{revision.content_hash}.{revision.pk}.{revision.index_state}"'
    headers = {**CACHING, "ETag": etag}
    unchanged = get_conditional_response(request._request, etag=etag)
    if unchanged is not None:
        for key, value in headers.items():
            unchanged[key] = value
        return unchanged
    # Thousands of items: put together by hand, in the shape that `ContextItemShown` declares.
    context = [{"id": line.id, **line.content.as_dict()} for line in queries.context_of(revision)]
    shown = {**serializers.RevisionListed(revision).data, "prompt": name, "context": context}
    return Response(shown, headers=headers)


def _listed(row: Prompt) -> dict[str, Any]:
    return dict(serializers.PromptListed(row).data)
