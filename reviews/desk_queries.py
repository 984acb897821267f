"""What the reviewer's pages ask, each in a fixed number of statements."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.db import connection
from django.db.models import Count, IntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce, JSONObject

from core.problems import Missing
from projects.access import Actor
from reviews import queries
from reviews.models import Claim, Draft, Item, ItemOutput, Review, Skip

# More than this is said as "500+": nobody plans further, and counting has to stop somewhere.
MOST_COUNTED = 500
# An item that waits for longer is due.
DUE_AFTER = dt.timedelta(hours=24)
# After so long a bookmark is forgotten and the queue searched from its beginning.
BOOKMARK_AGE = dt.timedelta(minutes=5)

Standing = Literal["held", "lapsed", "taken", "free", "submitted", "skipped", "closed"]


@dataclass(frozen=True)
class Desk:
    """One item as it lies before one reviewer.

    Attributes:
        claim: the reviewer's own, live or not; None where there never was one.
        draft: what the reviewer typed and did not hand in.
        review: what the reviewer handed in.
        skip: why the reviewer passed over it.
        n_others: other people who have it on the desk.
        retrieved: what the retrieval steps of the output's trace found, one value a step.
    """

    task: queries.Task
    claim: Mapping[str, Any] | None
    draft: Mapping[str, Any] | None
    review: Mapping[str, Any] | None
    skip: Mapping[str, Any] | None
    n_others: int
    retrieved: Sequence[Any] = ()

    @property
    def lease(self) -> str:
        return "" if self.claim is None else str(self.claim["token"])

    @property
    def lease_until(self) -> dt.datetime | None:
        return None if self.claim is None else dt.datetime.fromisoformat(self.claim["lease_until"])

    def standing(self, now: dt.datetime) -> Standing:
        """What the reviewer can do with the item at this moment."""
        item = self.task.item
        if self.review is not None:
            return "submitted"
        if item.state != Item.State.OPEN:
            return "closed"
        until = self.lease_until
        has_place = item.n_reviews + self.n_others < item.overlap
        if self.claim is None or until is None or self.claim["is_ahead"]:
            return "skipped" if self.skip is not None else "free" if has_place else "taken"
        if until > now:
            return "held"
        return "lapsed" if has_place else "taken"


def desk(*, queue_name: str, item_id: int, by: Actor, now: dt.datetime) -> Desk:
    """The item before this reviewer: one statement.

    Raises:
        Missing: no such item in a queue of this name of the actor's project.
    """
    mine = {"item": OuterRef("item"), "reviewer": by.identity}
    live = Claim.objects.filter(item=OuterRef("item"), lease_until__gt=now, is_ahead=False)
    others = live.exclude(reviewer=by.identity).order_by().values("item").annotate(n=Count("pk")).values("n")
    places = list(
        ItemOutput.objects.filter(item=item_id, item__project=by.project.pk, item__queue__name=queue_name)
        .select_related("item__queue", "item__rubric", "output__prompt", "output__revision")
        .annotate(
            body=queries.BODY,
            retrieved=queries.RETRIEVED,
            claim=_one(Claim.objects.filter(**mine), "token", "lease_until", "is_ahead"),
            draft=_one(Draft.objects.filter(**mine), "answers", "correction", "comment", "tags", "saved_at"),
            review=_one(Review.objects.standing().filter(**mine), "answers", "correction", "comment", "tags", "at"),
            skip=_one(Skip.objects.filter(**mine), "reason", "at"),
            n_others=Coalesce(Subquery(others, output_field=IntegerField()), 0),
        )
        .order_by("position")
    )
    if not places:
        raise Missing("item")
    first = places[0]
    return Desk(
        task=queries.task_in(places),
        claim=first.claim,
        draft=first.draft,
        review=first.review,
        skip=first.skip,
        n_others=first.n_others,
        retrieved=first.retrieved or (),
    )


def others_of(item_id: int, *, by: Actor) -> list[Review]:
    """What other people handed in about the item, oldest first: one statement."""
    found = Review.objects.standing().filter(item=item_id).exclude(reviewer=by.identity)
    return list(found.select_related("user").order_by("pk"))


def _one(rows: Any, *names: str) -> Subquery:  # Any: a queryset of any model
    """The only row as an object, or null."""
    return Subquery(rows.values(found=JSONObject(**{name: name for name in names}))[:1])


@dataclass(frozen=True)
class Waiting:
    """One queue as it waits for one reviewer; counts stop at `MOST_COUNTED`."""

    queue_id: int
    name: str
    rubric: str
    n_waiting: int
    n_due: int
    n_done: int
    n_held: int

    @property
    def is_more(self) -> bool:
        return self.n_waiting > MOST_COUNTED

    @property
    def words(self) -> str:
        """How many wait: `26`, `500+`."""
        return f"{MOST_COUNTED}+" if self.is_more else str(self.n_waiting)

    @property
    def n_today(self) -> int:
        return self.n_done + min(self.n_waiting, MOST_COUNTED)


# What waits for a reviewer in the queue `q`: open items that they have neither reviewed nor skipped, whoever is at
# them, oldest first from the bookmark `b` on.
_BOOKMARK = """
    LEFT JOIN reviews_bookmark b
      ON b.queue_id = q.id AND b.reviewer = %(reviewer)s AND b.searched_at > %(fresh)s
