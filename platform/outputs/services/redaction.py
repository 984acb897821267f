"""Policies of redaction: the one place that saves them."""

import datetime as dt

from django.db import transaction

from core.problems import FieldError, Invalid
from outputs.models import RedactionPolicy
from outputs.redaction.policy import Policy
from projects.access import Actor
from projects.models import Project
from projects.services import audit

LONGEST_ENVIRONMENT = 60
MOST_ENVIRONMENTS = 50


def save_policy(*, environment: str, policy: Policy, by: Actor, now: dt.datetime) -> RedactionPolicy:
    """Rows of this environment that arrive from two seconds on are redacted so; what is stored stays as it is.

    Args:
        environment: as outputs say it; "" for all that have no policy of their own.
        policy: from `policy.checked`.

    Raises:
        Invalid: too many environments.
    """
    said = policy.as_dict()
    with transaction.atomic():
        _lock(by.project)
        rows = RedactionPolicy.objects.of(by.project.pk)
        found = rows.filter(environment=environment).first()
        if found is None and rows.count() >= MOST_ENVIRONMENTS:
            said_no = f"this project has policies of {MOST_ENVIRONMENTS} environments; remove one first"
            raise Invalid(FieldError("environment", said_no))
        before = None if found is None else found.said
        row = found or RedactionPolicy(project=by.project, environment=environment)
        row.said, row.saved_at, row.saved_by = said, now, by.name
        row.save()
        if before != said:
            audit.record(
                by=by, verb="redaction.save", subject=_subject(environment), now=now, before=before, after=said
            )
    return row


def remove_policy(*, environment: str, by: Actor, now: dt.datetime) -> None:
    """The environment has the policy of all others again, and "" the default; what is stored stays as it is.

    A repeat changes nothing.
    """
    with transaction.atomic():
        _lock(by.project)
        found = RedactionPolicy.objects.of(by.project.pk).filter(environment=environment).first()
        if found is None:
            return
        found.delete()
        audit.record(by=by, verb="redaction.remove", subject=_subject(environment), now=now, before=found.said)


def _lock(project: Project) -> None:
    """Two that save at once come one after the other."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def _subject(environment: str) -> str:
    return f"redaction of {environment or 'every environment'}"
