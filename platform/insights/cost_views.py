"""Costs by model: what has no price, and how past costs follow the price table."""

import datetime as dt

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from connections import price_queries
from core import clock
from core.problems import Invalid
from insights import chips
from insights import costs as model_costs
from insights.forms import DEFAULT_DAYS, ApplyForm
from insights.report import last_days
from outputs import costs as output_costs
from outputs.models import Repricing
from outputs.services import repricing
from projects.access import Scope
from projects.pages import PageRequest, page


@page(GET=Scope.READ, POST=Scope.ADMIN)
def costs(request: PageRequest) -> HttpResponse:
    """`costs/`: the models of the last 30 days; POST lets past costs follow the price table."""
    form = ApplyForm(request.POST if request.method == "POST" else None, today=_today())
    if request.method == "POST" and form.is_valid() and _is_asked(request, form):
        return redirect("insights:costs", request.actor.project.slug)
    if request.htmx.target == "repricings":
        return render(request, "insights/costs.html#progress", _progress(request))
    now, period = clock.now(), last_days(DEFAULT_DAYS, _today())
    book = price_queries.book(request.actor.project.pk)
    models = model_costs.by_model(request.actor.project.pk, book, since=period.start, until=period.end, now=now)
    unpriced = model_costs.unpriced(models)
    context = {
        "models": models,
        "unpriced": unpriced,
        "n_unpriced": sum(one.n_unpriced for one in unpriced),
        "n": sum(one.n for one in models),
        "total": model_costs.total(models),
        "period_words": chips.period_words(period),
        "form": form,
        **_progress(request),
    }
    return render(request, "insights/costs.html", context, status=422 if form.errors else 200)


def _today() -> dt.date:
    return clock.now().astimezone(dt.UTC).date()


def _progress(request: PageRequest) -> dict[str, object]:
    return {
        "repricings": output_costs.newest_repricings(request.actor.project.pk),
        "walking": Repricing.State.WALKING,
    }


def _is_asked(request: PageRequest, form: ApplyForm) -> bool:
    try:
        repricing.ask(since=form.period.start, until=form.period.end, by=request.actor, now=clock.now())
    except Invalid as problem:
        form.add_error("since", problem.detail)
        return False
    messages.success(request, "A worker lets the costs of these outputs follow the price table; trends follow it.")
    return True
