"""Imports by the API; files themselves arrive at `outputs.ingest.uploads`."""

from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock, paging
from core.rest import StrictSerializer
from outputs import import_files, import_queries, previews, redaction_queries
from outputs.models import Import
from outputs.services import imports
from projects.access import Scope
from projects.endpoint import actor_of, endpoint

LOOKERS = (Scope.READ, Scope.INGEST)


class ImportShown(serializers.Serializer[Any]):
    """An import: how far it is, and what became of the rows so far: rows = stored + duplicates + rejected."""

    id = serializers.IntegerField()
    url = serializers.CharField()
    state = serializers.ChoiceField(choices=Import.State.choices)
    format = serializers.CharField()
    kind = serializers.ChoiceField(choices=Import.Kind.choices)
    name = serializers.CharField()
    size = serializers.IntegerField(allow_null=True)
    received_bytes = serializers.IntegerField()
    share = serializers.FloatField(help_text="of the file's bytes, 0 to 1")
    rows = serializers.IntegerField()
    stored = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = serializers.IntegerField()
    error = serializers.CharField(allow_null=True, help_text="why the rest of the file could not be read")
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class FlawShown(serializers.Serializer[Any]):
    """A row that was refused."""

    index = serializers.IntegerField(help_text="its place among the rows, from 0")
    line = serializers.IntegerField(help_text="from 1; 0 where the format has no lines")
    errors = serializers.ListField(child=serializers.DictField())  # type: ignore[assignment]  # the contract's name


class ImportWhole(ImportShown):
    """One import, with its mapping and the first rows that were refused."""

    mapping = serializers.DictField(allow_null=True)
    flaws = FlawShown(many=True, help_text="the first hundred; `flaws_url` has them all")
    flaws_url = serializers.CharField()


class ImportPage(serializers.Serializer[Any]):
    """Imports, newest first."""

    results = ImportShown(many=True)
    next = serializers.CharField(allow_null=True)


class MappingRequest(StrictSerializer):
    """What the columns mean: column → field, `metadata.<name>`, or null to leave it out; null is the guess."""

    mapping = serializers.DictField(
        child=serializers.CharField(allow_null=True, allow_blank=True), required=False, allow_null=True, default=None
    )


class PreviewRow(serializers.Serializer[Any]):
    """What becomes of one of the first rows."""

    index = serializers.IntegerField()
    line = serializers.IntegerField()
    kind = serializers.CharField()
    fields = serializers.DictField(allow_null=True)  # type: ignore[assignment]  # the contract's name
    errors = serializers.ListField(child=serializers.DictField())  # type: ignore[assignment]  # likewise


class PreviewShown(serializers.Serializer[Any]):
    """The mapping, complete, and what becomes of the first rows under it."""

    mapping = serializers.DictField()
    rows = PreviewRow(many=True)


@extend_schema(methods=["GET"], responses=ImportPage)
@endpoint(GET=LOOKERS)
def import_list(request: Request) -> Response:
    """The imports of the project, newest first."""
    paging.refuse_unknown(request, set())
    return Response(paging.page(request, import_queries.imports_of(actor_of(request).project.pk), shown))


@extend_schema(methods=["GET"], responses=ImportWhole)
@endpoint(GET=LOOKERS)
def import_detail(request: Request, import_id: int) -> Response:
    """How far an import is, and what became of its rows so far."""
    return Response(_whole(_found(request, import_id)))


@extend_schema(
    methods=["POST"], request=MappingRequest, responses={202: OpenApiResponse(ImportWhole, "A worker stores its rows.")}
)
@endpoint(POST=Scope.INGEST)
def import_start(request: Request, import_id: int) -> Response:
    """The rows of a file that is here whole are stored, its columns meaning what `mapping` says."""
    asked = MappingRequest.read(request.data)
    actor = actor_of(request)
    found = imports.start(found=_found(request, import_id), mapping=asked["mapping"], by=actor, now=clock.now())
    whole = _whole(found)
    return Response(whole, status=202, headers={"Location": whole["url"]})


@extend_schema(methods=["POST"], request=None, responses=ImportWhole)
@endpoint(POST=Scope.INGEST)
def import_cancel(request: Request, import_id: int) -> Response:
    """No further row is stored, and the file is dropped; what was stored stays."""
    found = imports.cancel(found=_found(request, import_id), by=actor_of(request), now=clock.now())
    return Response(_whole(found))


@extend_schema(methods=["POST"], request=MappingRequest, responses=PreviewShown)
@endpoint(POST=Scope.INGEST)
def import_preview(request: Request, import_id: int) -> Response:
    """What would become of the first rows under a mapping; nothing is stored."""
    asked = MappingRequest.read(request.data)
    found = _found(request, import_id)
    if found.sample is None:
        raise imports.NotComplete(found) if found.state == Import.State.UPLOADING else imports.NotLookedInto(found)
    redaction = redaction_queries.redaction(actor_of(request).project)
    columns, rows = previews.preview(found, asked["mapping"], redaction)
    return Response({"mapping": {one.name: one.target or None for one in columns}, "rows": [vars(row) for row in rows]})


@extend_schema(
    methods=["GET"],
    parameters=[OpenApiParameter("format", str, enum=["jsonl", "csv"], description="jsonl unless told")],
    responses={(200, "application/jsonl"): FlawShown, (200, "text/csv"): str},
)
@endpoint(GET=LOOKERS)
def import_flaws(request: Request, import_id: int) -> HttpResponse:
    """Every row that was refused, in the order of the file."""
    return import_files.flaws(_found(request, import_id), request.query_params.get("format", "jsonl"))


def shown(found: Import) -> dict[str, Any]:
    """An import as the API gives it."""
    return {
        "id": found.pk,
        "url": reverse("outputs:api-import-detail", args=[found.pk]),
        "state": found.state,
        "format": found.format,
        "kind": found.kind,
        "name": found.name,
        "size": found.size,
        "received_bytes": found.received_bytes,
        "share": round(import_queries.progress(found, now=clock.now()).share, 4),
        "rows": found.n_rows,
        "stored": found.n_stored,
        "duplicates": found.n_duplicates,
        "rejected": found.n_rejected,
        "error": found.error or None,
        "created_at": found.created_at,
        "created_by": found.created_by,
        "started_at": found.started_at,
        "ended_at": found.ended_at,
    }


def _whole(found: Import) -> dict[str, Any]:
    return {
        **shown(found),
        "mapping": found.mapping,
        "flaws": import_queries.first_flaws(found),
        "flaws_url": reverse("outputs:api-import-flaws", args=[found.pk]),
    }


def _found(request: Request, import_id: int) -> Import:
    return import_queries.import_of(actor_of(request).project.pk, import_id)
