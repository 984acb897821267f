"""What requests and answers of OTLP/HTTP have in common, whatever they carry."""

from typing import Any

import orjson
from google.protobuf.message import Message

from core.problems import FieldError, Problem
from outputs.ingest import routes
from outputs.ingest.answers import Answer
from outputs.ingest.asgi import Scope, header
from outputs.ingest.otlp import status
from outputs.ingest.routes import Rejections

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
_PROTOBUF_TYPES = {PROTOBUF, "application/protobuf"}
_MOST_NAMED = 5


def is_json(scope: Scope) -> bool:
    """Whether this request is in JSON.

    Raises:
        Problem: 415, it is in neither notation.
    """
    known = {JSON, *_PROTOBUF_TYPES}
    return routes.content_type(scope, known=known, wanted=f"{PROTOBUF} or {JSON}") == JSON


def answered(scope: Scope, kind: type[Message], counter: str, rejected: Rejections) -> Answer:
    """200, also where something was rejected: what is wrong with it is so the next time, too.

    Args:
        scope: of the request; the answer is in its notation.
        kind: of the answer.
        counter: the field of its partial success that counts.
        rejected: of each record that is not stored why, by place.
    """
    if not rejected:
        return _ok(scope, kind(), {})
    message = told(rejected)
    partial = {counter: len(rejected), "error_message": message}
    shown = {_camel(counter): str(len(rejected)), "errorMessage": message}
    return _ok(scope, kind(partial_success=partial), {"partialSuccess": shown})


def refused(problem: Problem, scope: Scope) -> Answer:
    """A failure of the whole request, in its notation; `Retry-After` where it should come again."""
    if header(scope, b"content-type").lower().partition(";")[0].strip() == JSON:
        return Answer(problem.status, status.in_json(problem), {**problem.headers(), "Content-Type": JSON})
    return Answer(problem.status, status.in_protobuf(problem), {**problem.headers(), "Content-Type": PROTOBUF})


def told(rejected: Rejections) -> str:
    """Of the first few why, and how many there are."""
    first = sorted(rejected)[:_MOST_NAMED]
    said = "; ".join(_line(place, error) for place in first for error in rejected[place][:1])
    more = f"; and {len(rejected) - len(first)} more" if len(rejected) > len(first) else ""
    return f"{said}{more}"[: status.LONGEST]


def _line(place: int, error: FieldError) -> str:
    """Which record, counted from 0 where it has no name, what in it, and what to do."""
    which = f"number {place} " if error.field == "id" else ""
    return f"{which}{error.field}: {error.message}"


def _ok(scope: Scope, message: Message, shown: dict[str, Any]) -> Answer:
    if is_json(scope):
        return Answer(200, orjson.dumps(shown))
    return Answer(200, message.SerializeToString(), {"Content-Type": PROTOBUF})


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
