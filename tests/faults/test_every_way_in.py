"""Every way in while the web, workers, the broker and PostgreSQL are killed at random moments, again and again.

What was acknowledged is there, each row once; nothing else is; every answer accounts for every row it was sent; what
was handed over has been used. The moments are drawn from a seed, which is printed: `RATCHET_TEST_SEED` repeats them.
"""

import http.client
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tests.faults import ways
from tests.faults.ways import Counts, Way
from tests.outputs import live
from tests.outputs.live import Live

pytestmark = pytest.mark.faults

WAYS = {way.name: way for way in [*ways.ROWS, *ways.TELEMETRY, *ways.FILES]}
SENDERS = 6
VICTIMS = ["web", "worker-1", "errands", "valkey", "postgres"]
# How many requests are acknowledged between two blows.
GAP = (10, 100)
PATIENCE_S = 90


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Live]:
    quick = {"RATCHET_REAPER_SECONDS": "0.5"}
    with live.running(tmp_path / "var", workers=1, broker_url="", variables=quick) as found:
        yield found


@dataclass
class Ledger:
    """What was sent and what was acknowledged, on disk before anything rests on it."""

    path: Path
    n_acknowledged: int = 0
    _turn: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def sent(self, way: Way, number: int) -> None:
        self._write(f"sent {way.name} {number}")

    def acknowledged(self, way: Way, number: int, counts: Counts) -> None:
        self._write(f"acknowledged {way.name} {number} {' '.join(map(str, counts))}")
        with self._turn:
            self.n_acknowledged += 1
            self._turn.notify_all()

    def await_more(self, n: int, *, by: Sequence[Future[None]]) -> None:
        """Returns once `n` more were acknowledged to these senders, none of which may have ended."""
        wanted = self.n_acknowledged + n
        deadline = time.monotonic() + PATIENCE_S
        while self.n_acknowledged < wanted:
            for sender in by:
                if sender.done():
                    sender.result()
            assert time.monotonic() < deadline, "nobody takes anything any more"
            with self._turn:
                self._turn.wait(0.2)

    def read(self, word: str) -> set[tuple[str, int]]:
        """(way, number) of each request of which this was noted."""
        lines = (line.split() for line in self.path.read_text().splitlines())
        return {(name, int(number)) for said, name, number, *_ in lines if said == word}

    def _write(self, line: str) -> None:
        os.write(self._file, f"{line}\n".encode())
        os.fsync(self._file)


class Sending:
    """Senders that go on until they are told to end; each request is sent until somebody takes it."""

    def __init__(self, site: Live, ledger: Ledger, among: list[Way]) -> None:
        self._site, self._ledger = site, ledger
        self._turns = ((way, number) for number in count() for way in among if number % way.one_in == 0)
        self._turn = threading.Lock()
        self.is_over = threading.Event()

    def run(self) -> None:
        """One sender, until all are told to end."""
        line = Line(self._site)
        try:
            while not self.is_over.is_set():
                with self._turn:
                    way, number = next(self._turns)
                self._ledger.sent(way, number)
                self._ledger.acknowledged(way, number, line.deliver(way, number))
        finally:
            line.close()


class Line:
    """One sender's connection, opened anew whenever it breaks."""

    def __init__(self, site: Live) -> None:
        self._site = site
        self._connection = self._new()

    def deliver(self, way: Way, number: int) -> Counts:
        """What became of the request, sent until somebody takes it."""
        request = way.request(number)
        named = {"Authorization": f"Bearer {self._site.sender}", "User-Agent": way.name}
        headers = {**named, **request.headers}
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                self._connection.request("POST", way.path, request.body, headers)
                answer = self._connection.getresponse()
                counts = way.read(answer.status, answer.read(), request)
            except (OSError, http.client.HTTPException):
                self.close()
                counts = None
            if counts is not None:
                return counts
            time.sleep(0.05)  # a sender's pause before it tries again
        raise AssertionError(f"nobody took {way.name} {number} in time")

    def close(self) -> None:
        self._connection.close()
        self._connection = self._new()

    def _new(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._site.site.port, timeout=20)


def under_fire(site: Live, ledger: Ledger, *, among: list[Way], rounds: int, seed: int) -> None:
    """Each victim is killed once a round, in random order and at random moments; at the end everything is answered."""
    dice = random.Random(seed)
    blows = [victim for _ in range(rounds) for victim in dice.sample(VICTIMS, len(VICTIMS))]
    sending = Sending(site, ledger, among)
    with ThreadPoolExecutor(SENDERS) as pool:
        senders = [pool.submit(sending.run) for _ in range(SENDERS)]
        try:
            for victim in blows:
                ledger.await_more(dice.randint(*GAP), by=senders)
                site.site.kill(victim)
                site.site.restart(victim)
            ledger.await_more(GAP[1], by=senders)
        finally:
            sending.is_over.set()
        for sender in senders:
            sender.result()


