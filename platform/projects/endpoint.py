"""One decorator for every API endpoint: which methods it has, which scope each needs, and repeats done once."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, cast

from django.db import transaction
from django.http import HttpResponse
from rest_framework.decorators import api_view, authentication_classes, parser_classes, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from core import rest
from core.problems import FieldError, Invalid, Problem
from ledger import idempotency
from projects.access import Actor, Scope
from projects.authentication import KeyAuthentication, MemberAuthentication

KEY_HEADER = "Idempotency-Key"
LONGEST_KEY = 200
SAFE = ("GET", "HEAD", "OPTIONS")

View = Callable[..., Response | HttpResponse]
# What a method needs: one scope, or any of several.
Needs = Scope | tuple[Scope, ...]


class Endpoint(Protocol):
    """A view with its declared rights, which the access table and its test read."""

    scopes: dict[str, Needs]

    def __call__(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse: ...


def endpoint(**scopes: Needs) -> Callable[[View], Endpoint]:
    """Make a function an API endpoint: `@endpoint(GET=Scope.READ, POST=Scope.EVALUATE)`.

    The view is called with a request whose `auth` is an Actor that has the method's scope. A write that carries
    an Idempotency-Key runs in one transaction with its stored answer: the same key and body give that answer
    again, byte for byte; another body is a 422.
    """

    def decorate(view: View) -> Endpoint:
        @wraps(view)
        def checked(request: Request, *args: Any, **kwargs: Any) -> Response | HttpResponse:
            actor = _allowed(request, scopes[_method(request)])
            key = request.headers.get(KEY_HEADER)
            if request.method in SAFE or key is None:
                return view(request, *args, **kwargs)
            return _once(actor, key, request, lambda: view(request, *args, **kwargs))

        made = parser_classes([rest.StrictJSONParser, rest.RowsParser, rest.JsonlParser])(checked)
        # `checked` asks for the scope itself, method by method.
        made = permission_classes([AllowAny])(made)
        made = authentication_classes([KeyAuthentication, MemberAuthentication])(made)
        found = cast(Endpoint, api_view([*scopes, *(["HEAD"] if "GET" in scopes else [])])(made))
        found.scopes = dict(scopes)
        return found

    return decorate


def actor_of(request: Request) -> Actor:
    """The actor of an authenticated request."""
    return cast(Actor, request.auth)


def _method(request: Request) -> str:
    return "GET" if request.method == "HEAD" else str(request.method)


def _allowed(request: Request, needs: Needs) -> Actor:
    if not isinstance(request.auth, Actor):
        raise Problem(401, "Sign in, or send Authorization: Bearer <key>.")
    wanted = needs if isinstance(needs, tuple) else (needs,)
    if not any(request.auth.may(scope) for scope in wanted):
        words = " or ".join(repr(scope.value) for scope in wanted)
        raise Problem(403, f"This needs the scope {words}, which you do not have in this project.")
    return request.auth


def _once(actor: Actor, key: str, request: Request, write: Callable[[], Response | HttpResponse]) -> HttpResponse:
    if not 1 <= len(key) <= LONGEST_KEY:
        raise Invalid(FieldError(KEY_HEADER, f"has {len(key)} characters; send 1 to {LONGEST_KEY}"))
    asked = idempotency.digest(request.method or "", request.get_full_path(), request._request.body)
    with transaction.atomic():
        stored = idempotency.begin(project_id=actor.project.pk, actor=actor.identity, key=key, digest=asked)
        if stored is not None:
            return HttpResponse(stored.body, status=stored.status, headers=stored.headers)
        answer = _rendered(write())
        idempotency.finish(
            project_id=actor.project.pk,
            actor=actor.identity,
            key=key,
            status=answer.status_code,
            headers=dict(answer.items()),
            body=answer.content,
        )
    return answer


def _rendered(answer: Response | HttpResponse) -> HttpResponse:
    """The answer as bytes, before the transaction ends, so that exactly these are stored."""
    if not isinstance(answer, Response):
        return answer
    body = JSONRenderer().render(answer.data) if answer.data is not None else b""
    # An answer that is not yet rendered carries Django's default type.
    headers = {**answer.headers, "Content-Type": "application/json"}
    return HttpResponse(body, status=answer.status_code, headers=headers)
