"""Rubrics: what is asked, version by version."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from core.problems import FieldError, Invalid
from projects.access import Actor
from projects.services import audit
from reviews import locks, questions
from reviews.models import Queue, Rubric
from reviews.questions import LONGEST_TEXT


def create_rubric(
    *,
    name: str,
    asked: Sequence[Any],
    quality: Mapping[str, Any],
    by: Actor,
    now: dt.datetime,
    guideline: str = "",
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
        guideline: how to judge, in Markdown, for reviewers to look up; another guideline is another version.

    Raises:
        Invalid: naming what is wrong with the content.
    """
    content = questions.read_content(asked, quality)
    guideline = _read_guideline(guideline)
    digest = _digest(content, guideline)
    with transaction.atomic():
        hold_name(by.project.pk, name)
        versions = Rubric.objects.of(by.project.pk).filter(name=name)
        known = versions.filter(content_hash=digest).first()
        if known is not None:
            return known, False
        newest = versions.order_by("-version").first()
        rubric = Rubric.objects.create(
            project=by.project,
            name=name,
            version=1 if newest is None else newest.version + 1,
            content_hash=digest,
            questions=content.questions,
            quality=content.quality,
            guideline=guideline,
            created_by=by.name,
        )
        if newest is not None:
            Queue.objects.filter(rubric=newest).update(rubric=rubric)
        _record(rubric, newest, by, now)
    return rubric, True


def hold_name(project_id: int, name: str) -> None:
    """Until the transaction ends the newest version of this rubric stays the newest."""
    locks.hold("reviews.rubric", project_id, name)


def _read_guideline(text: str) -> str:
    """The guideline as it is kept: line ends of every system are one, and white space alone is none."""
    text = "\n".join(text.splitlines()).strip()
    if len(text) > LONGEST_TEXT or "\x00" in text:
        raise Invalid(FieldError("guideline", f"has {len(text)} characters; send a text of at most {LONGEST_TEXT}"))
    return text


def _digest(content: questions.Content, guideline: str) -> str:
    """A rubric without a guideline has the digest of its questions alone."""
    if not guideline:
        return content.digest
    return hashlib.sha256(f"{content.digest}\n{guideline}".encode()).hexdigest()


def _record(rubric: Rubric, newest: Rubric | None, by: Actor, now: dt.datetime) -> None:
    audit.record(
        by=by,
        verb="rubric.create",
        subject=f"rubric {rubric.name}",
        now=now,
        before=None if newest is None else {"version": newest.version},
        after={"version": rubric.version},
    )
