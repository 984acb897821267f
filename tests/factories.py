"""Plain factories with telling names; each makes real rows through the services where one exists."""

import itertools
from typing import Any

from core import clock
from evals import cases, gate
from evals.models import GatePolicy, GoldenVersion, Run
from evals.services import golden, policies
from improvement import services as improvement
from improvement.models import Proposal
from outputs.models import Output, OutputBody
from projects.access import ROLE_SCOPES, Actor, Scope
from projects.models import Membership, Project, Role, User
from projects.services import keys, members
from prompts import services as prompts
from prompts.content import ContextLine
from prompts.models import Label, Prompt, Revision
from reviews.models import Item, ItemOutput, Part, PartSplit, Queue, Rubric, Verdict

_numbers = itertools.count(1)


def a_project(name: str = "") -> Project:
    return members.create_project(name=name or f"Project {next(_numbers)}", now=clock.now())


def a_member(project: Project, role: str = Role.ENGINEER, email: str = "") -> User:
    address = email or f"{role}{next(_numbers)}@example.org"
    members.create_user(email=address, project=project, role=role, now=clock.now())
    return Membership.objects.get(project=project, user__email=address).user


def an_actor(project: Project, role: str = Role.ADMIN) -> Actor:
    """A signed-in member with this role."""
    return Actor(project=project, scopes=ROLE_SCOPES[role], user=a_member(project, role), role=role)


def a_key(project: Project, *scopes: str, user: User | None = None) -> str:
    """The text of a live key with these scopes (all that a key can have where none is named)."""
    wanted = scopes or tuple(sorted(scope.value for scope in Scope if scope != Scope.APPROVE))
    name = f"key {next(_numbers)}"
    return keys.create_api_key(name=name, scopes=wanted, by=an_actor(project), now=clock.now(), user=user)[1]


def bearer(key: str) -> dict[str, Any]:
    """Headers for Django's test client."""
    return {"Authorization": f"Bearer {key}"}


def a_prompt(project: Project, name: str = "intent") -> Prompt:
    return prompts.create_prompt(name=name, by=an_actor(project), now=clock.now())[0]


def a_revision(prompt: Prompt, *examples: tuple[str, str], system: str = "Sort this.") -> Revision:
    """A revision with these (input, output) examples."""
    return prompts.create_revision(
        prompt=prompt,
        messages=[{"role": "system", "content": system}, {"role": "user", "content": "{{input}}"}],
        model="demo/nearest-neighbour",
        context=[ContextLine(kind="example", input=text, output=answer) for text, answer in examples],
        strategy="similar",
        k=4,
        by=an_actor(prompt.project),
        now=clock.now(),
    )[0]


def an_output(project: Project, prompt: Prompt | None = None, *, text: str = "Where is it?", said: str = "x") -> Output:
    """An output as ingest stores it."""
    today = clock.now().date()
    output = Output.objects.create(
        project=project, external_id=f"out-{next(_numbers)}", body_hash=b"\0" * 32, prompt=prompt, received_on=today
    )
    OutputBody.objects.create(output_id=output.pk, received_on=today, input=text, output=said)
    return output


def a_queue(project: Project, name: str = "") -> Queue:
    """A queue with one yes/no question that is the quality."""
    number = next(_numbers)
    rubric = Rubric.objects.create(
        project=project,
        name=f"rubric {number}",
        version=1,
        content_hash=str(number),
        questions=[{"key": "correct", "type": "yes_no", "text": "Right?", "required": True, "options": ["yes", "no"]}],
        quality={"question": "correct", "map": {"yes": 1.0, "no": 0.0}},
    )
    return Queue.objects.create(project=project, name=name or f"queue-{number}", rubric=rubric)


def a_verdict(
    prompt: Prompt, *, text: str, said: str = "wrong", correction: str | None = "right", part: str = Part.TEACH
) -> Verdict:
    """A settled verdict on an output of the prompt, dealt to this part."""
    project = prompt.project
    output = an_output(project, prompt, text=text, said=said)
    queue = Queue.objects.filter(project=project).first() or a_queue(project)
    item = Item.objects.create(
        project=project, queue=queue, rubric=queue.rubric, subject_key=str(output.pk), state=Item.State.SETTLED
    )
    ItemOutput.objects.create(item=item, output=output)
    split = PartSplit.objects.create(
        project=project, prompt=prompt, text=text, text_hash=f"{output.pk:032}".encode(), bands=[], part=part
    )
    return Verdict.objects.create(
        project=project,
        item=item,
        prompt=prompt,
        answers={"correct": "no" if correction else "yes"},
        quality=0.0 if correction else 1.0,
        correction=correction,
        part=part,
        split=split,
        settled_by=Verdict.SettledBy.AGREEMENT,
        settled_at=clock.now(),
        by="key:scripted",
    )


def an_operator(project: Project) -> User:
    """Somebody who may look at every row under /admin/."""
    email = f"operator{next(_numbers)}@example.org"
    members.create_user(email=email, project=project, role=Role.ADMIN, now=clock.now(), is_operator=True)
    return User.objects.get(email=email)


def a_proposal(prompt: Prompt) -> Proposal:
    """A proposal that is being built."""
    return improvement.propose(prompt=prompt, kind="examples", by=an_actor(prompt.project), now=clock.now())


def a_golden_version(prompt: Prompt, *, n_cases: int = 3) -> GoldenVersion:
    """The newest version of the prompt's exam, with cases of part gate."""
    by = an_actor(prompt.project)
    exam = golden.create_set(name=f"{prompt.name}-exam", prompt=prompt, description="", by=by, now=clock.now())[0]
    rows = [
        golden.Taken(at, cases.CaseContent(key=f"case-{at}", input=f"Question {at}?", expected="a", part="gate"))
        for at in range(n_cases)
    ]
    golden.add_cases(golden_set=exam, rows=rows, by=by, now=clock.now())
    return golden.cut(golden_set=exam, by=by, now=clock.now())[0]


def a_policy(prompt: Prompt) -> GatePolicy:
    """The default policy of the prompt's label `production`."""
    exam = a_golden_version(prompt).golden_set
    terms = policies.Terms(golden_set=exam, scorers=[{"name": "exact_match"}])
    by = an_actor(prompt.project)
    return policies.put_policy(prompt=prompt, label_name="production", terms=terms, by=by, now=clock.now())[0]


def a_passed_run(revision: Revision) -> Run:
    """A run of the revision that is evidence for `production` at this moment, as workers leave it behind."""
    policy = a_policy(revision.prompt)
    active = Label.objects.get(prompt=revision.prompt, name="production").revision
    version = a_golden_version(revision.prompt)
    facts = {
        "project": revision.prompt.project,
        "golden_version": version,
        "part": policy.part,
        "target_kind": Run.TargetKind.PROMPT,
        "scorers": policy.scorers,
        "state": Run.State.DONE,
        "n_results": 0,
        "created_at": clock.now(),
        "created_by": "key:scripted",
    }
    passed = gate.Judgement("pass", "The candidate is not worse.", gate.Demand())
    baseline = None if active is None else Run.objects.create(**facts, revision=active, model=active.model)
    return Run.objects.create(
        **facts, revision=revision, model=revision.model, policy=policy, baseline=baseline, gate=passed.as_dict()
    )
