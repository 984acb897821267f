"""Home pages: where somebody lands after signing in, what waits there, and how to get anywhere else."""

from django.http import HttpResponse
from django.shortcuts import render

from core import clock
from desk import health, queries
from desk import search as palette
from desk import waiting as waits
from desk.bar import PLACES, key_of
from projects.pages import OwnRequest, PageRequest, own_page, page
from projects.queries import MyProject, projects_of


@own_page("GET")
def home(request: OwnRequest) -> HttpResponse:
    """`/`: my projects, and what waits for me in each."""
    projects = projects_of(request.user)
    counts = waits.counts(request.user, projects, now=clock.now())
    return render(request, "desk/home.html", {"rows": [(project, counts[project.id]) for project in projects]})


@page(GET=None)
def project_home(request: PageRequest) -> HttpResponse:
    """`/<project>/`: the steps of the loop for my role until it has gone round once, then what waits for me.

    While the first output is awaited htmx asks again for the steps alone.
    """
    actor = request.actor
    held = queries.stock(actor.project.pk)
    context = {"stock": held, "steps": [] if held.has_release else queries.steps(actor, held)}
    if request.htmx:
        return render(request, "desk/project_home.html#steps", context)
    now = clock.now()
    context |= {"lines": waits.lines(actor, now=now), "alarm": health.alarm_for(actor, now=now)}
    return render(request, "desk/project_home.html", context)


@page(GET=None)
def waiting(request: PageRequest) -> HttpResponse:
    """`waiting/`: what waits for me here; for htmx the numbers in the bar, and the alarm."""
    actor, now = request.actor, clock.now()
    alarm = health.alarm_for(actor, now=now)
    if not request.htmx:
        return render(request, "desk/waiting.html", {"lines": waits.lines(actor, now=now), "alarm": alarm})
    here = MyProject(actor.project.pk, actor.project.name, actor.project.slug, actor.role)
    found = waits.counts(request.user, [here], now=now)[here.id]
    by_page = found.by_page([place.page for place in PLACES[actor.role]])
    numbers = [(key_of(name), waits.told(number)) for name, number in by_page.items()]
    context = {"total": waits.told(found.total), "numbers": numbers, "alarm": alarm}
    return render(request, "desk/waiting.html#numbers", context)


@page(GET=None)
def search(request: PageRequest) -> HttpResponse:
    """`search/?q=`: where that may lead; for htmx the links alone, without the pages that the palette has already."""
    text = request.GET.get("q", "").strip()
    found = palette.hits(request.actor, text)
    if request.htmx:
        found = [hit for hit in found if hit.kind != "page"] if text else []
    part = "#hits" if request.htmx else ""
    return render(request, f"desk/search.html{part}", {"hits": found, "text": text})
