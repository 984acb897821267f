"""What is asked of outputs; each in one call and a fixed number of SQL statements."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Q

from core.problems import Missing
from outputs.models import Feedback, Output, OutputBody, OutputQuerySet

# Of texts on one page of a list; fewer rows than asked for stand on it when they are long.
PAGE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Wanted:
    """Which outputs of a project; what is None does not restrict.

    Args:
        prompt: name of the prompt.
        revision: number or content hash of the revision.
        model: as the provider names it.
        environment: as sent.
        tag: one of the output's tags.
        since: arrived at this moment or later.
        until: arrived before this moment.
        status: of the output.
    """

    prompt: str | None = None
    revision: str | None = None
    model: str | None = None
    environment: str | None = None
    tag: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    status: Output.Status | None = None


def wanted_of(project_id: int, wanted: Wanted) -> OutputQuerySet:
    """The project's outputs that are wanted, with their prompt and revision."""
    conditions = {
        "prompt__name": wanted.prompt,
        "model": wanted.model,
        "environment": wanted.environment,
        "tags__contains": None if wanted.tag is None else [wanted.tag],
        "received_at__gte": wanted.since,
        "received_at__lt": wanted.until,
        "status": wanted.status,
    }
    rows = Output.objects.of(project_id).select_related("prompt", "revision")
    rows = rows.filter(**{name: value for name, value in conditions.items() if value is not None})
    return rows if wanted.revision is None else rows.filter(_is_revision(wanted.revision))


def bodies(outputs: Iterable[Output]) -> dict[int, OutputBody]:
    """The texts of these outputs by output id, in one statement, without those that retention dropped."""
    ids = {output.pk: output.received_on for output in outputs}
    found = OutputBody.objects.filter(output_id__in=ids, received_on__in=set(ids.values()))
    return {body.output_id: body for body in found}


def fitting(outputs: Sequence[Output]) -> int:
    """How many of these, from the first, go on one page; at least one."""
    n_bytes = 0
    for place, output in enumerate(outputs):
        n_bytes += output.body_bytes
        if n_bytes > PAGE_BYTES:
            return max(1, place)
    return len(outputs)


@dataclass(frozen=True)
class Whole:
    """An output with its texts (None once retention dropped them) and all feedback on it, oldest first."""

    output: Output
    body: OutputBody | None
    feedback: list[Feedback]


def whole(project_id: int, external_id: str) -> Whole:
    """The project's output of this id.

    Raises:
        Missing: it has none.
    """
    # PostgreSQL has no NUL in texts, and so no such id.
    known = Output.objects.of(project_id).select_related("prompt", "revision")
    output = None if "\x00" in external_id else known.filter(external_id=external_id).first()
    if output is None:
        raise Missing("output")
    feedback = Feedback.objects.filter(project_id=project_id, output_external_id=external_id).order_by("pk")
    return Whole(output=output, body=bodies([output]).get(output.pk), feedback=list(feedback))


def _is_revision(reference: str) -> Q:
    by_hash = Q(revision__content_hash=reference)
    is_number = reference.isascii() and reference.isdigit() and len(reference) < 10
    return by_hash | Q(revision__number=int(reference)) if is_number else by_hash
