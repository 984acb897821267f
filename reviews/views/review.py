"""The reviewer's pages: which queues wait, and one item at a time until none is left."""

import contextlib
import datetime as dt
import urllib.parse
import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from core import clock
from core.problems import Conflict, FieldError, Invalid, Problem
from projects.access import Scope
from projects.pages import PageRequest, page
from reviews import answersheet, desk_queries, forms, queries, readings
from reviews.desk_queries import Desk, Rail
from reviews.questions import LONGEST_TEXT
from reviews.services import assignment, drafts, withdrawals
from reviews.services.assignment import HandedIn
from reviews.services.drafts import Typed

LONGEST_REASON = 2_000


@page(GET=Scope.REVIEW)
def review_home(request: PageRequest) -> HttpResponse:
    """`review/?here=`: the queues that wait for me, what I have done today, and the way in.

    For htmx the queues alone, as the menu beside an item of the queue `here`.
    """
    now = clock.now()
    queues = desk_queries.waiting(request.actor, now=now, today=_today(now))
    if request.htmx:
        return render(
            request, "reviews/review_item.html#queues", {"queues": queues, "here": request.GET.get("here", "")}
        )
    emptied = request.GET.get("emptied", "")
    context = {
        "queues": queues,
        "emptied": next((queue for queue in queues if queue.name == emptied), None),
        "following": next((queue for queue in queues if queue.n_waiting and queue.name != emptied), None),
        "n_done": sum(queue.n_done for queue in queues),
        "may_see_queues": request.actor.may(Scope.READ),
        "may_make": request.actor.may(Scope.EVALUATE),
    }
    return render(request, "reviews/review_home.html", context)


@page(POST=Scope.REVIEW)
def review_next(request: PageRequest, queue: str) -> HttpResponse:
    """`review/<queue>/next/`: the item that is mine now; what was typed about the item `from` is kept."""
    left = _number(request.POST.get("from", ""))
    if left is not None:
        refused = _keep(request, desk_queries.desk(queue_name=queue, item_id=left, by=request.actor, now=clock.now()))
        if refused is not None:
            return refused
    return redirect(_following(request, queue))


@page(GET=Scope.REVIEW)
def review_item(request: PageRequest, queue: str, item: int) -> HttpResponse:
    """`review/<queue>/<item>/`: the item on my desk; else why it is not, and the way on."""
    desk = desk_queries.desk(queue_name=queue, item_id=item, by=request.actor, now=clock.now())
    return _page(request, desk, _drafted(desk))


@page(POST=Scope.REVIEW)
def review_submit(request: PageRequest, queue: str, item: int) -> HttpResponse:
    """`…/submit/`: hand in, and on to the next item; what is refused stays as it was typed."""
    desk = desk_queries.desk(queue_name=queue, item_id=item, by=request.actor, now=clock.now())
    questions = desk.task.rubric.questions
    typed = answersheet.typed_of(questions, request.POST)
    try:
        _hand_in(request, desk, typed)
    except Problem as problem:
        if problem.status not in (400, 409, 422):
            raise
        # The words stand on the page and are kept besides, so that closing it loses nothing.
        if typed.says_something and desk.review is None:
            with contextlib.suppress(Invalid):
                drafts.save_draft(item_id=item, typed=_fitting(typed), by=request.actor, now=clock.now())
        desk = desk_queries.desk(queue_name=queue, item_id=item, by=request.actor, now=clock.now())
        return _page(request, desk, typed, problem)
    following = _following(request, queue, after=item)
    return _moved(request, queue, item, following) if request.htmx else redirect(following)


@page(POST=Scope.REVIEW)
def review_skip(request: PageRequest, queue: str, item: int) -> HttpResponse:
    """`…/skip/`: pass over the item for good, with a reason, and on to the next; the script is told where that is."""
    desk_queries.desk(queue_name=queue, item_id=item, by=request.actor, now=clock.now())
    reason = request.POST.get("reason", "").replace("\x00", "").strip()
    if not reason:
        messages.warning(request, "Say why you skip this item; whoever looks after the queue reads it.")
        return _not_skipped(request, queue, item)
    try:
        assignment.skip(item_id=item, reason=reason[:LONGEST_REASON], by=request.actor, now=clock.now())
    except Conflict as problem:
        messages.warning(request, problem.detail)
        return _not_skipped(request, queue, item)
    messages.success(request, f"Item {item:,} is skipped: {reason[:80]}")
    following = _following(request, queue)
    return HttpResponse(status=204, headers={"HX-Redirect": following}) if request.htmx else redirect(following)


