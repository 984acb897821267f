"""Questions about projects and people, each answered in one statement."""

import urllib.parse
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q, QuerySet
from django.http import QueryDict

from core.problems import FieldError, Invalid
from projects.models import LIKE_THE_SYSTEM, ApiKey, AuditEvent, Membership, Project, User

AUDIT_PAGE = 50


@dataclass(frozen=True)
class MyProject:
    """A project that somebody is a member of, and as what."""

    id: int
    name: str
    slug: str
    role: str


def project_named(text: str) -> Project:
    """The project with this slug, else with this name.

    Raises:
        Invalid: there is none, or several have the name.
    """
    found = sorted(Project.objects.filter(Q(slug=text) | Q(name=text)), key=lambda project: project.slug != text)
    if not found or (len(found) > 1 and found[0].slug != text):
        what = "is no project" if not found else "names several projects; use the slug"
        raise Invalid(FieldError("project", f"{text!r} {what}"))
    return found[0]


def member_with_email(project: Project, email: str) -> User:
    """The member of a project with this address.

    Raises:
        Invalid: nobody there has it.
    """
    user = User.objects.filter(email__iexact=email, memberships__project=project).first()
    if user is None:
        raise Invalid(FieldError("user", f"{email!r} is no member of {project}; add the person first"))
    return user


def live_key_named(project: Project, name: str) -> ApiKey:
    """The live key of a project with this name.

    Raises:
        Invalid: there is none.
    """
    key = ApiKey.objects.live().filter(project=project, name=name).first()
    if key is None:
        raise Invalid(FieldError("name", f"{name!r} is the name of no live key of {project}"))
    return key


def projects_of(user: User) -> list[MyProject]:
    """The projects of a user by name."""
    rows = Membership.objects.filter(user=user).select_related("project").order_by("project__name")
    return [MyProject(row.project_id, row.project.name, row.project.slug, row.role) for row in rows]


def preferences(user: User) -> dict[str, Any]:
    """How pages suit a person, as the form shows it."""
    return {
        "name": user.name,
        "theme": user.theme or LIKE_THE_SYSTEM,
        "time_zone": user.time_zone,
        "single_keys": user.single_keys,
    }


def members_of(project: Project) -> QuerySet[Membership]:
    """The members of a project by address."""
    return Membership.objects.filter(project=project).select_related("user").order_by("user__email")


def keys_of(project: Project) -> QuerySet[ApiKey]:
    """The keys of a project, live ones first, newest first."""
    rows = ApiKey.objects.filter(project=project).select_related("user")
    return rows.order_by(F("revoked_at").desc(nulls_first=True), "-id")


@dataclass(frozen=True)
class AuditQuestion:
    """Which events of the trail are asked for; `before` is the cursor."""

    actor: str = ""
    verb: str = ""
    before: int | None = None

    @classmethod
    def read(cls, query: QueryDict) -> "AuditQuestion":
        """From an address; a cursor that is no number is the first page."""
        cursor = query.get("before", "")
        number = int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) < 19 else None
        return cls(query.get("actor", "").strip()[:300], query.get("verb", "").strip()[:60], number)

    @property
    def is_filtered(self) -> bool:
        return bool(self.actor or self.verb)

    def with_cursor(self, before: int) -> str:
        """The same question, from there on, as the query of an address."""
        told = {"actor": self.actor, "verb": self.verb, "before": str(before)}
        return urllib.parse.urlencode({name: value for name, value in told.items() if value})


@dataclass(frozen=True)
class AuditTrail:
    """Events of one page, newest first, and the query of the page after it ("" on the last one)."""

    events: list[AuditEvent]
    older: str


def audit_trail(project: Project, asked: AuditQuestion) -> AuditTrail:
    """One page of a project's trail in one statement, the same at any length.

    `actor` and `verb` match a part: the trail says `mara@example.org by key:ci`, and `release` finds `prompt.release`.
    """
    rows = AuditEvent.objects.filter(project=project)
    if asked.actor:
        rows = rows.filter(actor__icontains=asked.actor)
    if asked.verb:
        rows = rows.filter(verb__icontains=asked.verb)
    if asked.before is not None:
        rows = rows.filter(pk__lt=asked.before)
    found = list(rows.order_by("-pk")[: AUDIT_PAGE + 1])
    here = found[:AUDIT_PAGE]
    return AuditTrail(here, asked.with_cursor(here[-1].pk) if len(found) > len(here) else "")
