"""Rollups: the one place that reckons them."""

import datetime as dt
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict

from django.db import connection, transaction

from insights import sketch
from insights.models import Grain, QualityRollup, Rollup
from ledger import handovers
from ledger.handovers import Claimed
from reviews import draw_queries, estimation

CONSUMER = "insights.hours"
HOUR = dt.timedelta(hours=1)

_NOTE = {
    "outputs": """
        INSERT INTO insights_stalehour (project_id, hour)
        SELECT DISTINCT project_id, date_trunc('hour', received_at, 'UTC') FROM outputs_output WHERE id = ANY(%s)""",
    "items": """
        INSERT INTO insights_stalehour (project_id, hour)
        SELECT DISTINCT o.project_id, date_trunc('hour', o.received_at, 'UTC')
        FROM reviews_itemoutput p JOIN outputs_output o ON o.id = p.output_id WHERE p.item_id = ANY(%s)""",
}

# The oldest stale hour that nobody has in hand, and with it all other stale hours of its day.
_CLAIM = """
    WITH oldest AS (
        SELECT project_id, date_trunc('day', hour, 'UTC') AS day FROM insights_stalehour
        ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
    ), claimed AS (
        SELECT s.id FROM insights_stalehour s JOIN oldest o USING (project_id)
        WHERE s.hour >= o.day AND s.hour < o.day + interval '24 hours'
        FOR UPDATE OF s SKIP LOCKED
    )
    DELETE FROM insights_stalehour WHERE id IN (SELECT id FROM claimed) RETURNING project_id, hour
"""

_ROLL_UP = """
    INSERT INTO insights_rollup (
        project_id, grain, starts_at, prompt_id, revision_id, model, environment,
        n, n_errors, n_unpriced, cost_usd, input_tokens, output_tokens,
        cached_input_tokens, n_uncounted, unpriced_input_tokens, unpriced_output_tokens, latency
    )
    SELECT %(project)s, 'hour', %(hour)s, prompt_id, revision_id, model, environment,
           sum(n), sum(n_errors), sum(n_unpriced), sum(cost_usd), sum(input_tokens), sum(output_tokens),
           sum(cached_input_tokens), sum(n_uncounted), sum(unpriced_input_tokens), sum(unpriced_output_tokens),
           coalesce(jsonb_object_agg(bucket, n) FILTER (WHERE bucket IS NOT NULL), '{{}}')
    FROM (
        SELECT prompt_id, revision_id, model, environment, {bucket} AS bucket,
               count(*) AS n, count(*) FILTER (WHERE status <> 0) AS n_errors,
               count(*) FILTER (WHERE cost_usd IS NULL) AS n_unpriced, coalesce(sum(cost_usd), 0) AS cost_usd,
               coalesce(sum(input_tokens), 0) AS input_tokens, coalesce(sum(output_tokens), 0) AS output_tokens,
               coalesce(sum(cached_input_tokens), 0) AS cached_input_tokens,
               count(*) FILTER (WHERE cost_usd IS NULL AND {untold}) AS n_uncounted,
               coalesce(sum(input_tokens) FILTER (WHERE cost_usd IS NULL), 0) AS unpriced_input_tokens,
               coalesce(sum(output_tokens) FILTER (WHERE cost_usd IS NULL), 0) AS unpriced_output_tokens
        FROM outputs_output
        WHERE project_id = %(project)s AND received_at >= %(hour)s AND received_at < %(hour)s + interval '1 hour'
        GROUP BY prompt_id, revision_id, model, environment, bucket
    ) AS by_bucket
    GROUP BY prompt_id, revision_id, model, environment
"""

_UNTOLD = "(input_tokens IS NULL OR output_tokens IS NULL)"

_HOURS_OF_THE_DAY = """
    project_id = %(project)s AND grain = 'hour'
    AND starts_at >= %(day)s AND starts_at < %(day)s + interval '24 hours'
"""

_ADD_UP = f"""
    WITH hours AS (
        SELECT * FROM insights_rollup WHERE {_HOURS_OF_THE_DAY}
    ), buckets AS (
        SELECT prompt_id, revision_id, model, environment, bucket.key, sum(bucket.value::bigint) AS n
        FROM hours CROSS JOIN jsonb_each_text(latency) AS bucket
        GROUP BY prompt_id, revision_id, model, environment, bucket.key
    ), sketches AS (
        SELECT prompt_id, revision_id, model, environment, jsonb_object_agg(key, n) AS latency FROM buckets
        GROUP BY prompt_id, revision_id, model, environment
    ), sums AS (
        SELECT prompt_id, revision_id, model, environment, sum(n) AS n, sum(n_errors) AS n_errors,
               sum(n_unpriced) AS n_unpriced, sum(cost_usd) AS cost_usd, sum(input_tokens) AS input_tokens,
               sum(output_tokens) AS output_tokens, sum(cached_input_tokens) AS cached_input_tokens,
               sum(n_uncounted) AS n_uncounted, sum(unpriced_input_tokens) AS unpriced_input_tokens,
               sum(unpriced_output_tokens) AS unpriced_output_tokens
        FROM hours GROUP BY prompt_id, revision_id, model, environment
    )
    INSERT INTO insights_rollup (
        project_id, grain, starts_at, prompt_id, revision_id, model, environment,
        n, n_errors, n_unpriced, cost_usd, input_tokens, output_tokens,
        cached_input_tokens, n_uncounted, unpriced_input_tokens, unpriced_output_tokens, latency
    )
    SELECT %(project)s, 'day', %(day)s, s.prompt_id, s.revision_id, s.model, s.environment,
           s.n, s.n_errors, s.n_unpriced, s.cost_usd, s.input_tokens, s.output_tokens, s.cached_input_tokens,
           s.n_uncounted, s.unpriced_input_tokens, s.unpriced_output_tokens, coalesce(k.latency, '{{}}')
    FROM sums s LEFT JOIN sketches k ON (s.model, s.environment) = (k.model, k.environment)
     AND s.prompt_id IS NOT DISTINCT FROM k.prompt_id AND s.revision_id IS NOT DISTINCT FROM k.revision_id
"""  # noqa: S608  # constants

