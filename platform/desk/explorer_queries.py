"""What the explorer and the page of one output ask of all rooms."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection
from django.db.models import F, FilteredRelation, Q

from core import markup
from desk.models import SavedFilter
from desk.trace_queries import DrawnTrace, answer_of, drawn_trace, without_judgements
from evals.models import GoldenCase
from outputs import filters, queries
from outputs.models import Feedback, Output, OutputBody
from outputs.queries import Count, Line, Opinion, Selection
from projects.access import Actor, Scope
from prompts.models import Prompt
from reviews import findings, readings, texts
from reviews.models import Item, ItemOutput, Match, Queue, Review, Verdict
from reviews.readings import Passage, Reading, Turn

FIELDS = (*filters.FIELDS, findings.NAME)
# The newest outputs say which models and environments there are to choose from.
MOST_RECENT = 1_000


@dataclass(frozen=True)
class Judged:
    """The newest item of an output: its state, and what stands about it."""

    state: str
    queue: str
    verdict_id: int | None
    quality: float | None
    is_corrected: bool


@dataclass(frozen=True)
class Row:
    """One line of the explorer."""

    output: Output
    line: Line
    opinion: Opinion
    judged: Judged | None

    @property
    def first_line(self) -> str:
        """What was asked, in one line."""
        return " ".join(self.line.input.split())[:200]

    @property
    def failure(self) -> str:
        """What went wrong, in few words."""
        return " ".join(self.line.error.split())[:60] or "Error"


@dataclass(frozen=True)
class Listed:
    """A page of the explorer."""

    rows: list[Row]
    next: int | None = None
    looked_back_to: dt.datetime | None = None


@dataclass(frozen=True)
class Choices:
    """What a filter may be chosen from."""

    prompts: list[str]
    models: list[str]
    environments: list[str]
    queues: list[str]
    saved: list[SavedFilter]


def selection(actor: Actor, given: Mapping[str, str], *, now: dt.datetime) -> Selection:
    """The outputs that `given` asks for, by the names of `FIELDS`.

    Raises:
        Invalid: naming each field that cannot be understood.
    """
    wanted = filters.read(given, now=now)
    verdict = findings.read(given[findings.NAME]) if findings.NAME in given else None
    found = queries.selected(actor.project.pk, wanted)
    return found if verdict is None else findings.judged(actor.project.pk, found, verdict)


def listed(actor: Actor, found: Selection, *, below: int | None, limit: int, score: str | None = None) -> Listed:
    """A page of outputs with the beginnings of their texts and what was found about them: five statements at most."""
    page = queries.newest(actor.project.pk, found, below=below, limit=limit)
    return Listed(_rows(actor, page.outputs, score=score), page.next, page.looked_back_to)


def _rows(actor: Actor, outputs: Sequence[Output], *, score: str | None = None) -> list[Row]:
    """The outputs as lines of the list: three statements, or none where there is no output."""
    if not outputs:
        return []
    lines = queries.lines(outputs)
    opinions = queries.opinions(actor.project.pk, outputs, score=score)
    judged = _judged(outputs)
    return [
        Row(
            output,
            lines.get(output.pk, Line("", "", "")),
            opinions.get(output.external_id, Opinion()),
            judged.get(output.pk),
        )
        for output in outputs
    ]


# Outputs that arrive at the same time become visible in any order: those that are so old stand.
SETTLED_AFTER = dt.timedelta(seconds=1)
MOST_NEWER, MOST_COUNTED = 50, 10_000


@dataclass(frozen=True)
class Newer:
    """What arrived since the list was looked at: the newest of `n`, and up to where everything is known now."""

    rows: list[Row]
    n: int
    upto: int


def settled(actor: Actor, *, now: dt.datetime) -> int:
    """The newest output of the project that no older one can come before any more; 0 where there is none."""
    rows = Output.objects.of(actor.project.pk).filter(received_at__lte=now - SETTLED_AFTER)
    return rows.order_by("-pk").values_list("pk", flat=True).first() or 0


def newer(actor: Actor, found: Selection, *, above: int, now: dt.datetime) -> Newer:
    """The selected outputs above this one that have settled, newest first, with what was found: six statements."""
    upto = max(above, settled(actor, now=now))
    rows = found.rows.filter(pk__gt=above, pk__lte=upto)
    n = rows.order_by().values("pk")[:MOST_COUNTED].count()
    outputs = list(rows.order_by("-pk")[:MOST_NEWER]) if n else []
    return Newer(_rows(actor, outputs), n, upto)


def count(actor: Actor, found: Selection) -> Count:
    """How many are selected, as far as it is cheap to know."""
    return queries.counted(actor.project.pk, found)


def choices(actor: Actor) -> Choices:
    """What the project offers to filter by and to send outputs to: four statements."""
    project_id = actor.project.pk
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(DISTINCT model), array_agg(DISTINCT environment) FROM ("
            "  SELECT model, environment FROM outputs_output WHERE project_id = %s ORDER BY id DESC LIMIT %s"
            ") AS recent",
            [project_id, MOST_RECENT],
        )
        models, environments = cursor.fetchone()
    return Choices(
        prompts=list(Prompt.objects.of(project_id).order_by("name").values_list("name", flat=True)),
        models=list(filter(None, models or ())),
        environments=list(filter(None, environments or ())),
        queues=list(Queue.objects.of(project_id).order_by("name").values_list("name", flat=True)),
        saved=list(SavedFilter.objects.seen_by(actor.user, project_id).order_by("name").select_related("user")),
    )


def has_outputs(actor: Actor) -> bool:
    """Whether the project has any output at all."""
    return Output.objects.of(actor.project.pk).exists()


def _judged(outputs: Iterable[Output]) -> dict[int, Judged]:
    """The newest item of each output, those with a verdict first."""
    standing = FilteredRelation("item__verdicts", condition=Q(item__verdicts__replaced_at=None))
    rows = (
        ItemOutput.objects.filter(output__in=[output.pk for output in outputs])
        .annotate(standing=standing)
        .order_by("output_id", F("standing__pk").desc(nulls_last=True), "-item_id")
        .distinct("output_id")
        .values_list(
            "output_id",
            "item__state",
            "item__queue__name",
            "standing__pk",
            "standing__quality",
            "standing__correction",
        )
    )
    return {
        output_id: Judged(state, queue, verdict_id, quality, correction is not None)
        for output_id, state, queue, verdict_id, quality, correction in rows
    }


@dataclass(frozen=True)
class Pick:
    """One item this output is part of, with the reviews that may be seen and the verdict that stands."""

    item: Item
    reviews: list[Review]
    verdict: Verdict | None
    match: Match | None = None

    @property
    def is_open(self) -> bool:
        """Not settled: reviews stay hidden, so that nobody who still judges has read them here."""
        return self.item.state != Item.State.SETTLED


@dataclass(frozen=True)
class OutputPage:
    """All that is known about one output; while `to_judge` is one of its items, nothing that anybody found about it."""

    output: Output
    body: OutputBody | None
    asked: list[Turn]
    asked_raw: str
    said: list[Turn]
    context: list[Passage]
    answer: Reading | None
    answer_text: str
    answer_raw: str
    feedback: list[Feedback]
    scores: list[Feedback]
    trace: DrawnTrace | None
    picks: list[Pick]
    passed_over: list[Match]
    cases: list[GoldenCase]
    to_judge: Item | None = None

    @property
    def is_uncaptured(self) -> bool:
        """Whether its texts never came: who sends it records how long it took and what it cost, and no content."""
        body = self.body
        return body is not None and body.input is None and body.output is None and body.error is None

    @property
    def title(self) -> str:
        """The beginning of what was asked, else its id."""
        last = next((turn.text for turn in reversed(self.asked) if turn.text and not turn.is_code), "")
        return " ".join(last.split())[:90] or self.output.external_id

    @property
    def price(self) -> str:
        """What it cost, to the last digit that was sent; nothing where that is not known."""
        return "" if self.output.cost_usd is None else f"${self.output.cost_usd.normalize():f}"


def output_page(actor: Actor, external_id: str) -> OutputPage:
    """One output with its trace and all that people and machines found about it: ten statements at most.

    Scores, feedback, verdicts, reviews and the cases made of them are left out for a reader who has yet to judge an
    open item of the output, here and beside the list. The rows of the list keep their marks: they say one word of many
    outputs, and whoever looks there for an item at hand has looked for it.

    Raises:
        Missing: the project has no such output.
    """
    project_id = actor.project.pk
    whole = queries.whole(project_id, external_id)
    output, body = whole.output, whole.body
    picks, passed_over = _picks(output)
    to_judge = _to_judge(actor, [pick.item for pick in picks])
    if to_judge is not None:
        whole = replace(whole, feedback=[])
        picks = [replace(pick, reviews=[], verdict=None) for pick in picks]
    verdicts = [pick.verdict.pk for pick in picks if pick.verdict is not None]
    trace = drawn_trace(project_id, output.trace_id, here=output)
    cases = GoldenCase.objects.filter(verdict__in=verdicts).select_related("golden_set").order_by("pk")
    return OutputPage(
        output=output,
        body=body,
        asked=[] if body is None else readings.thread_of(body.input),
        asked_raw="" if body is None else raw(body.input),
        said=[] if body is None else answer_of(body.output),
        context=[] if body is None else readings.passages_of(body.metadata),
        answer=None if body is None or body.output is None else readings.reading_of(body.output),
        answer_text="" if body is None else texts.output_text(body.output),
        answer_raw="" if body is None else raw(body.output),
        feedback=[one for one in whole.feedback if one.kind != Feedback.Kind.SCORE],
        scores=[one for one in whole.feedback if one.kind == Feedback.Kind.SCORE],
        trace=trace if trace is None or to_judge is None else without_judgements(trace),
        picks=picks,
        passed_over=passed_over,
        cases=list(cases),
        to_judge=to_judge,
    )


def raw(value: Any) -> str:
    """What was sent, as it was sent: a text to the letter, anything else as JSON."""
    return value if isinstance(value, str) else "" if value is None else markup.pretty(value)


def _to_judge(actor: Actor, items: list[Item]) -> Item | None:
    """The first open item that this reader has on the desk or may still review; one statement where there may be one.

    An item that was skipped may be taken again, so it counts.
    """
    open_items = [item for item in items if item.state == Item.State.OPEN]
    if not open_items or not actor.may(Scope.REVIEW):
        return None
    mine = Review.objects.standing().filter(item__in=open_items, reviewer=actor.identity)
    judged = set(mine.values_list("item_id", flat=True))
    return next((item for item in open_items if item.pk not in judged), None)


def _picks(output: Output) -> tuple[list[Pick], list[Match]]:
    """The items of the output, oldest first, and the rules that covered it without drawing it."""
    matches = list(Match.objects.filter(output=output).select_related("rule__queue").order_by("pk"))
    items = list(
        Item.objects.filter(item_outputs__output=output).select_related("queue", "rubric").order_by("pk").distinct()
    )
    verdicts = {one.item_id: one for one in Verdict.objects.filter(item__in=items).standing()}
    reviews: dict[int, dict[str, Review]] = {}
    settled = [item for item in items if item.state == Item.State.SETTLED]
    for review in Review.objects.standing().filter(item__in=settled).select_related("user").order_by("pk"):
        reviews.setdefault(review.item_id, {})[review.reviewer] = review
    drawn = {match.rule.queue_id: match for match in matches if match.drawn}
    picks = [
        Pick(item, list(reviews.get(item.pk, {}).values()), verdicts.get(item.pk), drawn.get(item.queue_id))
        for item in items
    ]
    return picks, [match for match in matches if not match.drawn]


def bodies_of(outputs: Sequence[Output]) -> dict[int, OutputBody]:
    """The texts of these outputs, whole, for an export."""
    return queries.bodies(outputs)
