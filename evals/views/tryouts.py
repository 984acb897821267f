"""Pages of try-outs."""

from django.http import HttpResponse
from django.shortcuts import render

from core import clock
from evals import run_queries
from projects.access import Scope
from projects.pages import PageRequest, page


@page(GET=Scope.EVALUATE)
def tryout_detail(request: PageRequest, tryout: int) -> HttpResponse:
    """`/<project>/tryouts/<id>/`: one question and its answer; the fragment asks for itself until it is there."""
    found = run_queries.tryout(request.actor.project, tryout, now=clock.now())
    part = "#tryout" if request.htmx else ""
    return render(request, f"evals/tryout_detail.html{part}", {"tryout": found.tryout, "n_workers": found.n_workers})