@page(POST=Scope.REVIEW)
def review_release(request: PageRequest, queue: str, item: int) -> HttpResponse:
    """`…/release/`: put the item back; what was typed stays a draft."""
    desk = desk_queries.desk(queue_name=queue, item_id=item, by=request.actor, now=clock.now())
    refused = _keep(request, desk)
    if refused is not None:
        return refused
    assignment.release(item_id=item, by=request.actor)
    messages.success(request, f"Item {item:,} is back in the queue. What you typed about it is kept for you.")
    return redirect("reviews:review-home", request.actor.project.slug)


@page(POST=Scope.REVIEW)
def review_take(request: PageRequest, queue: str, item: int) -> HttpResponse:
    """`…/take/`: this item is on my desk, where it has a place for me; what was typed stays a draft."""
    desk = desk_queries.desk(queue_name=queue, item_id=item, by=request.actor, now=clock.now())
    refused = _keep(request, desk)
    if refused is not None:
        return refused
    try:
        assignment.claim_item(item_id=item, by=request.actor, now=clock.now())
    except Conflict as problem:
        return _told(request, queue, item, problem)
    return _to_item(request, queue, item)


@page(POST=Scope.REVIEW)
def review_draft(request: PageRequest, queue: str, item: int) -> HttpResponse:
    """`…/draft/`: what was typed is kept; what is refused stays on the page as it was typed."""
    now = clock.now()
    desk = desk_queries.desk(queue_name=queue, item_id=item, by=request.actor, now=now)
    typed = answersheet.typed_of(desk.task.rubric.questions, request.POST)
    try:
        is_saved = drafts.save_draft(item_id=item, typed=typed, by=request.actor, now=now)
    except Invalid as problem:
        return _page(request, desk, typed, problem, is_draft=True)
    if not request.htmx:
        return _to_item(request, queue, item)
    context = {
        "saved_at": now if is_saved else None,
        "correction": typed.correction,
        "said": readings.reading_of(desk.task.outputs[0].output).text,
    }
    return render(request, "reviews/review_item.html#drafted", context)


@page(POST=Scope.REVIEW)
def review_heartbeat(request: PageRequest, queue: str, item: int) -> HttpResponse:
    """`…/heartbeat/`: I am still at it; the lease goes on from here."""
    now = clock.now()
    desk = desk_queries.desk(queue_name=queue, item_id=item, by=request.actor, now=now)
    if not request.htmx:
        assignment.renew(item_id=item, by=request.actor, now=now)
        return _to_item(request, queue, item)
    until = assignment.renew(item_id=item, by=request.actor, now=now)
    return render(request, "reviews/review_item.html#lease", _lease(desk, until, now))


@page(POST=Scope.REVIEW)
def review_ahead(request: PageRequest, queue: str) -> HttpResponse:
    """`review/<queue>/ahead/`: the item after this one, shown before its turn; 204 where there is none, or no other.

    `here` is the item on the page, `have` the one that it holds already.
    """
    now, here = clock.now(), _number(request.POST.get("here", ""))
    found = assignment.fetch_ahead(queue_name=queue, here=here, by=request.actor, now=now)
    if found is None or request.POST.get("have") == str(found):
        return HttpResponse(status=204, headers={"Ratchet-Item": str(found or "")})
    desk = desk_queries.desk(queue_name=queue, item_id=found, by=request.actor, now=now)
    context = {**_work(request, desk, _drafted(desk), None), "standing": "held", "is_away": False}
    answer = render(request, "reviews/review_item.html#work", context)
    answer["Ratchet-Item"] = str(found)
    return answer


