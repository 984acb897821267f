"""Queues: which items wait for whom, under which rubric."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Lower

from core.problems import FieldError, Invalid
from projects.access import ROLE_SCOPES, Actor, Scope
from projects.models import Membership, User
from projects.services import audit
from reviews import locks
from reviews.models import Queue, Rubric
from reviews.services import rubrics

# Who may be named to settle disputes.
REVIEWING_ROLES = [role for role, scopes in ROLE_SCOPES.items() if Scope.REVIEW in scopes]


@dataclass(frozen=True)
class Wanted:
    """How a queue is to be; what is None stays as it is, or takes the default of a new queue."""

    rubric: str
    overlap: int | None = None
    lease_minutes: int | None = None
    adjudicators: Sequence[str] | None = None


def put_queue(*, name: str, wanted: Wanted, by: Actor, now: dt.datetime) -> tuple[Queue, bool]:
    """The queue of this name is as wanted; returns it and whether it is new.

    A repeat changes nothing; another content changes the queue, and the audit trail says what was before.
    Items that exist keep the rubric's version and the overlap that they were made with.

    Args:
        name: what the queue is called.
        wanted: the rubric by name (its newest version is asked), how many people judge each item, how long a
            reviewer may keep one, and the e-mail addresses of those who settle disputes.
        by: who wants it.
        now: when.

    Raises:
        Invalid: there is no such rubric, or an adjudicator is no member whose role reviews.
    """
    with transaction.atomic():
        locks.hold("reviews.queue", by.project.pk, name)
        rubric = _newest(wanted.rubric, by)
        people = None if wanted.adjudicators is None else _members(wanted.adjudicators, by)
        queue = Queue.objects.of(by.project.pk).filter(name=name).first()
        is_new = queue is None
        before = None if queue is None else _as_dict(queue)
        queue = queue or Queue(project=by.project, name=name, created_by=by.name)
        queue.rubric = rubric
        queue.overlap = wanted.overlap or queue.overlap
        queue.lease_minutes = wanted.lease_minutes or queue.lease_minutes
        queue.save()
        if people is not None:
            queue.adjudicators.set(people)
        _record(queue, before, by, now)
    return queue, is_new


def _newest(name: str, by: Actor) -> Rubric:
    rubrics.hold_name(by.project.pk, name)
    rubric = Rubric.objects.of(by.project.pk).filter(name=name).order_by("-version").first()
    if rubric is None:
        raise Invalid(FieldError("rubric", f"there is no rubric {name!r} here; create it first"))
    return rubric


def _members(emails: Sequence[str], by: Actor) -> list[User]:
    """The people with these addresses, whatever their case."""
    wanted = {email.lower(): index for index, email in enumerate(emails)}
    found = (
        Membership.objects.filter(project=by.project, user__is_active=True)
        .annotate(address=Lower("user__email"))
        .filter(address__in=wanted)
        .select_related("user")
    )
    members = {membership.user.email.lower(): membership for membership in found}
    flaws = [
        FieldError(f"adjudicators[{index}]", _why_not(email, members.get(email)))
        for email, index in wanted.items()
        if _why_not(email, members.get(email))
    ]
    if flaws:
        raise Invalid(*flaws)
    return [membership.user for membership in members.values()]


def _why_not(email: str, membership: Membership | None) -> str:
    if membership is None:
        return f"{email} is no member of this project; add the person first"
    if membership.role not in REVIEWING_ROLES:
        return f"{email} is a {membership.role}, who may not review; name a reviewer, an engineer or an admin"
    return ""


def _as_dict(queue: Queue) -> dict[str, Any]:
    return {
        "rubric": queue.rubric.name,
        "overlap": queue.overlap,
        "lease_minutes": queue.lease_minutes,
        "adjudicators": sorted(user.email for user in queue.adjudicators.all()),
    }


def _record(queue: Queue, before: dict[str, Any] | None, by: Actor, now: dt.datetime) -> None:
    after = _as_dict(queue)
    if before is None:
        audit.record(by=by, verb="queue.create", subject=f"queue {queue.name}", now=now, after=after)
        return
    changed = {name for name, value in after.items() if value != before[name]}
    if changed:
        audit.record(
            by=by,
            verb="queue.change",
            subject=f"queue {queue.name}",
            now=now,
            before={name: before[name] for name in sorted(changed)},
            after={name: after[name] for name in sorted(changed)},
        )
