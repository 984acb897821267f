"""The API of redaction."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock, paging
from outputs import redaction_queries, redaction_shapes
from outputs.models import RedactionPolicy
from outputs.redaction import detector, preview
from outputs.redaction import policy as policies
from outputs.services import redaction
from projects.access import Scope
from projects.endpoint import actor_of, endpoint


@extend_schema(
    methods=["GET"],
    summary="What is taken out of rows before they are stored",
    responses=redaction_shapes.PoliciesShape,
)
@extend_schema(
    methods=["PUT"],
    summary="Save the policy of an environment, or of every one",
    description="Holds for rows that arrive from two seconds on. What is stored is never rewritten.",
    request=redaction_shapes.SaveRequest,
    responses=redaction_shapes.SavedShape,
)
@extend_schema(
    methods=["DELETE"],
    summary="Remove the policy of an environment",
    parameters=[OpenApiParameter("environment", str, description="whose policy; that of every environment if absent")],
    responses={204: None},
)
@endpoint(GET=Scope.READ, PUT=Scope.ADMIN, DELETE=Scope.ADMIN)
def redaction_policies(request: Request) -> Response:
    if request.method == "PUT":
        return _save(request)
    if request.method == "DELETE":
        return _remove(request)
    paging.refuse_unknown(request, set())
    found = redaction_queries.stored(actor_of(request).project.pk)
    known = [{"name": name, "words": _one(name).words, "note": _one(name).note} for name in detector.names()]
    return Response({"policies": list(map(_shown, found)), "default": policies.DEFAULT.as_dict(), "known": known})


@extend_schema(
    summary="What would be redacted",
    description="Nothing is stored, and the text is not logged.",
    request=redaction_shapes.PreviewRequest,
    responses=redaction_shapes.PreviewShape,
)
@endpoint(POST=Scope.ADMIN)
def redaction_preview(request: Request) -> Response:
    asked = redaction_shapes.PreviewRequest.read(request.data)
    project = actor_of(request).project
    if asked["policy"] is None:
        policy = redaction_queries.in_force(redaction_queries.stored(project.pk), asked["environment"])
    else:
        policy = redaction_shapes.policy_of(asked["policy"])
    seen = preview.of_value(redaction_queries.redactor(project, policy), asked["value"])
    findings = [{"path": place.path, "is_key": place.is_key, **place.finding._asdict()} for place in seen.places]
    return Response({"redacted": seen.redacted, "counts": seen.counts, "findings": findings})


def _save(request: Request) -> Response:
    asked = redaction_shapes.SaveRequest.read(request.data)
    policy = redaction_shapes.policy_of(asked)
    actor = actor_of(request)
    saved = redaction.save_policy(environment=asked["environment"], policy=policy, by=actor, now=clock.now())
    return Response(_shown(saved))


def _remove(request: Request) -> Response:
    paging.refuse_unknown(request, {"environment"})
    environment = request.query_params.get("environment", "")
    redaction.remove_policy(environment=environment, by=actor_of(request), now=clock.now())
    return Response(status=204)


def _shown(row: RedactionPolicy) -> dict[str, Any]:
    said = policies.from_stored(row.said).as_dict()
    return {"environment": row.environment, **said, "saved_at": row.saved_at, "saved_by": row.saved_by}


def _one(name: str) -> detector.Detector:
    return detector.named(name)
