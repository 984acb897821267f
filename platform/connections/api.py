"""The API of connections."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from connections import serializers
from connections.models import Connection
from connections.services import connections as services
from core import clock, paging
from projects.access import Scope
from projects.endpoint import actor_of, endpoint


@extend_schema(
    methods=["GET"],
    summary="Connections of the project",
    description="Secrets are never shown, only whether there is one.",
    responses=serializers.ConnectionShown(many=True),
)
@extend_schema(
    methods=["POST"],
    summary="Save a connection to a model endpoint",
    description="The same name again changes it. Another host or port empties the secret unless one is sent.",
    request=serializers.ConnectionRequest,
    responses={200: serializers.ConnectionShown, 201: serializers.ConnectionShown},
)
@endpoint(GET=Scope.READ, POST=Scope.ADMIN)
def connections(request: Request) -> Response:
    if request.method == "POST":
        return _save(request)
    paging.refuse_unknown(request, set())
    rows = Connection.objects.of(actor_of(request).project.pk)
    return Response(paging.page(request, rows, lambda row: serializers.ConnectionShown(row).data))


def _save(request: Request) -> Response:
    asked = serializers.ConnectionRequest.read(request.data)
    saved, created = services.save_connection(**asked, by=actor_of(request), now=clock.now())
    return Response(serializers.ConnectionShown(saved).data, status=201 if created else 200)
