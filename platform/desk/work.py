"""What a reviewer did, how it held, and what became of it."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone

from core import clock
from core.figures import Figure
from core.statistics import proportions
from improvement.models import Origin
from projects.access import Actor, Scope
from projects.pages import PageRequest, page
from prompts.models import PRODUCTION, Label, RevisionContext
from reviews import consensus, questions
from reviews.models import Item, ItemOutput, Review, Rubric, Verdict
from reviews.questions import Opinion
from reviews.services import withdrawals

ROWS = 30
# The agreement looks back over so many settled items, so that the page costs the same after years.
LOOKED_BACK = 500
MOST_LIVE = 20


@dataclass(frozen=True)
class Done:
    """One of my reviews and what holds about its item by now; None while nothing does.

    While the review can be taken back nothing is said of that: `open_from` is when it will be, and None afterwards.
    """

    review: Review
    said: list[tuple[str, str]]
    output: str
    verdict: Verdict | None
    agrees: bool | None
    open_from: dt.datetime | None


@dataclass(frozen=True)
class Live:
    """A correction of mine that production is told: the line of context it became, and in which revision."""

    prompt: str
    revision: int
    asked: str
    correction: str
    verdict: int


@dataclass(frozen=True)
class MyWork:
    """All that the page says of one reviewer."""

    n_today: int
    n_all: int
    agreement: Figure
    live: list[Live]
    done: list[Done]
    following: int | None


@page(GET=Scope.REVIEW)
def my_work(request: PageRequest) -> HttpResponse:
    """`my-work/?after=`: my reviews in this project, newest first, and what they led to."""
    after = _number(request.GET.get("after", ""))
    context = {
        "work": work_of(request.actor, after=after, now=clock.now()),
        "is_first": not after,
        "looked_back": LOOKED_BACK,
        "may_read": request.actor.may(Scope.READ),
    }
    return render(request, "desk/my_work.html", context)


def work_of(actor: Actor, *, after: int = 0, now: dt.datetime) -> MyWork:
    """What this reviewer did in the project: six statements, whatever the size.

    Args:
        actor: the reviewer.
        after: the list goes on below this review's id; 0 for its beginning.
        now: the day of this moment, in the present time zone, is today.
    """
    mine = Review.objects.standing().filter(reviewer=actor.identity, item__project=actor.project)
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    counted = mine.aggregate(all=Count("pk"), today=Count("pk", filter=Q(at__gte=midnight)))
    rows = _with_verdict(mine.filter(pk__lt=after) if after else mine)
    done = list(rows.order_by("-pk")[: ROWS + 1])
    final = mine.filter(at__lte=now - withdrawals.LONGEST)
    judged = list(_with_verdict(_judged_by_others(final)).order_by("-pk")[:LOOKED_BACK])
    verdicts = Verdict.objects.in_bulk({row.verdict_id for row in [*done, *judged] if row.verdict_id})
    rubrics = Rubric.objects.in_bulk({row.item.rubric_id for row in [*done, *judged]})
    return MyWork(
        n_today=counted["today"],
        n_all=counted["all"],
        agreement=_agreement([_agrees(row, verdicts, rubrics) for row in judged]),
        live=_live(actor),
        done=[_done(row, verdicts, rubrics, now) for row in done[:ROWS]],
        following=done[ROWS - 1].pk if len(done) > ROWS else None,
    )


def _done(row: Any, verdicts: dict[int, Verdict], rubrics: dict[int, Rubric], now: dt.datetime) -> Done:
    said = questions.in_words(rubrics[row.item.rubric_id].questions, row.answers)
    open_from = row.at + withdrawals.LONGEST
    if now < open_from:
        return Done(row, said, row.output, None, None, open_from)
    return Done(row, said, row.output, verdicts.get(row.verdict_id), _agrees(row, verdicts, rubrics), None)


def _with_verdict(reviews: QuerySet[Review]) -> QuerySet[Any, Any]:  # Any: reviews with `verdict_id` and `output`
    standing = Verdict.objects.filter(item=OuterRef("item"), replaced_at=None).values("pk")[:1]
    output = ItemOutput.objects.filter(item=OuterRef("item")).order_by("position").values("output__external_id")[:1]
    return reviews.select_related("item__queue").annotate(verdict_id=Subquery(standing), output=Subquery(output))


def _judged_by_others(mine: QuerySet[Review]) -> QuerySet[Review]:
    """Of settled items, those about which somebody else had a say: one's own word alone agrees with itself."""
    by_adjudicator = Q(item__verdicts__replaced_at=None, item__verdicts__settled_by=Verdict.SettledBy.ADJUDICATOR)
    return mine.filter(Q(item__n_reviews__gt=1) | by_adjudicator, item__state=Item.State.SETTLED).distinct()


def _agrees(row: Any, verdicts: dict[int, Verdict], rubrics: dict[int, Rubric]) -> bool | None:
    """Whether the review says what holds, by the rule that settles items; None while nothing holds."""
    verdict = verdicts.get(row.verdict_id)
    if verdict is None:
        return None
    opinions = [Opinion(row.answers, row.correction), Opinion(verdict.answers, verdict.correction)]
    return consensus.agree(rubrics[row.item.rubric_id].questions, opinions)


def _agreement(agreed: list[bool | None]) -> Figure:
    known = [one for one in agreed if one is not None]
    if not known:
        return Figure.undefined("no item that you and somebody else judged is settled yet", method=proportions.WILSON)
    return proportions.wilson(sum(known), len(known))


def _live(actor: Actor) -> list[Live]:
    """My corrections in the revisions that production points at, newest verdicts first; two statements."""
    serving = Label.objects.filter(prompt__project=actor.project, name=PRODUCTION, revision__isnull=False)
    served = [label.revision for label in serving.select_related("revision")]
    numbers = {revision.pk: revision.number for revision in served if revision is not None}
    mine = Review.objects.standing().filter(item=OuterRef("verdict__item"), reviewer=actor.identity)
    origins = (
        Origin.objects.filter(verdict__item__project=actor.project, item__places__revision__in=numbers)
        .annotate(mine=Subquery(mine.values("correction")[:1]), held_in=Subquery(_held_in(list(numbers))))
        .exclude(mine=None)
        .select_related("item__prompt", "verdict")
        .order_by("-verdict_id")
        .distinct()
    )
    return [
        Live(
            prompt=origin.item.prompt.name,
            revision=numbers[origin.held_in],
            asked=origin.item.input,
            correction=origin.mine,
            verdict=origin.verdict_id,
        )
        for origin in origins[: 5 * MOST_LIVE]
        if consensus.spaced(origin.mine) == consensus.spaced(origin.verdict.correction)
    ][:MOST_LIVE]


def _held_in(revisions: list[int]) -> QuerySet[Any, Any]:
    return RevisionContext.objects.filter(item=OuterRef("item"), revision__in=revisions).values("revision")[:1]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
