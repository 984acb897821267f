"""What size does to ingest: the cost of a row beside millions of stored ones, and the pages over a million."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import orjson
import psycopg
from psycopg import sql

from benchmarks import rig, stock, wire
from benchmarks.browser import Browser
from benchmarks.measurement import Measurement, Size
from benchmarks.rig import SLUG
from config.launcher import Site

EMAIL = "engineer@example.org"
# outputs behind the pages, looks at each, stored by the small and the large site, rounds, batches per round
AMOUNTS: dict[Size, tuple[int, int, int, int, int, int]] = {
    "small": (40_000, 10, 10_000, 40_000, 3, 20),
    "full": (1_000_000, 40, 100_000, 3_000_000, 9, 200),
}
# Of each kind one: nothing asked, a common and a rare value, what an index finds and what is walked for.
FILTERS = {
    "everything": "",
    "prompt": "?prompt=prompt+3",
    "model": "?model=model+2",
    "no such model": "?model=none",
    "errors": "?status=error",
    "common word": "?q=word1",
    "rare word": "?q=word4321",
    "thumbs down": "?feedback=down",
    "session": "?session={session}",
    "a page further down": "?below={below}",
}


def measure(site: Site, folder: Path, size: Size) -> list[Measurement]:
    """The pages of this site over many outputs, and its rows' cost beside that of a second, smaller site's.

    Args:
        site: with a project `bench`; it is filled.
        folder: for the second site's data.
        size: how much of everything.
    """
    n_pages, n_looks, n_small, n_large, rounds, n_batches = AMOUNTS[size]
    stock.fill(site, SLUG, n=n_pages, has_words=True)
    pages = _pages(site, n_looks)
    stock.fill(site, SLUG, n=n_large, has_words=False)
    with _second(site, folder) as second:
        stock.fill(second, SLUG, n=n_small, has_words=False)
        growth = _growth(second, site, rounds, n_batches, times=n_large / n_small)
    return [pages, growth]


def _growth(small: Site, large: Site, rounds: int, n_batches: int, *, times: float) -> Measurement:
    """The median over rounds in which each site takes as many batches, in turn."""
    keys = {site: rig.a_key(site) for site in (small, large)}
    ratios = []
    for number in range(rounds + 1):
        seconds = {}
        for site in (small, large) if number % 2 else (large, small):
            rows = [[stock.a_row() for _ in range(rig.ROWS_PER_BATCH)] for _ in range(n_batches if number else 4)]
            requests = [wire.post("/api/v1/outputs", orjson.dumps(batch), key=keys[site]) for batch in rows]
            seconds[site] = asyncio.run(wire.send_all(site.port, requests, width=rig.BATCHES_AT_ONCE))
        if number:  # the first round warms both up
            ratios.append(seconds[large] / seconds[small])
    n = rounds * n_batches * rig.ROWS_PER_BATCH
    print(f"ingest.growth: rounds {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    return Measurement("ingest.growth", sorted(ratios)[rounds // 2], "ratio", n, times, "times as many stored")


def _pages(site: Site, n_looks: int) -> Measurement:
    """The 95th percentile over the slowest page's looks, so that no quick one hides it."""
    password = site.manage("create_user", EMAIL, "--project", SLUG, "--role", "engineer").split()[-1]
    browser = Browser(site.port, EMAIL, password)
    slowest = 0.0
    for name, path in _addresses(site).items():
        browser.looks(path, 3)  # warm
        p95 = _p95_ms(browser.looks(path, n_looks))
        print(f"ingest.page_p95_ms: {name} {p95:.0f}")
        slowest = max(slowest, p95)
    bare = _p95_ms(browser.looks("/healthz", n_looks))
    return Measurement("ingest.page_p95_ms", slowest, "ms", n_looks, bare, "ms p95 of /healthz")


def _addresses(site: Site) -> dict[str, str]:
    """Every page that is looked at, by name."""
    with psycopg.connect(site.database_url) as line:
        session, below = rig.one(line, "SELECT session_id, id FROM outputs_output ORDER BY id DESC OFFSET 9000 LIMIT 1")
    explorer = {
        name: f"/{SLUG}/outputs/{words.format(session=session, below=below)}" for name, words in FILTERS.items()
    }
    return {**explorer, "a session": f"/{SLUG}/sessions/{session}/", "the ingest page": f"/{SLUG}/ingest/"}


def _p95_ms(times: list[float]) -> float:
    return 1000 * sorted(times)[int(0.95 * len(times))]


@contextmanager
def _second(site: Site, folder: Path) -> Iterator[Site]:
    """Another web on a database of its own in the same PostgreSQL."""
    name = "bench_small"
    with psycopg.connect(site.database_url, autocommit=True) as line:
        line.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    address = site.database_url.replace("/ratchet?", f"/{name}?")
    with ExitStack() as stack:
        second = stack.enter_context(rig.a_site(folder / "second", database_url=address))
        rig.a_key(second)
        yield second
