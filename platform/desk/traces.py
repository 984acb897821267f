"""The pages of a trace and of a session: what one request, and one conversation, was made of."""

from django.http import HttpResponse
from django.shortcuts import render

from desk import trace_queries as queries
from projects.access import Scope
from projects.pages import PageRequest, page


@page(GET=Scope.READ)
def trace_detail(request: PageRequest, trace_id: str) -> HttpResponse:
    """`/<project>/traces/<id>/`: its outputs and steps as a tree with their times; `?span=` opens one of them."""
    found = queries.trace_page(request.actor, trace_id, opened=request.GET.get("span", ""))
    part = "#span" if request.htmx else ""
    return render(request, f"desk/trace_detail.html{part}", {"found": found, "is_raw": "raw" in request.GET})


@page(GET=Scope.READ)
def session_detail(request: PageRequest, session_id: str) -> HttpResponse:
    """`/<project>/sessions/<id>/`: its outputs as one conversation; `?above=` is the part after that one."""
    above = request.GET.get("above", "")
    is_number = above.isascii() and above.isdigit() and len(above) < 19
    found = queries.session_page(request.actor, session_id, above=int(above) if is_number else 0)
    return render(request, "desk/session_detail.html", {"found": found, "above": above if is_number else ""})
