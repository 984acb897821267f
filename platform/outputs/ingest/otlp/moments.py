"""When a span was, from nanoseconds that nobody checked before."""

import datetime as dt
from dataclasses import dataclass, field

from outputs.ingest.otlp.spans import Span
from outputs.records import EARLIEST, LATEST

_EARLIEST_NS = int(EARLIEST.timestamp()) * 10**9
_LATEST_NS = int(LATEST.timestamp()) * 10**9
# What is said of times that were sent and are not used.
CLOCK_SKEW = "clock_skew"
NO_START = "start_out_of_range"
NO_END = "end_out_of_range"


@dataclass(frozen=True)
class When:
    """When a span began and how long it took, as far as that can be.

    Args:
        started_at: or None where what was sent is no time from 1970 to 2199.
        latency_ms: or None where one of the times is none, or the end lies before the start.
        notes: why.
        sent: the times as sent, where they are not used.
    """

    started_at: dt.datetime | None
    latency_ms: float | None
    notes: list[str] = field(default_factory=list)
    sent: dict[str, str] = field(default_factory=dict)


def of_span(span: Span) -> When:
    """When a span was. 0 says that a time was not told."""
    starts, ends = _is_time(span.start_ns), _is_time(span.end_ns)
    notes = []
    if not starts and span.start_ns:
        notes.append(NO_START)
    if not ends and span.end_ns:
        notes.append(NO_END)
    is_skewed = starts and ends and span.end_ns < span.start_ns
    if is_skewed:
        notes.append(CLOCK_SKEW)
    latency_ms = (span.end_ns - span.start_ns) / 1e6 if starts and ends and not is_skewed else None
    sent = {"start_time_unix_nano": str(span.start_ns), "end_time_unix_nano": str(span.end_ns)} if notes else {}
    return When(_moment(span.start_ns) if starts else None, latency_ms, notes, sent)


def _is_time(ns: int) -> bool:
    return _EARLIEST_NS < ns < _LATEST_NS


def _moment(ns: int) -> dt.datetime:
    return EARLIEST + dt.timedelta(microseconds=ns // 1000)
