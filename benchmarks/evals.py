"""Runs: from the request to the verdict with two workers, beside a bare loop that only asks the same questions."""

import asyncio
import contextlib
import http.client
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psutil
import psycopg

from benchmarks.measurement import Measurement, Size
from config.launcher import Site

ORACLE = Path(__file__).resolve().parent.parent / "tests" / "oracle.py"
WIDTH, CALL_MS = 100, 100
WORKERS = 2
# cases with answers after 100 ms, cases with answers at once, rounds of each
AMOUNTS: dict[Size, tuple[int, int, int]] = {"small": (1_000, 2_000, 3), "full": (1_000, 20_000, 7)}
SCORERS = [{"name": "exact_match"}]


@dataclass(frozen=True)
class Round:
    """What one run cost: seconds from the request to the end, and CPU seconds of all workers."""

    wall_s: float
    cpu_s: float


def measure(size: Size) -> list[Measurement]:
    """Medians over rounds; the bare loop takes its turn after each of them, against the same server."""
    n_slow, n_fast, rounds = AMOUNTS[size]
    with (
        _oracle(ms=CALL_MS) as slow,
        _oracle(ms=0) as fast,
        tempfile.TemporaryDirectory(prefix="ratchet-bench-") as folder,
        _site(Path(folder), slow, fast) as site,
    ):
        bench = Bench(site)
        bench.prepare({"slow": slow, "fast": fast}, {"warm": 200, "slow": n_slow, "fast": n_fast})
        bench.run("fast", "warm", n_cases=200)
        ours_slow, bare_slow, ours_fast, bare_fast = [], [], [], []
        for _ in range(rounds):
            ours_slow.append(bench.run("slow", "slow", n_cases=n_slow))
            bare_slow.append(_bare(slow, n_slow))
            ours_fast.append(bench.run("fast", "fast", n_cases=n_fast))
            bare_fast.append(_bare(fast, n_fast))
    ideal_s = n_slow * CALL_MS / 1000 / WIDTH
    return [
        Measurement(
            "evals.wall_vs_ideal",
            _wall(ours_slow) / ideal_s,
            "ratio",
            n_slow * rounds,
            _wall(bare_slow) / ideal_s,
            "by a bare loop",
        ),
        Measurement(
            "evals.cpu_ms_per_case",
            _cpu(ours_fast) / n_fast * 1000,
            "ms",
            n_fast * rounds,
            _cpu(bare_fast) / n_fast * 1000,
            "ms by a bare loop",
        ),
        Measurement(
            "evals.cases_per_s",
            n_fast / _wall(ours_fast),
            "cases/s",
            n_fast * rounds,
            n_fast / _wall(bare_fast),
            "calls/s by a bare loop",
        ),
    ]


def _wall(rounds: list[Round]) -> float:
    return statistics.median(one.wall_s for one in rounds)


def _cpu(rounds: list[Round]) -> float:
    return statistics.median(one.cpu_s for one in rounds)