_ADD_UP_QUALITY = f"""
    INSERT INTO insights_qualityrollup (
        project_id, grain, starts_at, prompt_id, revision_id, model, environment, rubric_id,
        n_covered, n_drawn, n_settled, y, w, wy, wyy, ww, wwy, wwyy, a, ay, ayy, lowest, highest
    )
    SELECT %(project)s, 'day', %(day)s, prompt_id, revision_id, model, environment, rubric_id,
           sum(n_covered), sum(n_drawn), sum(n_settled), sum(y), sum(w), sum(wy), sum(wyy), sum(ww), sum(wwy),
           sum(wwyy), sum(a), sum(ay), sum(ayy), min(lowest), max(highest)
    FROM insights_qualityrollup WHERE {_HOURS_OF_THE_DAY}
    GROUP BY prompt_id, revision_id, model, environment, rubric_id
"""  # noqa: S608  # constants


def note_waiting(*, now: dt.datetime, seconds: float) -> bool:
    """The hours that waiting hand-overs touch stand as stale; says whether all were reached within `seconds`.

    The hand-overs fall in the transaction that notes their hours, so none is lost and none noted twice.
    """
    stop_at = time.monotonic() + seconds
    while handovers.fetch(CONSUMER, note, now=now):
        if time.monotonic() > stop_at:
            return False
    return True


def note(claimed: Sequence[Claimed]) -> None:
    """The hours of arrival of these outputs, or of the outputs of these items, stand as stale."""
    ids_by_kind: dict[str, list[int]] = defaultdict(list)
    for one in claimed:
        ids_by_kind[one.topic.partition(".")[0]] += one.ids
    with connection.cursor() as cursor:
        for kind, ids in ids_by_kind.items():
            cursor.execute(_NOTE[kind], [ids])


def roll_up(*, seconds: float) -> int:
    """Stale hours are reckoned anew until none is left or the time is up; returns how many were."""
    stop_at = time.monotonic() + seconds
    n_hours = 0
    while (n_done := roll_up_a_day()) and time.monotonic() < stop_at:
        n_hours += n_done
    return n_hours + n_done


def roll_up_a_day() -> int:
    """The stale hours of one project and day equal their rows, and the day is their sum; returns how many there were.

    Two at once take different days, or wait for each other; what changes while one reckons is stale again.
    """
    with transaction.atomic():
        project_id, hours = _claim()
        if not hours:
            return 0
        day = hours[0].replace(hour=0)
        _hold(project_id, day)
        for hour in hours:
            _reckon(project_id, hour)
        _add_up(project_id, day)
    return len(hours)


def _claim() -> tuple[int, list[dt.datetime]]:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM)
        rows = cursor.fetchall()
    return (rows[0][0] if rows else 0), sorted({hour.astimezone(dt.UTC) for _, hour in rows})


def _hold(project_id: int, day: dt.datetime) -> None:
    """One at a time for a project's day; statements after this one see what the last holder committed."""
    with connection.cursor() as cursor:
        name = f"insights.day {project_id} {day:%Y-%m-%d}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def _reckon(project_id: int, hour: dt.datetime) -> None:
    for rollup in (Rollup, QualityRollup):
        rollup.objects.filter(project_id=project_id, grain=Grain.HOUR, starts_at=hour).delete()
    with connection.cursor() as cursor:
        statement = _ROLL_UP.format(bucket=sketch.bucket_sql("latency_ms"), untold=_UNTOLD)
        cursor.execute(statement, {"project": project_id, "hour": hour})
    _reckon_quality(project_id, hour)


def _reckon_quality(project_id: int, hour: dt.datetime) -> None:
    groups: dict[draw_queries.Cell, list[draw_queries.Draws]] = defaultdict(list)
    for draws in draw_queries.draws(project_id=project_id, since=hour, until=hour + HOUR):
        groups[draws.cell].append(draws)
    QualityRollup.objects.bulk_create(
        QualityRollup(
            project_id=project_id, grain=Grain.HOUR, starts_at=hour, **asdict(cell), **asdict(_sums(groups[cell]))
        )
        for cell in groups
    )


def _sums(draws: Sequence[draw_queries.Draws]) -> estimation.Sums:
    return sum((estimation.sums_of(one.group) for one in draws), start=estimation.Sums())


def _add_up(project_id: int, day: dt.datetime) -> None:
    for rollup in (Rollup, QualityRollup):
        rollup.objects.filter(project_id=project_id, grain=Grain.DAY, starts_at=day).delete()
    with connection.cursor() as cursor:
        for statement in (_ADD_UP, _ADD_UP_QUALITY):
            cursor.execute(statement, {"project": project_id, "day": day})
