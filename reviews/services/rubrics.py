"""Rubrics: what is asked, version by version."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from projects.access import Actor
from projects.services import audit
from reviews import locks, questions
from reviews.models import Queue, Rubric


def create_rubric(
    *, name: str, asked: Sequence[Any], quality: Mapping[str, Any], by: Actor, now: dt.datetime
) -> tuple[Rubric, bool]:
    """The rubric of this name asks this; returns its version and whether it is new.

    Content that the name had before is the version that it was then: a repeat changes nothing. Other content
    is the next version, and the queues that ask this rubric follow it for items made from now on.

    Args:
        name: what the rubric is called.
        asked: the questions, as `reviews.questions.read_content` takes them.
        quality: which question carries the quality, and the value, 0 to 1, of each of its options.
        by: who writes it.
        now: when.

    Raises:
        Invalid: naming what is wrong with the content.
    """
    content = questions.read_content(asked, quality)
    with transaction.atomic():
        hold_name(by.project.pk, name)
        versions = Rubric.objects.of(by.project.pk).filter(name=name)
        known = versions.filter(content_hash=content.digest).first()
        if known is not None:
            return known, False
        newest = versions.order_by("-version").first()
        rubric = Rubric.objects.create(
            project=by.project,
            name=name,
            version=1 if newest is None else newest.version + 1,
            content_hash=content.digest,
            questions=content.questions,
            quality=content.quality,
            created_by=by.name,
        )
        if newest is not None:
            Queue.objects.filter(rubric=newest).update(rubric=rubric)
        _record(rubric, newest, by, now)
    return rubric, True


def hold_name(project_id: int, name: str) -> None:
    """Until the transaction ends the newest version of this rubric stays the newest."""
    locks.hold("reviews.rubric", project_id, name)


def _record(rubric: Rubric, newest: Rubric | None, by: Actor, now: dt.datetime) -> None:
    audit.record(
        by=by,
        verb="rubric.create",
        subject=f"rubric {rubric.name}",
        now=now,
        before=None if newest is None else {"version": newest.version},
        after={"version": rubric.version},
    )
