"""API keys: made, shown once, revoked."""

import datetime as dt
from collections.abc import Iterable

from django.db import IntegrityError, transaction

from core.problems import FieldError, Invalid
from projects import secrets
from projects.access import KEY_SCOPES, Actor, Scope
from projects.models import ApiKey, User
from projects.services import audit


def create_api_key(
    *, name: str, scopes: Iterable[str], by: Actor, now: dt.datetime, user: User | None = None
) -> tuple[ApiKey, str]:
    """A new key of the actor's project, and its text, which is never to be had again.

    Args:
        name: what it is for; once among the live keys of the project.
        scopes: what it may do, at least one; `approve` is for people alone.
        by: who makes it.
        now: when.
        user: the member it acts for, if any; it then never exceeds that person's role.

    Raises:
        Invalid: an unknown scope, no scope, a name in use, or a user who is no member.
    """
    wanted = sorted({_scope(scope) for scope in scopes})
    if not wanted:
        raise Invalid(FieldError("scopes", f"is empty; choose from {_known()}"))
    if user is not None and not user.memberships.filter(project=by.project).exists():
        raise Invalid(FieldError("user", f"{user.email} is no member of {by.project}; add the person first"))
    text = secrets.new_key()
    try:
        with transaction.atomic():
            key = ApiKey.objects.create(
                project=by.project,
                name=name,
                prefix=secrets.prefix(text),
                digest=secrets.digest(text),
                scopes=wanted,
                user=user,
                created_by=by.name,
            )
            audit.record(by=by, verb="key.create", subject=f"key {name}", now=now, after={"scopes": wanted})
    except IntegrityError as error:
        raise Invalid(FieldError("name", f"{name!r} is the name of a live key; revoke it or choose another")) from error
    return key, text


def revoke_api_key(*, key: ApiKey, by: Actor, now: dt.datetime) -> None:
    """The key opens nothing from now on; a repeat changes nothing."""
    with transaction.atomic():
        if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now):
            audit.record(by=by, verb="key.revoke", subject=f"key {key.name}", now=now, before={"scopes": key.scopes})


def _scope(text: str) -> str:
    if text not in KEY_SCOPES:
        raise Invalid(FieldError("scopes", f"{text!r} is no scope of a key; choose from {_known()}"))
    return Scope(text).value


def _known() -> str:
    return ", ".join(scope.value for scope in Scope if scope in KEY_SCOPES)
