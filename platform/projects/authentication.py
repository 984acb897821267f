"""How a request says who is asking: a bearer key, or a signed-in session with a project."""

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from core.problems import FieldError, Invalid, Missing, Problem
from projects import secrets
from projects.access import Actor, actor_for_key, actor_for_member
from projects.models import ApiKey, Project, User

PROJECT_HEADER = "Ratchet-Project"


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>`; `request.auth` becomes the Actor."""

    def authenticate(self, request: Request) -> tuple[User | None, Actor] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            return None
        actor = actor_of_header(header)
        return actor.user, actor

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="ratchet"'


class MemberAuthentication(SessionAuthentication):
    """A signed-in session (with its CSRF token); the project is the header's, else the user's only one."""

    def authenticate(self, request: Request) -> tuple[User, Actor] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        user = found[0]
        project = _project_of(request, user)
        actor = actor_for_member(user, project)
        if actor is None:
            raise Missing("project")
        return user, actor


def actor_of_header(header: str) -> Actor:
    """The actor of an `Authorization` header.

    Raises:
        Problem: 401, in the same words for every reason, so that guessing reveals nothing.
    """
    scheme, _, text = header.partition(" ")
    actor = actor_of_key(text.strip()) if scheme.lower() == "bearer" else None
    if actor is None:
        raise Problem(401, "This key is not known or was revoked: send Authorization: Bearer <key>.")
    return actor


def actor_of_key(text: str) -> Actor | None:
    """The actor of a key's text, or None; one statement by the hash's unique index."""
    if not text.isascii():
        return None
    key = ApiKey.objects.live().select_related("project", "user").filter(digest=secrets.digest(text)).first()
    return None if key is None else actor_for_key(key)


def _project_of(request: HttpRequest | Request, user: User) -> Project:
    slug = request.headers.get(PROJECT_HEADER, "")
    projects = Project.objects.filter(memberships__user=user)
    if slug:
        project = projects.filter(slug=slug).first()
        if project is None:
            raise Missing("project")
        return project
    found = list(projects[:2])
    if len(found) != 1:
        raise Invalid(FieldError(PROJECT_HEADER, "does not say which of your projects is meant: send a project's slug"))
    return found[0]
