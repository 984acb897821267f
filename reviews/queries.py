"""What other rooms and pages ask about reviews, each in a fixed number of statements."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import BigIntegerField, Count, Exists, JSONField, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, JSONObject

from core.problems import Missing
from outputs.models import Output, OutputBody, Step
from prompts.models import Prompt
from reviews import texts
from reviews.models import (
    Intake,
    Item,
    ItemOutput,
    Match,
    Part,
    Queue,
    Review,
    Rubric,
    SamplingRule,
    Verdict,
    VerdictQuerySet,
)

# The texts of an ItemOutput's output as one object, or null where retention dropped them.
BODY = Subquery(
    OutputBody.objects.filter(output_id=OuterRef("output_id"), received_on=OuterRef("output__received_on")).values(
        body=JSONObject(
            input="input",
            output="output",
            error="error",
            variables="variables",
            metadata="metadata",
            prompt_name="prompt_name",
            revision_ref="revision_ref",
        )
    )
)
# What the application found before it answered: the outputs of the retrieval steps of the same trace, in order.
RETRIEVED = RawSQL(
    """(
        SELECT jsonb_agg(body.output ORDER BY step.started_at, step.id)
        FROM (
            SELECT id, received_on, started_at FROM outputs_step
            WHERE project_id = outputs_output.project_id AND trace_id = outputs_output.trace_id
                AND outputs_output.trace_id <> '' AND kind = %s
            ORDER BY id LIMIT 20
        ) AS step
        JOIN outputs_stepbody AS body ON body.step_id = step.id AND body.received_on = step.received_on
    )""",
    [Step.Kind.RETRIEVAL.value],
    JSONField(),
)
EXAM_PARTS = (Part.GATE, Part.DEV)


@dataclass(frozen=True)
class Shown:
    """One output as a reviewer sees it: what was asked and answered, nothing of what others think of it."""

    id: int
    external_id: str
    prompt: str | None
    revision: int | str | None
    model: str
    provider: str
    environment: str
    started_at: dt.datetime | None
    received_at: dt.datetime
    trace_id: str
    session_id: str
    tags: list[str]
    input: Any
    output: Any
    error: str | None
    variables: Any
    metadata: Any


@dataclass(frozen=True)
class Task:
    """One item with all that is needed to judge it; blind: no review of anybody is in it."""

    item: Item
    rubric: Rubric
    outputs: list[Shown]


@dataclass(frozen=True)
class Counters:
    """How far a queue is: items by state, and how many of them one reviewer has judged."""

    open: int
    disputed: int
    settled: int
    mine: int


@dataclass(frozen=True)
class TeachingVerdict:
    """A standing verdict of part `teach` with a correction: what was asked and what would have been right."""

    verdict_id: int
    input_text: str
    correction: str
    output_id: int
    settled_at: dt.datetime


@dataclass(frozen=True)
class ExamVerdict:
    """A standing verdict of an exam part, from which a golden case can be made.

    `expected` is the correction, else the output's own text where people gave it the full quality of 1.
    """

    verdict_id: int
    part: str
    input: Any
    variables: Any
    input_text: str
    expected: str
    output_id: int
    output_external_id: str
    settled_at: dt.datetime


def task_of(item_id: int) -> Task:
    """The item, its rubric's version and its outputs with their texts: one statement."""
    places = list(
        ItemOutput.objects.filter(item=item_id)
        .select_related("item__queue", "item__rubric", "output__prompt", "output__revision")
        .annotate(body=BODY)
        .order_by("position")
    )
    return task_in(places)


def task_in(places: list[Any]) -> Task:  # Any: ItemOutput rows, annotated with `BODY`
    """The task that these places of one item make."""
    item = places[0].item
    return Task(item, item.rubric, [_shown(place.output, place.body) for place in places])


