"""Back-pressure: how much a project may send is known before a body is read, and kept to by all processes together.

A request is let in while there is at least one token left, and what it turns out to hold may be owed: so nothing is
read for nothing, no batch is too large ever to be sent, and the average is still the pace. A quota is strict: a batch
that does not fit into it is refused whole. Rows that turn out to be repeats are given back, so only where less than a
batch is left of a month its repeat is refused, too.
"""

import asyncio
import datetime as dt
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from core.problems import Problem
from ledger.rates import Taken
from outputs.ingest.lines import Line
from outputs.services import limits
from outputs.services.limits import Limit

# How long a limit, and a quota that is used up, are remembered before they are asked for again.
REMEMBERED_SECONDS = 2.0
MOST_REMEMBERED = 1_000
# A block lasts about so long, so a busy process asks so often at most.
BLOCK_SECONDS = 0.1
SHORTEST_WAIT = 0.05
# Of a quota, what a process sets aside at once; less where that would be more than a hundredth of it.
LARGEST_BLOCK = 1_000


class TooMuch(Problem):
    """429 with the seconds after which there is room again."""

    def __init__(self, detail: str, seconds: float) -> None:
        super().__init__(429, detail, retry_after=max(1, math.ceil(seconds)))


class Pressure:
    """Lets requests in as the limits of their projects allow.

    Args:
        address: of PostgreSQL.
        now: reads the clock.
    """

    def __init__(self, address: str, *, now: Callable[[], dt.datetime]) -> None:
        self._asking = Line(address)
        self._now = now
        self._gates: OrderedDict[int, _Gate] = OrderedDict()

    async def close(self) -> None:
        """What was set aside and not used is given back, and no connection is left."""
        for gate in self._gates.values():
            await gate.leave()
        await self._asking.close()

    async def admit(self, project_id: int) -> None:
        """The project may send at this moment; asked before anything of the body is read.

        Raises:
            TooMuch: it sent more than it may.
            one of `lines.AWAY`: the database does not answer.
        """
        await (await self._gate(project_id)).admit()

    def weigh(self, project_id: int, n_bytes: int) -> None:
        """So many bytes came in."""
        gate = self._gates.get(project_id)
        if gate is not None and gate.bytes is not None:
            gate.bytes.have -= n_bytes

    async def charge(self, project_id: int, *, n_sent: int, n_rows: int) -> None:
        """What the body holds is taken off: asked once it is read, before any of it is stored.

        Args:
            project_id: whose it is.
            n_sent: rows, bad ones and all; the first was taken off by `admit`.
            n_rows: those that may be stored.

        Raises:
            TooMuch: it does not fit into what is left of the month.
            one of `lines.AWAY`: the database does not answer.
        """
        await (await self._gate(project_id)).charge(n_sent, n_rows)

    def settle(self, project_id: int, *, n_unused: int) -> None:
        """So many of the rows that were charged are not new, so they are not taken off the quota."""
        gate = self._gates.get(project_id)
        if gate is not None and gate.month is not None:
            gate.month.have += n_unused

    async def _gate(self, project_id: int) -> "_Gate":
        gate = self._gates.get(project_id)
        if gate is not None and time.monotonic() < gate.until:
            return gate
        async with self._asking.use() as connection:
            limit = await limits.load(connection, project_id)
        # Others asked meanwhile: the gate that is there goes on, so that nothing which it set aside is forgotten.
        before = self._gates.get(project_id)
        gate = before if before is not None and before.limit == limit else self._made(project_id, limit)
        gate.until = time.monotonic() + REMEMBERED_SECONDS
        self._gates[project_id] = gate
        if before is not None and before is not gate:
            await before.leave()
        while len(self._gates) > MOST_REMEMBERED:
            _, oldest = self._gates.popitem(last=False)
            await oldest.leave()
        return gate

    def _made(self, project_id: int, limit: Limit) -> "_Gate":
        rows, n_bytes, month = limit.rows_per_second, limit.bytes_per_second, limit.rows_per_month
        return _Gate(
            limit,
            rows=None if rows is None else _Bucket(limits.rows_key(project_id), "rows", rows, self._take),
            bytes=None if n_bytes is None else _Bucket(limits.bytes_key(project_id), "bytes", n_bytes, self._take),
            month=None if month is None else _Month(project_id, month, self._asking, self._now),
        )

    async def _take(self, key: str, want: float, owed: float) -> Taken | None:
        async with self._asking.use() as connection:
            return await limits.take(connection, key, want, owed=owed, now=self._now())


