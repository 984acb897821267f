"""The page of what a label demands."""

from django.contrib import messages
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import redirect, render

from core import clock
from core.problems import Missing, Problem
from evals import queries
from evals.forms import KINDS, PolicyForm
from evals.models import GatePolicy
from evals.services import policies
from evals.services.policies import Terms
from projects.access import Actor, Scope
from projects.pages import PageRequest, page
from prompts import names
from prompts import queries as prompts
from prompts.models import Prompt


@page(GET=Scope.READ, POST=Scope.ADMIN)
def policy_edit(request: PageRequest, name: str, label: str) -> HttpResponse:
    """`/<project>/prompts/<name>/labels/<label>/policy/`: what a release under the label has to prove."""
    project = request.actor.project
    prompt = prompts.prompt_named(project.pk, name)
    if not names.is_name(label, names.LONGEST_LABEL):
        raise Missing("label")
    held = GatePolicy.objects.in_force().select_related("golden_set").filter(label__prompt=prompt, label__name=label)
    policy = held.first()
    sets = list(queries.golden_sets(project).filter(Q(prompt=prompt) | Q(prompt=None)).order_by("name"))
    first = PolicyForm.at_first() if policy is None else PolicyForm.said_by(policy)
    form = PolicyForm(request.POST or None, golden_sets=sets, initial=first)
    if request.method == "POST" and _put(request.actor, prompt, label, form):
        messages.success(request, f"This is what {label} demands from now on.")
        return redirect("evals:policy-edit", project.slug, name, label)
    context = {"form": form, "prompt": prompt, "label": label, "policy": policy, "sets": sets}
    context["kind"] = "" if policy is None else dict(KINDS)[policy.kind]
    return render(request, "evals/policy_edit.html", context, status=422 if form.is_bound else 200)


def _put(by: Actor, prompt: Prompt, label: str, form: PolicyForm) -> bool:
    if not form.is_valid():
        return False
    said = form.cleaned_data
    try:
        terms = Terms(
            golden_set=queries.golden_set(by.project, said["golden_set"]),
            scorers=form.chosen(),
            kind=said["kind"],
            margin=said["margin"],
            floor=said["floor"],
            max_error_share=said["max_error_share"],
            looks=said["looks"],
        )
        policies.put_policy(prompt=prompt, label_name=label, terms=terms, by=by, now=clock.now())
    except Problem as problem:
        form.refuse(problem)
        return False
    return True
