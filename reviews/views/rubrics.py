"""Pages about rubrics: what is asked, its versions, and the desk where one is written."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from core import clock
from core.problems import FieldError, Invalid, Missing, Problem
from projects.access import Scope
from projects.pages import PageRequest, page
from prompts import names
from reviews import forms, queries, questions
from reviews.forms import KIND_WORDS, LONGEST_NAME, RubricForm
from reviews.models import Rubric
from reviews.services import rubrics

SEEN_BY = (Scope.READ, Scope.REVIEW)


@page(GET=SEEN_BY)
def rubric_list(request: PageRequest) -> HttpResponse:
    """`rubrics/`: the newest version of each rubric."""
    context = {
        "rubrics": queries.newest_rubrics(request.actor.project.pk),
        "may_change": request.actor.may(Scope.EVALUATE),
    }
    return render(request, "reviews/rubric_list.html", context)


@page(GET=SEEN_BY)
def rubric_detail(request: PageRequest, name: str) -> HttpResponse:
    """`rubrics/<name>/?version=`: one version as reviewers are asked it, the newest where none is named."""
    versions = queries.rubric_versions(request.actor.project.pk, name)
    wanted = request.GET.get("version", "")
    rubric = next((one for one in versions if str(one.version) == wanted), None) if wanted else versions[0]
    if rubric is None:
        raise Missing("version of this rubric")
    context = {
        "rubric": rubric,
        "questions": forms.shown(rubric.questions),
        "values": forms.quality_of(rubric.questions, rubric.quality),
        "versions": versions,
        "newest": versions[0],
        "queues": list(versions[0].queues.order_by("name").values_list("name", flat=True)),
        "may_change": request.actor.may(Scope.EVALUATE),
    }
    return render(request, "reviews/rubric_detail.html", context)


@page(GET=Scope.EVALUATE, POST=Scope.EVALUATE)
def rubric_form(request: PageRequest, name: str | None = None) -> HttpResponse:
    """`rubrics/+new/`, `rubrics/<name>/edit/`: write a rubric; each button posts the whole form, `save` keeps it."""
    newest = None if name is None else queries.rubric_versions(request.actor.project.pk, name)[0]
    if request.method == "GET":
        return _form(request, RubricForm.empty() if newest is None else RubricForm.of(newest), newest)
    form = RubricForm.typed(request.POST)
    button = request.POST.get("do", "")
    if button != "save":
        form.press(button)
        return _form(request, form, newest)
    try:
        rubric, is_new = _save(request, form, newest)
    except Problem as problem:
        form.refuse(problem)
        return _form(request, form, newest, status=422)
    said = f"is version {rubric.version}" if is_new else f"asks this already, in version {rubric.version}"
    messages.success(request, f"Rubric {rubric.name} {said}.")
    return redirect("reviews:rubric-detail", request.actor.project.slug, rubric.name)


@page(POST=Scope.EVALUATE)
def rubric_preview(request: PageRequest) -> HttpResponse:
    """`rubrics/+preview/`: what reviewers would see of the form as it stands, or what is missing; nothing is stored."""
    form = RubricForm.typed(request.POST)
    return render(request, "reviews/rubric_form.html#preview", {"form": form, "preview": _preview(form)})


def _save(request: PageRequest, form: RubricForm, newest: Rubric | None) -> tuple[Rubric, bool]:
    name = form.name if newest is None else newest.name
    if newest is None:
        _check_name(request, name)
    asked, quality = form.content
    return rubrics.create_rubric(
        name=name, asked=asked, quality=quality, guideline=form.guideline, by=request.actor, now=clock.now()
    )


def _check_name(request: PageRequest, name: str) -> None:
    names.check("Name", name, LONGEST_NAME)
    if Rubric.objects.of(request.actor.project.pk).filter(name=name).exists():
        said = f"{name} is a rubric already; choose another name, or make a new version of that one"
        raise Invalid(FieldError("Name", said))


def _form(request: PageRequest, form: RubricForm, newest: Rubric | None, *, status: int = 200) -> HttpResponse:
    context = {
        "form": form,
        "newest": newest,
        "preview": _preview(form),
        "kinds": KIND_WORDS,
    }
    return render(request, "reviews/rubric_form.html", context, status=status)


def _preview(form: RubricForm) -> dict[str, object]:
    """The questions as they would be asked; while they are not whole, what is missing first."""
    asked, quality = form.content
    try:
        content = questions.read_content(asked, quality)
    except Problem as problem:
        wrong = RubricForm(rows=list(form.rows), quality=form.quality)
        wrong.refuse(problem)
        flaws = [(at + 1, row.name, said) for at, row in enumerate(wrong.rows) for said in row.errors[:1]]
        return {"questions": [], "missing": flaws, "others": wrong.errors}
    return {
        "questions": forms.shown(content.questions),
        "values": forms.quality_of(content.questions, content.quality),
        "missing": [],
        "others": [],
    }
