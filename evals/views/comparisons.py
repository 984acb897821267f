"""The page of two runs beside each other."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from core import clock
from evals import compare_page, queries, run_queries, steering
from evals.views import asked
from projects.access import Scope
from projects.pages import PageRequest, page

WAYS = ("worse", "better")


@page(GET=Scope.READ)
def run_compare(request: PageRequest, a: int, b: int) -> HttpResponse:
    """`/<project>/runs/<a>/compare/<b>/`: the verdict in one sentence, the figures, the cases that flipped.

    The first visit asks a worker to work it out; until then the page says so and looks again by itself.
    """
    project, now = request.actor.project, clock.now()
    candidate, baseline = queries.run(project, a), queries.run(project, b)
    found = steering.compare(candidate, baseline, by=request.actor, now=now)
    context: dict[str, Any] = {"candidate": candidate, "baseline": baseline, "comparison": found}
    if found.result is None:
        if asked.is_for(request, "working") and found.is_finished:
            return HttpResponse(headers={"HX-Refresh": "true"})
        context["n_workers"] = run_queries.n_helpers(now=now)
        part = "#working" if asked.is_for(request, "working") else ""
        return render(request, f"evals/run_compare.html{part}", context)
    if asked.is_for(request, "working"):
        return HttpResponse(headers={"HX-Refresh": "true"})
    return _shown(request, context, found.result)


def _shown(request: PageRequest, context: dict[str, Any], result: dict[str, Any]) -> HttpResponse:
    sight = compare_page.sight(result)
    way = asked.choice(request, "show", WAYS)
    scorer = asked.choice(request, "scorer", tuple(row.scorer for row in sight.with_flips)) if sight.with_flips else ""
    row = next((one for one in sight.with_flips if one.scorer == scorer), None)
    found = run_queries.flips(
        context["candidate"],
        context["baseline"],
        () if row is None else row.better if way == "better" else row.worse,
        scorer=scorer,
        better=way == "better",
        cursor=asked.number(request, "cursor"),
    )
    more = asked.more(request, found.next)
    context |= {"sight": sight, "flips": found.flips, "way": way, "row": row, "more": more}
    return render(request, f"evals/run_compare.html{'#rows' if asked.wants_rows(request) else ''}", context)
