"""Pages of imports: the list, a new one, and one from its mapping to its report."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse
from django.shortcuts import redirect, render

from core import clock, flaws
from core.problems import FieldError, Invalid, Problem
from outputs import import_files, import_forms, import_queries, importers, previews, redaction_queries
from outputs.import_forms import FileForm
from outputs.importers import columns
from outputs.models import Import
from outputs.previews import Column, Said
from outputs.services import imports
from outputs.services.uploads import Wanted
from projects.access import Scope
from projects.pages import PageRequest, page

SHOWN = 50
CHUNK = 1024 * 1024
MOVING = (Import.State.ARRIVED, Import.State.WAITING, Import.State.RUNNING)


@dataclass(frozen=True)
class Choice:
    """A column as the form asks about it."""

    place: int
    column: Column
    chosen: str


@page(GET=Scope.READ)
def import_list(request: PageRequest) -> HttpResponse:
    """`/<project>/imports/`: the newest imports, with their counts."""
    below = request.GET.get("cursor", "")
    found = import_queries.imports_of(request.actor.project.pk).order_by("-pk")
    if below.isascii() and below.isdigit() and len(below) < 19:
        found = found.filter(pk__lt=int(below))
    rows = list(found[: SHOWN + 1])
    context = {"imports": rows[:SHOWN], "older": rows[SHOWN - 1].pk if len(rows) > SHOWN else None}
    return render(request, "outputs/import_list.html", context)


@page(GET=Scope.INGEST, POST=Scope.INGEST)
def import_new(request: PageRequest) -> HttpResponse:
    """`/<project>/imports/+new/`: choose a file; sent by a form up to 20 MB, and in slices where scripts run."""
    form = FileForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and (made := _received(request, form)) is not None:
        return redirect("outputs:import-detail", request.actor.project.slug, made.pk)
    status = 422 if request.method == "POST" else 200
    return render(request, "outputs/import_new.html", {"form": form}, status=status)


@page(GET=Scope.READ)
def import_detail(request: PageRequest, import_id: int) -> HttpResponse:
    """`/<project>/imports/<id>/`: what its columns mean, how far it is, or what became of it."""
    found = import_queries.import_of(request.actor.project.pk, import_id)
    if request.htmx and request.GET.get("seen") not in (None, found.state):
        answer = HttpResponse()
        answer["HX-Refresh"] = "true"  # it has come to another stage, which is another page
        return answer
    part = "#progress" if request.htmx else ""
    return _detail(request, found, part=part)


@page(POST=Scope.INGEST)
def import_start(request: PageRequest, import_id: int) -> HttpResponse:
    """`…/start/`: its rows are stored as the form says; with `do=preview` it only shows what would become of them."""
    found = import_queries.import_of(request.actor.project.pk, import_id)
    names = (found.sample or {"columns": []})["columns"]
    mapping = import_forms.mapping_of(request.POST.dict(), names)
    if request.POST.get("do") == "preview":
        return _detail(request, found, mapping=mapping)
    try:
        imports.start(found=found, mapping=mapping, by=request.actor, now=clock.now())
    except Invalid as invalid:
        return _detail(request, found, mapping=mapping, problem=invalid)
    return redirect("outputs:import-detail", request.actor.project.slug, found.pk)


@page(POST=Scope.INGEST)
def import_cancel(request: PageRequest, import_id: int) -> HttpResponse:
    """`…/cancel/`: no further row is stored."""
    found = import_queries.import_of(request.actor.project.pk, import_id)
    try:
        imports.cancel(found=found, by=request.actor, now=clock.now())
    except imports.Started as over:
        messages.error(request, over.detail)
    else:
        messages.success(request, "The import is cancelled; what was stored stays.")
    return redirect("outputs:import-detail", request.actor.project.slug, found.pk)


@page(GET=Scope.READ)
def import_rejected(request: PageRequest, import_id: int, form: str) -> HttpResponse:
    """`…/rejected.jsonl`, `…/rejected.csv`: every row that was refused, and why."""
    return import_files.flaws(import_queries.import_of(request.actor.project.pk, import_id), form)


def _received(request: PageRequest, form: FileForm) -> Import | None:
    """The import that was made of the form, or None where the form says what is wrong."""
    if not form.is_valid():
        return None
    sent: UploadedFile[Any] = form.cleaned_data["file"]
    name = sent.name or ""
    wanted = Wanted(form.format_of(name), form.cleaned_data["kind"], name[:200], None, None)
    try:
        if not wanted.format:
            raise Invalid(FieldError("format", "is not said by the file's name; choose it"))
        return imports.receive(chunks=sent.chunks(CHUNK), wanted=wanted, by=request.actor, now=clock.now())
    except Problem as problem:
        flaws.add_to(form, problem)
        return None


def _detail(
    request: PageRequest,
    found: Import,
    *,
    mapping: dict[str, str] | None = None,
    problem: Invalid | None = None,
    part: str = "",
) -> HttpResponse:
    progress = import_queries.progress(found, now=clock.now())
    context: dict[str, Any] = {"found": found, "progress": progress, "is_moving": found.state in MOVING}
    context["importer"] = importers.named(found.format)
    context["ready_until"] = found.touched_at + imports.READY_LIVES
    if found.is_over and found.n_rejected:
        context["flaws"] = import_queries.first_flaws(found)
    if found.state == Import.State.READY and request.actor.may(Scope.INGEST):
        context |= _asked(request, found, mapping, problem)
    status = 422 if context.get("problem") else 200
    return render(request, f"outputs/import_detail.html{part}", context, status=status)


def _asked(
    request: PageRequest, found: Import, mapping: dict[str, str] | None, problem: Invalid | None
) -> dict[str, Any]:
    """The form of the mapping, and what becomes of the first rows under it."""
    rows: list[Said] = []
    try:
        redaction = redaction_queries.redaction(request.actor.project)
        shown, rows = previews.preview(found, mapping, redaction)
    except Invalid as invalid:
        problem = problem or invalid
        names = (found.sample or {"columns": []})["columns"]
        shown = previews.listed(found, mapping or columns.guessed(names, found.kind))
    choices = [Choice(place, column, _chosen(column)) for place, column in enumerate(shown)]
    n_bad = sum(row.fields is None for row in rows)
    known = import_forms.target_choices(found.kind)
    return {"choices": choices, "targets": known, "rows": rows, "n_bad": n_bad, "problem": problem}


def _chosen(column: Column) -> str:
    return columns.METADATA if column.target.startswith(columns.METADATA) else column.target
