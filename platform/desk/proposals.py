"""Pages of proposals: why, what, on what evidence; and a person's approval, which moves no label."""

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from core import clock, flaws
from core.problems import Invalid
from desk import proposal_queries
from desk.prompts import number_in
from improvement import queries as improvement
from improvement import services
from improvement.models import Proposal
from improvement.services import LONGEST_REASON
from projects.access import Scope
from projects.pages import PageRequest, page

State = Proposal.State
# In the words of the page, in the order of a proposal's life.
STATE_WORDS: dict[str, str] = {
    State.BUILDING: "being built",
    State.READY: "waiting for approval",
    proposal_queries.RELEASED: "released",
    State.APPROVED: "approved",
    State.REJECTED: "rejected",
    State.FAILED: "nothing to propose",
}


class DecisionForm(forms.Form):
    """What convinced, or why not."""

    reason = forms.CharField(
        required=False,
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Kept in the audit trail. A rejection needs one.",
    )


@page(GET=Scope.READ)
def proposal_list(request: PageRequest) -> HttpResponse:
    """`proposals/?state=ready&prompt=…`: all proposals of the project."""
    project_id = request.actor.project.pk
    state = request.GET.get("state") or None
    chosen = state if state in STATE_WORDS else None
    prompt = request.GET.get("prompt") or None
    rows, before = proposal_queries.proposal_rows(
        project_id, state=chosen, prompt=_storable(prompt), before=number_in(request, "before") or 0
    )
    counted = proposal_queries.states(project_id)
    context = {
        "rows": rows,
        "before": before,
        "state": chosen,
        "of_prompt": prompt,
        "states": [(value, words, counted[value]) for value, words in STATE_WORDS.items() if value in counted],
        "n_all": sum(counted.values()),
        "words": {str(value): words for value, words in STATE_WORDS.items()},
    }
    return render(request, "desk/proposal_list.html", context)


@page(GET=Scope.READ)
def proposal_detail(request: PageRequest, proposal: int) -> HttpResponse:
    """`proposals/<id>/`: while it is being built the page asks again by itself."""
    if request.htmx:
        return _progress(request, improvement.proposal(request.actor.project.pk, proposal))
    return _page(request, proposal, DecisionForm())


@page(POST=Scope.APPROVE)
def proposal_approve(request: PageRequest, proposal: int) -> HttpResponse:
    """`proposals/<id>/approve/`: somebody says that it is wanted; a release still asks for evidence."""
    return _decide(request, proposal, services.approve, "approved")


@page(POST=Scope.APPROVE)
def proposal_reject(request: PageRequest, proposal: int) -> HttpResponse:
    """`proposals/<id>/reject/`: somebody says why it is not wanted."""
    return _decide(request, proposal, services.reject, "rejected")


def _decide(request: PageRequest, proposal: int, decide: Callable[..., Proposal], said: str) -> HttpResponse:
    found = improvement.proposal(request.actor.project.pk, proposal)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        return _page(request, proposal, form)
    try:
        decide(proposal=found, reason=form.cleaned_data["reason"], by=request.actor, now=clock.now())
    except Invalid as problem:
        flaws.add_to(form, problem)
        return _page(request, proposal, form)
    messages.success(request, f"Proposal {found.pk} is {said}.")
    return redirect("desk:proposal-detail", request.actor.project.slug, found.pk)


def _page(request: PageRequest, proposal: int, form: DecisionForm) -> HttpResponse:
    found = proposal_queries.proposal_page(
        request.actor.project.pk,
        proposal,
        quotes_after=number_in(request, "quotes") or 0,
        below=number_in(request, "after") or 0,
    )
    context = {
        "found": found,
        "proposal": found.proposal,
        "form": form,
        "shown": found.shown,
        "words": STATE_WORDS[found.shown],
    }
    return render(request, "desk/proposal_detail.html", context, status=422 if form.errors else 200)


def _progress(request: PageRequest, proposal: Proposal) -> HttpResponse:
    """The waiting part again, or word to show the whole page anew."""
    if proposal.state != State.BUILDING:
        return HttpResponse(headers={"HX-Refresh": "true"})
    return render(request, "desk/proposal_detail.html#building", {"proposal": proposal})


def _storable(text: str | None) -> str | None:
    return None if text is None else text.replace("\x00", "")
