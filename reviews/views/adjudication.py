"""The adjudicator's page: what reviewers said of one disputed item, side by side, and the word that settles it."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse

from core import clock
from core.problems import FieldError, Invalid, Problem
from projects.access import Actor, Scope
from projects.pages import PageRequest, page
from reviews import consensus, forms, queries, readings
from reviews.models import Item, Queue, Review
from reviews.queries import Dispute
from reviews.questions import LONGEST_TEXT, Opinion, Question
from reviews.services import adjudication
from reviews.services.adjudication import NotAnAdjudicator, NotDisputed

# The choices of where the correction comes from, beside the id of a review.
NONE, OWN = "none", "own"


@dataclass(frozen=True)
class Voice:
    """One reviewer's word: who, and the review."""

    name: str
    is_me: bool
    review: Review


@dataclass(frozen=True)
class Line:
    """One question over all reviews: what each answered, whether they differ, and what is chosen now."""

    question: Question
    answers: list[Any]
    is_disputed: bool
    chosen: Any


@page(GET=Scope.REVIEW, POST=Scope.REVIEW)
def adjudicate(request: PageRequest, name: str) -> HttpResponse:
    """`queues/<name>/adjudicate/?after=`: the oldest dispute, what everybody said, and the form that settles it."""
    queue = queries.queue_named(request.actor.project.pk, name)
    if request.method == "POST":
        return _settle(request, queue)
    if not adjudication.may_adjudicate(queue, request.actor):
        return _not_yours(request, queue)
    found = queries.dispute(queue, after=_number(request.GET.get("after", "")))
    return _shown(request, queue, found)


def _settle(request: PageRequest, queue: Queue) -> HttpResponse:
    item_id = _number(request.POST.get("item", ""))
    found = queries.disputed_once(queue, item_id)
    if found is None:
        return _settled_meanwhile(request, queue, None)
    if not adjudication.may_adjudicate(queue, request.actor):
        raise NotAnAdjudicator
    try:
        rationale = _rationale(request.POST)
        adjudication.adjudicate(
            item_id=item_id,
            answers=forms.answers_of(found.task.rubric.questions, request.POST),
            correction=_correction(found, request.POST),
            rationale=rationale,
            by=request.actor,
            now=clock.now(),
            only_disputed=True,
        )
    except NotDisputed:
        return _settled_meanwhile(request, queue, found)
    except Invalid as problem:
        if found.task.item.state != Item.State.DISPUTED:
            return _settled_meanwhile(request, queue, found)
        return _shown(request, queue, found, problem)
    messages.success(request, f"Item {item_id} is settled.")
    return HttpResponseRedirect(_url(request, queue, after=item_id if found.following else 0))


def _shown(request: PageRequest, queue: Queue, found: Dispute | None, problem: Problem | None = None) -> HttpResponse:
    context: dict[str, Any] = {"queue": queue, "found": found, "problem": problem}
    if found is not None:
        context |= _context(request, found, request.POST if problem is not None else None)
        context["skip"] = _skip(request, queue, found)
    return render(request, "reviews/adjudicate.html", context, status=200 if problem is None else 422)


def _context(request: PageRequest, found: Dispute, sent: QueryDict | None) -> dict[str, Any]:
    voices = [_voice(review, request.actor) for review in found.reviews]
    lines = _lines(found, sent)
    corrections = _corrections(voices)
    shown = found.task.outputs[0]
    return {
        "voices": voices,
        "lines": sorted(lines, key=lambda line: not line.is_disputed),
        "form_lines": lines,
        "corrections": corrections,
        "are_corrections_disputed": len({consensus.spaced(voice.review.correction) for voice in voices}) > 1,
        "shown": shown,
        "thread": readings.thread_of(shown.input, shown.variables),
        "passages": readings.passages_of(shown.metadata),
        "reading": readings.reading_of(shown.output),
        "chosen_correction": sent.get("correction_from", "") if sent is not None else _agreed_correction(corrections),
        "own_correction": sent.get("own_correction", "") if sent is not None else "",
        "rationale": sent.get("rationale", "") if sent is not None else "",
    }


