"""The record of what was done, kept by the transaction that did it."""

import datetime as dt
from typing import Any

from projects.access import Actor
from projects.models import AuditEvent


def record(
    *,
    by: Actor,
    verb: str,
    subject: str,
    now: dt.datetime,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> AuditEvent:
    """One event stands in the audit trail of the actor's project, in the running transaction.

    Args:
        by: who did it.
        verb: what was done, as `prompt.release`: noun, full stop, verb.
        subject: to what, in words that stay understandable when the row is gone, as `prompt intent r7`.
        now: when.
        before: the fields that changed, as they were; None for something new.
        after: the same fields, as they are; None for something gone. Never a secret.
    """
    return AuditEvent.objects.create(
        project=by.project, at=now, actor=by.name, verb=verb, subject=subject[:300], before=before, after=after
    )
