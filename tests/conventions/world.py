"""A project with one of everything, so that every route has something to point at."""

import datetime as dt
import string
from dataclasses import dataclass
from decimal import Decimal

from connections.models import Connection, Webhook
from connections.services import connections, prices, webhooks
from connections.services.prices import Amounts
from connections.services.webhooks import News
from core import clock
from evals.models import Result, Run, Tryout
from evals.services import tryouts
from ledger.models import Delivery
from outputs.models import FeedbackDoor, Import
from outputs.services import doors, imports, repricing
from outputs.services.uploads import Wanted
from projects.access import Actor
from projects.models import ApiKey, Project
from projects.services import keys
from prompts import services as prompts
from prompts.models import Revision
from releases import services as releases
from reviews.models import Queue
from reviews.services import intake
from tests import factories


@dataclass(frozen=True)
class World:
    """A project and, for each name in a path, an id that exists in it."""

    project: Project
    ids: dict[str, str]

    def url(self, path: str) -> str:
        """The address of something of this world."""
        return "/api/v1/" + path.format(**self.ids)

    def page(self, path: str, **others: str) -> str:
        """The address of a page of this world, with other ids where they are given."""
        return "/" + path.format(**{**self.ids, **others})

    def unknown_url(self, path: str) -> str:
        """The same address for something that never was anywhere."""
        return "/api/v1/" + path.format(**self.not_here())

    def not_here(self) -> dict[str, str]:
        """For each name in a path but the project's, an id that never was anywhere."""
        ids = {name: value for name, value in self.ids.items() if name != "project"}
        return {name: "987654321" if value.isdigit() else "never-was" for name, value in ids.items()}


def _a_key(by: Actor) -> ApiKey:
    return keys.create_api_key(name="ci", scopes=["read"], by=by, now=clock.now())[0]


def _a_door(by: Actor) -> FeedbackDoor:
    given = {"kinds": ["thumb"], "origins": ["https://shop.example.org"], "needs_signature": True}
    return doors.make_door(name="Shop", **given, by=by, now=clock.now())[0]


def _an_import(by: Actor) -> Import:
    wanted = Wanted("csv", "outputs", "replies.csv", None, None)
    found = imports.receive(chunks=[b"input,output\n1,2\n"], wanted=wanted, by=by, now=clock.now())
    found.state, found.sample = Import.State.READY, {"columns": ["input", "output"], "rows": []}
    found.save()
    return found


def _a_connection(by: Actor) -> Connection:
    return connections.save_connection(name="local", base_url="http://127.0.0.1:1/v1", by=by, now=clock.now())[0]


def _a_webhook(by: Actor) -> Webhook:
    given = {"url": "http://127.0.0.1:1/hook", "topics": ["verdict.settled"], "secret": "sixteen or more!"}
    return webhooks.save_webhook(**given, by=by, now=clock.now())[0]


def _a_delivery(webhook: Webhook) -> Delivery:
    webhooks.announce(project_id=webhook.project_id, topic="verdict.settled", news=[News("x", {})], now=clock.now())
    return Delivery.objects.get(target=webhook.pk)


def _a_price(by: Actor) -> int:
    amounts = Amounts(input_usd=Decimal(1), output_usd=Decimal(2))
    return prices.set_price(model="m", amounts=amounts, valid_from=clock.now(), by=by, now=clock.now())[0].pk


def _a_repricing(by: Actor) -> int:
    since = clock.now() - dt.timedelta(days=1)
    return repricing.ask(since=since, until=clock.now(), by=by, now=clock.now())[0].pk


def _an_intake(queue: Queue, by: Actor) -> int:
    return intake.ask(queue=queue, given={}, by=by, now=clock.now())[0].pk


def _a_result(run: Run) -> Result:
    case = run.golden_version.golden_set.cases.first()
    done = Result.State.DONE
    return run.results.create(project=run.project, case=case, state=done, output="a", finished_at=clock.now())


def _a_tryout(revision: Revision, by: Actor) -> Tryout:
    return tryouts.ask(revision=revision, given={"input": "Where is my bike?"}, by=by, now=clock.now())


def names_in(path: str) -> set[str]:
    """The names that a path leaves open."""
    return {name for _, name, _, _ in string.Formatter().parse(path) if name}


def a_world() -> World:
    """One of everything, in one project."""
    project = factories.a_project()
    prompt = factories.a_prompt(project)
    first, second = (factories.a_revision(prompt, system=f"Sort this, way {number}.") for number in (1, 2))
    by = factories.an_actor(project)
    release = releases.release_initially(
        prompt=prompt, label_name="production", revision=first, reason="first", by=by, now=clock.now()
    )
    verdict = factories.a_verdict(prompt, text="Where is my bike?")
    output = verdict.item.item_outputs.get().output
    output.trace_id = f"trace-of-{project.slug}"
    output.session_id = f"session-of-{project.slug}"
    output.save()
    proposal = factories.a_proposal(prompt)
    run = factories.a_passed_run(second)
    golden = run.golden_version
    webhook = _a_webhook(by)
    prompts.label_named(prompt=prompt, name="production")
    return World(
        project,
        {
            "project": project.slug,
            "member": str(factories.a_member(project).memberships.get().pk),
            "key": str(_a_key(by).pk),
            "door": str(_a_door(by).pk),
            "import": str(_an_import(by).pk),
            "offset": "0",
            "connection": _a_connection(by).name,
            "webhook": str(webhook.pk),
            "delivery": str(_a_delivery(webhook).pk),
            "price": str(_a_price(by)),
            "repricing": str(_a_repricing(by)),
            "figure": "quality",
            "form": "csv",
            "output": output.external_id,
            "trace": output.trace_id,
            "session": output.session_id,
            "prompt": prompt.name,
            "label": "production",
            "release": str(release.pk),
            "proposal": str(proposal.pk),
            "queue": verdict.item.queue.name,
            "item": str(verdict.item.pk),
            "intake": str(_an_intake(verdict.item.queue, by)),
            "rubric": verdict.item.rubric.name,
            "verdict": str(verdict.pk),
            "golden_set": golden.golden_set.name,
            "version": str(golden.number),
            "before": str(golden.number),
            "after": str(golden.number),
            "run": str(run.pk),
            "a": str(run.pk),
            "b": str(run.baseline_id),
            "result": str(_a_result(run).pk),
            "tryout": str(_a_tryout(second, by).pk),
        },
    )