"""
_UNDONE = """
    SELECT i.created_at FROM reviews_item i
    WHERE i.queue_id = q.id AND i.state = 'open' AND i.n_reviews < i.overlap AND i.id > coalesce(b.floor, 0)
      AND NOT EXISTS (
          SELECT FROM reviews_review r
          WHERE r.item_id = i.id AND r.reviewer = %(reviewer)s AND r.withdrawn_at IS NULL
      )
      AND NOT EXISTS (SELECT FROM reviews_skip s WHERE s.item_id = i.id AND s.reviewer = %(reviewer)s)
    ORDER BY i.id LIMIT %(most)s
"""
# Per queue: what waits for this reviewer; reviews of today; live claims.
_WAITING = f"""
    SELECT q.id, q.name, rb.name, waiting.n, waiting.n_due, coalesce(done.n, 0), coalesce(held.n, 0)
    FROM reviews_queue q
    JOIN reviews_rubric rb ON rb.id = q.rubric_id
    {_BOOKMARK}
    CROSS JOIN LATERAL (
        SELECT count(*) AS n, count(*) FILTER (WHERE created_at < %(due)s) AS n_due FROM (
            {_UNDONE}
        ) AS undone
    ) AS waiting
    LEFT JOIN (
        SELECT i.queue_id, count(*) AS n FROM reviews_review r JOIN reviews_item i ON i.id = r.item_id
        WHERE r.reviewer = %(reviewer)s AND r.at >= %(today)s AND r.withdrawn_at IS NULL
        GROUP BY i.queue_id
    ) AS done ON done.queue_id = q.id
    LEFT JOIN (
        SELECT i.queue_id, count(*) AS n FROM reviews_claim c JOIN reviews_item i ON i.id = c.item_id
        WHERE c.reviewer = %(reviewer)s AND c.lease_until > %(now)s AND NOT c.is_ahead AND i.state = 'open'
        GROUP BY i.queue_id
    ) AS held ON held.queue_id = q.id
    WHERE q.project_id = %(project)s AND (%(only)s::text IS NULL OR q.name = %(only)s)
    ORDER BY q.name
"""  # noqa: S608  # constants
_COUNTED = f"""
    SELECT q.project_id, q.name, (SELECT count(*) FROM ({_UNDONE}) AS undone)
    FROM reviews_queue q
    {_BOOKMARK}
    WHERE q.project_id = ANY(%(projects)s)
    ORDER BY q.project_id, q.name
"""  # noqa: S608  # constants


def waiting(by: Actor, *, now: dt.datetime, today: dt.datetime, only: str | None = None) -> list[Waiting]:
    """The project's queues as they wait for this reviewer, by name: one statement, whatever lies in them.

    Args:
        by: the reviewer.
        now: when.
        today: where the reviewer's day began.
        only: the queue of this name alone, and nothing is counted in the others.
    """
    values = {
        "project": by.project.pk,
        "reviewer": by.identity,
        "now": now,
        "fresh": now - BOOKMARK_AGE,
        "due": now - DUE_AFTER,
        "today": today,
        "most": MOST_COUNTED + 1,
        "only": only,
    }
    return [Waiting(*row) for row in _rows(_WAITING, values)]


@dataclass(frozen=True)
class Counted:
    """How many items of one queue wait for one reviewer, as `Waiting` counts them."""

    project_id: int
    queue: str
    n: int


def counted(projects: Sequence[int], *, reviewer: str, now: dt.datetime, most: int) -> list[Counted]:
    """The queues of these projects in which something waits for the reviewer, by name: one statement.

    Args:
        projects: their ids.
        reviewer: the identity of whoever asks.
        now: when.
        most: counting in a queue ends here.
    """
    values = {"projects": list(projects), "reviewer": reviewer, "fresh": now - BOOKMARK_AGE, "most": most}
    return [Counted(*row) for row in _rows(_COUNTED, values) if row[2]]


@dataclass(frozen=True)
class RailRow:
    """One item in the rail: on the desk, typed into, waiting, or done."""

    kind: Literal["held", "draft", "waiting", "done"]
    item_id: int
    title: str
    at: dt.datetime
    is_due: bool


@dataclass(frozen=True)
class Rail:
    """What stands beside the item: this queue, and its items by their names.

    Attributes:
        last: the reviewer's last review that is young enough to be taken back, as its item's row.
    """

    here: Waiting
    mine: list[RailRow]
    done: list[RailRow]
    last: RailRow | None


# The words of a text, or of the last message, or of an object; enough of them for a line.
_TITLE = """
    left(CASE jsonb_typeof(body.input)
        WHEN 'string' THEN body.input #>> '{}'
        WHEN 'array' THEN coalesce(
            CASE WHEN jsonb_typeof(body.input -> -1 -> 'content') = 'string' THEN body.input -> -1 ->> 'content' END,
            body.input ->> -1
        )
        WHEN 'object' THEN coalesce(body.input ->> 'input', body.input ->> 'question', body.input::text)
        ELSE body.variables ->> 'input'
    END, 120)
