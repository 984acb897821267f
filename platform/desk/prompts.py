"""Pages of prompts: what production is told to say, how it came to that, and how it is changed."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from core import bells, clock, flaws
from core.problems import FieldError, Invalid, Missing
from desk import drafts, prompt_queries
from desk.drafts import Draft, PromptForm
from evals.models import Tryout
from evals.services import tryouts
from improvement import services as improvement
from projects.access import Scope
from projects.pages import PageRequest, page
from prompts import queries, services, templates
from prompts.models import PRODUCTION, Prompt, Revision
from releases import services as releases

DRAIN = "evals.tasks.drain"
BUILD_PROPOSAL, BUILD_INDEX = "improvement.tasks.build", "prompts.tasks.build_index"
# What the middle of the page shows.
SHOWS = ("text", "whole", "context", "parameters")
LARGEST_NUMBER = 2**31 - 1


@page(GET=Scope.READ)
def prompt_list(request: PageRequest) -> HttpResponse:
    """`prompts/`: all prompts of the project."""
    rows, before = prompt_queries.prompt_rows(request.actor.project.pk, before=number_in(request, "before") or 0)
    return render(request, "desk/prompt_list.html", {"rows": rows, "before": before})


@page(GET=Scope.EVALUATE, POST=Scope.EVALUATE)
def prompt_form(request: PageRequest) -> HttpResponse:
    """`prompts/+new/`: a new prompt; the next page writes its first revision."""
    form = PromptForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made, is_new = services.create_prompt(**form.cleaned_data, by=request.actor, now=clock.now())
        except Invalid as problem:
            flaws.add_to(form, problem)
        else:
            messages.success(request, f"{made.name} is there." if is_new else f"{made.name} was there already.")
            there = "desk:revision-form" if is_new else "desk:prompt-detail"
            return redirect(there, request.actor.project.slug, made.name)
    return render(request, "desk/prompt_form.html", {"form": form}, status=422 if form.errors else 200)


@page(GET=Scope.READ)
def prompt_detail(request: PageRequest, name: str) -> HttpResponse:
    """`prompts/<name>/`: one revision against another, the timeline, and why each label points where it does."""
    shows = request.GET.get("show", "text")
    found = prompt_queries.prompt_page(
        queries.prompt_named(request.actor.project.pk, name),
        number=number_in(request, "revision"),
        against=number_in(request, "against"),
        before=number_in(request, "before") or 0,
        shows=shows if shows in SHOWS else "text",
        after=number_in(request, "after") or 0,
    )
    context = {"found": found, "prompt": found.prompt, "show": shows if shows in SHOWS else "text"}
    return render(request, "desk/prompt_detail.html", context)


@page(GET=Scope.EVALUATE, POST=Scope.EVALUATE)
def revision_form(request: PageRequest, name: str) -> HttpResponse:
    """`prompts/<name>/revisions/+new/?parent=n`: a revision made from another; it is looked at before it is saved."""
    prompt = queries.prompt_named(request.actor.project.pk, name)
    parent = _parent(request, prompt)
    if request.method != "POST":
        return _draft_page(request, prompt, drafts.begun(parent))
    rearranged = drafts.rearranged(request.POST, parent)
    if rearranged is not None:
        return _draft_page(request, prompt, rearranged)
    draft = drafts.typed(request.POST, parent)
    if draft.is_valid() and request.POST.get("do") == "save" and request.POST.get("seen") == draft.fingerprint:
        try:
            return _save(request, prompt, draft)
        except Invalid as problem:
            draft.blame(problem)
    return _draft_page(request, prompt, draft, is_checked=True)


@page(GET=Scope.EVALUATE, POST=Scope.EVALUATE)
def prompt_tryout(request: PageRequest, name: str) -> HttpResponse:
    """`prompts/<name>/try/?revision=n`: one question to one revision; never evidence, and no look."""
    project = request.actor.project
    prompt = queries.prompt_named(project.pk, name)
    revision = queries.numbered(project.pk, name, number_in(request, "revision") or _newest(prompt))
    needed = _variables(revision)
    context: dict[str, Any] = {"prompt": prompt, "revision": revision, "needed": needed, "typed": {}}
    if request.method == "POST":
        typed = {each: request.POST.get(f"variable-{each}", "").replace("\r\n", "\n") for each in needed}
        given = {"input": typed["input"]} if needed == ["input"] else {"variables": typed}
        try:
            made = tryouts.ask(revision=revision, given=given, by=request.actor, now=clock.now())
        except Invalid as problem:
            context |= {"problem": problem, "typed": typed}
            return render(request, "desk/prompt_tryout.html", context, status=422)
        bells.ring(tryouts.BELL, made.pk)
        return redirect(f"{request.path}?revision={revision.number}&tryout={made.pk}")
    asked = number_in(request, "tryout")
    if asked is not None:
        tryout = Tryout.objects.filter(project=project, revision=revision, pk=asked).first()
        context |= {"tryout": tryout, "typed": _asked(tryout), "is_gone": tryout is None}
    return render(request, "desk/prompt_tryout.html", context)


@page(POST=Scope.EVALUATE)
def gate_run(request: PageRequest, name: str) -> HttpResponse:
    """`prompts/<name>/gate-run/`: a revision is tested under a label's policy; leads to the run."""
    project = request.actor.project
    prompt = queries.prompt_named(project.pk, name)
    run = releases.seek_evidence(
        prompt=prompt,
        label_name=request.POST.get("label", PRODUCTION),
        revision=queries.numbered(project.pk, name, _posted_number(request, "revision")),
        by=request.actor,
        now=clock.now(),
    )
    for run_id in (run.baseline_id, run.pk):
        if run_id is not None:
            bells.ring(DRAIN, run_id)
    return redirect("evals:run-detail", project.slug, run.pk)


