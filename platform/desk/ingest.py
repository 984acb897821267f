"""What arrives: how much, from whom, what became of it, how far work is behind, and how to send."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from core import clock, flaws
from core.problems import Problem
from desk import ingest_chart, ingest_queries, snippets
from outputs.services import limits
from outputs.services.limits import Limit
from projects.access import Scope
from projects.pages import PageRequest, page


class LimitForm(forms.Form):
    """How much the project may send; an empty field does not limit."""

    rows_per_second = forms.IntegerField(
        required=False, min_value=1, label="Rows a second", help_text="On average, by all ways in together."
    )
    burst_rows = forms.IntegerField(
        required=False,
        min_value=1,
        label="Rows at once",
        help_text=f"After a pause. Empty: {limits.BURST_SECONDS} seconds of the pace.",
    )
    bytes_per_second = forms.IntegerField(
        required=False, min_value=1, label="Bytes a second", help_text="Of bodies, uncompressed."
    )
    rows_per_month = forms.IntegerField(
        required=False, min_value=0, label="New rows a month", help_text="From the first of the month, UTC."
    )


@page(GET=Scope.READ, POST=Scope.ADMIN)
def ingest(request: PageRequest) -> HttpResponse:
    """`ingest/`: for htmx the part that changes; POST sets the limits."""
    if request.method == "POST":
        return _limited(request)
    return _shown(request, _form(limits.limit_of(request.actor.project.pk)), status=200)


def _limited(request: PageRequest) -> HttpResponse:
    form = LimitForm(request.POST)
    if form.is_valid():
        try:
            limits.set_limit(limit=Limit(**form.cleaned_data), by=request.actor, now=clock.now())
        except Problem as problem:
            flaws.add_to(form, problem)
        else:
            messages.success(request, "Saved. Every process keeps to it within two seconds.")
            return redirect("desk:ingest", request.actor.project.slug)
    return _shown(request, form, status=422)


def _form(limit: Limit) -> LimitForm:
    return LimitForm(initial={name: getattr(limit, name) for name in limits.FIELDS})


def _shown(request: PageRequest, form: LimitForm, *, status: int) -> HttpResponse:
    found = ingest_queries.arrivals(request.actor.project, now=clock.now())
    site = f"{request.scheme}://{request.get_host()}"
    context = {
        "found": found,
        "charts": [
            ingest_chart.draw("minutes", "Rows a minute, the last hour", "minute", found.minutes),
            ingest_chart.draw("hours", "Rows an hour, the last two days", "hour", found.hours),
        ]
        if not found.is_empty
        else [],
        "snippets": snippets.all_of(site),
        "form": form,
    }
    part = "#live" if request.htmx else ""
    return render(request, f"desk/ingest.html{part}", context, status=status)
