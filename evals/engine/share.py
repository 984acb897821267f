"""How many calls a drain may have in flight: its share of what the run and its endpoint allow."""

import datetime as dt
from dataclasses import dataclass, field

from django.conf import settings

from core import clock
from evals.services import work
from ledger import allowances, heartbeats

PERIOD_S = 2.0
# Two drains that start together should not wait a whole period for the first to make room.
FIRST_PERIOD_S = 0.1
# Who was granted nothing waits for others to make room.
LONGEST_WAIT_S = 0.5


def width_key(run_id: int) -> str:
    """The allowance that the drains of one run share."""
    return f"run:{run_id}:width"


def visitors(run_id: int, *, now: dt.datetime) -> list[str]:
    """Who is at work on the run."""
    return allowances.holders(width_key(run_id), now=now)


def runs_without_visitor(*, now: dt.datetime) -> list[int]:
    """Runs that have rows to claim and nobody at work on them."""
    return [run_id for run_id in work.runs_with_work(now=now) if not visitors(run_id, now=now)]


@dataclass
class Share:
    """Slots held in two allowances, of the run and of its endpoint; the smaller grant counts.

    Attributes:
        holder: who holds, unique among all drains.
        run_id: whose calls they are.
        endpoint_key: the allowance of the endpoint.
        endpoint_width: its capacity.
        run_width: what the run asked for, at most.
        pause_s: seconds until the share should be looked at again; short at first, while drains find each other.
    """

    holder: str
    run_id: int
    endpoint_key: str
    endpoint_width: int
    run_width: int
    pause_s: float = FIRST_PERIOD_S
    _is_first: bool = field(default=True, repr=False)

    def arrive(self) -> None:
        """Others can see this visitor from now on; it holds nothing yet."""
        allowances.open_allowance(width_key(self.run_id), capacity=self.run_width)
        allowances.open_allowance(self.endpoint_key, capacity=self.endpoint_width)
        self._hold(width_key(self.run_id), in_use=0, want=0, now=clock.now())

    def renew(self, *, in_use: int, want: int) -> int:
        """How many calls may be in flight from now on; what is in use beyond that stays held until it ends."""
        now = clock.now()
        if self._is_first:
            want = min(want, self._first_share(now))
        granted = self._hold(width_key(self.run_id), in_use=in_use, want=want, now=now)
        granted = self._hold(self.endpoint_key, in_use=in_use, want=granted, now=now)
        longest = min(PERIOD_S if granted else LONGEST_WAIT_S, settings.LEASE_SECONDS / 4)
        self.pause_s = min(longest, FIRST_PERIOD_S if self._is_first else 2 * self.pause_s)
        self._is_first = False
        return granted

    def release(self) -> None:
        """Nothing is held any more; a repeat finds nothing."""
        for key in (width_key(self.run_id), self.endpoint_key):
            allowances.release(key, holder=self.holder)

    def _first_share(self, now: dt.datetime) -> int:
        """As if every living worker came to this run; who does not come leaves its part at the next look."""
        return -(-self.run_width // max(1, heartbeats.n_alive("worker", now=now)))

    def _hold(self, key: str, *, in_use: int, want: int, now: dt.datetime) -> int:
        lease = dt.timedelta(seconds=settings.LEASE_SECONDS)
        return allowances.hold(key, holder=self.holder, want=want, in_use=in_use, now=now, lease=lease)