@page(POST=Scope.EVALUATE)
def propose(request: PageRequest, name: str) -> HttpResponse:
    """`prompts/<name>/propose/`: what verdicts taught becomes a proposal; leads to it while it is being built."""
    prompt = queries.prompt_named(request.actor.project.pk, name)
    made = improvement.propose(prompt=prompt, kind="examples", by=request.actor, now=clock.now())
    bells.ring(BUILD_PROPOSAL, made.pk)
    return redirect("desk:proposal-detail", request.actor.project.slug, made.pk)


def number_in(request: PageRequest, name: str) -> int | None:
    """The number in the address, or None where there is none.

    Raises:
        Missing: what stands there is no number.
    """
    return _number(request.GET.get(name))


def _posted_number(request: PageRequest, name: str) -> int:
    found = _number(request.POST.get(name))
    if found is None:
        raise Invalid(FieldError(name, "is missing; go back to the page and press the button there"))
    return found


def _number(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= LARGEST_NUMBER):
        raise Missing("page")
    return int(text)


def _parent(request: PageRequest, prompt: Prompt) -> Revision | None:
    """The revision that is named as the parent, else the newest one."""
    named = number_in(request, "parent")
    if named is not None:
        return queries.numbered(prompt.project_id, prompt.name, named)
    return prompt.revisions.order_by("-number").first()


def _newest(prompt: Prompt) -> int:
    found = prompt.revisions.order_by("-number").values_list("number", flat=True).first()
    if found is None:
        raise Missing("revision")
    return found


def _draft_page(request: PageRequest, prompt: Prompt, draft: Draft, *, is_checked: bool = False) -> HttpResponse:
    context: dict[str, Any] = {"prompt": prompt, "draft": draft, "parent": draft.parent}
    if not is_checked:
        return render(request, "desk/revision_form.html", context)
    if not draft.is_valid():
        return render(request, "desk/revision_form.html", context, status=422)
    text, settings = draft.text_difference(), draft.setting_difference()
    seen = {"text": text, "settings": settings, "is_equal": text.is_equal and not settings}
    return render(request, "desk/revision_form.html", {**context, "seen": seen, "fingerprint": draft.fingerprint})


def _save(request: PageRequest, prompt: Prompt, draft: Draft) -> HttpResponse:
    made, is_new = services.create_revision(
        prompt=prompt,
        messages=draft.said,
        model=draft.settings["model"],
        parameters=draft.settings["parameters"],
        context=() if draft.parent is None else queries.context_lines(draft.parent),
        **draft.selection,
        note=draft.note,
        parent=draft.parent,
        by=request.actor,
        now=clock.now(),
    )
    if made.index_state == Revision.IndexState.WAITING:
        bells.ring(BUILD_INDEX, made.pk)
    if is_new:
        messages.success(request, f"Revision {made.number} is saved.")
    else:
        messages.info(request, f"The same content is revision {made.number} already: nothing new was saved.")
    return redirect(f"{_detail_url(request, prompt)}?revision={made.number}")


def _detail_url(request: PageRequest, prompt: Prompt) -> str:
    return redirect("desk:prompt-detail", request.actor.project.slug, prompt.name)["Location"]


def _variables(revision: Revision) -> list[str]:
    """The names that the revision's templates leave open, each once; a prompt without any is asked an input."""
    parsed = [templates.parse(message["content"]) for message in revision.messages]
    return list(dict.fromkeys(name for template in parsed for name in templates.names(template))) or ["input"]


def _asked(tryout: Tryout | None) -> dict[str, Any]:
    """What was asked, for the form to stand as it was sent."""
    if tryout is None:
        return {}
    return {"input": tryout.input} if tryout.variables is None else tryout.variables
