"""Every page costs the same number of SQL statements, however much stands in the project."""

import datetime as dt
import itertools
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import models, transaction
from django.test import Client

from core import clock
from desk.models import SavedFilter
from evals.models import GoldenSet, Result, Run, Score, Tryout
from improvement.models import Origin, Proposal
from insights.models import Rollup
from ledger.models import Delivery
from outputs.models import Feedback, Import, Output
from projects.models import AuditEvent, Membership, Role, User
from prompts.models import ContextItem, Label, RevisionContext
from releases.models import Release
from reviews.models import Intake, Item, ItemOutput, Queue, Review, SamplingRule, Skip
from tests import factories
from tests.conventions import access_table
from tests.conventions.world import World, a_world
from tests.reviews.desk import statements

FEW, MORE = 2, 40
PAGES = sorted(path for method, path in access_table.PAGES if method == "GET" and path.startswith("{project}/"))
# Page: why it may ask more where there is more.
ALLOWED: dict[str, str] = {}
_numbers = itertools.count(1)


@pytest.fixture
def world(db: None) -> World:
    return a_world()


def test_every_page_costs_the_same_at_any_size(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # The live list shows what has settled; here that is everything at once, so that how fast this goes says nothing.
    monkeypatch.setattr("desk.explorer_queries.SETTLED_AFTER", dt.timedelta(0))
    more = surplus(world, PAGES)
    assert {path: found for path, found in more.items() if path not in ALLOWED} == {}
    assert set(ALLOWED) <= set(more), "an exception that is none any more"


def test_a_page_that_asks_for_each_row_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projects.queries.members_of", lambda project: list(project.memberships.all()))
    assert list(surplus(world, ["{project}/members/", "{project}/keys/"])) == ["{project}/members/"]


def surplus(world: World, paths: list[str]) -> dict[str, str]:
    """The pages that ask more where there is more, each with what it asks."""
    grow(world, FEW)
    client = Client()
    client.force_login(factories.a_member(world.project, Role.ADMIN))
    few = {path: _asked(client, world.page(path)) for path in paths}
    grow(world, MORE)
    many = {path: _asked(client, world.page(path)) for path in paths}
    return {path: _difference(few[path], many[path]) for path in paths if len(few[path]) != len(many[path])}


def _asked(client: Client, url: str) -> list[str]:
    """The statements of a look at the page; what it does is undone."""
    with transaction.atomic():
        with statements() as found:
            answer = client.get(url)
            body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        transaction.set_rollback(True)
    assert answer.status_code in (200, 302), f"{answer.status_code} for {url}: {body[:300]!r}"
    return found


def _difference(few: list[str], many: list[str]) -> str:
    """How many more there are, and the one that is most repeated, as a hint."""
    begun = [sql[:200] for sql in many]
    most = max(set(begun), key=lambda sql: begun.count(sql) - [one[:200] for one in few].count(sql))
    return f"{len(few)} became {len(many)}: {most}"


def grow(world: World, n: int) -> None:
    """So many more of everything, beside what the world names and below it."""
    _people(world, n)
    _prompts(world, n)
    _outputs(world, n)
    _reviews(world, n)
    _exams(world, n)
    _runs(world, n)


def copies(row: models.Model, n: int, **changes: Any) -> list[Any]:
    """So many copies of a row; a change that can be called is called for each."""
    kept = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if not field.primary_key}
    made = []
    for _ in range(n):
        values = {name: change() if callable(change) else change for name, change in changes.items()}
        here = {name: value for name, value in kept.items() if name.removesuffix("_id") not in values}
        made.append(type(row)(**{**here, **values}))
    return list(type(row)._default_manager.bulk_create(made))


def name() -> str:
    return f"copy-{next(_numbers)}"


def number() -> int:
    return 1_000 + next(_numbers)


def each(rows: list[Any]) -> Callable[[], Any]:
    """One row after the other."""
    return iter(rows).__next__


def _people(world: World, n: int) -> None:
    users = copies(User.objects.latest("pk"), n, email=lambda: f"{name()}@example.org")
    Membership.objects.bulk_create(Membership(user=user, project=world.project, role=Role.REVIEWER) for user in users)
    copies(world.project.api_keys.latest("pk"), n, name=name, digest=lambda: uuid.uuid4().bytes)
    copies(world.project.connections.latest("pk"), n, name=name)
    copies(world.project.webhooks.latest("pk"), n, url=name)
    copies(Delivery.objects.filter(project_id=world.project.pk).latest("pk"), n, subject=name)
    copies(world.project.prices.latest("pk"), n, model=name)
    copies(world.project.repricings.latest("pk"), n, state="done", ended_at=clock.now())
    filters = [SavedFilter(project=world.project, user=users[0], name=name(), is_shared=True) for _ in range(n)]
    SavedFilter.objects.bulk_create(filters)
    copies(AuditEvent.objects.filter(project=world.project).latest("pk"), n)


