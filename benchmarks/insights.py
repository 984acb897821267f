"""Trends: how long the page takes over a month of outputs, and over ten times as many."""

import socket
import statistics
import tempfile
import time
from pathlib import Path

import psycopg

from benchmarks.browser import Browser
from benchmarks.measurement import Measurement, Size
from config.launcher import Site

EMAIL = "manager@example.org"
DAYS = 30
FIGURE = "answers are good"
# outputs of the small and the large project, looks at each page
AMOUNTS: dict[Size, tuple[int, int, int]] = {"small": (5_000, 50_000, 60), "full": (100_000, 1_000_000, 200)}

# Outputs over thirty days, all covered by a rule and one in fifty drawn and settled, and their hours to be reckoned.
FILL = """
    WITH project AS (SELECT id FROM projects_project WHERE slug = %(slug)s),
    rubric AS (
        INSERT INTO reviews_rubric (
            project_id, name, version, content_hash, questions, quality, guideline, created_at, created_by
        )
        SELECT id, 'bench', 1, 'x', '[{"key": "good", "type": "yes_no"}]',
            '{"question": "good", "map": {"yes": 1, "no": 0}}', '', now(), '' FROM project RETURNING id, project_id
    ), queue AS (
        INSERT INTO reviews_queue (project_id, name, rubric_id, overlap, lease_minutes, created_at, created_by)
        SELECT project_id, 'bench', id, 1, 15, now(), '' FROM rubric RETURNING id, project_id, rubric_id
    ), rule AS (
        INSERT INTO reviews_samplingrule (queue_id, kind, rate, filter, salt, created_at, created_by)
        SELECT id, 'probability', 0.02, '{}', '\\x00', now(), '' FROM queue RETURNING id
    ), made AS (
        INSERT INTO outputs_output (
            project_id, external_id, body_hash, model, provider, status, environment, trace_id, span_id,
            parent_span_id, session_id, end_user, tags, received_on, received_at, body_bytes, latency_ms, cost_usd
        )
        SELECT project.id, 'o' || i, '\\x00', 'model ' || (i %% 4), '', (i %% 40 = 0)::int, '', '', '', '', '', '',
            '{}', moment::date, moment, 0, exp(6 + random()), 0.001
        FROM project, generate_series(1, %(n)s) AS i,
            LATERAL (SELECT now() - i * interval '30 days' / %(n)s AS moment) AS arrival
        RETURNING id, project_id, status
    ), matched AS (
        INSERT INTO reviews_match (rule_id, output_id, p, drawn)
        SELECT rule.id, made.id, 0.02, made.id %% 50 = 0 FROM made, rule WHERE made.status = 0
        RETURNING output_id, drawn
    ), items AS (
        INSERT INTO reviews_item (
            project_id, queue_id, rubric_id, overlap, subject_kind, subject_key, round, state, n_reviews, created_at
        )
        SELECT queue.project_id, queue.id, queue.rubric_id, 1, 'output', output_id::text, 1, 'settled', 1, now()
        FROM matched, queue WHERE drawn RETURNING id, subject_key, project_id
    ), places AS (
        INSERT INTO reviews_itemoutput (item_id, output_id, position) SELECT id, subject_key::bigint, 0 FROM items
    ), split AS (
        INSERT INTO reviews_partsplit (project_id, text, text_hash, bands, part)
        SELECT id, 'bench', '\\x00', '{}', 'teach' FROM project RETURNING id
    )
    INSERT INTO reviews_verdict (
        project_id, item_id, answers, quality, rationale, part, split_id, settled_by, settled_at, by
    )
    SELECT items.project_id, items.id, '{}', (items.id %% 8 <> 0)::int, '', 'teach', split.id, 'agreement', now(), ''
    FROM items, split"""
STALE = """
    INSERT INTO insights_stalehour (project_id, hour)
    SELECT DISTINCT project_id, date_trunc('hour', received_at, 'UTC') FROM outputs_output"""
PATIENCE_SECONDS = 600


def measure(size: Size) -> list[Measurement]:
    """One web process and one worker with their own services; the pages are asked for as a manager's browser does."""
    n_small, n_large, n_looks = AMOUNTS[size]
    with tempfile.TemporaryDirectory(prefix="ratchet-bench-") as folder, _site(Path(folder)) as site:
        for slug, n in (("small", n_small), ("large", n_large)):
            site.manage("create_project", slug)
            _run(site, FILL, slug=slug, n=n)
        word = site.manage("create_user", EMAIL, "--project", "small", "--role", "manager").split()[-1]
        site.manage("create_user", EMAIL, "--project", "large", "--role", "manager")
        _run(site, STALE)
        _wait_for_rollups(site)
        _run(site, "VACUUM ANALYZE")
        browser = Browser(site.port, EMAIL, word)
        browser.looks("/large/trends/", 10)  # warm
        small, large = (browser.looks(f"/{slug}/trends/", n_looks, wanted=FIGURE) for slug in ("small", "large"))
        bare = browser.looks("/healthz", n_looks)
    p95 = 1000 * sorted(large)[int(0.95 * n_looks)]
    beside = 1000 * sorted(bare)[int(0.95 * n_looks)]
    growth = statistics.median(large) / statistics.median(small)
    return [
        Measurement("insights.page_p95_ms", p95, "ms", n_looks, beside, "ms p95 of /healthz"),
        Measurement("insights.growth", growth, "ratio", n_looks, n_large / n_small, "times as many outputs"),
    ]


def _wait_for_rollups(site: Site) -> None:
    stop_at = time.monotonic() + PATIENCE_SECONDS
    with psycopg.connect(site.database_url, autocommit=True) as line:
        while line.execute("SELECT count(*) FROM insights_stalehour").fetchone() != (0,):
            if time.monotonic() > stop_at:
                raise RuntimeError("the worker did not finish the rollups")
            time.sleep(0.5)


def _run(site: Site, statement: str, **values: object) -> None:
    with psycopg.connect(site.database_url, autocommit=True) as line:
        line.execute(statement, values or None)


def _site(folder: Path) -> Site:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return Site(folder, port=port, web=True, workers=1, beat=True)
