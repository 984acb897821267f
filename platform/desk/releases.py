"""Pages of releases: a label is moved on evidence, for the first time, or back; and the history says why."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from core import clock, flaws
from core.problems import Conflict, Invalid
from desk import prompt_queries
from desk.prompt_queries import ReleaseChoice
from desk.prompts import number_in
from evals.models import Run
from projects.access import Actor, Scope
from projects.pages import PageRequest, page
from prompts import queries
from prompts.models import PRODUCTION, Prompt
from releases import queries as standing
from releases import services
from releases.models import Release

LONGEST_REASON = 2_000
REASON = forms.Textarea(attrs={"rows": 3})


class FirstReleaseForm(forms.Form):
    """Why a revision may be the first without evidence."""

    reason = forms.CharField(
        max_length=LONGEST_REASON, widget=REASON, help_text="There is nothing to compare with yet; kept in the history."
    )


class EvidenceForm(forms.Form):
    """The run that is the evidence, and what there is to say beside it."""

    run = forms.TypedChoiceField(coerce=int, widget=forms.RadioSelect, label="Evidence")
    reason = forms.CharField(required=False, max_length=LONGEST_REASON, widget=REASON, help_text="Kept in the history.")

    def __init__(self, *args: object, choice: ReleaseChoice, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]  # a form's own arguments
        # Offered is what is evidence now; what was evidence when the page was opened may still be sent, and is refused
        # with the reasons.
        offered = [(offer.run.pk, f"run {offer.run.pk}") for offer in choice.offers]
        self.fields["run"].choices = offered  # type: ignore[attr-defined]  # a choice field's


class RollbackForm(forms.Form):
    """Why to go back; it may stay empty, going back must never wait for words."""

    reason = forms.CharField(required=False, max_length=LONGEST_REASON, widget=REASON, help_text="Kept in the history.")


@page(GET=Scope.READ)
def release_list(request: PageRequest, name: str) -> HttpResponse:
    """`prompts/<name>/releases/`: every move of every label, by whom, and why."""
    prompt = queries.prompt_named(request.actor.project.pk, name)
    rows, before = prompt_queries.release_rows(prompt, before=number_in(request, "before") or 0)
    context = {"prompt": prompt, "rows": rows, "before": before, "standing": standing.active_of(prompt)}
    return render(request, "desk/release_list.html", context)


@page(GET=Scope.RELEASE, POST=Scope.RELEASE)
def release_form(request: PageRequest, name: str) -> HttpResponse:
    """`prompts/<name>/releases/+new/?revision=n&label=production`: release on evidence, or as the label's first."""
    prompt = queries.prompt_named(request.actor.project.pk, name)
    label, number = request.GET.get("label", PRODUCTION), number_in(request, "revision")
    choice = prompt_queries.release_choice(prompt, label, number or _newest(prompt))
    # What was asked for decides, not what stands now: whoever comes second is told so.
    is_first = request.POST.get("first") == "yes" if request.method == "POST" else choice.is_first
    sent = request.POST if request.method == "POST" else None
    form = FirstReleaseForm(sent) if is_first else EvidenceForm(sent, choice=choice)
    if sent is None or not form.is_valid():
        return _release_page(request, prompt, choice, form, status=422 if sent else 200)
    try:
        made = _release(request.actor, prompt, choice, form)
    except Invalid as problem:
        flaws.add_to(form, problem)
        return _release_page(request, prompt, choice, form, status=422)
    except Conflict as conflict:
        return _release_page(
            request,
            prompt,
            prompt_queries.release_choice(prompt, label, choice.revision.number),
            form,
            conflict=conflict,
        )
    messages.success(request, f"{label} is revision {made.revision.number} now.")
    return redirect("desk:prompt-detail", request.actor.project.slug, prompt.name)


@page(GET=Scope.RELEASE, POST=Scope.RELEASE)
def release_rollback(request: PageRequest, name: str, release: int) -> HttpResponse:
    """`prompts/<name>/releases/<id>/rollback/`: the label goes back to what it pointed at before."""
    prompt = queries.prompt_named(request.actor.project.pk, name)
    found = prompt_queries.way_back(prompt, release)
    form = RollbackForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            made = services.roll_back(release=found.release, by=request.actor, now=clock.now(), **form.cleaned_data)
        except Conflict as conflict:
            if not _is_done(found.standing, found.release, request.actor):
                context = {"prompt": prompt, "found": prompt_queries.way_back(prompt, release), "form": form}
                return render(request, "desk/release_rollback.html", {**context, "conflict": conflict}, status=409)
            made = found.standing
        messages.success(request, f"{made.label.name} is back on revision {made.revision.number}.")
        return redirect("desk:prompt-detail", request.actor.project.slug, prompt.name)
    context = {"prompt": prompt, "found": found, "form": form}
    return render(request, "desk/release_rollback.html", context, status=422 if form.errors else 200)


def _release(by: Actor, prompt: Prompt, choice: ReleaseChoice, form: forms.Form) -> Release:
    """The release that was asked for; one that the same person just made by it is returned instead."""
    label, revision, reason = choice.label, choice.revision, form.cleaned_data["reason"]
    is_first = isinstance(form, FirstReleaseForm)
    run = None if is_first else Run.objects.filter(project=by.project, pk=form.cleaned_data["run"]).first()
    now = clock.now()
    try:
        if is_first:
            return services.release_initially(
                prompt=prompt, label_name=label, revision=revision, reason=reason, by=by, now=now
            )
        return services.release(
            prompt=prompt, label_name=label, revision=revision, run=run, note=reason, by=by, now=now
        )
    except Conflict:
        active = standing.active_of(prompt).get(label)
        asked = (revision.pk, None if run is None else run.pk, by.name)
        if active is None or active.kind == Release.Kind.ROLLBACK:
            raise
        if (active.revision_id, active.run_id, active.by) != asked:
            raise
        return active


def _is_done(active: Release, release: Release, by: Actor) -> bool:
    """Whether this person's earlier press of the button did it."""
    return active.rolled_back_id == release.pk and active.by == by.name


def _release_page(
    request: PageRequest,
    prompt: Prompt,
    choice: ReleaseChoice,
    form: forms.Form,
    *,
    conflict: Conflict | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "prompt": prompt,
        "choice": choice,
        "form": form,
        "conflict": conflict,
        "reasons": () if conflict is None else conflict.extra.get("reasons", ()),
    }
    return render(request, "desk/release_form.html", context, status=409 if conflict is not None else status)


def _newest(prompt: Prompt) -> int:
    return prompt.revisions.order_by("-number").values_list("number", flat=True).first() or 0
