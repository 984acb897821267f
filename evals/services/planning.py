"""From what somebody asks of a run to what it will be: every name found, every contradiction refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connections import queries as connections
from connections.queries import Endpoint
from core.problems import FieldError, Invalid, Missing, Unprocessable
from evals import gate, scorers
from evals.gate import Demand
from evals.models import CasePart, GatePolicy, GoldenCase, GoldenSet, GoldenVersion, Run
from evals.services import policies
from projects.models import Project
from prompts import queries as prompts
from prompts.content import digest
from prompts.models import PRODUCTION, Label, Prompt, Revision

# What a policy decides; who names a policy may name none of these.
DECIDED_BY_POLICY = ("golden_set", "version", "part", "scorers", "trials", "seed", "baseline", "gate")


@dataclass(frozen=True)
class PromptTarget:
    """A revision of a prompt, by number or as a label points now; `model` replaces the revision's own."""

    prompt: str
    revision: int | None = None
    label: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class RecordedTarget:
    """Answers that were made elsewhere, by the key of their case; None says that there was none."""

    outputs: Mapping[str, str | None]


@dataclass(frozen=True)
class RunRequest:
    """What somebody asks for; None where the request is silent."""

    target: PromptTarget | RecordedTarget
    golden_set: str | None = None
    version: int | None = None
    part: str | None = None
    scorers: Sequence[Mapping[str, Any]] | None = None
    trials: int | None = None
    concurrency: int | None = None
    baseline: str | None = None
    gate: Mapping[str, Any] | None = None
    policy: str | None = None
    budget_calls: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Answerer:
    """A revision behind an endpoint."""

    revision: Revision
    model: str
    endpoint: Endpoint


@dataclass(frozen=True)
class Plan:
    """One run that can be made.

    Attributes:
        answerer: The revision under test; None where answers were recorded.
        outputs: Those answers by case key.
        demand: What the gate is asked; None where nothing is.
        policy: Where the demand comes from, if from a policy.
        baseline: The run to compare with, if it exists.
        baseline_answerer: The active revision, where its run has still to be found or made.
        no_baseline: Why there is neither, in words that end a sentence.
        is_active: The revision is the active one, so that showing its gate scores is no look.
    """

    version: GoldenVersion
    part: str
    scorers: list[dict[str, Any]]
    trials: int = 1
    seed: int = 0
    concurrency: int | None = None
    budget_calls: int | None = None
    answerer: Answerer | None = None
    outputs: Mapping[str, str | None] = field(default_factory=dict)
    demand: Demand | None = None
    policy: GatePolicy | None = None
    baseline: Run | None = None
    baseline_answerer: Answerer | None = None
    no_baseline: str = ""
    is_active: bool = False

    @property
    def prompt(self) -> Prompt | None:
        return None if self.answerer is None else self.answerer.revision.prompt

    @property
    def is_look(self) -> bool:
        """Whether the run will show scores of gate cases of something that is not released."""
        return self.part == CasePart.GATE and not self.is_active

    def work_prefix(self, answerer: Answerer) -> str:
        """What decides the answers of a revision besides case and trial, in one word."""
        revision = answerer.revision
        return digest([revision.content_hash, answerer.endpoint.identity, revision.parameters, self.seed])

    def recipe_hash(self, answerer: Answerer) -> str:
        """What decides all scores of a run, in one word; equal recipes may stand in for each other."""
        keys = sorted(scorers.key(spec) for spec in self.scorers)
        return digest([self.work_prefix(answerer), self.version.pk, self.part, keys, self.trials])


def plan(request: RunRequest, project: Project) -> Plan:
    """What the run will be.

    Raises:
        Missing: a name or id is unknown in this project.
        Invalid: a value cannot be used.
        Unprocessable: the request contradicts itself or its policy.
    """
    return _plan_freely(request, project) if request.policy is None else _plan_by_policy(request, project)


