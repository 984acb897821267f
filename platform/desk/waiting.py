"""What waits for a person in their projects: items to judge, to adjudicate, proposals to decide, runs to act on."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from desk.bar import address
from evals.models import Run
from improvement.models import Proposal
from projects.access import ROLE_SCOPES, Actor, Scope
from projects.models import User
from projects.queries import MyProject
from reviews import desk_queries

# Nobody needs to know whether 99 or 9,999 wait: counting ends here, and the words say "99 or more".
COUNTED = 99
# Lists of single things show so many.
LISTED = 20
# A run that nobody acted on for so long is history.
RUNS_FOR = dt.timedelta(days=7)


@dataclass(frozen=True)
class Waits:
    """How many of each wait; `COUNTED` stands for that or more."""

    reviews: int = 0
    disputes: int = 0
    proposals: int = 0
    runs: int = 0

    @property
    def total(self) -> int:
        return min(COUNTED, self.reviews + self.disputes + self.proposals + self.runs)

    @property
    def parts(self) -> list[str]:
        """In words, as `12 to review`."""
        named = (
            (self.reviews, "to review"),
            (self.disputes, "to adjudicate"),
            (self.proposals, "to decide"),
            (self.runs, "run to look at" if self.runs == 1 else "runs to look at"),
        )
        return [f"{told(number)} {words}" for number, words in named if number]

    def by_page(self, pages: Collection[str]) -> dict[str, int]:
        """The numbers at these entries of the bar; disputes stand at Review for those who have no list of queues."""
        at_queues = self.disputes if "reviews:queue-list" in pages else 0
        found = {
            "reviews:review-home": min(COUNTED, self.reviews + self.disputes - at_queues),
            "reviews:queue-list": at_queues,
            "desk:proposal-list": self.proposals,
            "evals:run-list": self.runs,
        }
        return {page: found.get(page, 0) for page in pages}


@dataclass(frozen=True)
class Line:
    """One thing that waits: what it is, why it waits, and the page where somebody acts on it."""

    words: str
    why: str
    url: str
    does: str
    at: dt.datetime | None = None


def told(number: int) -> str:
    """The number, with a plus where counting ended; nothing for nothing."""
    return f"{COUNTED}+" if number >= COUNTED else str(number or "")


def counts(user: User, projects: Sequence[MyProject], *, now: dt.datetime) -> dict[int, Waits]:
    """What waits for this person in each of these projects, in two statements at any size.

    What there is to review is what the review pages count.
    """
    if not projects:
        return {}
    ids = [project.id for project in projects]
    reviews = dict.fromkeys(ids, 0)
    for queue in desk_queries.counted(ids, reviewer=f"user:{user.pk}", now=now, most=COUNTED):
        reviews[queue.project_id] = min(COUNTED, reviews[queue.project_id] + queue.n)
    named: Mapping[str, Any] = {"counted": COUNTED, "user": user.pk, "since": now - RUNS_FOR, "projects": ids}
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, named)
        rows = {row[0]: row[1:] for row in cursor.fetchall()}
    return {project.id: _allowed(project.role, reviews[project.id], *rows[project.id]) for project in projects}


def lines(actor: Actor, *, now: dt.datetime) -> list[Line]:
    """What waits for this member, thing by thing, in at most five statements."""
    found = _queue_lines(actor, now) if actor.may(Scope.REVIEW) else []
    if actor.may(Scope.APPROVE):
        found += _proposal_lines(actor)
    if actor.may(Scope.RELEASE):
        found += _run_lines(actor, now)
    return found


def _allowed(role: str, reviews: int, disputes: int, proposals: int, runs: int) -> Waits:
    scopes = ROLE_SCOPES[role]
    may_review = Scope.REVIEW in scopes
    return Waits(
        reviews=reviews if may_review else 0,
        disputes=disputes if may_review else 0,
        proposals=proposals if Scope.APPROVE in scopes else 0,
        runs=runs if Scope.RELEASE in scopes else 0,
    )


# Items whose reviewers differ, in queues where this person has the last word.
_DISPUTED = """
    SELECT item.queue_id FROM reviews_item item
    WHERE item.queue_id = queue.id AND item.state = 'disputed' AND (
        EXISTS (SELECT FROM reviews_queue_adjudicators a WHERE a.queue_id = queue.id AND a.user_id = %(user)s)
        OR EXISTS (SELECT FROM projects_membership m
                   WHERE m.project_id = queue.project_id AND m.user_id = %(user)s AND m.role = 'admin'))
    LIMIT %(counted)s
