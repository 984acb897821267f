"""Sampling: which of the outputs that arrived go to people. Draws are hashes, never dice."""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from ledger import handovers
from ledger.handovers import Claimed
from reviews import coverage
from reviews.models import SamplingRule
from reviews.services import items

CONSUMER = "reviews.sampling"
# What is announced under this topic are outputs that a rule covers now.
TOPIC = "outputs.sampled"

# The first part takes the table's name, so that what a filter asks of all outputs is asked of the arrived ones
# alone: found by key, whatever the planner believes of the rest.
# 13 hex digits are 52 bits, which a float holds exactly: a uniform number in [0, 1) that any SHA-256 reproduces.
_DRAW = """
    WITH outputs_output AS MATERIALIZED (
        SELECT * FROM outputs_output WHERE id = ANY(%s)
    ), hashed AS (
        SELECT id, encode(sha256(%s || int8send(id)), 'hex') AS hash FROM ({population}) AS population
    ), matched AS (
        INSERT INTO reviews_match (rule_id, output_id, p, drawn)
        SELECT %s, id, %s, ('x' || left(hash, 13))::bit(52)::bigint::float8 / (2 ^ 52) < %s FROM hashed
        ORDER BY id
        ON CONFLICT (rule_id, output_id) DO NOTHING
        RETURNING output_id, drawn
    ), wanted AS (
        SELECT output_id FROM matched WHERE drawn
    ), announced AS (
        INSERT INTO ledger_handover (consumer, topic, project_id, ids)
        SELECT consumer, %s, %s, array_agg(output_id ORDER BY output_id)
        FROM matched CROSS JOIN unnest(%s::text[]) AS consumer GROUP BY consumer
    ), {open_items}
    SELECT (SELECT count(*) FROM matched), (SELECT count(*) FROM wanted), (SELECT count(*) FROM items)
"""


@dataclass(frozen=True)
class Drawn:
    """What one round did, over all its rules."""

    n_covered: int = 0
    n_drawn: int = 0
    n_items: int = 0

    def __add__(self, other: "Drawn") -> "Drawn":
        return Drawn(self.n_covered + other.n_covered, self.n_drawn + other.n_drawn, self.n_items + other.n_items)


def draw_waiting(*, now: dt.datetime, limit: int = 20) -> bool:
    """Draw from the oldest hand-overs that nobody has in hand; says whether there were any.

    The hand-overs fall in the transaction that stores the matches and items, so each is drawn from exactly
    once. One that cannot be drawn from is parked and keeps no other waiting.
    """
    return handovers.fetch(CONSUMER, lambda claimed: draw(claimed=claimed), now=now, limit=limit)


def draw(*, claimed: Sequence[Claimed]) -> Drawn:
    """Each rule of these projects has a match for every output it covers, and an item for each it drew.

    An output is drawn where `sha256(salt, id)` as a number in [0, 1) lies below the rule's rate, so whoever
    repeats the draw gets the same. One statement for the rules and one for each rule, whatever the number of
    outputs. A repeat finds every match and item there and adds nothing.
    """
    ids_by_project: dict[int, list[int]] = defaultdict(list)
    for one in claimed:
        ids_by_project[one.project_id] += one.ids
    rules = SamplingRule.objects.filter(queue__project__in=ids_by_project).select_related("queue").order_by("pk")
    with transaction.atomic():
        return sum((_draw(rule, ids_by_project[rule.queue.project_id]) for rule in rules), start=Drawn())


def _draw(rule: SamplingRule, output_ids: list[int]) -> Drawn:
    population, arguments = coverage.covered(rule.queue.project_id, rule.filter).values("id").query.sql_with_params()
    statement = _DRAW.format(population=population, open_items=items.OPEN_ITEMS)
    announced = [TOPIC, rule.queue.project_id, handovers.consumers_of(TOPIC)]
    rest: list[Any] = [rule.pk, rule.rate, rule.rate, *announced, rule.queue_id]
    with connection.cursor() as cursor:
        cursor.execute(statement, [output_ids, bytes(rule.salt), *arguments, *rest])
        return Drawn(*cursor.fetchone())
