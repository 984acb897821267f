"""Pages of golden sets: versions, cases, imports and exports."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import redirect, render

from core import clock, flaws
from core.problems import FieldError, Invalid, Problem
from evals import files, golden_queries, imports, queries
from evals.forms import CasesFileForm, GoldenSetForm
from evals.models import CasePart, GoldenSet
from evals.services import golden
from evals.views import asked
from projects.access import Scope
from projects.pages import PageRequest, page
from prompts import names
from prompts import queries as prompts

LARGEST_FILE = 50 * 1024 * 1024
KEYS_SHOWN = 200
FORMATS = {"jsonl": (files.as_jsonl, "application/x-ndjson"), "csv": (files.as_csv, "text/csv")}


@page(GET=Scope.READ, POST=Scope.EVALUATE)
def golden_set_list(request: PageRequest) -> HttpResponse:
    """`/<project>/golden-sets/`: the project's exams, and the form of a new one."""
    project = request.actor.project
    choices = list(project.prompts.order_by("name"))
    form = GoldenSetForm(request.POST or None, prompts=choices)
    if request.method == "POST" and (made := _created(request, form)) is not None:
        return redirect("evals:golden-set-detail", project.slug, made.name)
    found = golden_queries.set_lines(project, cursor=asked.number(request, "cursor"))
    context = {"found": found, "form": form, "more": asked.more(request, found.next)}
    part = "#rows" if asked.wants_rows(request) else ""
    status = 422 if form.is_bound else 200
    return render(request, f"evals/golden_set_list.html{part}", context, status=status)


@page(GET=Scope.READ)
def golden_set_detail(request: PageRequest, name: str) -> HttpResponse:
    """`/<project>/golden-sets/<name>/`: versions, health, and the cases of the draft or of a version."""
    if asked.wants_rows(request):
        golden_set = queries.golden_set(request.actor.project, name)
        return render(request, "evals/golden_set_detail.html#rows", _cases(request, golden_set))
    return _detail(request, name, CasesFileForm())


@page(POST=Scope.EVALUATE)
def golden_set_cut(request: PageRequest, name: str) -> HttpResponse:
    """`/<project>/golden-sets/<name>/cut/`: the draft becomes a version."""
    golden_set = queries.golden_set(request.actor.project, name)
    version, is_new = golden.cut(golden_set=golden_set, by=request.actor, now=clock.now())
    said = f"Version {version.number} is cut: {version.n_cases} cases, {version.n_gate} of them of part gate."
    messages.success(request, said if is_new else f"Nothing has changed since version {version.number}.")
    return _back(request, golden_set)


@page(POST=Scope.EVALUATE)
def golden_set_verdicts(request: PageRequest, name: str) -> HttpResponse:
    """`/<project>/golden-sets/<name>/verdicts/`: the settled verdicts of its prompt become cases of the draft."""
    golden_set = queries.golden_set(request.actor.project, name)
    done = imports.into_draft(golden_set, {}, form="verdicts", by=request.actor, now=clock.now())
    messages.success(request, _said(done))
    if done["rejected"]:
        return _detail(request, name, CasesFileForm(), rejected=done["rejected"], status=422)
    return _back(request, golden_set)


@page(POST=Scope.EVALUATE)
def golden_set_import(request: PageRequest, name: str) -> HttpResponse:
    """`/<project>/golden-sets/<name>/import/`: a file of cases; rows that are refused are named one by one."""
    golden_set = queries.golden_set(request.actor.project, name)
    form = CasesFileForm(request.POST, request.FILES)
    try:
        done = imports.into_draft(golden_set, _rows(form), form="jsonl", by=request.actor, now=clock.now())
    except Problem as problem:
        if "rejected" not in problem.extra:
            flaws.add_to(form, problem)
        return _detail(request, name, form, rejected=problem.extra.get("rejected", []), status=422)
    messages.success(request, _said(done))
    if done["rejected"]:
        return _detail(request, name, form, rejected=done["rejected"], status=422)
    return _back(request, golden_set)


