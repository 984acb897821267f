"""Sampling rules: which outputs a queue draws, and with what probability."""

import datetime as dt
import secrets
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from core.problems import FieldError, Invalid
from projects.access import Actor
from projects.services import audit
from prompts.models import Prompt
from reviews import coverage
from reviews.models import Queue, SamplingRule

SALT_BYTES = 16


def create_rule(
    *, queue: Queue, rate: float, given: Mapping[str, Any], by: Actor, now: dt.datetime
) -> tuple[SamplingRule, bool]:
    """The queue draws what the filter covers with this probability; returns the rule and whether it is new.

    It covers outputs handed over from now on. A rule never changes: another rate or filter is a new rule with
    a salt of its own. The same rate and filter is the rule that exists, so a repeat changes nothing.

    Args:
        queue: where drawn outputs become items.
        rate: the probability, above 0 and at most 1.
        given: the filter (`reviews.coverage`); empty covers every output without an error.
        by: who wants it.
        now: when.

    Raises:
        Invalid: the filter is wrong or names a prompt that does not exist.
    """
    wanted = coverage.read(given)
    if "prompt" in wanted and not Prompt.objects.of(by.project.pk).filter(name=wanted["prompt"]).exists():
        raise Invalid(FieldError("filter.prompt", f"there is no prompt {wanted['prompt']!r} here; create it first"))
    with transaction.atomic():
        Queue.objects.select_for_update(no_key=True).get(pk=queue.pk)
        known = queue.rules.filter(kind=SamplingRule.Kind.PROBABILITY, rate=rate, filter=wanted).first()
        if known is not None:
            return known, False
        rule = queue.rules.create(rate=rate, filter=wanted, salt=secrets.token_bytes(SALT_BYTES), created_by=by.name)
        shown = {"kind": rule.kind, "rate": rate, "filter": wanted}
        audit.record(by=by, verb="rule.create", subject=f"rule {rule.pk} of queue {queue.name}", now=now, after=shown)
    return rule, True