@page(POST=Scope.REVIEW)
def review_undo(request: PageRequest, queue: str) -> HttpResponse:
    """`review/<queue>/undo/`: back to what I submitted about `item`, as long as nothing was built on it.

    What cannot be taken back is said on the page of the item `here`.
    """
    number, here = _number(request.POST.get("item", "")), _number(request.POST.get("here", ""))
    if number is None:
        queries.queue_named(request.actor.project.pk, queue)
        messages.warning(request, "Say which item you want back: open it from the list of what you have done.")
        return redirect("reviews:review-home", request.actor.project.slug)
    try:
        item = withdrawals.withdraw(queue_name=queue, item_id=number, by=request.actor, now=clock.now())
    except Conflict as problem:
        return _told(request, queue, number if here is None else here, problem)
    messages.info(request, f"Item {item.pk:,} is yours again, as you had answered it. Nothing counts until you submit.")
    return _to_item(request, queue, item.pk)


def _not_skipped(request: PageRequest, queue: str, item: int) -> HttpResponse:
    """Back to the item; the script hears by the status that what was typed is not to be given up."""
    back = _to_item(request, queue, item)
    return HttpResponse(status=409, headers={"HX-Redirect": back.url}) if request.htmx else back


def _hand_in(request: PageRequest, desk: Desk, typed: Typed) -> None:
    questions = desk.task.rubric.questions
    lease = request.POST.get("lease", "")
    version = request.POST.get("rubric_version", "")
    if len(typed.comment) > LONGEST_TEXT:
        raise Invalid(FieldError("comment", f"has {len(typed.comment):,} characters; shorten it to {LONGEST_TEXT:,}"))
    if len(typed.correction) > LONGEST_TEXT:
        raise Invalid(FieldError("correction", f"has {len(typed.correction):,} characters; at most {LONGEST_TEXT:,}"))
    assignment.submit_review(
        item_id=desk.task.item.pk,
        lease=_uuid(lease),
        handed_in=HandedIn(
            rubric_version=int(version) if version.isascii() and version.isdigit() and len(version) < 9 else 0,
            answers=forms.answers_of(questions, request.POST),
            correction=typed.correction or None,
            tags=answersheet.tags_of(typed.tags),
            comment=typed.comment,
        ),
        by=request.actor,
        now=clock.now(),
    )


def _keep(request: PageRequest, desk: Desk) -> HttpResponse | None:
    """The form that came along is the draft; what does not fit comes back as the page to be shown instead."""
    if "rubric_version" not in request.POST:
        return None
    typed = answersheet.typed_of(desk.task.rubric.questions, request.POST)
    if not typed.says_something and desk.draft is None:
        return None
    try:
        drafts.save_draft(item_id=desk.task.item.pk, typed=typed, by=request.actor, now=clock.now())
    except Invalid as problem:
        return _page(request, desk, typed, problem, is_draft=True)
    return None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.UUID(int=0)


def _fitting(typed: Typed) -> Typed:
    """As much of it as a draft keeps."""
    return Typed(
        typed.answers, typed.correction[:LONGEST_TEXT], typed.comment[:LONGEST_TEXT], typed.tags[:LONGEST_TEXT]
    )


def _following(request: PageRequest, queue: str, *, after: int | None = None) -> str:
    """The address of the next item, which is mine from now on; where there is none, that of the queues."""
    assigned = assignment.claim_next(queue_name=queue, by=request.actor, now=clock.now())
    slug = request.actor.project.slug
    if assigned is None:
        url, said = reverse("reviews:review-home", args=[slug]), {"emptied": queue}
    else:
        url, said = reverse("reviews:review-item", args=[slug, queue, assigned.task.item.pk]), {}
    said |= {} if after is None else {"after": str(after)}
    return f"{url}?{urllib.parse.urlencode(said)}" if said else url


def _moved(request: PageRequest, queue: str, item: int, following: str) -> HttpResponse:
    """For the script: what changed beside the item, and the next item unless the page shows it already."""
    path = urllib.parse.urlsplit(following).path
    if path == reverse("reviews:review-home", args=[request.actor.project.slug]):
        return HttpResponse(status=204, headers={"HX-Redirect": following})
    now, number = clock.now(), int(path.rstrip("/").rpartition("/")[2])
    context: dict[str, Any] = {"rail": _rail(request, queue, now), "here": number, "after": item}
    if request.POST.get("ahead") != str(number):
        desk = desk_queries.desk(queue_name=queue, item_id=number, by=request.actor, now=now)
        context |= _work(request, desk, _drafted(desk), None)
    answer = render(request, "reviews/review_item.html#moved", context)
    answer["HX-Push-Url"], answer["Ratchet-Item"] = path, str(number)
    return answer