def _plan_by_policy(request: RunRequest, project: Project) -> Plan:
    """The label's policy decides; the baseline is what the label points at now."""
    target = _refuse_what_policy_decides(request)
    prompt = prompts.prompt_named(project.pk, target.prompt)
    label = Label.objects.select_related("revision__prompt").filter(prompt=prompt, name=request.policy).first()
    policy = None if label is None else label.policies.select_related("golden_set").order_by("-version").first()
    if label is None or policy is None:
        said = f"label {str(request.policy)[:60]!r} of {prompt.name!r} has no policy; put one first"
        raise Unprocessable(f"policy: {said}.", FieldError("policy", said))
    answerer = _answerer(project, _revision(prompt, target), None)
    active = label.revision
    return Plan(
        version=_newest(policy.golden_set),
        part=policy.part,
        scorers=policy.scorers,
        concurrency=request.concurrency,
        budget_calls=request.budget_calls,
        answerer=answerer,
        demand=policies.demand_of(policy),
        policy=policy,
        baseline_answerer=None if active is None else _answerer(project, active, None),
        no_baseline=f"nothing is released as {label.name} yet, so there is no baseline",
        is_active=active is not None and active.pk == answerer.revision.pk,
    )


def _refuse_what_policy_decides(request: RunRequest) -> PromptTarget:
    sent = [name for name in DECIDED_BY_POLICY if getattr(request, name) is not None]
    target = request.target
    if isinstance(target, PromptTarget) and target.model is None and not sent:
        return target
    if isinstance(target, RecordedTarget):
        sent.append("target.recorded")
    elif target.model is not None:
        sent.append("target.model")
    said = "is decided by the policy; leave it out, or leave the policy out (such a run is never evidence)"
    raise Unprocessable(f"{', '.join(sent)}: {said}.", *(FieldError(name, said) for name in sent))


def _plan_freely(request: RunRequest, project: Project) -> Plan:
    """The request decides; such a run may have a verdict, and is never evidence."""
    asked = Plan(
        version=_version(project, request),
        part=_part(request.part),
        scorers=policies.checked_scorers(request.scorers or []),
        trials=1 if request.trials is None else request.trials,
        seed=request.seed or 0,
        concurrency=request.concurrency,
        budget_calls=request.budget_calls,
        demand=_demand(request),
    )
    if isinstance(request.target, RecordedTarget):
        _check_recorded(request.target, asked)
        found = replace(asked, outputs=request.target.outputs)
        return _with_baseline(found, request, project, found.version.golden_set.prompt)
    prompt = prompts.prompt_named(project.pk, request.target.prompt)
    answerer = _answerer(project, _revision(prompt, request.target), request.target.model)
    is_released = request.target.model is None and _is_active(answerer.revision, asked.version.golden_set)
    return _with_baseline(replace(asked, answerer=answerer, is_active=is_released), request, project, prompt)


def _check_recorded(target: RecordedTarget, asked: Plan) -> None:
    if asked.trials != 1:
        raise Invalid(FieldError("trials", f"is {asked.trials}; recorded answers are one per case, send 1"))
    cases = GoldenCase.objects.of_version(asked.version).filter(part=asked.part, key__in=list(target.outputs))
    known = set(cases.values_list("key", flat=True))
    errors = [
        FieldError(f"target.recorded[{index}].case", f"{key[:60]!r} is no case of part {asked.part} there")
        for index, key in enumerate(target.outputs)
        if key not in known
    ]
    if errors:
        raise Invalid(*errors)


def _with_baseline(asked: Plan, request: RunRequest, project: Project, prompt: Prompt | None) -> Plan:
    if request.baseline is None:
        return replace(asked, no_baseline="no baseline was asked for")
    if request.baseline != PRODUCTION:
        return replace(asked, baseline=_baseline_run(request.baseline, project, asked))
    if prompt is None:
        said = "is 'production', but the golden set belongs to no prompt; send the id of a run"
        raise Unprocessable(f"baseline: {said}.", FieldError("baseline", said))
    label = Label.objects.select_related("revision__prompt").filter(prompt=prompt, name=PRODUCTION).first()
    if label is None or label.revision is None:
        return replace(asked, no_baseline="nothing is released as production yet, so there is no baseline")
    return replace(asked, baseline_answerer=_answerer(project, label.revision, None))


