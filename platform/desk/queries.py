"""What the home pages ask of all rooms."""

import datetime as dt
from dataclasses import dataclass

from django.db import connection

from desk.bar import address
from projects.access import Actor, Scope
from projects.models import Role

ANYBODY = frozenset(Role.values)


@dataclass(frozen=True)
class Stock:
    """What a project has, each told by whether there is a row; the first output and the newest moments are named."""

    first_output: str | None
    first_output_at: dt.datetime | None
    has_revision: bool
    has_queue: bool
    has_verdict: bool
    has_policy: bool
    has_label: bool
    has_proposal: bool
    has_gate_run: bool
    has_release: bool
    last_output_at: dt.datetime | None
    last_verdict_at: dt.datetime | None
    last_release_at: dt.datetime | None

    @property
    def is_empty(self) -> bool:
        return self.first_output is None


@dataclass(frozen=True)
class Step:
    """One step of the loop: `who` does it, `url` leads there, and rows say whether it is done."""

    title: str
    says: str
    is_done: bool
    url: str = ""
    does: str = ""
    who: frozenset[str] = ANYBODY
    is_now: bool = False


def stock(project_id: int) -> Stock:
    """The stock of one project, in one statement that looks at a few rows by their indexes, whatever the size."""
    with connection.cursor() as cursor:
        cursor.execute(_STOCK, {"project": project_id})
        row = cursor.fetchone()
    assert row is not None  # noqa: S101 # a SELECT without FROM has one row
    first = row[0] or {}
    at = first.get("at")
    return Stock(first.get("id"), dt.datetime.fromisoformat(at) if at else None, *row[1:])


_OF_PROMPTS = "JOIN prompts_prompt p ON p.id = t.prompt_id WHERE p.project_id = %(project)s"
_OF_LABELS = (
    "JOIN prompts_label l ON l.id = t.label_id JOIN prompts_prompt p ON p.id = l.prompt_id"
    " WHERE p.project_id = %(project)s"
)
_STOCK = f"""
    SELECT
        (SELECT json_build_object('id', external_id, 'at', received_at) FROM outputs_output
         WHERE project_id = %(project)s ORDER BY id LIMIT 1),
        EXISTS (SELECT FROM prompts_revision t {_OF_PROMPTS}),
        EXISTS (SELECT FROM reviews_queue WHERE project_id = %(project)s),
        EXISTS (SELECT FROM reviews_verdict WHERE project_id = %(project)s),
        EXISTS (SELECT FROM evals_gatepolicy t {_OF_LABELS}),
        EXISTS (SELECT FROM prompts_label t {_OF_PROMPTS} AND t.revision_id IS NOT NULL),
        EXISTS (SELECT FROM improvement_proposal t {_OF_PROMPTS} AND t.revision_id IS NOT NULL),
        EXISTS (SELECT FROM evals_run WHERE project_id = %(project)s AND policy_id IS NOT NULL AND gate IS NOT NULL),
        EXISTS (SELECT FROM releases_release t {_OF_LABELS} AND t.kind = 'evidence'),
        (SELECT received_at FROM outputs_output WHERE project_id = %(project)s ORDER BY id DESC LIMIT 1),
        (SELECT settled_at FROM reviews_verdict WHERE project_id = %(project)s ORDER BY id DESC LIMIT 1),
        (SELECT max(t.at) FROM releases_release t {_OF_LABELS})
"""  # noqa: S608 # only the constants above


def steps(actor: Actor, held: Stock) -> list[Step]:
    """The loop as a list for this member, the next step marked; done ones are ticked by rows, not by clicks."""
    slug = actor.project.slug
    engineers = frozenset({Role.ENGINEER, Role.ADMIN})
    found = [
        Step(
            "Send outputs",
            "Every answer your system gives, with its input: one HTTP request.",
            not held.is_empty,
            address("projects:key-list", slug) if actor.may(Scope.ADMIN) else "",
            "Make a key",
            engineers,
        ),
        Step(
            "Write down the prompt",
            "Its messages and its model, as its first revision; then label production with it.",
            held.has_revision and held.has_label,
            address("desk:prompt-list", slug),
            "Prompts",
            engineers,
        ),
        Step(
            "Open a review queue",
            "A rubric says what people are asked, the queue who and how many of them; a rule fills it.",
            held.has_queue,
            address("reviews:queue-list", slug),
            "Queues",
            engineers,
        ),
        Step(
            "Judge",
            "Reviewers answer the rubric. Where enough of them agree a verdict is settled.",
            held.has_verdict,
            address("reviews:review-home", slug),
            "Review",
            frozenset({Role.REVIEWER, Role.ENGINEER, Role.ADMIN}),
        ),
        Step(
            "Set the exam",
            "A golden set is made from verdicts; the label's policy says what a candidate must show on it.",
            held.has_policy,
            address("evals:golden-set-list", slug),
            "Golden sets",
            engineers,
        ),
        Step(
            "Propose something better",
            "Corrections become examples of a candidate revision; each line of it leads back to its verdict.",
            held.has_proposal,
            address("desk:proposal-list", slug),
            "Proposals",
            engineers | {Role.MANAGER},
        ),
        Step(
            "Let the gate judge it",
            "A run under the policy compares the candidate with what is live: pass, fail, or inconclusive.",
            held.has_gate_run,
            address("evals:run-list", slug),
            "Runs",
            engineers,
        ),
        Step(
            "Release it",
            "With a run that passed as evidence. The next output says which revision gave it.",
            held.has_release,
            address("desk:prompt-list", slug),
            "Prompts",
            engineers,
        ),
    ]
    return _with_the_next_marked(found, actor.role)


def _with_the_next_marked(found: list[Step], role: str) -> list[Step]:
    """The first open step that this role takes stands out; the others' links are for those who may follow them."""
    mine = next((step for step in found if not step.is_done and role in step.who), None)
    return [
        Step(
            step.title,
            step.says,
            step.is_done,
            step.url if role in step.who else "",
            step.does,
            step.who,
            step is mine,
        )
        for step in found
    ]
