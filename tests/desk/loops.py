"""A prompt whose loop was played: released, corrected, proposed, tested; what pages of prompts are looked at with."""

from dataclasses import dataclass
from typing import Any

from core import clock
from evals import gate
from evals.models import GatePolicy, Run
from improvement import services as improvement
from improvement.models import Proposal
from projects.access import Actor
from projects.models import Project
from prompts import services as prompts
from prompts.content import ContextLine
from prompts.models import Prompt, Revision
from releases import services as releases
from releases.models import Release
from reviews.models import Review, Verdict
from tests import factories

POLICY = "You answer refund and return questions.\nUse only the passages below.\nSay when the refund is due.\nBe brief."


@dataclass
class Loop:
    """Revision 1 in production, a correction that two people agreed on, and the proposal made of it."""

    project: Project
    by: Actor
    prompt: Prompt
    first: Revision
    release: Release
    verdict: Verdict
    proposal: Proposal

    @property
    def candidate(self) -> Revision:
        assert self.proposal.revision is not None
        return self.proposal.revision

    @property
    def output(self) -> str:
        return str(self.verdict.item.item_outputs.get().output.external_id)


def a_loop(*, n_corrections: int = 1) -> Loop:
    project = factories.a_project()
    by = factories.an_actor(project)
    prompt = prompts.create_prompt(
        name="refund-answer", description="Answers refund questions.", by=by, now=clock.now()
    )[0]
    first = a_revision(prompt, by, POLICY, note="Returns policy as context")
    release = releases.release_initially(
        prompt=prompt, label_name="production", revision=first, reason="the first one", by=by, now=clock.now()
    )
    verdicts = [a_correction(prompt, at) for at in range(n_corrections)]
    proposal = a_proposal(prompt, by)
    return Loop(project, by, prompt, first, release, verdicts[0], proposal)


def a_revision(prompt: Prompt, by: Actor, text: str, *, note: str = "", **more: Any) -> Revision:
    """A revision with this system message, and a fact that somebody wrote by hand."""
    return prompts.create_revision(
        prompt=prompt,
        messages=[{"role": "system", "content": text}, {"role": "user", "content": "{{input}}"}],
        model="house/small",
        parameters={"temperature": 0},
        context=more.pop("context", [ContextLine("fact", text="Paid within 14 days.")]),
        note=note,
        by=by,
        now=clock.now(),
        **more,
    )[0]


def a_correction(prompt: Prompt, at: int = 0) -> Verdict:
    """A verdict of part teach that two people agreed on."""
    verdict = factories.a_verdict(
        prompt,
        text=f"When is my refund number {at} due?",
        said="Refunds are paid within 45 days of arrival.",
        correction="Refunds are paid within 14 days of arrival.",
    )
    for number, name in enumerate(("mara@example.org", "key:ivo")):
        Review.objects.create(
            item=verdict.item,
            reviewer=name,
            claim_token=f"00000000-0000-0000-{number:04}-{verdict.pk:012}",
            answers={"correct": "no"},
            at=clock.now(),
        )
    return verdict


def a_proposal(prompt: Prompt, by: Actor) -> Proposal:
    """A proposal that a worker has built."""
    made = improvement.propose(prompt=prompt, kind="examples", by=by, now=clock.now())
    improvement.build(proposal_id=made.pk, now=clock.now())
    return Proposal.objects.get(pk=made.pk)


def a_tested(revision: Revision, verdict: str = "pass") -> Run:
    """A gate run of the revision with this verdict; a passed one is evidence for production at this moment."""
    run = factories.a_passed_run(revision)
    figure = {"value": 0.053, "low": 0.022, "high": 0.085, "level": 0.995, "n": 412, "method": "Tango", "reason": None}
    judged = {
        "scorer": "exact_match",
        "verdict": verdict,
        "sentence": "exact_match differs by +0.053",
        "difference": figure,
        "p": {"value": 0.005, "method": "", "reason": None},
        "floor": None,
        "better": [],
        "worse": [],
        "smallest_detectable": None,
        "more_cases": None,
    }
    said = gate.Judgement(verdict, f"{verdict.capitalize()}: exact_match differs by +0.053.", gate.Demand()).as_dict()
    Run.objects.filter(pk=run.pk).update(gate={**said, "scorers": [judged], "difference": figure}, ended_at=clock.now())
    return Run.objects.get(pk=run.pk)


def a_policy(prompt: Prompt) -> GatePolicy:
    return factories.a_policy(prompt)