def _lines(found: Dispute, sent: QueryDict | None) -> list[Line]:
    """Every question but that of the correction, in the rubric's order; where all agree, their answer is chosen."""
    typed = None if sent is None else forms.answers_of(found.task.rubric.questions, sent)
    lines = []
    for question in forms.shown(found.task.rubric.questions):
        if question["type"] == "correction":
            continue
        answers = [review.answers.get(question["key"]) for review in found.reviews]
        opinions = [Opinion(review.answers) for review in found.reviews]
        are_one = question["key"] in consensus.joint(opinions).answers or all(answer is None for answer in answers)
        chosen = typed.get(question["key"]) if typed is not None else answers[0] if are_one and answers else None
        lines.append(Line(question, answers, not are_one, chosen))
    return lines


def _corrections(voices: list[Voice]) -> list[Voice]:
    """The corrections that were written, each once, with the first who wrote it."""
    found: dict[str | None, Voice] = {}
    for voice in voices:
        if voice.review.correction is not None:
            found.setdefault(consensus.spaced(voice.review.correction), voice)
    return list(found.values())


def _agreed_correction(corrections: list[Voice]) -> str:
    """What is chosen before anybody chose: nothing where there is something to choose from."""
    return "" if corrections else NONE


def _correction(found: Dispute, sent: QueryDict) -> str | None:
    chosen = sent.get("correction_from", "")
    if chosen in ("", NONE):
        if chosen == "" and any(review.correction is not None for review in found.reviews):
            raise Invalid(
                FieldError("correction", "is not chosen; take one of them, write your own, or say that none is right")
            )
        return None
    if chosen == OWN:
        text = "\n".join(sent.get("own_correction", "").splitlines())
        if not text.strip():
            raise Invalid(FieldError("correction", "says nothing; write it, or choose another way"))
        return text[: LONGEST_TEXT + 1]
    for review in found.reviews:
        if str(review.pk) == chosen:
            return review.correction
    raise Invalid(FieldError("correction", "is that of a review which is not here; choose again"))


def _rationale(sent: QueryDict) -> str:
    rationale = "\n".join(sent.get("rationale", "").splitlines()).strip()
    if not rationale:
        raise Invalid(FieldError("rationale", "says nothing; write why this verdict holds"))
    return rationale


def _skip(request: PageRequest, queue: Queue, found: Dispute) -> str:
    """To the next dispute, from the last one back to the first; empty where there is but one."""
    if found.n_disputed < 2:
        return ""
    return _url(request, queue, after=found.task.item.pk if found.following else 0)


def _settled_meanwhile(request: PageRequest, queue: Queue, late: Dispute | None) -> HttpResponse:
    """The item is no dispute any more: said so, with all that was typed to keep, and the way on.

    No review is shown: the item may be open again, and whoever reads this one of those who judge it.
    """
    context = {
        "queue": queue,
        "found": None,
        "is_late": True,
        "is_open": late is not None and late.task.item.state == Item.State.OPEN,
        "kept": _kept(late, request.POST),
    }
    return render(request, "reviews/adjudicate.html", context, status=409)


def _kept(late: Dispute | None, sent: QueryDict) -> list[tuple[str, str]]:
    """All that was typed, each with what it answered: questions, the correction, the rationale."""
    asked = [] if late is None else [one for one in late.task.rubric.questions if one["type"] != "correction"]
    typed = [(one["text"] or one["key"], ", ".join(sent.getlist(f"answer-{one['key']}"))) for one in asked]
    typed += [("Your own correction", sent.get("own_correction", ""))]
    typed += [("Why this holds", sent.get("rationale", ""))]
    return [(words, text) for words, text in typed if text.strip()]


def _not_yours(request: PageRequest, queue: Queue) -> HttpResponse:
    """Who may settle here, for whoever may not."""
    people = sorted(queue.adjudicators.values_list("email", flat=True))
    return render(request, "reviews/adjudicate.html", {"queue": queue, "is_not_yours": True, "people": people})


def _voice(review: Review, actor: Actor) -> Voice:
    name = review.user.email if review.user is not None else review.reviewer
    return Voice(name, review.reviewer == actor.identity, review)


def _url(request: PageRequest, queue: Queue, *, after: int) -> str:
    url = reverse("reviews:adjudicate", args=[request.actor.project.slug, queue.name])
    return f"{url}?after={after}" if after else url


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 19 else 0
