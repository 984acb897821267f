"""Who is asking, and what that allows: scopes, roles, and the actor that every write names."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from projects.models import ApiKey, Project, Role, User


class Scope(StrEnum):
    """What a key may be allowed to do. `approve` belongs to people alone and is never given to a key."""

    INGEST = "ingest"
    READ = "read"
    EVALUATE = "evaluate"
    REVIEW = "review"
    RELEASE = "release"
    ADMIN = "admin"
    APPROVE = "approve"


KEY_SCOPES = frozenset(Scope) - {Scope.APPROVE}

ROLE_SCOPES: Mapping[str, frozenset[Scope]] = MappingProxyType(
    {
        Role.REVIEWER: frozenset({Scope.REVIEW}),
        Role.ENGINEER: frozenset({Scope.READ, Scope.INGEST, Scope.EVALUATE, Scope.REVIEW, Scope.RELEASE}),
        Role.MANAGER: frozenset({Scope.READ, Scope.APPROVE}),
        Role.ADMIN: frozenset(Scope),
    }
)


@dataclass(frozen=True)
class Actor:
    """Somebody with rights in one project: a signed-in member, a key acting for one, or a key on its own.

    `role` is a member's, for pages to choose what they show first; rights are asked of `scopes` alone.
    """

    project: Project
    scopes: frozenset[Scope]
    user: User | None = None
    key: ApiKey | None = None
    role: str = ""

    @property
    def identity(self) -> str:
        """Who this is, once and for ever: `user:<id>`, else `key:<name>`. Reviews are counted per identity."""
        if self.user is not None:
            return f"user:{self.user.pk}"
        return f"key:{self.key.name}" if self.key is not None else "system"

    @property
    def name(self) -> str:
        """Who this is, in words, for audit events and `created_by`."""
        person = self.user.email if self.user is not None else ""
        if self.key is None:
            return person or "system"
        return f"{person} by key:{self.key.name}" if person else f"key:{self.key.name}"

    @property
    def is_person(self) -> bool:
        """Signed in, not a key: only such actors approve and override."""
        return self.user is not None and self.key is None

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes


def system(project: Project) -> Actor:
    """The application itself, for work that nobody in particular asked for."""
    return Actor(project=project, scopes=frozenset())


def actor_for_member(user: User, project: Project, *, key: ApiKey | None = None) -> Actor | None:
    """The actor this user is in this project, or None for a stranger.

    With a key the scopes are those that both the key and the person's present role have.
    """
    role = user.memberships.filter(project=project).values_list("role", flat=True).first()
    if role is None or not user.is_active:
        return None
    scopes = ROLE_SCOPES[role]
    if key is not None:
        scopes = scopes & {Scope(scope) for scope in key.scopes}
    return Actor(project=project, scopes=scopes, user=user, key=key)


def actor_in(user: User, slug: str) -> Actor | None:
    """The actor this user is in the project with this slug, or None for a stranger; one statement."""
    found = user.memberships.select_related("project").filter(project__slug=slug).first()
    if found is None or not user.is_active:
        return None
    return Actor(project=found.project, scopes=ROLE_SCOPES[found.role], user=user, role=found.role)


def actor_for_key(key: ApiKey) -> Actor | None:
    """The actor that a live key is, or None when its person has left the project."""
    if key.user is not None:
        return actor_for_member(key.user, key.project, key=key)
    return Actor(project=key.project, scopes=frozenset(Scope(scope) for scope in key.scopes), key=key)
