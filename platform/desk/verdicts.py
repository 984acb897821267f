"""One verdict: what was settled and by whom, the reviews and the output behind it, and where it went from there."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch
from django.http import HttpResponse
from django.shortcuts import render

from core.problems import Missing
from evals.models import GoldenCase
from improvement.models import Origin, Proposal
from projects.access import Scope
from projects.pages import PageRequest, page
from prompts.models import ContextItem, Label, RevisionContext
from reviews import queries, questions, texts
from reviews.models import Item, Part, Review, Verdict
from reviews.queries import Shown
from reviews.questions import Question

# Where a verdict goes by its part, in words for whoever wonders why.
PARTS = {
    Part.GATE: "it may become an exam case that decides gates, and never enters a context.",
    Part.DEV: "it may become an exam case that serves search alone, and never enters a context.",
    Part.TEACH: "it may enter a context, and is never an exam case.",
}
# So many revisions that hold a line are named; a line that stays is in every later one.
MOST_REVISIONS = 20


@dataclass(frozen=True)
class Answer:
    """One answer beside its question."""

    question: Question
    answer: str | None


@dataclass(frozen=True)
class Word:
    """One review of a settled item, with its answers as texts."""

    review: Review
    said: list[tuple[str, str]]


@dataclass(frozen=True)
class Taught:
    """A context item that came from the verdict, the newest revisions that hold it and the labels that serve it."""

    item: ContextItem
    revisions: list[int]
    n_revisions: int
    labels: list[Label]


@dataclass(frozen=True)
class VerdictPage:
    """A verdict with everything before and after it; of an item that is not settled no review, and while it is open
    nothing of what the verdict says either: people judge it anew.
    """

    verdict: Verdict
    answers: list[Answer]
    reviews: list[Word]
    output: Shown
    others: list[Verdict]
    cases: list[GoldenCase]
    taught: list[Taught]
    proposals: list[Proposal]

    @property
    def said(self) -> str:
        """The text of the output, which the correction is held against."""
        return texts.output_text(self.output.output)

    @property
    def asked(self) -> str:
        return texts.input_text(self.output.input, self.output.variables)

    @property
    def standing(self) -> Verdict | None:
        """The verdict that replaced this one, where one did."""
        return next((other for other in self.others if other.replaced_at is None), None)

    @property
    def is_settled(self) -> bool:
        """Whether the item is: only then its reviews are shown."""
        return self.verdict.item.state == Item.State.SETTLED

    @property
    def is_open(self) -> bool:
        """Whether people judge the item again."""
        return self.verdict.item.state == Item.State.OPEN

    @property
    def quality(self) -> str:
        """The quality in as many digits as it has, at most three."""
        return f"{self.verdict.quality:.3g}"

    @property
    def part_words(self) -> str:
        return PARTS[Part(self.verdict.part)]


@page(GET=Scope.READ)
def verdict_detail(request: PageRequest, verdict_id: int) -> HttpResponse:
    """`verdicts/<id>/`: one verdict."""
    return render(request, "desk/verdict_detail.html", {"found": verdict_page(request.actor.project.pk, verdict_id)})


def verdict_page(project_id: int, verdict_id: int) -> VerdictPage:
    """The project's verdict with what came before and after it: nine statements at most.

    Raises:
        Missing: there is no such verdict.
    """
    known = Verdict.objects.of(project_id).select_related("item__queue", "item__rubric", "prompt")
    verdict = known.filter(pk=verdict_id).first()
    if verdict is None:
        raise Missing("verdict")
    item = verdict.item
    return VerdictPage(
        verdict=verdict,
        answers=[] if item.state == Item.State.OPEN else _answers(item.rubric.questions, verdict.answers),
        reviews=_words(item) if item.state == Item.State.SETTLED else [],
        output=queries.task_of(item.pk).outputs[0],
        others=list(item.verdicts.exclude(pk=verdict.pk).order_by("pk")),
        cases=list(verdict.golden_cases.select_related("golden_set").order_by("pk")),
        taught=_taught(verdict),
        proposals=list(
            Proposal.objects.filter(revision__places__item__origins__verdict=verdict)
            .select_related("prompt", "revision")
            .order_by("-pk")
            .distinct()[:MOST_REVISIONS]
        ),
    )


def _words(item: Item) -> list[Word]:
    """What everybody said of the item, also what was taken back."""
    reviews = Review.objects.filter(item=item).select_related("user").order_by("pk")
    return [Word(review, questions.in_words(item.rubric.questions, review.answers)) for review in reviews]


def _answers(asked: list[Question], answers: dict[str, Any]) -> list[Answer]:
    said = dict(questions.in_words(asked, answers))
    return [Answer(question, said.get(question["key"])) for question in asked if question["type"] != "correction"]


def _taught(verdict: Verdict) -> list[Taught]:
    """Three statements: the lines, the revisions that hold them, the labels that point at such a revision."""
    origins = Origin.objects.filter(verdict=verdict).select_related("item").order_by("pk")
    places = (
        RevisionContext.objects.select_related("revision").defer("revision__messages").order_by("-revision__number")
    )
    lines = [origin.item for origin in origins.prefetch_related(Prefetch("item__places", places, to_attr="held_in"))]
    labels = Label.objects.filter(revision__places__item__origins__verdict=verdict).distinct().order_by("name")
    serving = list(labels)
    return [_line(line, serving) for line in lines]


def _line(line: Any, serving: list[Label]) -> Taught:  # Any: a ContextItem with `held_in`, which Prefetch set
    held = {place.revision_id: place.revision.number for place in line.held_in}
    return Taught(
        item=line,
        revisions=list(held.values())[:MOST_REVISIONS],
        n_revisions=len(held),
        labels=[label for label in serving if label.revision_id in held],
    )