def counters(queue: Queue, *, reviewer: str) -> Counters:
    """The queue's items by state, and those this reviewer judged: two statements."""
    by_state = dict(queue.items.order_by().values_list("state").annotate(n=Count("pk")))
    mine = queue.items.filter(reviews__reviewer=reviewer, reviews__withdrawn_at=None).distinct().count()
    return Counters(
        open=by_state.get(Item.State.OPEN, 0),
        disputed=by_state.get(Item.State.DISPUTED, 0),
        settled=by_state.get(Item.State.SETTLED, 0),
        mine=mine,
    )


@dataclass(frozen=True)
class QueueRow:
    """One queue of the list, with its items by state."""

    queue: Queue
    open: int
    disputed: int
    settled: int


@dataclass(frozen=True)
class Reviewer:
    """Somebody who reviewed in a queue: who, how many items, and when last."""

    name: str
    n: int
    last_at: dt.datetime


@dataclass(frozen=True)
class QueuePage:
    """A queue with all that its page says of it."""

    queue: Queue
    counters: Counters
    n_by_hand: int
    rules: list[SamplingRule]
    adjudicators: list[str]
    reviewers: list[Reviewer]
    intakes: list[Intake]


def queue_rows(project_id: int, *, after: int = 0, limit: int = 100) -> list[QueueRow]:
    """The project's queues, newest first, from below the id `after`: two statements."""
    found = Queue.objects.of(project_id).select_related("rubric").order_by("-pk")
    rows = list(found.filter(pk__lt=after)[:limit] if after else found[:limit])
    counted = Item.objects.filter(queue__in=[row.pk for row in rows]).order_by().values_list("queue", "state")
    by_state = {(queue, state): n for queue, state, n in counted.annotate(n=Count("pk"))}
    return [QueueRow(row, *(by_state.get((row.pk, state), 0) for state in Item.State.values)) for row in rows]


def queue_page(project_id: int, name: str, *, reviewer: str) -> QueuePage:
    """The queue of this name with all that its page says: eight statements.

    Raises:
        Missing: there is no such queue.
    """
    queue = queue_named(project_id, name)
    drawn = Match.objects.filter(
        rule__queue=queue, drawn=True, output_id=Cast(OuterRef("subject_key"), BigIntegerField())
    )
    return QueuePage(
        queue=queue,
        counters=counters(queue, reviewer=reviewer),
        n_by_hand=queue.items.filter(~Exists(drawn), subject_kind="output").count(),
        rules=list(queue.rules.order_by("pk")),
        adjudicators=sorted(queue.adjudicators.values_list("email", flat=True)),
        reviewers=_reviewers(queue),
        intakes=newest_intakes(queue),
    )


def queue_named(project_id: int, name: str) -> Queue:
    """The project's queue of this name with its rubric; one statement.

    Raises:
        Missing: there is none.
    """
    known = Queue.objects.of(project_id).select_related("rubric")
    found = None if "\x00" in name else known.filter(name=name).first()
    if found is None:
        raise Missing("queue")
    return found


def newest_intakes(queue: Queue, *, limit: int = 5) -> list[Intake]:
    """The queue's last intakes, newest first; one statement."""
    return list(queue.intakes.order_by("-pk")[:limit])


def intake_of(queue: Queue, intake_id: int) -> Intake:
    """The queue's intake with this id; one statement.

    Raises:
        Missing: there is none.
    """
    found = queue.intakes.select_related("queue").filter(pk=intake_id).first()
    if found is None:
        raise Missing("intake")
    return found


def walking(limit: int) -> list[int]:
    """The ids of intakes that have not come to their end, oldest first."""
    found = Intake.objects.filter(state=Intake.State.WALKING).order_by("pk")
    return list(found.values_list("pk", flat=True)[:limit])


def newest_rubrics(project_id: int) -> list[Rubric]:
    """The newest version of each rubric by name, with the number of queues that ask it; one statement."""
    newer = Rubric.objects.filter(project=OuterRef("project"), name=OuterRef("name"), version__gt=OuterRef("version"))
    newest = Rubric.objects.of(project_id).filter(~Exists(newer))
    return list(newest.annotate(n_queues=Count("queues")).order_by("name"))