@dataclass(eq=False)
class _Gate:
    """What a project may send, as this process knows it."""

    limit: Limit
    rows: "_Bucket | None"
    bytes: "_Bucket | None"
    month: "_Month | None"
    until: float = 0.0

    async def admit(self) -> None:
        for bucket in (self.rows, self.bytes):
            wait = 0.0 if bucket is None else await bucket.wait()
            if bucket is not None and wait > 0:
                said = f"This project may send {bucket.rate:,} {bucket.unit} a second"
                raise TooMuch(f"{said}; nothing of this was stored.", wait)
        if self.month is not None:
            self.month.check()
        if self.rows is not None:
            self.rows.have -= 1

    async def charge(self, n_sent: int, n_rows: int) -> None:
        if self.rows is not None:
            self.rows.have -= max(0, n_sent - 1)
        if self.month is not None:
            await self.month.spend(n_rows)

    async def leave(self) -> None:
        for bucket in (self.rows, self.bytes):
            if bucket is not None:
                await bucket.leave()
        if self.month is not None:
            await self.month.leave()


@dataclass(eq=False)
class _Bucket:
    """This process's part of a pace: `have` tokens of the last block, below zero what is owed."""

    key: str
    unit: str
    rate: int
    take: Callable[[str, float, float], Awaitable[Taken | None]]
    have: float = 0.0
    opens_at: float = 0.0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def wait(self) -> float:
        """0 where a request may come in; else seconds until the next may."""
        if self.have > 0:
            return 0.0
        left = self.opens_at - time.monotonic()
        if left > 0:
            return left
        async with self.asking:
            return 0.0 if self.have > 0 else await self._ask()

    async def _ask(self) -> float:
        left = self.opens_at - time.monotonic()
        if left > 0:
            return left
        owed = -self.have
        taken = await self.take(self.key, max(1.0, self.rate * BLOCK_SECONDS), owed)
        self.have += owed
        if taken is None:  # the limit is being lifted
            return 0.0
        self.have += taken.tokens
        if self.have > 0:
            return 0.0
        left = max(SHORTEST_WAIT, taken.wait_seconds)
        self.opens_at = time.monotonic() + left
        return left

    async def leave(self) -> None:
        """What is left or owed is settled; what is granted for it is nobody's."""
        if self.have:
            owed, self.have = -self.have, 0.0
            await self.take(self.key, 0.0, owed)


@dataclass(eq=False)
class _Month:
    """This process's part of a month's quota: `have` rows set aside."""

    project_id: int
    capacity: int
    line: Line
    now: Callable[[], dt.datetime]
    key: str = ""
    have: int = 0
    full_until: float = 0.0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def check(self) -> None:
        """Whether anything at all is left, as far as is known without asking."""
        is_full = not self.have and time.monotonic() < self.full_until
        if is_full and self.key == limits.month_key(self.project_id, self.now()):
            raise self._full(0)

    async def spend(self, n: int) -> None:
        """All of them, or none.

        Raises:
            TooMuch: fewer are left.
        """
        async with self.asking:
            await self._turn()
            if self.have < n:
                await self._set_aside(n - self.have)
            left = self.have
            if left < n:
                await self.leave()
                if not left:
                    self.full_until = time.monotonic() + REMEMBERED_SECONDS
                raise self._full(left)
            self.have -= n

    async def leave(self) -> None:
        """What was set aside is given back."""
        unused, self.have = self.have, 0
        if unused:
            async with self.line.use() as connection:
                await limits.give_back(connection, self.key, unused)

    async def _turn(self) -> None:
        """A new month has its own quota."""
        key = limits.month_key(self.project_id, self.now())
        if key != self.key:
            await self.leave()
            self.key = key

    async def _set_aside(self, n: int) -> None:
        want = n + min(LARGEST_BLOCK, self.capacity // 100)
        async with self.line.use() as connection:
            granted = await limits.spend(connection, self.key, want, capacity=self.capacity)
        self.have += granted

    def _full(self, left: int) -> TooMuch:
        said = f"of the {self.capacity:,} rows of this month {left:,} are left" if left else "the month is used up"
        return TooMuch(
            f"This project may send {self.capacity:,} new rows a month: {said}; nothing of this was stored.",
            limits.until_next_month(self.now()),
        )