class Rows:
    """What the database holds."""

    def __init__(self, url: str) -> None:
        self._url = url

    def of(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self._url) as connection:
            return connection.execute(statement).fetchall()  # type: ignore[arg-type] # constants of this file

    def number(self, statement: str) -> int:
        return int(str(self.of(f"SELECT count(*) FROM {statement}")[0][0]))

    def await_none(self, statement: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while left := self.number(statement):
            assert time.monotonic() < deadline, (
                f"{left} left of {statement}: {self.of(f'SELECT * FROM {statement}')[:5]}"
            )
            time.sleep(0.1)


def hold_files(site: Live, ledger: Ledger) -> None:
    """Every file that was taken is stored to its end, and its counts are those of its rows.

    An upload that a blow cut off stays behind as one that was begun, until it is given up; its sender has sent it anew.
    """
    rows = Rows(site.site.database_url)
    rows.await_none("outputs_import WHERE ended_at IS NULL AND state <> 'uploading'")
    files = [WAYS[name].request(number) for name, number in ledger.read("acknowledged") if name == "file"]
    counts = "state, n_rows, n_stored, n_duplicates, n_rejected"
    found = rows.of(f"SELECT {counts} FROM outputs_import WHERE state <> 'uploading'")
    assert {row[0] for row in found} == {"done"}
    assert len(found) == len(files) > 0
    summed = [sum(int(str(row[place])) for row in found) for place in range(1, 5)]
    n_rows, n_bad = sum(file.n_rows for file in files), sum(file.n_bad for file in files)
    n_new = sum(file.n_new for file in files)
    assert summed == [n_rows, n_new, n_rows - n_bad - n_new, n_bad]
    assert Tallies(rows).counts["jsonl"] == Counts(*summed[1:])


def hold(site: Live, ledger: Ledger) -> None:
    """The ledger against the tables."""
    rows = Rows(site.site.database_url)
    sent, acknowledged = ledger.read("sent"), ledger.read("acknowledged")
    assert acknowledged == sent
    requests = [WAYS[name].request(number) for name, number in acknowledged]
    for table in ("output", "step", "feedback"):
        wanted = {id_ for request in requests for of, id_ in request.rows if of == table}
        where = " WHERE environment <> 'nameless'" if table == "output" else ""
        stored = Counter(str(row[0]) for row in rows.of(f"SELECT external_id FROM outputs_{table}{where}"))
        assert set(stored) == wanted, (table, sorted(set(stored) ^ wanted)[:5])
        assert set(stored.values()) <= {1}
    assert rows.number("outputs_output WHERE environment = 'nameless'") == sum(r.n_nameless for r in requests)


class Tallies:
    """What the site counted, by the name that each way gave itself: requests that it looked into, and their rows."""

    def __init__(self, rows: Rows) -> None:
        sums = ", ".join(f"sum({name})::bigint" for name in ("n_requests - refused", *Counts._fields))
        found = rows.of(f"SELECT instrument, {sums} FROM outputs_tally GROUP BY instrument")
        numbers = {str(name): [int(str(number)) for number in row] for name, *row in found}
        self.n_requests = {name: row[0] for name, row in numbers.items()}
        self.counts = {name: Counts(*row[1:]) for name, row in numbers.items()}


def hold_tallies(site: Live, ledger: Ledger) -> None:
    """New rows were counted once, and every row as often as its request came; nothing that was rolled back was."""
    tallies = Tallies(Rows(site.site.database_url))
    for way in (*ways.ROWS, *ways.TELEMETRY):
        requests = [way.request(number) for name, number in ledger.read("acknowledged") if name == way.name]
        n_again, counts = tallies.n_requests[way.name] - len(requests), tallies.counts[way.name]
        sizes = [request.n_rows for request in requests]
        assert counts.accepted == sum(request.n_new for request in requests), way.name
        assert n_again * min(sizes) <= sum(counts) - sum(sizes) <= n_again * max(sizes), (way.name, n_again, counts)
        assert counts.rejected >= sum(request.n_bad for request in requests), way.name


def hold_what_follows(site: Live) -> None:
    """Each row has one body, every hand-over was used, and what was said apart from its output is in it, once."""
    rows = Rows(site.site.database_url)
    for table in ("output", "step"):
        body = f"outputs_{table}body"
        alone = f"outputs_{table} AS row WHERE (SELECT count(*) FROM {body} WHERE {table}_id = row.id) <> 1"
        assert rows.number(alone) == 0
        assert rows.number(body) == rows.number(f"outputs_{table}")
    rows.await_none("ledger_handover WHERE parked_at IS NULL")
    assert rows.number("ledger_handover") == 0
    assert rows.number("outputs_output WHERE id NOT IN (SELECT output_id FROM outputs_searchtext)") == 0


def hold_texts(site: Live, ledger: Ledger) -> None:
    """Every flow of which spans and logs were acknowledged says what was said, once."""
    rows = Rows(site.site.database_url)
    acknowledged = ledger.read("acknowledged")
    both = {number for name, number in acknowledged if name == "traces"} & {
        number for name, number in acknowledged if name == "logs"
    }
    assert both
    found = {
        str(id_): (said, told)
        for id_, said, told in rows.of(
            "SELECT external_id, input, output FROM outputs_output JOIN outputs_outputbody ON output_id = id"
            " WHERE trace_id <> ''"
        )
    }
    for number in both:
        said, told = found[ways.output_id(number)]
        assert said == [{"role": "user", "content": ways.question(number)}], number
        assert isinstance(told, dict)
        assert (told["role"], told["content"]) == ("assistant", ways.reply(number)), number


def seed() -> int:
    given = os.environ.get("RATCHET_TEST_SEED", "")
    drawn = int(given) if given else random.SystemRandom().randrange(10**6)
    print(f"RATCHET_TEST_SEED={drawn}")
    return drawn


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.nightly)])
def test_nothing_is_lost_and_nothing_doubled_whatever_dies_when(site: Live, tmp_path: Path, rounds: int) -> None:
    ledger = Ledger(tmp_path / "ledger")
    under_fire(site, ledger, among=list(WAYS.values()), rounds=rounds, seed=seed())
    hold_files(site, ledger)
    hold(site, ledger)
    hold_tallies(site, ledger)
    hold_what_follows(site)
    hold_texts(site, ledger)
