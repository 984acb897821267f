"""Signed-in members at the asynchronous face: Django's session and its CSRF check, in a thread."""

import io

from django.contrib.auth import get_user
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import HttpResponse
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from core.problems import Problem
from outputs.ingest.asgi import Scope
from outputs.senders import NOT_ALLOWED, NOT_SIGNED_IN, SCOPE, Sender
from projects.authentication import MemberAuthentication
from projects.models import Membership


class _Unread(BaseParser):
    """Looking for a form's CSRF token must not read the body, whatever it is; the header carries the token."""

    media_type = "*/*"

    def parse(self, stream: object, media_type: str | None = None, parser_context: object = None) -> dict[str, str]:
        return {}


def sender_of(scope: Scope) -> Sender:
    """The sender that a request's session is. Blocks: call it in a thread.

    Raises:
        Problem: 401 without a session, 403 without the scope.
        Exception: as `MemberAuthentication`; `core.rest.as_problem` knows them all.
    """
    try:
        return _sender_of(scope)
    finally:
        connections.close_all()


def _sender_of(scope: Scope) -> Sender:
    request = ASGIRequest(scope, io.BytesIO())
    SessionMiddleware(lambda _: HttpResponse()).process_request(request)
    request.user = get_user(request)
    found = MemberAuthentication().authenticate(Request(request, parsers=[_Unread()]))
    if found is None:
        raise Problem(401, NOT_SIGNED_IN)
    user, actor = found
    if not actor.may(SCOPE):
        raise Problem(403, NOT_ALLOWED)
    return Sender(
        project_id=actor.project.pk,
        identity=actor.identity,
        membership_id=Membership.objects.values_list("pk", flat=True).get(user=user, project=actor.project),
    )