@page(GET=Scope.READ)
def golden_set_export(request: PageRequest, name: str) -> HttpResponse:
    """`/<project>/golden-sets/<name>/export/?format=&version=`: the cases as a file that an import takes back."""
    golden_set = queries.golden_set(request.actor.project, name)
    form = asked.choice(request, "format", tuple(FORMATS))
    version = request.GET.get("version", "")
    write, kind = FORMATS[form]
    lines = write(golden_queries.cases_in_order(golden_set, version))
    called = f"{golden_set.name}-{f'v{version}' if version.isdigit() else 'draft'}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{called}"'}
    return StreamingHttpResponse(lines, content_type=f"{kind}; charset=utf-8", headers=headers)  # type: ignore[return-value]  # a response all the same


@page(GET=Scope.READ)
def golden_set_diff(request: PageRequest, name: str, a: int, b: int) -> HttpResponse:
    """`/<project>/golden-sets/<name>/versions/<a>/diff/<b>/`: what became of the cases between two versions."""
    golden_set = queries.golden_set(request.actor.project, name)
    before, after = queries.version(golden_set, a), queries.version(golden_set, b)
    found = queries.diff(before, after)
    lists = [("Came", found.added), ("Went", found.removed), ("Changed", found.changed)]
    context = {"golden_set": golden_set, "before": before, "after": after, "diff": found, "lists": lists}
    context["most"] = KEYS_SHOWN
    return render(request, "evals/golden_set_diff.html", context)


def _detail(
    request: PageRequest, name: str, form: CasesFileForm, *, rejected: list[Any] | None = None, status: int = 200
) -> HttpResponse:
    shown = golden_queries.set_shown(request.actor.project, name)
    refused = rejected or []
    context = {"shown": shown, "form": form, "rejected": refused[:KEYS_SHOWN], "n_rejected": len(refused)}
    context |= _cases(request, shown.golden_set)
    return render(request, "evals/golden_set_detail.html", context, status=status)


def _cases(request: PageRequest, golden_set: GoldenSet) -> dict[str, Any]:
    version = request.GET.get("version", golden_queries.DRAFT)
    part = asked.choice(request, "part", ("", *CasePart.values))
    cursor = asked.number(request, "cursor")
    found = golden_queries.case_lines(golden_set, version=version, part=part, cursor=cursor)
    more = asked.more(request, found.next)
    return {"golden_set": golden_set, "cases": found.cases, "version": version, "part": part, "more": more}


def _created(request: PageRequest, form: GoldenSetForm) -> GoldenSet | None:
    if not form.is_valid():
        return None
    said, actor = form.cleaned_data, request.actor
    try:
        names.check("name", said["name"], 100)
        prompt = prompts.prompt_named(actor.project.pk, said["prompt"]) if said["prompt"] else None
        made, _ = golden.create_set(
            name=said["name"], prompt=prompt, description=said["description"], by=actor, now=clock.now()
        )
    except Problem as problem:
        flaws.add_to(form, problem)
        return None
    return made


def _rows(form: CasesFileForm) -> Any:
    """The rows of the file, as an import takes them.

    Raises:
        Invalid: there is none, it is too large, or it cannot be read at all.
    """
    if not form.is_valid():
        raise Invalid(FieldError("file", "is missing or empty; choose a file"))
    sent = form.cleaned_data["file"]
    if sent.size > LARGEST_FILE:
        raise Invalid(FieldError("file", f"has {sent.size:,} bytes; at most {LARGEST_FILE:,} are taken at once"))
    body = sent.read()
    return files.csv_rows(body) if sent.name.lower().endswith(".csv") else body


def _said(done: dict[str, Any]) -> str:
    counts = f"{done['added']} added, {done['changed']} changed, {done['unchanged']} unchanged"
    refused = f", {len(done['rejected'])} refused" if done["rejected"] else ""
    return f"{counts}{refused}; they stand in the draft of version {done['draft']}."


def _back(request: PageRequest, golden_set: GoldenSet) -> HttpResponseRedirect:
    return redirect("evals:golden-set-detail", request.actor.project.slug, golden_set.name)
