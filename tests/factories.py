"""Plain factories with telling names; each makes real rows through the services where one exists."""

import itertools
from typing import Any

from core import clock
from projects.access import ROLE_SCOPES, Actor, Scope
from projects.models import Membership, Project, Role, User
from projects.services import keys, members

_numbers = itertools.count(1)


def a_project(name: str = "") -> Project:
    return members.create_project(name=name or f"Project {next(_numbers)}", now=clock.now())


def a_member(project: Project, role: str = Role.ENGINEER, email: str = "") -> User:
    address = email or f"{role}{next(_numbers)}@example.org"
    members.create_user(email=address, project=project, role=role, now=clock.now())
    return Membership.objects.get(project=project, user__email=address).user


def an_actor(project: Project, role: str = Role.ADMIN) -> Actor:
    """A signed-in member with this role."""
    return Actor(project=project, scopes=ROLE_SCOPES[role], user=a_member(project, role))


def a_key(project: Project, *scopes: str, user: User | None = None) -> str:
    """The text of a live key with these scopes (all that a key can have where none is named)."""
    wanted = scopes or tuple(sorted(scope.value for scope in Scope if scope != Scope.APPROVE))
    name = f"key {next(_numbers)}"
    return keys.create_api_key(name=name, scopes=wanted, by=an_actor(project), now=clock.now(), user=user)[1]


def bearer(key: str) -> dict[str, Any]:
    """Headers for Django's test client."""
    return {"Authorization": f"Bearer {key}"}