def _baseline_run(baseline: str, project: Project, asked: Plan) -> Run:
    is_id = baseline.isascii() and baseline.isdigit() and len(baseline) < 19
    run = Run.objects.filter(project=project, pk=int(baseline)).first() if is_id else None
    if run is None:
        raise Missing("baseline run")
    wanted = {scorers.key(spec) for spec in asked.scorers}
    if run.golden_version_id != asked.version.pk or run.part != asked.part:
        said = f"run {run.pk} answered {run.golden_version}, part {run.part}; send one on the same"
    elif not wanted <= {scorers.key(spec) for spec in run.scorers}:
        said = f"run {run.pk} was not scored by every scorer asked for"
    elif run.state in (Run.State.CANCELLED, Run.State.FAILED):
        said = f"run {run.pk} is {run.state}; send one that is done"
    else:
        return run
    raise Unprocessable(f"baseline: {said}.", FieldError("baseline", said))


def _demand(request: RunRequest) -> Demand | None:
    """What a request without a policy asks of the gate; a baseline alone asks for non-inferiority."""
    asked = request.gate
    if asked is None:
        return None if request.baseline is None else Demand()
    demand = Demand(**asked)
    policies.check_share("gate.margin", demand.margin)
    if demand.floor is not None:
        policies.check_floor("gate.floor", demand.floor)
    if demand.kind == gate.FLOOR and demand.floor is None:
        raise Invalid(FieldError("gate.floor", "is missing; a gate of kind floor needs one, as 0.8"))
    if demand.kind != gate.FLOOR and request.baseline is None:
        said = f"of kind {demand.kind} compares; send a baseline, 'production' or the id of a run"
        raise Unprocessable(f"gate {said}.", FieldError("baseline", f"is missing; a gate {said}"))
    return demand


def _is_active(revision: Revision, golden_set: GoldenSet) -> bool:
    """Whether a label whose policy in force uses this set points at the revision, or production does."""
    judged = GatePolicy.objects.in_force().filter(golden_set=golden_set).values("label")
    labels = Label.objects.filter(prompt=revision.prompt_id, revision=revision)
    return labels.filter(pk__in=judged).exists() or labels.filter(name=PRODUCTION).exists()


def _version(project: Project, request: RunRequest) -> GoldenVersion:
    if request.golden_set is None:
        raise Invalid(FieldError("golden_set", "is missing; send its name, or a policy"))
    golden_set = GoldenSet.objects.filter(project=project, name=request.golden_set).first()
    if golden_set is None:
        raise Missing("golden set")
    if request.version is None:
        return _newest(golden_set)
    version = golden_set.versions.select_related("golden_set__prompt").filter(number=request.version).first()
    if version is None:
        raise Missing("version of this golden set")
    return version


def _newest(golden_set: GoldenSet) -> GoldenVersion:
    newest = golden_set.versions.select_related("golden_set__prompt").order_by("-number").first()
    if newest is None:
        said = f"{golden_set.name!r} has no version yet; cut one first"
        raise Unprocessable(f"golden_set: {said}.", FieldError("golden_set", said))
    return newest


def _part(part: str | None) -> str:
    if part == "teach":
        raise Invalid(FieldError("part", "is 'teach', the textbook; no case of an exam has it"))
    return part or CasePart.DEV


def _revision(prompt: Prompt, target: PromptTarget) -> Revision:
    revisions = Revision.objects.select_related("prompt").filter(prompt=prompt)
    if target.revision is not None:
        found = revisions.filter(number=target.revision).first()
    else:
        found = revisions.filter(labels__name=target.label).first()
    if found is None:
        raise Missing("revision" if target.revision is not None else "label with a revision")
    return found


def _answerer(project: Project, revision: Revision, model: str | None) -> Answerer:
    name = model or revision.model
    return Answerer(revision=revision, model=name, endpoint=connections.resolve(project.pk, name))
