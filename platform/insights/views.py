"""Pages of the room."""

import datetime as dt
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from core import clock
from core.problems import Invalid, Missing
from insights import charts, chips, downloads, figures, headline, kpis, queries, units
from insights import report as reports
from insights.figures import TrendFigure
from insights.forms import TrendsForm
from insights.report import Report
from projects.access import Scope
from projects.pages import PageRequest, page

KNOWN = ("days", "since", "until", "prompt", "revision", "model", "rubric")
QUICK = (7, 30, 90)


@page(GET=Scope.READ)
def trends(request: PageRequest) -> HttpResponse:
    """Quality, volume, errors, cost and latency over time, and what they come to."""
    form = TrendsForm(request.GET, today=_today())
    form.is_valid()
    report = _report(request, form)
    said = _said(request)
    context = {
        "form": form,
        "report": report,
        "headline": headline.of(report),
        "ways": _ways(report, said),
        "period_words": chips.period_words(report.period),
        "quick": [(n, chips.url(said, days=str(n), since="", until="")) for n in QUICK],
        "kept": {name: value for name, value in said.items() if name not in ("days", "since", "until")},
        "chips": chips.of(report, said),
        "kpis": kpis.of(report),
        "compared": _compared(report),
        "figures": [_shown(figure, report, request) for figure in _figures(report)],
    }
    return render(request, "insights/trends.html", context, status=422 if form.errors else 200)


@page(GET=Scope.READ)
def trend_download(request: PageRequest, figure: str, form: str) -> HttpResponse:
    """One figure of the page as a file."""
    if figure not in figures.KEYS or form not in downloads.FORMS:
        raise Missing("figure")
    asked = TrendsForm(request.GET, today=_today())
    if not asked.is_valid():
        raise Invalid(detail="The query of this figure cannot be read; choose the period on the trends page.")
    report = _report(request, asked)
    wanted = next(one for one in _figures(report) if one.key == figure)
    body = downloads.file_of(wanted, report.markers, form, shown=_about(report))
    name = f"{request.actor.project.slug}-{figure}-{report.period.since}-{report.period.until}.{form}"
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(body, content_type=downloads.TYPES[form], headers=disposition)


def _today() -> dt.date:
    return clock.now().astimezone(dt.UTC).date()


def _said(request: PageRequest) -> dict[str, str]:
    return {name: request.GET[name] for name in KNOWN if request.GET.get(name)}


def _report(request: PageRequest, form: TrendsForm) -> Report:
    asked = {} if form.errors else form.cleaned_data
    choice = queries.choice(
        request.actor.project.pk,
        prompt=asked.get("prompt", ""),
        revision=asked.get("revision"),
        model=asked.get("model") or None,
    )
    return reports.report(choice, form.period, rubric_id=asked.get("rubric"))


def _figures(report: Report) -> list[TrendFigure]:
    return figures.all_of(report.days, question="" if report.rubric is None else str(report.rubric))


def _shown(figure: TrendFigure, report: Report, request: PageRequest) -> dict[str, Any]:
    """A figure with its two drawings and its files."""
    wide = charts.WIDE if figure.key == figures.QUALITY else charts.HALF
    slug, query = request.actor.project.slug, chips.url(_said(request)).removeprefix("?")
    address = {
        form: f"{reverse('insights:trend-download', args=[slug, figure.key, form])}{'?' if query else ''}{query}"
        for form in downloads.FORMS
    }
    return {
        "figure": figure,
        "drawings": [charts.draw(figure, report.markers, size) for size in (wide, charts.NARROW)],
        "files": address,
        "more": reverse("insights:costs", args=[slug]) if figure.key == figures.COST else "",
    }


def _ways(report: Report, said: dict[str, str]) -> list[dict[str, str]]:
    """The ways on of the headline, with their addresses."""
    return [{"words": way.words, "url": _url(way, said), "page": way.page} for way in headline.of(report).ways]


def _url(way: headline.Way, said: dict[str, str]) -> str:
    """The address of a way on that leads to this page with another choice, else nothing."""
    if way.period is not None:
        return chips.url(said, **chips.of_period(way.period))
    return chips.url(said, prompt=way.prompt, revision="") if way.prompt else ""


def _compared(report: Report) -> str:
    """What the key figures are about, in words."""
    compared = report.compared
    now, before = chips.period_words(compared.now_period), compared.before_period.n_days
    if compared.release is None:
        return f"{now}, against the {before} days before"
    marker = compared.release
    of_prompt = "" if report.choice.prompt else f" of {marker.prompt}"
    return f"Since revision {marker.revision}{of_prompt}, {now}, against the {before} days before its release"


def _about(report: Report) -> str:
    """Which outputs and days a file is about."""
    choice = report.choice
    parts = [
        f"{_dated(report.period.since)} to {_dated(report.period.until)} (UTC)",
        f"prompt {choice.prompt.name}" if choice.prompt else "all prompts",
        f"revision {choice.revision.number}" if choice.revision else "",
        f"model {choice.model}" if choice.model else "",
        f"n {report.whole.volume.n:,} outputs",
    ]
    return ", ".join(part for part in parts if part)


def _dated(on: dt.date) -> str:
    return f"{units.day(on)} {on.year}"
