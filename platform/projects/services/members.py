"""Projects, people, and who is what where."""

import datetime as dt
import secrets

from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils.text import slugify

from core.problems import FieldError, Invalid
from projects import access
from projects.models import Membership, Project, Role, User
from projects.services import audit

# First words of other routes; a project under one of them could never be reached.
RESERVED_SLUGS = frozenset(
    "accounts admin api docs healthz login logout metrics new projects readyz settings static statusz v1".split()
)
LONGEST_SLUG = 80


def create_project(*, name: str, now: dt.datetime) -> Project:
    """A new project; its slug is made from the name.

    Raises:
        Invalid: no slug can be made, it is taken, or it collides with another route.
    """
    slug = slugify(name)[:LONGEST_SLUG]
    if not slug or slug in RESERVED_SLUGS:
        raise Invalid(FieldError("name", f"{name!r} gives the address {slug!r}, which cannot be used; choose another"))
    try:
        with transaction.atomic():
            project = Project.objects.create(name=name, slug=slug)
            audit.record(by=access.system(project), verb="project.create", subject=f"project {slug}", now=now)
    except IntegrityError as error:
        raise Invalid(FieldError("name", f"a project with the slug {slug!r} exists; choose another name")) from error
    return project


def create_user(
    *,
    email: str,
    project: Project,
    role: str,
    now: dt.datetime,
    by: access.Actor | None = None,
    is_operator: bool = False,
) -> str:
    """This address is a member of the project with this role; returns the one-time password of a new account.

    An account that exists keeps its password and the answer is empty; a repeat changes the role alone. An operator
    of the installation may also look at the rows of every project under `/admin/`.

    Raises:
        Invalid: no e-mail address, or an unknown role.
    """
    _check(email, role)
    with transaction.atomic():
        user = User.objects.filter(email__iexact=email).first()
        password = "" if user is not None else secrets.token_urlsafe(15)
        if user is None:
            user = User.objects.create(email=email.lower(), password=make_password(password))
        by = by or access.system(project)
        _give_role(user, project, role, by, now)
        if is_operator and not user.is_superuser:
            _make_operator(user, by, now)
    return password


def _give_role(user: User, project: Project, role: str, by: access.Actor, now: dt.datetime) -> None:
    before = Membership.objects.filter(user=user, project=project).values_list("role", flat=True).first()
    if before == role:
        return
    Membership.objects.update_or_create(user=user, project=project, defaults={"role": role})
    audit.record(
        by=by,
        verb="member.role",
        subject=f"member {user.email}",
        now=now,
        before=None if before is None else {"role": before},
        after={"role": role},
    )


def _make_operator(user: User, by: access.Actor, now: dt.datetime) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    audit.record(by=by, verb="member.operator", subject=f"member {user.email}", now=now, after={"is_operator": True})


def _check(email: str, role: str) -> None:
    try:
        validate_email(email)
    except ValidationError as error:
        raise Invalid(FieldError("email", f"{email!r} is no e-mail address")) from error
    if role not in Role.values:
        raise Invalid(FieldError("role", f"{role!r} is no role; choose from {', '.join(Role.values)}"))
