"""Ingest while its web and its PostgreSQL are killed under it: what was acknowledged is there, and there once.

Nothing waits for a time to pass: every blow falls after a fixed number of acknowledgements, senders try again until
they are told, and the end is read from rows.
"""

import http.client
import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import psycopg
import pytest
from django.conf import settings

from tests.outputs import face, live
from tests.outputs.live import Live

pytestmark = pytest.mark.faults

ROUNDS = 3
SENDERS = 6
REQUESTS_PER_ROUND = 60
# The blow falls when this many of a round's requests were acknowledged: others are under way at that moment.
BLOW_AFTER = 15
ROWS_PER_BATCH = 20


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live.running(tmp_path_factory.mktemp("faults")) as found:
        yield found


@dataclass
class Ledger:
    """What was sent and what was acknowledged, as the senders saw it."""

    marker: str
    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    n_nameless: int = 0
    numbers: Iterator[int] = field(default_factory=count)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _n_told: int = 0

    def request(self) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """A new request: mostly batches and single rows with ids, sometimes one without, under an Idempotency-Key."""
        with self._turn:
            number = next(self.numbers)
            if number % 5 == 4:
                self.n_nameless += 1
                row = {"input": "q", "output": "a", "environment": self.marker}
                return [row], {"Idempotency_Key": f"{self.marker}-{number}"}
            n_rows = ROWS_PER_BATCH if number % 2 else 1
            rows = [
                face.an_output(id=f"{self.marker}-{number}-{place}", environment=self.marker) for place in range(n_rows)
            ]
            self.sent |= {row["id"] for row in rows}
            return rows, {}

    def told(self, rows: list[dict[str, Any]], answer: dict[str, Any]) -> int:
        """Notes an acknowledgement; returns how many there are."""
        assert answer["accepted"] + answer["duplicates"] == len(rows), answer
        with self._turn:
            self.acknowledged |= {row["id"] for row in rows if "id" in row}
            self._n_told += 1
            return self._n_told


def under_load(site: Live, ledger: Ledger, blow: Callable[[], None]) -> None:
    """Rounds of requests, each with one blow in its midst; every request is sent until it is acknowledged."""
    for _ in range(ROUNDS):
        due = threading.Event()
        first = ledger._n_told

        def send(_: int, first: int = first, due: threading.Event = due) -> None:
            rows, headers = ledger.request()
            if ledger.told(rows, site.post(face.OUTPUTS, rows, **headers)) - first >= BLOW_AFTER:
                due.set()

        with ThreadPoolExecutor(SENDERS) as pool:
            sending = [pool.submit(send, number) for number in range(REQUESTS_PER_ROUND)]
            assert due.wait(live.PATIENCE_S), "too few requests were acknowledged"
            blow()
            for request in sending:
                request.result()


def hold(site: Live, ledger: Ledger) -> None:
    """Acknowledged ⊆ rows, each id once, each with one body and one hand-over to each consumer; and nothing else."""
    assert ledger.acknowledged == ledger.sent
    with psycopg.connect(site.site.database_url) as connection:
        rows = connection.execute(
            "SELECT id, external_id FROM outputs_output WHERE environment = %s", [ledger.marker]
        ).fetchall()
        bodies = connection.execute(
            "SELECT output_id FROM outputs_outputbody WHERE output_id = ANY(%s)", [[row[0] for row in rows]]
        ).fetchall()
        handed = connection.execute("SELECT consumer, unnest(ids) FROM ledger_handover").fetchall()
    named = [external_id for _, external_id in rows if external_id.startswith(ledger.marker)]
    assert sorted(named) == sorted(ledger.sent)
    assert len(rows) - len(named) == ledger.n_nameless
    ids = sorted(row[0] for row in rows)
    assert sorted(row[0] for row in bodies) == ids
    known = set(ids)
    for consumer in settings.HANDOVER_CONSUMERS["outputs.stored"]:
        assert sorted(number for name, number in handed if name == consumer and number in known) == ids


def test_nothing_acknowledged_is_lost_when_the_web_is_killed(site: Live) -> None:
    ledger = Ledger("web")

    def blow() -> None:
        site.site.kill("web")
        site.site.restart("web")

    under_load(site, ledger, blow)
    hold(site, ledger)


def test_nothing_acknowledged_is_lost_when_postgresql_is_killed(site: Live) -> None:
    ledger = Ledger("postgres")
    web = site.site.children["web"]
    blows = iter([signal.SIGQUIT, signal.SIGKILL, signal.SIGQUIT])

    def blow() -> None:
        site.site.kill("postgres", next(blows))
        site.site.restart("postgres")

    under_load(site, ledger, blow)
    hold(site, ledger)
    assert site.site.children["web"] == web, "the web must recover by itself"


def test_connections_that_are_cut_are_opened_anew(site: Live) -> None:
    ledger = Ledger("backends")

    def blow() -> None:
        with psycopg.connect(site.site.database_url) as connection:
            cut = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'ratchet-ingest'"
            ).fetchone()
        assert cut is not None
        assert cut[0] >= 1

    under_load(site, ledger, blow)
    hold(site, ledger)


def test_without_postgresql_senders_are_told_to_come_again(site: Live) -> None:
    web = site.site.children["web"]
    site.site.kill("postgres", signal.SIGQUIT)
    try:
        body = json.dumps(face.an_output(id="while away")).encode()
        status, problem = site.call("POST", face.OUTPUTS, body)
        page_status, _ = site.call("GET", "/api/v1/outputs", key=site.reader)
        ready, alive = _status(site, "/readyz"), _status(site, "/healthz")
    finally:
        site.site.restart("postgres")
    assert (status, problem["status"], "again" in problem["detail"]) == (503, 503, True)
    assert (page_status, ready, alive) == (503, 503, 200)
    assert site.post(face.OUTPUTS, face.an_output(id="while away"))["accepted"] == 1
    assert site.site.children["web"] == web


def _status(site: Live, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", site.site.port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