"""
# The newest run of its revision under its policy says something that somebody should act on.
_RUNS = """
    SELECT run.id FROM evals_run run
    JOIN evals_gatepolicy policy ON policy.id = run.policy_id
    JOIN prompts_label label ON label.id = policy.label_id
    LEFT JOIN evals_run baseline ON baseline.id = run.baseline_id
    WHERE run.project_id = project.id AND run.ended_at > %(since)s AND run.spent_at IS NULL
      AND label.revision_id IS DISTINCT FROM run.revision_id
      AND (run.state IN ('failed', 'invalid') OR run.gate ->> 'verdict' = 'inconclusive'
           OR (run.gate ->> 'verdict' = 'pass' AND baseline.revision_id IS NOT DISTINCT FROM label.revision_id))
      AND NOT EXISTS (SELECT FROM evals_run later WHERE later.project_id = run.project_id AND later.id > run.id
                      AND later.revision_id = run.revision_id AND later.policy_id IS NOT NULL)
    LIMIT %(counted)s
"""
_COUNTS = f"""
    SELECT project.id,
        (SELECT count(*) FROM (SELECT FROM reviews_queue queue, LATERAL ({_DISPUTED}) disputed
                               WHERE queue.project_id = project.id LIMIT %(counted)s) few),
        (SELECT count(*) FROM (SELECT FROM improvement_proposal proposal
                               JOIN prompts_prompt prompt ON prompt.id = proposal.prompt_id
                               WHERE prompt.project_id = project.id AND proposal.state = 'ready'
                               AND NOT EXISTS (SELECT FROM releases_release release
                                               WHERE release.revision_id = proposal.revision_id)
                               LIMIT %(counted)s) few),
        (SELECT count(*) FROM ({_RUNS}) few)
    FROM projects_project project WHERE project.id = ANY(%(projects)s)
"""  # noqa: S608 # only the constants above
_RUNS_OF_ONE = f"""
    SELECT waiting.id FROM projects_project project, LATERAL ({_RUNS}) waiting WHERE project.id = %(project)s
"""  # noqa: S608 # only the constants above
_QUEUES = f"""
    SELECT queue.name, (SELECT count(*) FROM ({_DISPUTED}) disputed)
    FROM reviews_queue queue WHERE queue.project_id = %(project)s ORDER BY queue.name
"""  # noqa: S608 # only the constants above


def _queue_lines(actor: Actor, now: dt.datetime) -> list[Line]:
    assert actor.user is not None  # noqa: S101 # pages are for members
    named: Mapping[str, Any] = {"counted": COUNTED, "user": actor.user.pk, "project": actor.project.pk}
    waiting = desk_queries.counted([actor.project.pk], reviewer=actor.identity, now=now, most=COUNTED)
    undone = {queue.queue: queue.n for queue in waiting}
    with connection.cursor() as cursor:
        cursor.execute(_QUEUES, named)
        rows = cursor.fetchall()
    slug = actor.project.slug
    found = []
    for name, disputed in rows:
        if disputed:
            url = address("reviews:adjudicate", slug, name)
            found.append(Line(f"{told(disputed)} disputed in {name}", "Reviewers differ.", url, "Adjudicate"))
        if name in undone:
            words = f"{told(undone[name])} to review in {name}"
            url = address("reviews:review-home", slug)
            found.append(Line(words, "Open, and not judged by you.", url, "Review"))
    return found


def _proposal_lines(actor: Actor) -> list[Line]:
    rows = (
        Proposal.objects.filter(prompt__project=actor.project, state=Proposal.State.READY, revision__releases=None)
        .select_related("prompt", "revision")
        .order_by("-pk")[:LISTED]
    )
    return [
        Line(
            words=f"Proposal {row.pk} for {row.prompt.name}",
            why="It is built and waits for somebody to approve or reject it.",
            url=address("desk:proposal-detail", actor.project.slug, row.pk),
            does="Decide",
            at=row.built_at,
        )
        for row in rows
    ]


def _run_lines(actor: Actor, now: dt.datetime) -> list[Line]:
    with connection.cursor() as cursor:
        cursor.execute(
            _RUNS_OF_ONE,
            {"counted": LISTED, "since": now - RUNS_FOR, "project": actor.project.pk},
        )
        ids = [row[0] for row in cursor.fetchall()]
    rows = Run.objects.filter(pk__in=ids).select_related("revision__prompt", "policy__label").order_by("-pk")
    return [
        Line(
            words=f"Run {run.pk} of {run.revision}: {_outcome(run)}",
            why=_ADVICE[_outcome(run)],
            url=address("evals:run-detail", actor.project.slug, run.pk),
            does="Look",
            at=run.ended_at,
        )
        for run in rows
    ]


_ADVICE = {
    "pass": "It passed; the release page says whether it is evidence now.",
    "inconclusive": "It decides nothing: more cases would, or another revision.",
    "failed": "It broke off; its page says why.",
    "invalid": "Too many answers were errors to believe it.",
}


def _outcome(run: Run) -> str:
    verdict = (run.gate or {}).get("verdict")
    return verdict if verdict in ("pass", "inconclusive") else run.state
