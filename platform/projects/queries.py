"""Questions about projects and people, each answered in one statement."""

from dataclasses import dataclass

from django.db.models import Q

from core.problems import FieldError, Invalid
from projects.models import ApiKey, Membership, Project, User


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
