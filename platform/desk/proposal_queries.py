"""What the pages of proposals ask of all rooms: each answer in a fixed number of statements."""

from dataclasses import dataclass, field
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Case, Count, Exists, F, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, JSONObject

from core import worddiff
from core.figures import Figure
from core.plots import Scale
from core.worddiff import Piece
from desk import prompt_queries
from desk.prompt_queries import ContextChange, ContextPage
from evals import queries as evals
from evals import wording
from evals.models import Run
from evals.scorers import Panel
from improvement import queries as improvement
from improvement.models import Origin, Proposal
from outputs.models import OutputBody
from prompts import differences
from prompts.differences import Setting, TextDifference
from prompts.models import PRODUCTION, Label
from prompts.variables import content_text
from releases import queries as releases
from releases.models import Release
from reviews.models import ItemOutput, Review

ROWS = 50
QUOTES = 10
LONGEST_QUOTE = 600
# What is shown of a proposal that nobody decided, though its revision was released since.
RELEASED = "released"


@dataclass(frozen=True)
class Quote:
    """A verdict that a proposal learns from: what was said there, and what would have been right.

    `marked` is what was said with the words that are wrong; None where the output's texts are gone.
    """

    verdict: int
    is_replaced: bool
    by: str
    settled_by: str
    reviewers: list[str]
    output: str | None
    marked: list[Piece] | None
    correction: str


@dataclass(frozen=True)
class ScorerRow:
    """One scorer of a verdict of the gate, on the scale that all of them share."""

    name: str
    verdict: str
    difference: Figure


@dataclass(frozen=True)
class Evidence:
    """The newest gate run of what is proposed, and what it said."""

    run: Run
    verdict: str
    sentence: str
    rows: list[ScorerRow] = field(default_factory=list)
    low: float = -0.1
    high: float = 0.1


@dataclass(frozen=True)
class ProposalPage:
    """A proposal: why, what, and on what evidence.

    Attributes:
        n_verdicts: how many verdicts taught what it adds.
        standing: the active release of production.
        has_policy: whether production demands something, so that a run can be evidence.
        released: the first release of what is proposed, on any label.
    """

    proposal: Proposal
    n_verdicts: int = 0
    quotes: list[Quote] = field(default_factory=list)
    quotes_after: int | None = None
    text: TextDifference = field(default_factory=TextDifference)
    settings: list[Setting] = field(default_factory=list)
    context: ContextChange = field(default_factory=ContextChange)
    context_page: ContextPage = field(default_factory=ContextPage)
    evidence: Evidence | None = None
    standing: Release | None = None
    has_policy: bool = False
    released: Release | None = None

    @property
    def shown(self) -> str:
        """Its state, or `released` where nothing is left to decide."""
        is_settled = self.proposal.state == Proposal.State.READY and self.released is not None
        return RELEASED if is_settled else self.proposal.state


def proposal_rows(
    project_id: int, *, state: str | None = None, prompt: str | None = None, before: int = 0
) -> tuple[list[Proposal], int | None]:
    """The project's proposals, newest first, from below the id `before`, and where the next page begins.

    Each has `shown`, its state or `released`, and `gate`, what its newest run under a policy came to.
    """
    runs = Run.objects.filter(revision=OuterRef("revision"), policy__isnull=False).order_by("-pk")
    told = runs.values(told=JSONObject(run="pk", state="state", verdict="gate__verdict"))[:1]
    found = _with_shown(improvement.proposals_of(project_id)).annotate(gate=Subquery(told))
    found = found.defer("revision__messages", "revision__parameters", "base__messages", "base__parameters")
    if state is not None:
        found = found.filter(shown=state)
    if prompt is not None:
        found = found.filter(prompt__name=prompt)
    rows = list((found.filter(pk__lt=before) if before else found).order_by("-pk")[: ROWS + 1])
    return rows[:ROWS], rows[ROWS - 1].pk if len(rows) > ROWS else None


def states(project_id: int) -> dict[str, int]:
    """How many proposals are shown in each state; one statement."""
    counted = _with_shown(Proposal.objects.filter(prompt__project=project_id)).order_by().values_list("shown")
    return dict(counted.annotate(n=Count("pk")))


def _with_shown(proposals: QuerySet[Proposal]) -> Any:  # Any: a queryset of Proposal with an annotation
    released = Exists(Release.objects.filter(revision=OuterRef("revision")))
    settled = When(released, state=Proposal.State.READY, then=Value(RELEASED))
    return proposals.annotate(shown=Case(settled, default=F("state")))


