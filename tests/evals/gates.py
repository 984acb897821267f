"""Prompts under a policy, and runs that are answered by hand: what gate and looks are tried on."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from connections.models import Connection
from core import clock
from evals.cases import CaseContent
from evals.models import GatePolicy, GoldenCase, GoldenSet, GoldenVersion, Result, Run
from evals.scorers import Panel
from evals.services import golden, policies, runs, work
from evals.services.golden import Taken
from evals.services.planning import PromptTarget, RunRequest
from evals.services.policies import Terms
from evals.services.work import Finished
from projects.access import Actor
from prompts import services as prompts
from prompts.content import ContextLine
from prompts.models import Label, Prompt, Revision
from tests import factories

EXACT = {"name": "exact_match", "args": {}}
Answer = Callable[[GoldenCase], str | None]


def right(case: GoldenCase) -> str:
    return str(case.expected)


def wrong(case: GoldenCase) -> str:
    return "something else"


def wrong_on(*keys: str) -> Answer:
    return lambda case: "something else" if case.key in keys else str(case.expected)


def failing_on(*keys: str) -> Answer:
    return lambda case: None if case.key in keys else str(case.expected)


@dataclass
class Site:
    """One project with a prompt that is released, an exam of its own, and a policy."""

    by: Actor
    prompt: Prompt
    golden_set: GoldenSet
    version: GoldenVersion
    active: Revision
    label: Label
    policy: GatePolicy


def a_site(*, n_cases: int = 60, is_released: bool = True, **terms: Any) -> Site:
    """`n_cases` gate cases, revision 1 in production, and a policy of non-inferiority by exact match."""
    by = factories.an_actor(factories.a_project())
    Connection.objects.create(project=by.project, name="house", base_url="http://127.0.0.1:9/v1")
    prompt, _ = prompts.create_prompt(name="intent", by=by, now=clock.now())
    active = a_revision(prompt, by, "Name the intent.")
    golden_set, _ = golden.create_set(name="exam", prompt=prompt, description="", by=by, now=clock.now())
    version = a_version(golden_set, by, (f"question {number}" for number in range(n_cases)))
    label = prompts.label_named(prompt=prompt, name="production")
    if is_released:
        label = prompts.point_label(label=label, revision=active, now=clock.now())
    policy = a_policy(prompt, golden_set, by, **terms)
    return Site(by, prompt, golden_set, version, active, label, policy)


def a_revision(prompt: Prompt, by: Actor, text: str, *, examples: Iterable[str] = ()) -> Revision:
    """A revision with this system message; each example answers `answer of <input>`."""
    messages = [{"role": "system", "content": text}, {"role": "user", "content": "{{input}}"}]
    context = [ContextLine("example", input=one, output=f"answer of {one}") for one in examples]
    return prompts.create_revision(
        prompt=prompt, messages=messages, model="house/nn", context=context, by=by, now=clock.now()
    )[0]


def a_policy(prompt: Prompt, golden_set: GoldenSet, by: Actor, label: str = "production", **terms: Any) -> GatePolicy:
    asked = Terms(golden_set=golden_set, **{"scorers": [EXACT], **terms})
    return policies.put_policy(prompt=prompt, label_name=label, terms=asked, by=by, now=clock.now())[0]


def a_version(golden_set: GoldenSet, by: Actor, texts: Iterable[str], *, part: str = "gate") -> GoldenVersion:
    """The draft, with a case for each text whose key and expectation tell of it, is cut."""
    cases = (CaseContent(key=text, input=text, expected=f"answer of {text}", part=part) for text in texts)
    rows = (Taken(index, case) for index, case in enumerate(cases))
    golden.add_cases(golden_set=golden_set, rows=rows, by=by, now=clock.now())
    return golden.cut(golden_set=golden_set, by=by, now=clock.now())[0]


def start(site: Site, revision: Revision, **asked: Any) -> Run:
    """A run of the revision, under the policy of production unless something else is asked."""
    target = PromptTarget(prompt=site.prompt.name, revision=revision.number)
    request = RunRequest(target=target, **(asked or {"policy": "production"}))
    return runs.create_run(request=request, by=site.by, now=clock.now())


def play(run: Run, answer: Answer = right, *, baseline: Answer = right) -> Run:
    """Answer everything that waits, in the run and in its baseline, and conclude both."""
    if run.baseline is not None:
        finish(run.baseline, baseline)
    finish(run, answer)
    run.refresh_from_db()
    return run


def finish(run: Run, answer: Answer) -> None:
    """Answer everything that waits in the run, and conclude it if that can be."""
    fill(run, answer)
    runs.conclude(run.pk, now=clock.now())


def fill(run: Run, answer: Answer) -> None:
    """Answer everything that waits in the run."""
    now = clock.now()
    work.start(run, now=now)
    claimed = work.claim(run, want=10_000, worker="hand", now=now)
    results = Result.objects.select_related("case").in_bulk([one.result_id for one in claimed])
    panel = Panel(run.scorers)
    work.finish(run, [_finished(one, results[one.result_id].case, answer, panel) for one in claimed], now=now)


def _finished(one: work.Work, case: GoldenCase, answer: Answer, panel: Panel) -> Finished:
    said = answer(case)
    if said is None:
        return Finished(one, Result.State.FAILED, error="cut off", scores=panel.no_answer("cut off"))
    scores = panel.score(said, case.expected, case)
    return Finished(one, Result.State.DONE, output=said, scores=scores)