def _page(
    request: PageRequest, desk: Desk, typed: Typed, problem: Problem | None = None, *, is_draft: bool = False
) -> HttpResponse:
    """The whole page, or for the script the part about the item; its status is the problem's.

    The problem is that of handing in, or of keeping a draft.
    """
    now = clock.now()
    status = 200 if problem is None else 422 if isinstance(problem, Invalid) else problem.status
    context = {**_work(request, desk, typed, problem), "is_draft": is_draft}
    if request.htmx and problem is not None:
        return render(request, "reviews/review_item.html#work", context, status=status)
    after = request.GET.get("after", "")
    context |= {"rail": _rail(request, desk.task.item.queue.name, now), "here": desk.task.item.pk}
    last = context["rail"].last
    context["after"] = last.item_id if last is not None and after == str(last.item_id) else None
    if context["standing"] == "submitted" and problem is None:
        context |= _calibration(request, desk, now)
    return render(request, "reviews/review_item.html", context, status=status)


def _work(request: PageRequest, desk: Desk, typed: Typed, problem: Problem | None) -> dict[str, Any]:
    """What the part about the item shows."""
    now, shown = clock.now(), desk.task.outputs[0]
    standing = desk.standing(now)
    passages = readings.passages_of(shown.metadata, desk.retrieved)
    until = {"held": desk.lease_until, "lapsed": now}.get(standing, now + _length(desk))
    return {
        "desk": desk,
        "item": desk.task.item,
        "queue": desk.task.item.queue,
        "rubric": desk.task.rubric,
        "shown": shown,
        "is_gone": shown.input is None and shown.output is None and shown.error is None,
        "title": readings.title_of(shown.input, shown.variables) or f"Item {desk.task.item.pk:,}",
        "thread": readings.thread_of(shown.input, shown.variables),
        "passages": passages,
        "passage_titles": readings.shortened([passage.title for passage in passages]),
        "reading": readings.reading_of(shown.output),
        "sheet": answersheet.sheet_of(desk.task.rubric.questions, typed, problem),
        "problem": problem,
        "standing": standing,
        "is_away": standing not in ("held", "lapsed") and not typed.says_something,
        "saved_at": None if desk.draft is None else dt.datetime.fromisoformat(desk.draft["saved_at"]),
        "may_see_trace": request.actor.may(Scope.READ),
        **_lease(desk, until or now, now),
    }


def _lease(desk: Desk, until: dt.datetime, now: dt.datetime) -> dict[str, Any]:
    return {"until": until, "left_s": max(0, int((until - now).total_seconds())), "lease_s": _length(desk).seconds}


def _length(desk: Desk) -> dt.timedelta:
    return dt.timedelta(minutes=desk.task.item.queue.lease_minutes)


def _calibration(request: PageRequest, desk: Desk, now: dt.datetime) -> dict[str, Any]:
    """What others said, once what I said cannot be taken back: nobody looks first and answers then."""
    review = desk.review or {}
    handed_in_at = dt.datetime.fromisoformat(review["at"])
    open_from = handed_in_at + withdrawals.LONGEST
    return {
        "handed_in_at": handed_in_at,
        "my_answers": review["answers"],
        "my_correction": review["correction"],
        "others": desk_queries.others_of(desk.task.item.pk, by=request.actor) if now >= open_from else None,
        "others_from": open_from,
        "can_undo": now < open_from,
    }


def _drafted(desk: Desk) -> Typed:
    if desk.draft is None:
        return Typed()
    return Typed(**{name: desk.draft[name] for name in ("answers", "correction", "comment", "tags")})


def _rail(request: PageRequest, queue: str, now: dt.datetime) -> Rail:
    return desk_queries.rail(request.actor, queue, now=now, today=_today(now), undo_within=withdrawals.LONGEST)


def _today(now: dt.datetime) -> dt.datetime:
    """Where the reviewer's day began."""
    return timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)


def _told(request: PageRequest, queue: str, item: int, problem: Problem) -> HttpResponse:
    messages.warning(request, problem.detail)
    return _to_item(request, queue, item)


def _to_item(request: PageRequest, queue: str, item: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("reviews:review-item", args=[request.actor.project.slug, queue, item]))