def proposal_page(project_id: int, proposal_id: int, *, quotes_after: int = 0, below: int = 0) -> ProposalPage:
    """A proposal with its causes, its difference and its evidence.

    Args:
        project_id: Whose.
        proposal_id: Which.
        quotes_after: The quotes go on after this verdict.
        below: The lines of context go on below this item.

    Raises:
        Missing: there is none.
    """
    proposal = improvement.proposal(project_id, proposal_id)
    if proposal.revision is None:
        return ProposalPage(proposal)
    label = Label.objects.filter(prompt=proposal.prompt, name=PRODUCTION).first()
    quotes = _quotes(proposal, quotes_after)
    before, after = proposal.base, proposal.revision
    return ProposalPage(
        proposal=proposal,
        n_verdicts=_taught(proposal).aggregate(n=Count("verdict", distinct=True))["n"],
        quotes=quotes[:QUOTES],
        quotes_after=quotes[QUOTES - 1].verdict if len(quotes) > QUOTES else None,
        text=differences.texts([] if before is None else before.messages, after.messages),
        settings=[one for one in differences.settings(before, after) if one.kind != "same"],
        context=prompt_queries.context_change(before, after),
        context_page=prompt_queries.changed_context(before, after, below=below),
        evidence=_evidence(proposal),
        standing=releases.active_of(proposal.prompt).get(PRODUCTION),
        has_policy=label is not None and evals.policy_of_label(label) is not None,
        released=Release.objects.filter(revision=after).select_related("label").order_by("pk").first(),
    )


def _taught(proposal: Proposal) -> Any:  # Any: a queryset of Origin
    """The origins of the lines that a proposal adds."""
    added = Origin.objects.filter(item__places__revision=proposal.revision_id)
    return added if proposal.base_id is None else added.exclude(item__places__revision=proposal.base_id)


def _quotes(proposal: Proposal, after: int) -> list[Quote]:
    """The verdicts behind the lines, oldest first; one statement."""
    first = ItemOutput.objects.filter(item=OuterRef("verdict__item")).order_by("position")
    reviews = Review.objects.standing().filter(item=OuterRef("verdict__item")).order_by("pk")
    body = OutputBody.objects.filter(output_id=OuterRef("output_id"), received_on=OuterRef("output__received_on"))
    told = JSONObject(
        external_id="output__external_id", said=Subquery(body.values(found=JSONObject(output="output"))[:1])
    )
    origins = (
        _taught(proposal)
        .filter(verdict__gt=after)
        .select_related("verdict")
        .annotate(
            told=Subquery(first.values(told=told)[:1]),
            reviewers=ArraySubquery(reviews.values(name=Coalesce("user__email", "reviewer"))),
        )
    )
    return [_quote(origin) for origin in origins.order_by("verdict_id").distinct("verdict_id")[: QUOTES + 1]]


def _quote(origin: Any) -> Quote:  # Any: an Origin with its annotations
    verdict, told = origin.verdict, origin.told or {}
    said, correction = told.get("said"), (verdict.correction or "")[:LONGEST_QUOTE]
    return Quote(
        verdict=verdict.pk,
        is_replaced=verdict.replaced_at is not None,
        by=verdict.by,
        settled_by=verdict.settled_by,
        reviewers=list(dict.fromkeys(origin.reviewers)),
        output=told.get("external_id"),
        marked=None if said is None else _marked(_text_of(said.get("output"))[:LONGEST_QUOTE], correction),
        correction=correction,
    )


def _text_of(output: Any) -> str:
    """What was said, of an output that is a text or a message."""
    return content_text(output.get("content") if isinstance(output, dict) and "content" in output else output)


def _marked(said: str, correction: str) -> list[Piece]:
    """What was said, with the words that the correction has not."""
    return [piece for piece in worddiff.compare(said, correction).pieces if piece.kind != "in"]


def _evidence(proposal: Proposal) -> Evidence | None:
    """The newest run under a policy; one statement."""
    runs = Run.objects.filter(revision=proposal.revision_id, policy__isnull=False)
    run = runs.select_related("revision", "baseline__revision").order_by("-pk").first()
    if run is None:
        return None
    told = run.gate
    if told is None:
        return Evidence(run, "", "")
    rows = [
        ScorerRow(judged["scorer"], judged["verdict"], Figure.from_dict(judged["difference"]))
        for judged in told.get("scorers", ())
    ]
    scale = _scale([row.difference for row in rows])
    sentence = wording.headline(told, wording.sides(run, run.baseline), Panel(run.scorers).scorers)
    return Evidence(run, told["verdict"], sentence, rows, scale.low, scale.high)


def _scale(figures: list[Figure]) -> Scale:
    """One scale for all rows, with zero in its middle."""
    ends = [abs(end) for one in figures for end in (one.value, one.low, one.high) if end is not None]
    reach = max([0.02, *ends]) * 1.15
    return Scale(-reach, reach, 0, 1)
