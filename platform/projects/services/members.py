"""Projects, people, and who is what where."""

import datetime as dt
import secrets

from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils.text import slugify

from core.problems import Conflict, FieldError, Invalid
from projects import access
from projects.models import Membership, Project, Role, User
from projects.services import audit

# First words of other routes; a project under one of them could never be reached.
RESERVED_SLUGS = frozenset(
    (
        "accounts admin api docs healthz login logout metrics new projects readyz settings signed-in static statusz v1"
    ).split()
)
LONGEST_SLUG = 80


class LastAdmin(Conflict):
    """Without this person nobody could add members, keys or connections any more."""

    def __init__(self, user: User) -> None:
        super().__init__(f"{user} is the last admin of this project; make somebody else an admin first.")


class NotYourself(Conflict):
    """People do not lock themselves out by a slip."""

    def __init__(self) -> None:
        super().__init__("You cannot take your own rights away; ask another admin of the project to do it.")


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


def add_member(*, email: str, role: str, by: access.Actor, now: dt.datetime) -> str:
    """Somebody new is a member of the actor's project; returns the one-time password of a new account, else "".

    Raises:
        Invalid: no e-mail address, an unknown role, or a member already, whose role the list changes.
    """
    present = Membership.objects.filter(project=by.project, user__email__iexact=email).first()
    if present is not None:
        said = f"{email} is {present.role} here already; change the role in the list"
        raise Invalid(FieldError("email", said))
    return create_user(email=email, project=by.project, role=role, now=now, by=by)


def change_role(*, membership: Membership, role: str, by: access.Actor, now: dt.datetime) -> None:
    """The member has this role from the next request on; a repeat changes nothing.

    Raises:
        Invalid: an unknown role.
        NotYourself: it is the actor's own.
        LastAdmin: nobody would be left who may change it back.
    """
    _check(membership.user.email, role)
    with transaction.atomic():
        _spare(membership, by, stays_admin=role == Role.ADMIN)
        _give_role(membership.user, membership.project, role, by, now)


def remove_member(*, membership: Membership, by: access.Actor, now: dt.datetime) -> None:
    """The person is a stranger to the project from the next request on, and keys acting for them open nothing.

    What they did stays theirs. A repeat changes nothing.

    Raises:
        NotYourself: it is the actor's own membership.
        LastAdmin: the project would have none.
    """
    with transaction.atomic():
        _spare(membership, by, stays_admin=False)
        before = Membership.objects.filter(pk=membership.pk).values_list("role", flat=True).first()
        if before is None:
            return
        Membership.objects.filter(pk=membership.pk).delete()
        subject = f"member {membership.user.email}"
        audit.record(by=by, verb="member.remove", subject=subject, now=now, before={"role": before})


def _spare(membership: Membership, by: access.Actor, *, stays_admin: bool) -> None:
    """Locks the project: of two admins who take each other's rights at once, the later one finds no other admin."""
    Project.objects.select_for_update(no_key=True).get(pk=membership.project_id)
    if by.user is not None and by.user.pk == membership.user_id and not stays_admin:
        raise NotYourself
    admins = Membership.objects.filter(project=membership.project_id, role=Role.ADMIN, user__is_active=True)
    is_admin = admins.filter(pk=membership.pk).exists()
    if not stays_admin and is_admin and not admins.exclude(pk=membership.pk).exists():
        raise LastAdmin(membership.user)


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