def rubric_versions(project_id: int, name: str) -> list[Rubric]:
    """All versions of a rubric, newest first; one statement.

    Raises:
        Missing: there is no such rubric.
    """
    known = Rubric.objects.of(project_id).order_by("-version")
    found = [] if "\x00" in name else list(known.filter(name=name))
    if not found:
        raise Missing("rubric")
    return found


@dataclass(frozen=True)
class Dispute:
    """One disputed item with what everybody said of it, and how many wait beside it."""

    task: Task
    reviews: list[Review]
    n_disputed: int
    following: int | None


def dispute(queue: Queue, *, after: int = 0) -> Dispute | None:
    """The oldest disputed item above the id `after`, or None where nothing is disputed: five statements."""
    first = queue.items.filter(state=Item.State.DISPUTED, pk__gt=after).order_by("pk").first()
    return None if first is None else _dispute(first)


def disputed_once(queue: Queue, item_id: int) -> Dispute | None:
    """This item of the queue as it would be adjudicated, whatever its state is by now: five statements.

    None where the queue has no such item.
    """
    item = queue.items.filter(pk=item_id).first()
    return None if item is None else _dispute(item)


def _dispute(item: Item) -> Dispute:
    disputed = Item.objects.filter(queue=item.queue_id, state=Item.State.DISPUTED)
    later = disputed.filter(pk__gt=item.pk).order_by("pk").values_list("pk", flat=True)
    reviews = Review.objects.standing().filter(item=item.pk).select_related("user").order_by("pk")
    return Dispute(task=task_of(item.pk), reviews=list(reviews), n_disputed=disputed.count(), following=later.first())


def verdicts(
    project_id: int,
    *,
    since: dt.datetime | None = None,
    part: str | None = None,
    queue: Queue | None = None,
    prompt: Prompt | None = None,
) -> QuerySet[Verdict]:
    """The project's standing verdicts with what a list shows of them, each condition only where it is given.

    Two statements a page: the rows with item, queue, rubric and prompt; their outputs.
    """
    conditions = Q()
    if since is not None:
        conditions &= Q(settled_at__gte=since)
    if part is not None:
        conditions &= Q(part=part)
    if queue is not None:
        conditions &= Q(item__queue=queue)
    if prompt is not None:
        conditions &= Q(prompt=prompt)
    standing = Verdict.objects.of(project_id).standing().filter(conditions)
    external_id = (
        ItemOutput.objects.filter(item=OuterRef("item")).order_by("position").values("output__external_id")[:1]
    )
    return standing.select_related("item__queue", "item__rubric", "prompt").annotate(
        output_external_id=Subquery(external_id)
    )


def output_named(project_id: int, external_id: str) -> Output:
    """The project's output that was sent with this id.

    Raises:
        Missing: there is none.
    """
    # PostgreSQL has no NUL in texts, and so no such id.
    known = Output.objects.of(project_id).filter(external_id=external_id)
    output = None if "\x00" in external_id else known.first()
    if output is None:
        raise Missing("output")
    return output


def verdict_on(output: Output) -> Verdict | None:
    """The newest standing verdict on this output alone, as `verdicts` shows it; one statement.

    A verdict on a pair or a session says nothing of one of its outputs.
    """
    own = ItemOutput.objects.filter(output=output, item__subject_kind="output").values("item")
    return verdicts(output.project_id).filter(item__in=own).order_by("-pk").first()


