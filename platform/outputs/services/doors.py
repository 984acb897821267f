"""Doors for feedback from public pages: the one place that makes, renews and closes them."""

import datetime as dt
import urllib.parse
from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction

from core import sealing
from core.problems import FieldError, Invalid
from outputs import tokens
from outputs.models import Feedback, FeedbackDoor
from projects.access import Actor
from projects.services import audit

# Scores are what programs say; a visitor says none.
KINDS = tuple(kind for kind in Feedback.Kind.values if kind != Feedback.Kind.SCORE)
MOST_ORIGINS = 20
LONGEST_HOST = 253


def make_door(
    *, name: str, kinds: Iterable[str], origins: Iterable[str], needs_signature: bool, by: Actor, now: dt.datetime
) -> tuple[FeedbackDoor, str]:
    """A new door of the actor's project, and its secret, which is never to be had again.

    Args:
        name: which page or site it is for; once in the project, so that `source` says for ever what it says now.
        kinds: what may be said through it, of `KINDS`.
        origins: the sites whose pages may, as `https://shop.example.org`.
        needs_signature: only outputs that the project's server vouched for (`tokens.output_token`).
        by: who makes it.
        now: when.

    Raises:
        Invalid: naming each field that is wrong.
    """
    wanted = _kinds(kinds)
    known = _origins(origins)
    if not name.strip():
        raise Invalid(FieldError("name", "is empty; say which page or site the door is for"))
    secret = tokens.new_secret()
    try:
        with transaction.atomic():
            door = FeedbackDoor.objects.create(
                project=by.project,
                name=name.strip(),
                kinds=wanted,
                origins=known,
                secret=_sealed(secret, by.project.pk),
                needs_signature=needs_signature,
                created_by=by.name,
                created_at=now,
            )
            audit.record(by=by, verb="feedback_door.make", subject=_subject(door), now=now, after=_told(door))
    except IntegrityError as error:
        raise Invalid(FieldError("name", f"{name!r} is or was the name of a door; choose another")) from error
    return door, secret


def renew_door(*, door: FeedbackDoor, by: Actor, now: dt.datetime) -> str:
    """The door has another token and another secret, which is returned; the old ones open nothing.

    Raises:
        Invalid: it is closed.
    """
    secret = tokens.new_secret()
    with transaction.atomic():
        found = FeedbackDoor.objects.select_for_update().get(pk=door.pk)
        if found.revoked_at is not None:
            raise Invalid(FieldError("door", "is closed for good; make another"))
        found.version += 1
        found.secret = _sealed(secret, found.project_id)
        found.save(update_fields=["version", "secret"])
        versions = {"before": {"version": found.version - 1}, "after": {"version": found.version}}
        audit.record(by=by, verb="feedback_door.renew", subject=_subject(found), now=now, **versions)
    return secret


def close_door(*, door: FeedbackDoor, by: Actor, now: dt.datetime) -> None:
    """Nothing comes through the door from now on; what came stays. A repeat changes nothing."""
    with transaction.atomic():
        open_still = FeedbackDoor.objects.filter(pk=door.pk, revoked_at=None)
        if open_still.update(revoked_at=now, revoked_by=by.name):
            audit.record(by=by, verb="feedback_door.close", subject=_subject(door), now=now, before=_told(door))


def secret_of(sealed: bytes, project_id: int) -> str:
    """The secret of a door again.

    Raises:
        SealBroken: this installation's keys do not open it.
    """
    return sealing.unseal(sealed, bound_to=_place(project_id))


def _sealed(secret: str, project_id: int) -> bytes:
    return sealing.seal(secret, bound_to=_place(project_id))


def _place(project_id: int) -> str:
    return f"feedback door of project {project_id}"


def _kinds(given: Iterable[str]) -> list[str]:
    asked = set(given)
    wanted = [kind for kind in KINDS if kind in asked]
    if not wanted or not asked <= set(KINDS):
        raise Invalid(FieldError("kinds", f"holds none or an unknown one; choose from {', '.join(KINDS)}"))
    return wanted


def _origins(given: Iterable[str]) -> list[str]:
    found = list(dict.fromkeys(_origin(text) for text in given))
    if not 1 <= len(found) <= MOST_ORIGINS:
        raise Invalid(FieldError("origins", f"has {len(found)}; name 1 to {MOST_ORIGINS}, as https://shop.example.org"))
    return found


def _origin(text: str) -> str:
    """An origin as browsers send it: scheme, host in ASCII, and a port where it is not the usual one."""
    try:
        parts = urllib.parse.urlsplit(text.strip().lower())
        port = parts.port
    except ValueError:
        parts, port = urllib.parse.urlsplit(""), None
    host = parts.hostname or ""
    is_plain = parts.path in ("", "/") and not (parts.query or parts.fragment or "@" in parts.netloc)
    is_host = host.isascii() and 0 < len(host) <= LONGEST_HOST and "*" not in host
    if parts.scheme not in ("http", "https") or not is_host or not is_plain:
        raise Invalid(
            FieldError("origins", f"{text[:80]!r} is no origin; send scheme and host, as https://shop.example.org")
        )
    named = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{named}" + (f":{port}" if port not in (None, usual) else "")


def _subject(door: FeedbackDoor) -> str:
    return f"feedback door {door.name}"


def _told(door: FeedbackDoor) -> dict[str, Any]:
    return {"kinds": door.kinds, "origins": door.origins, "needs_signature": door.needs_signature}
