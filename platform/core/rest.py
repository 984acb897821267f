"""What every API edge shares: strict bodies in, problem details out."""

import logging
from collections.abc import Iterator
from typing import IO, Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from rest_framework import exceptions, serializers
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from core import strict_json
from core.problems import CONTENT_TYPE, FieldError, Invalid, Missing, Problem, Unavailable

logger = logging.getLogger(__name__)


class StrictJSONParser(BaseParser):
    """JSON bodies, plain or gzip, under the limits of `core.strict_json`."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        body = read_body(stream, (parser_context or {})["request"].META)
        if not body.strip():
            return {}
        try:
            return strict_json.parse(body)
        except strict_json.Refused as refused:
            raise problem_of(refused) from refused


class RowsParser(BaseParser):
    """A file of rows (JSON Lines, CSV): the inflated bytes, read row by row by whoever asked for them."""

    media_type = "application/x-ndjson"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        return read_body(stream, (parser_context or {})["request"].META)


class JsonlParser(RowsParser):
    """The same under the other name of JSON Lines."""

    media_type = "application/jsonl"


def read_body(stream: IO[bytes], headers: dict[str, Any]) -> bytes:
    """The bytes of a request, decompressed where it says gzip, never more than the limit."""
    limit = strict_json.DEFAULT_LIMITS.n_bytes
    body = stream.read(limit + 1)
    encoding = str(headers.get("HTTP_CONTENT_ENCODING", "identity")).lower()
    if encoding not in ("identity", "gzip"):
        raise Problem(415, f"Content-Encoding {encoding[:40]!r} is not taken: send gzip or none")
    try:
        if len(body) > limit:
            raise strict_json.TooLarge(f"the body has more than {limit} bytes")
        return strict_json.inflate(body, limit=limit) if encoding == "gzip" else body
    except strict_json.Refused as refused:
        raise problem_of(refused) from refused


def problem_of(refused: strict_json.Refused) -> Problem:
    """The answer to a text that is no JSON of ours."""
    if isinstance(refused, strict_json.TooLarge):
        return Problem(413, refused.message)
    return Invalid(FieldError(refused.path or "body", refused.message))


class StrictSerializer(serializers.Serializer[Any]):
    """Validates a request; a field it does not know is refused, so that a typo is never silently ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = [name for name in data if name not in self.fields]
            if unknown:
                known = ", ".join(self.fields)
                raise serializers.ValidationError({n: [f"is no field here; known: {known}"] for n in unknown})
        return super().to_internal_value(data)

    @classmethod
    def read(cls, data: Any) -> dict[str, Any]:
        """The validated fields of `data`.

        Raises:
            Invalid: naming each field that is wrong.
        """
        serializer = cls(data=data)
        if not serializer.is_valid():
            raise Invalid(*field_errors(serializer.errors))
        return dict(serializer.validated_data)


class FigureShown(serializers.Serializer[Any]):
    """A `core.figures.Figure`; undefined, its value is null and `reason` says why."""

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    level = serializers.FloatField()
    n = serializers.IntegerField()
    method = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_null=True)


def field_errors(errors: Any, path: str = "") -> Iterator[FieldError]:
    """DRF's nested errors as a flat list with dotted paths."""
    if isinstance(errors, dict):
        for name, inner in errors.items():
            yield from field_errors(inner, _place(path, name))
    elif isinstance(errors, list) and any(isinstance(inner, dict | list) for inner in errors):
        for index, inner in enumerate(errors):
            yield from field_errors(inner, f"{path}[{index}]")
    elif isinstance(errors, list):
        for message in errors:
            yield FieldError(path or "body", str(message))
    else:
        yield FieldError(path or "body", str(errors))


def _place(path: str, name: str | int) -> str:
    if isinstance(name, int):  # DRF names the flawed rows of a list of plain values by their places
        return f"{path}[{name}]"
    if name == "non_field_errors":
        return path
    return f"{path}.{name}" if path else name


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: every expected failure becomes problem details; None lets a real fault be logged as one."""
    problem = as_problem(error)
    return None if problem is None else answer(problem)


def answer(problem: Problem) -> Response:
    """The problem as an API answer."""
    return Response(problem.as_dict(), status=problem.status, headers=problem.headers(), content_type=CONTENT_TYPE)


def bare_answer(problem: Problem) -> HttpResponse:
    """The problem for edges outside DRF."""
    return HttpResponse(
        JSONRenderer().render(problem.as_dict()),
        status=problem.status,
        headers=problem.headers(),
        content_type=CONTENT_TYPE,
    )


def as_problem(error: Exception) -> Problem | None:
    """The problem that an exception stands for, or None where it is a fault of ours."""
    match error:
        case Problem():
            return error
        case Http404():
            return Missing()
        case PermissionDenied():
            return Problem(403, "You may not do this.")
        case RequestDataTooBig():
            return Problem(413, f"The body is larger than {strict_json.DEFAULT_LIMITS.n_bytes} bytes.")
        case exceptions.ValidationError():
            return Invalid(*field_errors(error.detail))
        case exceptions.APIException():
            return Problem(error.status_code, str(error.detail))
        case OperationalError() | InterfaceError():
            logger.warning("the database did not answer", exc_info=error)
            return Unavailable("The database does not answer; nothing was changed. Try again.", retry_after=2)
    return None