class Bench:
    """A project with everything a run needs, made and driven through the public API."""

    def __init__(self, site: Site) -> None:
        self.site = site
        site.manage("create_project", "bench")
        scopes = "read,evaluate,ingest,admin"
        self.key = site.manage("create_api_key", "bench", "--scopes", scopes, "--name", "bench").strip()

    def prepare(self, ports: dict[str, int], sets: dict[str, int]) -> None:
        """Connections and prompts by these names, and golden sets of these sizes."""
        for name, port in ports.items():
            address = {"base_url": f"http://127.0.0.1:{port}/v1", "kind": "openai", "concurrency": WIDTH}
            self.post("connections", {"name": name, **address})
            self.post("prompts", {"name": name})
            messages = [{"role": "user", "content": "{{input}}"}]
            self.post(f"prompts/{name}/revisions", {"messages": messages, "model": f"{name}/oracle"})
        for name, n_cases in sets.items():
            self.post("golden-sets", {"name": name})
            lines = b"\n".join(orjson.dumps(_case(number)) for number in range(n_cases))
            self.post(f"golden-sets/{name}/cases?format=jsonl", lines)
            self.post(f"golden-sets/{name}/versions", {})

    def run(self, prompt: str, golden_set: str, *, n_cases: int) -> Round:
        """One run from the request to its end; every case must have been answered rightly."""
        asked = {"golden_set": golden_set, "target": {"prompt": prompt, "revision": 1}, "scorers": SCORERS}
        cpu_before, began = self.cpu_s(), time.time()
        run_id = self.post("runs", {**asked, "concurrency": WIDTH})["id"]
        with psycopg.connect(self.site.database_url, autocommit=True) as connection:
            while (ended := _ended(connection, run_id)) is None:
                time.sleep(0.02)
            _check(connection, run_id, n_cases)
        return Round(wall_s=ended - began, cpu_s=self.cpu_s() - cpu_before)

    def cpu_s(self) -> float:
        """CPU seconds of all workers with their children so far."""
        pids = [pid for name, pid in self.site.children.items() if name.startswith("worker")]
        mains = [psutil.Process(pid) for pid in pids]
        return sum(_cpu_s(one) for main in mains for one in (main, *main.children(recursive=True)))

    def post(self, path: str, body: Any) -> Any:
        """The decoded answer; anything but success ends the benchmark."""
        is_rows = isinstance(body, bytes)
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/x-ndjson" if is_rows else "application/json",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=120)
        try:
            connection.request("POST", f"/api/v1/{path}", body if is_rows else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"POST {path} answered {answer.status}: {text[:500]}")
        return json.loads(text)


def _case(number: int) -> dict[str, Any]:
    text = f"question {number} of a customer who would like to know whether an order can be changed"
    return {"id": f"case {number}", "input": text, "expected": text.replace("question", "answer"), "part": "dev"}


def _ended(connection: psycopg.Connection[Any], run_id: int) -> float | None:
    asked = "SELECT extract(epoch FROM ended_at)::float8 FROM evals_run WHERE id = %s"
    moment: float | None = _one(connection, asked, run_id)[0]
    return moment


def _check(connection: psycopg.Connection[Any], run_id: int, n_cases: int) -> None:
    asked = (
        "SELECT count(*), count(*) FILTER (WHERE s.value = 1) FROM evals_result r LEFT JOIN evals_score s"
        " ON s.result_id = r.id WHERE r.run_id = %s"
    )
    if (found := _one(connection, asked, run_id)) != (n_cases, n_cases):
        raise RuntimeError(f"run {run_id} has (results, right ones) {found} instead of {n_cases}")


def _one(connection: psycopg.Connection[Any], asked: str, run_id: int) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(asked, [run_id]).fetchone()
    assert row is not None
    return row


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _bare(port: int, n_cases: int) -> Round:
    """The same questions, as wide, by streams alone: nothing is rendered, scored or stored."""
    before, began = _cpu_s(psutil.Process()), time.perf_counter()
    asyncio.run(_ask_all(port, n_cases))
    return Round(wall_s=time.perf_counter() - began, cpu_s=_cpu_s(psutil.Process()) - before)


async def _ask_all(port: int, n_cases: int) -> None:
    waiting = iter(range(n_cases))
    async with asyncio.TaskGroup() as group:
        for _ in range(WIDTH):
            group.create_task(_ask(port, waiting))


async def _ask(port: int, waiting: Iterator[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in waiting:
        body = orjson.dumps({"messages": [{"role": "user", "content": _case(number)["input"]}], "model": "oracle"})
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: oracle\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        orjson.loads(await reader.readexactly(length))["choices"][0]
    writer.close()


@contextlib.contextmanager
def _oracle(*, ms: float) -> Iterator[int]:
    """The port of a model server that answers after so long."""
    command = [sys.executable, str(ORACLE), "--ms", str(ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline())
        finally:
            server.kill()


def _site(folder: Path, *ports: int) -> Site:
    """A web, two workers, and the private PostgreSQL and broker with their settings as they are shipped."""
    allowed = ",".join(f"127.0.0.1:{port}" for port in ports)
    variables = {"RATCHET_OUTBOUND_ALLOW": allowed}
    return Site(folder / "home", _free_port(), workers=WORKERS, beat=False, restarts=False, variables=variables)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
