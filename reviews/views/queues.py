"""Pages about queues: what waits for whom, what fills them, and what takes in all that match."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from core import clock, flaws
from core.problems import FieldError, Invalid, Problem
from projects.access import Scope
from projects.pages import PageRequest, page
from prompts.models import Prompt
from reviews import answer_queries, queries
from reviews.forms import QueueForm, RuleForm
from reviews.models import Intake, Queue
from reviews.services import adjudication, intake, items, queues, rules

SEEN_BY = (Scope.READ, Scope.REVIEW)
ROWS = 50
# What the form of the outputs sends besides the filter.
NO_FILTER = ("csrfmiddlewaretoken", "all", "output", "back")


class NoneChosen(Invalid):
    """Nothing says which outputs are meant."""

    def __init__(self) -> None:
        todo = "tick some in the list, or choose all that match, then send again"
        super().__init__(FieldError("output", f"no output is chosen; {todo}"))


@page(GET=SEEN_BY)
def queue_list(request: PageRequest) -> HttpResponse:
    """`queues/`: every queue and how far it is, newest first, by a cursor on the id."""
    after = _number(request.GET.get("after", ""))
    rows = queries.queue_rows(request.actor.project.pk, after=after, limit=ROWS + 1)
    context = {
        "rows": rows[:ROWS],
        "following": rows[ROWS - 1].queue.pk if len(rows) > ROWS else None,
        "is_first": not after,
        "may_change": request.actor.may(Scope.EVALUATE),
        "may_review": request.actor.may(Scope.REVIEW),
    }
    return render(request, "reviews/queue_list.html", context)


@page(GET=SEEN_BY)
def queue_detail(request: PageRequest, name: str) -> HttpResponse:
    """`queues/<name>/`: one queue; for htmx how far its intakes are."""
    if request.htmx:
        queue = queries.queue_named(request.actor.project.pk, name)
        context = {"queue": queue, "intakes": queries.newest_intakes(queue), **_rights(request)}
        return render(request, "reviews/queue_detail.html#progress", context)
    found = queries.queue_page(request.actor.project.pk, name, reviewer=request.actor.identity)
    # Those who only review learn nothing of what others answer, not even how alike it is.
    compared = answer_queries.agreement_of(found.queue) if request.actor.may(Scope.READ) else {}
    context = {
        "found": found,
        "compared": list(compared.values()),
        "is_compared": any(one.raw.n for one in compared.values()),
        "queue": found.queue,
        "intakes": found.intakes,
        "may_settle": request.actor.may(Scope.REVIEW) and adjudication.may_adjudicate(found.queue, request.actor),
        **_rights(request),
    }
    return render(request, "reviews/queue_detail.html", context)


@page(GET=Scope.EVALUATE, POST=Scope.EVALUATE)
def queue_form(request: PageRequest, name: str | None = None) -> HttpResponse:
    """`queues/+new/`, `queues/<name>/edit/`: make a queue, or change everything but its name."""
    project = request.actor.project
    queue = None if name is None else queries.queue_named(project.pk, name)
    form = QueueForm(request.POST or None, project=project, queue=queue, initial=_initial(queue, request.GET))
    if request.method == "POST" and form.is_valid():
        try:
            made = _put(request, form, queue)
        except Problem as problem:
            flaws.add_to(form, problem)
        else:
            messages.success(request, f"Queue {made.name} is {'made' if queue is None else 'as you want it'}.")
            return redirect("reviews:queue-detail", project.slug, made.name)
    context = {"form": form, "queue": queue, "adjudicators": form["adjudicators"]}
    return render(request, "reviews/queue_form.html", context, status=422 if form.errors else 200)


@page(GET=Scope.EVALUATE, POST=Scope.EVALUATE)
def rule_form(request: PageRequest, name: str) -> HttpResponse:
    """`queues/<name>/rules/+new/`: a sampling rule more; rules never change."""
    project = request.actor.project
    queue = queries.queue_named(project.pk, name)
    prompts = list(Prompt.objects.of(project.pk).order_by("name").values_list("name", flat=True))
    form = RuleForm(request.POST or None, prompts=prompts)
    if request.method == "POST" and form.is_valid():
        try:
            _, is_new = rules.create_rule(
                queue=queue, rate=form.rate, given=form.given, by=request.actor, now=clock.now()
            )
        except Problem as problem:
            flaws.add_to(form, problem)
        else:
            said = "draws from what arrives from now on" if is_new else "was there already, and stays"
            messages.success(request, f"The rule {said}.")
            return redirect("reviews:queue-detail", project.slug, queue.name)
    context = {"form": form, "queue": queue}
    return render(request, "reviews/rule_form.html", context, status=422 if form.errors else 200)


@page(POST=Scope.EVALUATE)
def queue_take_in(request: PageRequest, name: str) -> HttpResponse:
    """`queues/<name>/take-in/`: the chosen outputs (`output`, repeated), or with `all` whatever the filter matches.

    It leads `back` to the list, and tells there where the queue is; without `back` to the queue.
    """
    queue = queries.queue_named(request.actor.project.pk, name)
    page_of_queue = reverse("reviews:queue-detail", args=[request.actor.project.slug, queue.name])
    back = _back(request.POST)
    try:
        said = _taken(request, queue)
    except NoneChosen as problem:
        messages.error(request, f"Nothing was added: {problem.errors[0].message}.")
    except Invalid as problem:
        messages.error(request, f"Nothing was added. {problem.detail}")
    else:
        messages.success(request, said, extra_tags=page_of_queue if back else "")
    return HttpResponseRedirect(back or page_of_queue)


@page(POST=Scope.EVALUATE)
def intake_stop(request: PageRequest, name: str, intake_id: int) -> HttpResponse:
    """`queues/<name>/intakes/<id>/stop/`: walk no further."""
    queue = queries.queue_named(request.actor.project.pk, name)
    stopped = intake.stop(intake_id=intake_id, queue=queue, by=request.actor, now=clock.now())
    messages.success(request, f"The intake has stopped; the {stopped.n_added} items it added stay.")
    return redirect("reviews:queue-detail", request.actor.project.slug, queue.name)


def _put(request: PageRequest, form: QueueForm, queue: Queue | None) -> Queue:
    """The queue as the form wants it; a new one must not be another one's name."""
    name = form.cleaned_data["name"] if queue is None else queue.name
    if queue is None and Queue.objects.of(request.actor.project.pk).filter(name=name).exists():
        raise Invalid(FieldError("name", f"{name} is a queue already; choose another name, or change that one"))
    return queues.put_queue(name=name, wanted=form.wanted(), by=request.actor, now=clock.now())[0]