"""
_RAIL = f"""
    WITH held AS (
        SELECT 'held' AS kind, i.id, c.lease_until AS at, i.created_at FROM reviews_claim c
        JOIN reviews_item i ON i.id = c.item_id
        WHERE c.reviewer = %(reviewer)s AND c.lease_until > %(now)s AND NOT c.is_ahead
          AND i.queue_id = %(queue)s AND i.state = 'open'
        ORDER BY i.id LIMIT 5
    ), drafted AS (
        SELECT 'draft' AS kind, i.id, d.saved_at AS at, i.created_at FROM reviews_draft d
        JOIN reviews_item i ON i.id = d.item_id
        WHERE d.reviewer = %(reviewer)s AND i.queue_id = %(queue)s AND i.id NOT IN (SELECT id FROM held)
          AND NOT EXISTS (
              SELECT FROM reviews_review r
              WHERE r.item_id = i.id AND r.reviewer = %(reviewer)s AND r.withdrawn_at IS NULL
          )
        ORDER BY d.saved_at DESC LIMIT 5
    ), waiting AS (
        SELECT 'waiting' AS kind, i.id, i.created_at AS at, i.created_at FROM reviews_item i
        WHERE i.queue_id = %(queue)s AND i.state = 'open' AND i.n_reviews < i.overlap
          AND i.id > coalesce((
              SELECT floor FROM reviews_bookmark
              WHERE queue_id = %(queue)s AND reviewer = %(reviewer)s AND searched_at > %(fresh)s
          ), 0)
          AND i.id NOT IN (SELECT id FROM held) AND i.id NOT IN (SELECT id FROM drafted)
          AND NOT EXISTS (
              SELECT FROM reviews_review r
              WHERE r.item_id = i.id AND r.reviewer = %(reviewer)s AND r.withdrawn_at IS NULL
          )
          AND NOT EXISTS (SELECT FROM reviews_skip s WHERE s.item_id = i.id AND s.reviewer = %(reviewer)s)
        ORDER BY i.id LIMIT 8
    ), done AS (
        SELECT 'done' AS kind, i.id, r.at, i.created_at FROM reviews_review r JOIN reviews_item i ON i.id = r.item_id
        WHERE r.reviewer = %(reviewer)s AND r.withdrawn_at IS NULL AND i.queue_id = %(queue)s
        ORDER BY r.at DESC, r.id DESC LIMIT 8
    ), found AS (
        SELECT * FROM held UNION ALL SELECT * FROM drafted UNION ALL SELECT * FROM waiting UNION ALL SELECT * FROM done
    )
    SELECT found.kind, found.id, coalesce({_TITLE}, ''), found.at, found.created_at < %(due)s
    FROM found
    LEFT JOIN reviews_itemoutput place ON place.item_id = found.id AND place.position = 0
    LEFT JOIN outputs_output output ON output.id = place.output_id
    LEFT JOIN outputs_outputbody body ON body.output_id = output.id AND body.received_on = output.received_on
"""  # noqa: S608  # constants
_ORDER = {"held": 0, "draft": 1, "waiting": 2, "done": 3}


def rail(by: Actor, queue_name: str, *, now: dt.datetime, today: dt.datetime, undo_within: dt.timedelta) -> Rail:
    """What stands beside an item of this queue: two statements, which look into no other queue.

    Raises:
        Missing: there is no such queue.
    """
    found = waiting(by, now=now, today=today, only=queue_name)
    if not found:
        raise Missing("queue")
    here = found[0]
    values = {
        "queue": here.queue_id,
        "reviewer": by.identity,
        "now": now,
        "fresh": now - BOOKMARK_AGE,
        "due": now - DUE_AFTER,
    }
    rows = [
        RailRow(kind, number, " ".join(title.split()) or f"Item {number:,}", at, is_due)
        for kind, number, title, at, is_due in _rows(_RAIL, values)
    ]
    mine = sorted((row for row in rows if row.kind != "done"), key=lambda row: (_ORDER[row.kind], row.item_id))
    done = sorted((row for row in rows if row.kind == "done"), key=lambda row: row.at, reverse=True)
    last = done[0] if done and done[0].at > now - undo_within else None
    return Rail(here, mine, done, last)


def _rows(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:  # Any: what columns hold
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
