"""What was drawn and what became of it, for whoever estimates from it."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from reviews.estimation import Group
from reviews.models import Rubric

# Per queue, what it asks: the rubric of the item that it drew last, so that the answer stays the same when the queue
# gets another rubric later; the queue's own where it never drew. A drawn output counts for what its item asks.
_DRAWS = """
    WITH asking AS (
        SELECT * FROM unnest(%(rubrics)s::bigint[], %(firsts)s::bigint[]) AS asking (rubric_id, first_id)
    ), arrived AS MATERIALIZED (
        SELECT id, prompt_id, revision_id, model, environment FROM outputs_output
        WHERE project_id = %(project)s AND received_at >= %(since)s AND received_at < %(until)s AND status = 0
    ), matched AS MATERIALIZED (
        SELECT m.output_id, m.p, r.queue_id,
               bool_or(m.drawn) OVER (PARTITION BY m.output_id, r.queue_id) AS drawn
        FROM reviews_match m JOIN reviews_samplingrule r ON r.id = m.rule_id
        WHERE m.output_id IN (SELECT id FROM arrived) AND r.kind = 'probability'
    ), queues AS (
        SELECT q.id AS queue_id, coalesce(last.rubric_id, q.rubric_id) AS rubric_id
        FROM reviews_queue q LEFT JOIN LATERAL (
            SELECT i.rubric_id
            FROM reviews_samplingrule r
            CROSS JOIN LATERAL (
                SELECT m.output_id FROM reviews_match m
                WHERE m.rule_id = r.id AND m.drawn AND m.output_id <= (SELECT max(id) FROM arrived)
                ORDER BY m.output_id DESC LIMIT 1
            ) AS newest
            JOIN reviews_item i ON i.queue_id = q.id AND i.subject_kind = 'output'
             AND i.subject_key = newest.output_id::text AND i.round = 1
            WHERE r.queue_id = q.id ORDER BY newest.output_id DESC LIMIT 1
        ) AS last ON true
        WHERE q.id IN (SELECT queue_id FROM matched)
    ), covered AS (
        SELECT m.output_id, a.first_id, array_agg(m.p ORDER BY m.p) AS probabilities, bool_or(m.drawn) AS drawn
        FROM matched m JOIN queues q USING (queue_id)
        LEFT JOIN reviews_item i ON m.drawn AND i.queue_id = m.queue_id AND i.subject_kind = 'output'
         AND i.subject_key = m.output_id::text AND i.round = 1
        JOIN asking a ON a.rubric_id = coalesce(i.rubric_id, q.rubric_id)
        GROUP BY m.output_id, a.first_id
    ), judged AS (
        SELECT c.output_id, c.first_id, avg(v.quality) AS quality
        FROM covered c
        JOIN reviews_itemoutput p ON p.output_id = c.output_id
        JOIN reviews_item i ON i.id = p.item_id AND i.subject_kind = 'output'
        JOIN asking a ON a.rubric_id = i.rubric_id AND a.first_id = c.first_id
        JOIN reviews_verdict v ON v.item_id = i.id AND v.replaced_at IS NULL
        WHERE c.drawn GROUP BY c.output_id, c.first_id
    )
    SELECT o.prompt_id, o.revision_id, o.model, o.environment, c.first_id, c.probabilities, j.quality,
           count(*), count(*) FILTER (WHERE c.drawn)
    FROM covered c JOIN arrived o ON o.id = c.output_id
    LEFT JOIN judged j ON j.output_id = c.output_id AND j.first_id = c.first_id
    GROUP BY o.prompt_id, o.revision_id, o.model, o.environment, c.first_id, c.probabilities, j.quality
    ORDER BY o.prompt_id, o.revision_id, o.model, o.environment, c.first_id, c.probabilities, j.quality
"""


@dataclass(frozen=True)
class Cell:
    """Outputs alike in what made them, under one quality question (`rubric_id`: the first version that asks it)."""

    prompt_id: int | None
    revision_id: int | None
    model: str
    environment: str
    rubric_id: int


@dataclass(frozen=True)
class Draws:
    """A group of covered outputs of a cell."""

    cell: Cell
    group: Group


def draws(*, project_id: int, since: dt.datetime, until: dt.datetime) -> list[Draws]:
    """The outputs without an error that arrived in [since, until) and that probability rules cover, as groups.

    All probability rules that match by now count, of all queues that ask the same question; an output's quality is
    the mean of its standing verdicts under that question, and counts only where such a rule drew it. Two statements.
    """
    firsts = first_versions(project_id)
    if not firsts:
        return []
    values: dict[str, Any] = {  # Any: what the driver takes
        "project": project_id,
        "since": since,
        "until": until,
        "rubrics": list(firsts),
        "firsts": list(firsts.values()),
    }
    with connection.cursor() as cursor:
        cursor.execute(_DRAWS, values)
        return [
            Draws(Cell(*cell), Group(probabilities, quality, n_covered, n_drawn))
            for *cell, probabilities, quality, n_covered, n_drawn in cursor.fetchall()
        ]


def first_versions(project_id: int) -> Mapping[int, int]:
    """For each rubric version of the project the first version of that name with the same quality question and map."""
    firsts: dict[tuple[str, str], int] = {}
    found = {}
    for rubric in Rubric.objects.of(project_id).order_by("pk"):
        found[rubric.pk] = firsts.setdefault((rubric.name, _question(rubric)), rubric.pk)
    return found


def _question(rubric: Rubric) -> str:
    name = rubric.quality["question"]
    asked = [question for question in rubric.questions if question["key"] == name]
    return json.dumps([asked, rubric.quality], sort_keys=True)
