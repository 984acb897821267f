"""Pages of runs and their results."""

import uuid
from typing import Any

from django.contrib import messages
from django.core.cache import cache
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse

from core import clock
from core.markup import pretty
from core.problems import Problem
from evals import queries, run_queries, steering
from evals.forms import RunForm
from evals.models import Result, Run
from evals.services import runs
from evals.views import asked
from projects.access import Scope
from projects.pages import PageRequest, page

FILTERS = ("golden_set", "prompt", "state")
# How long a form that was sent is remembered: a double click is no second run.
REMEMBERED_S = 3600


@page(GET=Scope.READ)
def run_list(request: PageRequest) -> HttpResponse:
    """`/<project>/runs/`: the project's runs, newest first."""
    conditions = {name: text for name in FILTERS if (text := request.GET.get(name, ""))}
    project = request.actor.project
    found = run_queries.run_lines(project, conditions, cursor=asked.number(request, "cursor"), now=clock.now())
    context: dict[str, Any] = {"found": found, "conditions": conditions, "states": Run.State}
    context["more"] = asked.more(request, found.next)
    return render(request, f"evals/run_list.html{'#rows' if asked.wants_rows(request) else ''}", context)


@page(GET=Scope.READ)
def run_detail(request: PageRequest, run: int) -> HttpResponse:
    """`/<project>/runs/<id>/`: verdict, progress, figures, results. htmx asks for one of its parts alone."""
    project, now = request.actor.project, clock.now()
    if asked.is_for(request, "progress"):
        return _progress(request, run)
    shown = run_queries.run_shown(project, run, now=now)
    context = _results(request, shown.run)
    if asked.wants_rows(request):
        return render(request, "evals/run_detail.html#rows", context)
    return render(request, "evals/run_detail.html", {**context, "shown": shown, "progress": shown.progress})


@page(GET=Scope.READ)
def result_detail(request: PageRequest, run: int, result: int) -> HttpResponse:
    """`/<project>/runs/<id>/results/<id>/`: one answer with what was asked, expected and said of it."""
    of = queries.run(request.actor.project, run)
    found = run_queries.result(of, result)
    part = "#result" if request.htmx else ""
    return render(request, f"evals/result_detail.html{part}", {"run": of, "result": found, "texts": _texts(found)})


@page(GET=Scope.EVALUATE, POST=Scope.EVALUATE)
def run_new(request: PageRequest) -> HttpResponse:
    """`/<project>/runs/new/`: the form of a run; what it would take of the looks stands beside it."""
    project = request.actor.project
    if asked.is_for(request, "look"):
        return render(request, "evals/run_new.html#look", {"look": _look(request)})
    choices = run_queries.choices(project)
    if request.method == "POST":
        form = RunForm(request.POST, choices=choices)
        made = _started(request, form)
        if made is not None:
            return made
        return render(request, "evals/run_new.html", {"form": form, "choices": choices, "look": None}, status=422)
    form = RunForm(initial=_first(request), choices=choices)
    return render(request, "evals/run_new.html", {"form": form, "choices": choices, "look": _look(request)})


@page(POST=Scope.EVALUATE)
def run_pause(request: PageRequest, run: int) -> HttpResponse:
    """`/<project>/runs/<id>/pause/`: no further case is asked until it is resumed."""
    found = queries.run(request.actor.project, run)
    runs.pause(run=found, by=request.actor, now=clock.now())
    return _back(request, found)


@page(POST=Scope.EVALUATE)
def run_resume(request: PageRequest, run: int) -> HttpResponse:
    """`/<project>/runs/<id>/resume/`: a paused run goes on."""
    found = queries.run(request.actor.project, run)
    steering.resume(found, by=request.actor, now=clock.now())
    return _back(request, found)


@page(POST=Scope.EVALUATE)
def run_cancel(request: PageRequest, run: int) -> HttpResponse:
    """`/<project>/runs/<id>/cancel/`: no further case is asked; what is stored stays."""
    found = queries.run(request.actor.project, run)
    steering.cancel(found, by=request.actor, now=clock.now())
    messages.success(request, f"Run {found.pk} is cancelled; what was answered stays.")
    return _back(request, found)


def _progress(request: PageRequest, run_id: int) -> HttpResponse:
    """The bar alone; where the run has another state than the page shows, the page is loaded again."""
    run = queries.run(request.actor.project, run_id)
    if run.state != request.GET.get("seen"):
        return HttpResponse(headers={"HX-Refresh": "true"})
    context = {"run": run, "progress": run_queries.progress(run, now=clock.now())}
    return render(request, "evals/run_detail.html#progress", context)


def _texts(result: Result) -> dict[str, str | None]:
    """The texts of a result as people read them: texts as they are, anything else as JSON in lines."""
    case = result.case
    values = {"asked": case.input, "variables": case.variables, "expected": case.expected, "output": result.output}
    return {name: value if isinstance(value, str) or value is None else pretty(value) for name, value in values.items()}


def _results(request: PageRequest, run: Run) -> dict[str, Any]:
    shown = asked.choice(request, "show", run_queries.SHOWN)
    found = run_queries.result_lines(run, shown=shown, cursor=asked.number(request, "cursor"))
    return {"run": run, "results": found.lines, "show": shown, "more": asked.more(request, found.next)}


def _look(request: PageRequest) -> run_queries.LookTaken | None:
    said = {name: request.GET.get(name, "") for name in ("prompt", "golden_set", "part", "policy")}
    return run_queries.look_taken(request.actor.project, **said)


def _first(request: PageRequest) -> dict[str, Any]:
    """What the address fills in, else the form's own beginnings."""
    given = {name: text for name, text in request.GET.items() if name in RunForm.base_fields}
    return {"once": uuid.uuid4(), "revision": "production", "part": "dev", "use_exact_match": True, **given}


def _started(request: PageRequest, form: RunForm) -> HttpResponseRedirect | None:
    """To the run that was made; None where the form has to be shown again."""
    if not form.is_valid():
        return None
    name = f"run-once:{request.actor.project.pk}:{form.cleaned_data['once']}"
    if not cache.add(name, 0, REMEMBERED_S):
        return _to_the_first(request, cache.get(name))
    try:
        run = steering.start(form.request(), by=request.actor, now=clock.now())
    except Problem as problem:
        cache.delete(name)
        form.refuse(problem)
        return None
    cache.set(name, run.pk, REMEMBERED_S)
    return redirect("evals:run-detail", request.actor.project.slug, run.pk)


def _to_the_first(request: PageRequest, run_id: int | None) -> HttpResponseRedirect:
    """A form that is sent twice leads to what the first time made."""
    slug = request.actor.project.slug
    return redirect("evals:run-detail", slug, run_id) if run_id else redirect("evals:run-list", slug)


def _back(request: PageRequest, run: Run) -> HttpResponseRedirect:
    return redirect(reverse("evals:run-detail", args=[request.actor.project.slug, run.pk]))