def teaching(prompt: Prompt) -> list[TeachingVerdict]:
    """What may enter the prompt's context: its standing verdicts of part `teach` that hold a correction.

    Oldest first, two statements. Verdicts whose texts retention dropped are left out.
    """
    taught = Verdict.objects.of(prompt.project_id).teaching().filter(prompt=prompt).exclude(correction=None)
    return [
        TeachingVerdict(
            verdict_id=verdict.pk,
            input_text=texts.input_text(body["input"], body["variables"]),
            correction=verdict.correction or "",
            output_id=output.pk,
            settled_at=verdict.settled_at,
        )
        for verdict, output, body in _with_texts(taught)
    ]


def held(verdict_ids: Iterable[int]) -> set[int]:
    """Which of these verdicts stand; none of them is replaced before the caller's transaction ends. One statement.

    Whoever builds on a verdict holds it first and drops what is not among these: it may have been replaced, or taken
    back, since it was read.
    """
    rows = Verdict.objects.standing().filter(pk__in=list(verdict_ids)).order_by("pk")
    return set(rows.select_for_update(no_key=True).values_list("pk", flat=True))


def exam_verdicts(prompt: Prompt, *, parts: Iterable[str] = EXAM_PARTS) -> list[ExamVerdict]:
    """What may become a golden case: the prompt's standing exam verdicts that say what is right.

    Oldest first, two statements. A verdict without a correction counts where its quality is 1; others say
    only that the output was wrong and are left out, as are those whose texts retention dropped.

    Raises:
        ValueError: a part is no exam part; what teaches never examines.
    """
    wanted = tuple(parts)
    if not set(wanted) <= set(EXAM_PARTS):
        raise ValueError(f"parts: found {', '.join(wanted)}; choose from {', '.join(EXAM_PARTS)}")
    exam = Verdict.objects.of(prompt.project_id).standing().filter(prompt=prompt, part__in=wanted)
    exam = exam.filter(~Q(correction=None) | Q(quality=1.0))
    return [
        ExamVerdict(
            verdict_id=verdict.pk,
            part=verdict.part,
            input=body["input"],
            variables=body["variables"],
            input_text=texts.input_text(body["input"], body["variables"]),
            expected=verdict.correction or texts.output_text(body["output"]),
            output_id=output.pk,
            output_external_id=output.external_id,
            settled_at=verdict.settled_at,
        )
        for verdict, output, body in _with_texts(exam)
    ]


def _reviewers(queue: Queue, *, limit: int = 20) -> list[Reviewer]:
    """Who reviewed most in the queue."""
    counted = (
        Review.objects.standing()
        .filter(item__queue=queue)
        .order_by()
        .values_list("reviewer", "user__email")
        .annotate(n=Count("item", distinct=True), last_at=Max("at"))
        .order_by("-n", "reviewer")[:limit]
    )
    return [Reviewer(email or reviewer, n, last_at) for reviewer, email, n, last_at in counted]


def _with_texts(found: VerdictQuerySet) -> list[tuple[Verdict, Output, dict[str, Any]]]:
    """Each verdict, oldest first, with its output and the output's texts."""
    places = (
        ItemOutput.objects.filter(item__in=found.values("item"), position=0)
        .select_related("output")
        .annotate(body=BODY)
    )
    by_item = {place.item_id: (place.output, place.body) for place in places if place.body is not None}
    return [(verdict, *by_item[verdict.item_id]) for verdict in found.order_by("pk") if verdict.item_id in by_item]


def _shown(output: Output, body: dict[str, Any] | None) -> Shown:
    held = body or {}
    return Shown(
        id=output.pk,
        external_id=output.external_id,
        prompt=output.prompt.name if output.prompt is not None else held.get("prompt_name") or None,
        revision=output.revision.number if output.revision is not None else held.get("revision_ref") or None,
        model=output.model,
        provider=output.provider,
        environment=output.environment,
        started_at=output.started_at,
        received_at=output.received_at,
        trace_id=output.trace_id,
        session_id=output.session_id,
        tags=output.tags,
        input=held.get("input"),
        output=held.get("output"),
        error=held.get("error"),
        variables=held.get("variables"),
        metadata=held.get("metadata"),
    )
