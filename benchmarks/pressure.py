"""How much one project feels of another that sends far more: p95 of single requests, alone and beside it, in turn."""

import asyncio
import contextlib
import json
import time
import urllib.request
from collections.abc import Sequence
from typing import Any

import orjson

from benchmarks import wire
from benchmarks.measurement import Measurement, Size
from config.launcher import Site

LIMIT_ROWS = 500
# The neighbour sends ten times as much as it may, in batches of a hundred.
OVER, ROWS_PER_BATCH = 10, 100
LARGE_BYTES = 5_000_000
PER_SECOND = 10
# rounds, seconds of each half of a round
AMOUNTS: dict[Size, tuple[int, int]] = {"small": (4, 5), "full": (8, 15)}


def measure(site: Site, size: Size, row: Any) -> list[Measurement]:
    """Two ratios of p95: beside one far over its limit, and beside one that sends only bodies of 5 MB.

    Args:
        site: that runs.
        size: how long.
        row: makes an output.
    """
    quiet, loud, heavy = (_key(site, name) for name in ("quiet", "loud", "heavy"))
    _limit(site, loud)
    batch = orjson.dumps([row() for _ in range(ROWS_PER_BATCH)])
    large = orjson.dumps([row() for _ in range(LARGE_BYTES // len(orjson.dumps(row())))])
    flood = _Flood(site.port, [wire.post("/api/v1/outputs", batch, key=loud)], LIMIT_ROWS * OVER / ROWS_PER_BATCH)
    bulk = _Flood(site.port, [wire.post("/api/v1/outputs", _fresh(large, n), key=heavy) for n in range(4)], None)
    return [
        _neighbour("ingest.neighbour_p95", site, size, row, quiet, flood),
        _neighbour("ingest.neighbour_large_p95", site, size, row, quiet, bulk),
    ]


class _Flood:
    """Requests of a neighbour: so many a second, or one after the other; whatever is answered."""

    def __init__(self, port: int, requests: Sequence[bytes], per_second: float | None) -> None:
        self.port, self.requests, self.per_second = port, requests, per_second
        self.statuses: list[bytes] = []

    async def run(self) -> None:
        """Until it is cancelled."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        began, n = time.perf_counter(), 0
        try:
            while True:
                if self.per_second is not None:
                    await asyncio.sleep(max(0.0, began + n / self.per_second - time.perf_counter()))
                status, is_open = await _exchange(reader, writer, self.requests[n % len(self.requests)])
                self.statuses.append(status)
                n += 1
                if not is_open:
                    writer.close()
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        finally:
            writer.close()


def _neighbour(name: str, site: Site, size: Size, row: Any, key: str, flood: _Flood) -> Measurement:
    rounds, seconds = AMOUNTS[size]
    alone: list[float] = []
    beside: list[float] = []
    asyncio.run(_singles(site.port, key, row, 2))
    for _ in range(rounds):
        alone += asyncio.run(_singles(site.port, key, row, seconds))
        beside += asyncio.run(_singles(site.port, key, row, seconds, flood))
    p95, p95_alone = _p95(beside), _p95(alone)
    refused = sum(status == b"429" for status in flood.statuses)
    print(f"{name}: {p95:.1f} ms beside {len(flood.statuses)} requests ({refused} refused), {p95_alone:.1f} ms alone")
    return Measurement(name, p95 / p95_alone, "ratio", len(beside), p95_alone, "ms alone")


async def _singles(port: int, key: str, row: Any, seconds: float, flood: _Flood | None = None) -> list[float]:
    """Milliseconds of each single request, ten a second, each of which must be stored."""
    loud = asyncio.create_task(flood.run()) if flood else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found, began = [], time.perf_counter()
    try:
        for n in range(int(seconds * PER_SECOND)):
            await asyncio.sleep(max(0.0, began + n / PER_SECOND - time.perf_counter()))
            request = wire.post("/api/v1/outputs", orjson.dumps(row()), key=key)
            sent = time.perf_counter()
            status, _ = await _exchange(reader, writer, request)
            found.append(1000 * (time.perf_counter() - sent))
            if status != b"201":
                raise RuntimeError(f"a neighbour's request was answered {status!r}")
            if loud is not None and loud.done():
                loud.result()
    finally:
        writer.close()
        if loud is not None:
            loud.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await loud
    return found


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[bytes, bool]:
    """Status, and whether the connection stays open."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return head[9:12], b"connection: close" not in head


def _p95(times: Sequence[float]) -> float:
    return sorted(times)[int(0.95 * (len(times) - 1))]


def _fresh(body: bytes, n: int) -> bytes:
    """The same rows under other ids."""
    rows = orjson.loads(body)
    return orjson.dumps([{**row, "id": f"{n}-{row['id']}"} for row in rows])


def _key(site: Site, name: str) -> str:
    site.manage("create_project", name)
    return site.manage("create_api_key", name, "--scopes", "ingest,admin", "--name", name).strip()


def _limit(site: Site, key: str) -> None:
    body = json.dumps({"rows_per_second": LIMIT_ROWS, "burst_rows": LIMIT_ROWS}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{site.url}/api/v1/ingest-limits", body, headers, method="PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        json.load(answer)
