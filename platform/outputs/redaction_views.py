"""What is taken out of rows before they are stored, for the people who decide it."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_post_parameters

from core import clock, flaws
from core.problems import Invalid
from outputs import redaction_forms, redaction_queries
from outputs.models import RedactionPolicy
from outputs.redaction import preview
from outputs.redaction.policy import LACKING, Policy
from outputs.redaction.preview import Piece
from outputs.redaction_forms import PatternForms, PolicyForm, TextForm
from outputs.services import redaction
from projects.access import Scope
from projects.pages import PageRequest, page


@dataclass(frozen=True)
class Tried:
    """A text with its findings marked; `name` says which output's it is, "" for one that was typed."""

    name: str
    pieces: list[Piece]

    @property
    def n_findings(self) -> int:
        return sum(bool(piece.detector) for piece in self.pieces)


@sensitive_post_parameters("text")
@page(GET=Scope.ADMIN, POST=Scope.ADMIN)
def redaction_policy(request: PageRequest) -> HttpResponse:
    """`redaction/`: the policies; POST saves one, removes one, or shows what an unsaved one would do."""
    if request.method == "POST":
        return _asked(request)
    rows = redaction_queries.stored(request.actor.project.pk)
    environment = request.GET.get("environment", "")[: redaction.LONGEST_ENVIRONMENT]
    policy = redaction_queries.in_force(rows, environment)
    forms = _Forms(
        PolicyForm(initial=redaction_forms.initial(environment, policy)),
        PatternForms(initial=redaction_forms.initial_patterns(policy), prefix="patterns"),
        TextForm(),
    )
    return _page(request, forms, rows=rows)


@dataclass
class _Forms:
    policy: PolicyForm
    patterns: Any
    text: TextForm

    def are_valid(self) -> bool:
        return all([self.policy.is_valid(), self.patterns.is_valid(), self.text.is_valid()])


def _asked(request: PageRequest) -> HttpResponse:
    forms = _Forms(PolicyForm(request.POST), PatternForms(request.POST, prefix="patterns"), TextForm(request.POST))
    do = request.POST.get("do", "")
    if do == "remove":
        return _remove(request)
    if not forms.are_valid():
        return _page(request, forms, status=422)
    try:
        policy = redaction_forms.policy_of(forms.policy, forms.patterns)
        if do in ("try", "sample"):
            return _page(request, forms, tried=_tried(request, forms, policy, is_sample=do == "sample"))
        return _save(request, forms.policy.cleaned_data["environment"], policy)
    except Invalid as invalid:
        flaws.add_to(forms.policy, invalid)
        return _page(request, forms, status=422)


def _save(request: PageRequest, environment: str, policy: Policy) -> HttpResponse:
    redaction.save_policy(environment=environment, policy=policy, by=request.actor, now=clock.now())
    messages.success(request, "Saved. Rows that arrive from two seconds on are redacted so.")
    return redirect(_address(request, environment))


def _remove(request: PageRequest) -> HttpResponse:
    environment = request.POST.get("environment", "")[: redaction.LONGEST_ENVIRONMENT]
    redaction.remove_policy(environment=environment, by=request.actor, now=clock.now())
    messages.success(request, "Removed. Rows that arrive from two seconds on have the policy of all others.")
    return redirect(_address(request, ""))


def _address(request: PageRequest, environment: str) -> str:
    address = reverse("outputs:redaction-policy", args=[request.actor.project.slug])
    return f"{address}?{urlencode({'environment': environment})}" if environment else address


def _tried(request: PageRequest, forms: _Forms, policy: Policy, *, is_sample: bool) -> list[Tried]:
    redactor = redaction_queries.redactor(request.actor.project, policy)
    if not is_sample:
        return [Tried("", preview.pieces(redactor, forms.text.cleaned_data["text"]))]
    environment = forms.policy.cleaned_data["environment"]
    sample = redaction_queries.sample(request.actor.project.pk, environment)
    return [Tried(name, preview.pieces(redactor, text)) for name, text in sample]


def _page(
    request: PageRequest,
    forms: _Forms,
    *,
    rows: list[RedactionPolicy] | None = None,
    tried: list[Tried] | None = None,
    status: int = 200,
) -> HttpResponse:
    rows = redaction_queries.stored(request.actor.project.pk) if rows is None else rows
    environment = forms.policy["environment"].value() or ""
    context = {
        "form": forms.policy,
        "patterns": forms.patterns,
        "text": forms.text,
        "rows": rows,
        "own": next((row for row in rows if row.environment == environment), None),
        "tried": tried,
        "n_found": sum(one.n_findings for one in tried or ()),
        "lacking": LACKING,
    }
    return render(request, "outputs/redaction_policy.html", context, status=status)
