"""The outputs that benchmarks send, and millions made where they lie, with texts, traces, sessions and thumbs."""

import random
import secrets
from typing import Any

import psycopg

from config.launcher import Site

PROMPTS = 20
MODELS = 4
AT_A_TIME = 250_000
WORDS = "the customer asked whether an order can be changed after it was paid and we said that it takes days".split()

_PROMPTS = """
    INSERT INTO prompts_prompt (
        project_id, name, description, gate_share, dev_share, teach_share, created_at, created_by
    )
    SELECT project.id, 'prompt ' || i, '', 20, 20, 60, now(), ''
    FROM projects_project AS project, generate_series(1, %(prompts)s) AS i
    WHERE slug = %(slug)s ON CONFLICT DO NOTHING"""
# Ids are random, as senders' are; about eight outputs share a session and three a trace.
_OUTPUTS = """
    WITH project AS (SELECT id FROM projects_project WHERE slug = %(slug)s),
    named AS (SELECT array_agg(id) AS prompts FROM prompts_prompt WHERE project_id = (SELECT id FROM project))
    INSERT INTO outputs_output (
        project_id, external_id, body_hash, prompt_id, model, provider, status, environment, started_at, latency_ms,
        input_tokens, output_tokens, cost_usd, trace_id, span_id, parent_span_id, session_id, end_user, tags,
        received_at, received_on, body_bytes
    )
    SELECT project.id, md5('output ' || i), sha256(i::text::bytea), prompts[1 + i %% cardinality(prompts)],
        'model ' || (i %% %(models)s), 'example', (i %% 40 = 0)::int, 'production', moment, 100 + i %% 1900,
        100 + i %% 800, 20 + i %% 280, 0.0012, md5('trace ' || i / 3), '', '', left(md5('session ' || i / 8), 16), '',
        '{checkout,web}', moment, (moment AT TIME ZONE 'UTC')::date, 1100
    FROM project, named, generate_series(%(first)s::int, %(last)s::int) AS i,
        LATERAL (SELECT now() - (%(last)s - i) * interval '1 ms' AS moment) AS arrival"""
_BODIES = """
    INSERT INTO outputs_outputbody (output_id, received_on, input, output, metadata, prompt_name, revision_ref)
    SELECT output.id, received_on,
        jsonb_build_array(
            jsonb_build_object('role', 'system', 'content', repeat(words, 6)),
            jsonb_build_object('role', 'user', 'content', repeat(words, 13))
        ),
        to_jsonb(repeat(words, 12)), '{"tenant": 7}', 'prompt', '7'
    FROM outputs_output AS output, LATERAL (SELECT md5(output.id::text) || ' ' AS words) AS text
    WHERE output.id > %(after)s"""
_THUMBS = """
    INSERT INTO outputs_feedback (
        project_id, external_id, body_hash, output_external_id, kind, name, value, label, comment, end_user, source
    )
    SELECT project_id, 'thumb ' || id, '\\x00', external_id, 'thumb', '', (id %% 3 > 0)::int, '', '', '', ''
    FROM outputs_output WHERE id > %(after)s AND id %% 50 = 0"""
# Twelve words each; some stand in every third output, most in few.
_WORDS = """
    INSERT INTO outputs_searchtext (output_id, words)
    SELECT id, array_to_tsvector(array(
        SELECT project_id || ':word' || floor(5000 * power(mod(id * 7919 + word * 104729, 9973) / 9973.0, 3))
        FROM generate_series(1, 12) AS word
    )) FROM outputs_output WHERE id > %(after)s"""
_SECONDARY = """
    SELECT schemaname || '.' || quote_ident(indexname), indexdef FROM pg_indexes
    WHERE tablename IN ('outputs_output', 'outputs_searchtext')
        AND indexname NOT IN (SELECT conname FROM pg_constraint)"""


def a_row() -> dict[str, Any]:
    """An output of about 1.5 KB as JSON."""
    text = " ".join(random.choices(WORDS, k=230))
    return {
        "id": secrets.token_hex(16),
        "prompt": "intent",
        "revision": 7,
        "model": "small-model-1",
        "provider": "example",
        "input": [{"role": "system", "content": text[:200]}, {"role": "user", "content": text[200:650]}],
        "output": text[650:1050],
        "started_at": "2026-01-31T10:11:12.345Z",
        "latency_ms": round(random.uniform(100, 2_000), 1),
        "input_tokens": random.randrange(100, 900),
        "output_tokens": random.randrange(20, 300),
        "cost_usd": 0.0012,
        "trace_id": secrets.token_hex(16),
        "session_id": secrets.token_hex(8),
        "environment": "production",
        "tags": ["checkout", "web"],
        "metadata": {"tenant": random.randrange(50), "flags": ["a", "b"]},
    }


def fill(site: Site, slug: str, *, n: int, has_words: bool) -> None:
    """The project has `n` outputs: those that are missing are made, without bells and hand-overs.

    Args:
        site: whose database.
        slug: the project.
        n: how many there are afterwards.
        has_words: the new ones can be searched.
    """
    with psycopg.connect(site.database_url, autocommit=True) as line:
        # Nobody looks over rows that refer to what was made a line before.
        line.execute("SET session_replication_role = replica")
        # Millions of entries are sorted for an index without files in between.
        line.execute("SET maintenance_work_mem = '512MB'")
        line.execute(_PROMPTS, {"slug": slug, "prompts": PROMPTS})
        (there,) = line.execute("SELECT count(*) FROM outputs_output").fetchone() or (0,)
        indexes = line.execute(_SECONDARY).fetchall()
        for name, _ in indexes:
            line.execute(f"DROP INDEX {name}")
        for first in range(there + 1, n + 1, AT_A_TIME):
            _add(line, slug, first, min(n, first + AT_A_TIME - 1), has_words=has_words)
        for _, definition in indexes:
            line.execute(definition)
        line.execute("VACUUM ANALYZE")
        line.execute("CHECKPOINT")


def _add(line: psycopg.Connection[tuple[int]], slug: str, first: int, last: int, *, has_words: bool) -> None:
    (after,) = line.execute("SELECT coalesce(max(id), 0) FROM outputs_output").fetchone() or (0,)
    line.execute(_OUTPUTS, {"slug": slug, "models": MODELS, "first": first, "last": last})
    for statement in (_BODIES, _THUMBS, *([_WORDS] if has_words else [])):
        line.execute(statement, {"after": after})