def _initial(queue: Queue | None, query: QueryDict) -> dict[str, object]:
    if queue is None:
        return {"rubric": query.get("rubric", "")}
    return {
        "rubric": queue.rubric.name,
        "overlap": queue.overlap,
        "lease_minutes": queue.lease_minutes,
        "adjudicators": list(queue.adjudicators.values_list("email", flat=True)),
    }


def _filter(sent: QueryDict) -> dict[str, str]:
    return {name: str(value) for name, value in sent.items() if name not in NO_FILTER}


def _back(sent: QueryDict) -> str:
    """The page of ours to go back to, or nothing."""
    back = sent.get("back", "")
    return back if back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None) else ""


def _taken(request: PageRequest, queue: Queue) -> str:
    """What was done, in words."""
    if request.POST.get("all"):
        intake.ask(queue=queue, given=_filter(request.POST), by=request.actor, now=clock.now())
        return f"All that match go into {queue.name}; its page shows how far it is."
    external_ids = request.POST.getlist("output")
    if not external_ids:
        raise NoneChosen
    added = items.add_outputs(queue=queue, external_ids=external_ids)
    kept = f", {added.n_duplicates} had been there" if added.n_duplicates else ""
    unknown = f", {len(added.rejected)} are unknown here" if added.rejected else ""
    return f"{added.n_added} added to {queue.name}{kept}{unknown}."


def _rights(request: PageRequest) -> dict[str, object]:
    return {
        "may_change": request.actor.may(Scope.EVALUATE),
        "may_review": request.actor.may(Scope.REVIEW),
        "may_read": request.actor.may(Scope.READ),
        "walking": Intake.State.WALKING,
    }


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