def _prompts(world: World, n: int) -> None:
    prompt = world.project.prompts.get(name=world.ids["prompt"])
    others = copies(prompt, n, name=name)
    revision = prompt.revisions.get(number=2)
    made = copies(revision, n, number=number, content_hash=name)
    copies(revision, n, prompt=each(others), content_hash=name)
    line = {"kind": "example", "created_at": clock.now()}
    items = [ContextItem(prompt=prompt, content_hash=name(), input=name(), output="x", **line) for _ in range(n)]
    ContextItem.objects.bulk_create(items)
    places = [
        RevisionContext(revision=one, item=item, position=number()) for one in (revision, made[0]) for item in items
    ]
    RevisionContext.objects.bulk_create(places)
    verdicts = [factories.a_verdict(prompt, text=name()) for _ in range(n)]
    Origin.objects.bulk_create(
        Origin(item=item, verdict=verdict) for item, verdict in zip(items, verdicts, strict=True)
    )
    label = prompt.labels.get(name="production")
    copies(label, n, name=name)
    Label.objects.bulk_create(Label(prompt=one, name="production") for one in others)
    released = Release.objects.filter(label=label).latest("number")
    spent = copies(Run.objects.get(pk=world.ids["run"]), n, spent_at=clock.now())
    copies(released, n, number=number, kind=Release.Kind.EVIDENCE, previous=released, run=each(spent))
    proposal = Proposal.objects.get(pk=world.ids["proposal"])
    copies(proposal, n, state=Proposal.State.READY, revision=each(made), prompt=prompt, kind="examples")


def _outputs(world: World, n: int) -> None:
    copies(Import.objects.get(pk=world.ids["import"]), n)
    prompt = world.project.prompts.get(name=world.ids["prompt"])
    output = Output.objects.get(project=world.project, external_id=world.ids["output"])
    outputs = [factories.an_output(world.project, prompt, text=name()) for _ in range(n)]
    Output.objects.filter(pk__in=[one.pk for one in outputs]).update(trace_id=output.trace_id)
    Feedback.objects.bulk_create(
        Feedback(
            project=world.project,
            external_id=name(),
            body_hash=b"",
            output_external_id=output.external_id,
            kind=Feedback.Kind.values[0],
            value=1.0,
        )
        for _ in range(n)
    )
    span = {"project": world.project, "grain": "day", "prompt": prompt}
    start = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    zeros = {"n_errors": 0, "n_unpriced": 1, "cost_usd": 0, "input_tokens": 0, "output_tokens": 0}
    Rollup.objects.bulk_create(Rollup(**span, starts_at=start, model=name(), n=1, **zeros) for _ in range(n))


def _reviews(world: World, n: int) -> None:
    queue = Queue.objects.get(project=world.project, name=world.ids["queue"])
    item = Item.objects.get(pk=world.ids["item"])
    copies(queue, n, name=name)
    copies(queue.rubric, n, name=name)
    copies(queue.rubric, n, version=number, content_hash=name)
    rules = [SamplingRule(queue=queue, rate=0.5, salt=b"", created_by="test") for _ in range(n)]
    SamplingRule.objects.bulk_create(rules)
    copies(Intake.objects.get(pk=world.ids["intake"]), n)
    prompt = world.project.prompts.get(name=world.ids["prompt"])
    for state, n_reviews in ((Item.State.OPEN, 0), (Item.State.DISPUTED, 2), (Item.State.SETTLED, 0)):
        outputs = [factories.an_output(world.project, prompt, text=name()) for _ in range(n)]
        keys = each([str(output.pk) for output in outputs])
        made = copies(item, n, subject_key=keys, state=state, overlap=2, n_reviews=n_reviews)
        pairs = zip(made, outputs, strict=True)
        ItemOutput.objects.bulk_create(ItemOutput(item=one, output=output) for one, output in pairs)
        _reviewed([one for one in made if n_reviews])
    _reviewed([item] * n)


def _reviewed(items: list[Item]) -> None:
    given = {"answers": {"correct": "yes"}, "at": clock.now()}
    Review.objects.bulk_create(
        Review(item=item, reviewer=f"key:{name()}", claim_token=uuid.uuid4(), **given) for item in items for _ in "12"
    )
    Skip.objects.bulk_create(Skip(item=item, reviewer=name(), reason="?", at=clock.now()) for item in items)


def _exams(world: World, n: int) -> None:
    golden_set = GoldenSet.objects.get(project=world.project, name=world.ids["golden_set"])
    version = golden_set.versions.get(number=world.ids["version"])
    copies(golden_set, n, name=name)
    copies(version, n, number=number, content_hash=name)
    copies(golden_set.cases.latest("pk"), n, key=name, content_hash=name, text_hash=name)


def _runs(world: World, n: int) -> None:
    run = Run.objects.get(pk=world.ids["run"])
    copies(run, n)
    copies(run, n, state=Run.State.RUNNING, gate=None)
    cases = list(run.golden_version.golden_set.cases.order_by("-pk")[:n])
    for one in (run, run.baseline):
        results = copies(Result.objects.get(pk=world.ids["result"]), n, run=one, case=each(cases))
        Score.objects.bulk_create(Score(result=result, scorer="exact_match", value=1.0) for result in results)
    copies(Tryout.objects.get(pk=world.ids["tryout"]), n)
