"""The page of two runs beside each other."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render

from core import clock
from evals import compare_page, queries, run_queries, steering
from evals.services import comparisons
from evals.views import asked
from projects.access import Scope
from projects.pages import PageRequest, page

WAYS = ("worse", "better")


@page(GET=Scope.READ, POST=Scope.EVALUATE)
def run_compare(request: PageRequest, a: int, b: int) -> HttpResponse:
    """`/<project>/runs/<a>/compare/<b>/`: the verdict in one sentence, the figures, the cases that flipped.

    POST asks a worker to work it out, once more where that failed; meanwhile the page looks again by itself. A look
    alone asks nobody: where nothing is worked out, it shows what the candidate's own gate said.
    """
    project, now = request.actor.project, clock.now()
    candidate, baseline = queries.run(project, a), queries.run(project, b)
    if request.method == "POST":
        steering.compare(candidate, baseline, by=request.actor, now=now)
        return redirect("evals:run-compare", project.slug, a, b)
    comparisons.refuse_incomparable(candidate, baseline)
    found = run_queries.comparison(candidate, baseline)
    is_waiting = found is not None and not found.is_finished
    if asked.is_for(request, "working") and not is_waiting:
        return HttpResponse(headers={"HX-Refresh": "true"})
    context: dict[str, Any] = {"candidate": candidate, "baseline": baseline, "comparison": found}
    if found is not None and found.result is not None:
        return _shown(request, context, found.result)
    context |= {"n_workers": run_queries.n_helpers(now=now), "gate": run_queries.own_gate(candidate, baseline)}
    part = "#working" if asked.is_for(request, "working") else ""
    return render(request, f"evals/run_compare.html{part}", context)


def _shown(request: PageRequest, context: dict[str, Any], result: dict[str, Any]) -> HttpResponse:
    sight = compare_page.sight(result)
    way = asked.choice(request, "show", WAYS)
    scorer = asked.choice(request, "scorer", tuple(row.scorer for row in sight.with_flips)) if sight.with_flips else ""
    row = next((one for one in sight.with_flips if one.scorer == scorer), None)
    context |= {"sight": sight, "way": way, "row": row}
    if row is None:
        # Nothing was judged by any scorer, so that no case can have flipped.
        return render(request, "evals/run_compare.html", context)
    found = run_queries.flips(
        context["candidate"],
        context["baseline"],
        row.better if way == "better" else row.worse,
        scorer=scorer,
        better=way == "better",
        cursor=asked.number(request, "cursor"),
    )
    context |= {"flips": found.flips, "more": asked.more(request, found.next)}
    return render(request, f"evals/run_compare.html{'#rows' if asked.wants_rows(request) else ''}", context)
