"""Traces and sessions: what belongs together, in its place; each in a fixed number of SQL statements."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Max, Min, Q, Sum
from django.db.models.functions import Coalesce

from outputs.models import Output, Step, StepBody

MOST_SPANS = 500
MOST_COUNTED = 10_000
# A child that begins so much before its parent has another clock; less is how clocks are read.
TOLERANCE_MS = 1.0
# What goes on in the background begins later than this after its parent's end only by another clock.
LATEST_MS = 60_000.0
MOST_TURNS = 200


@dataclass(frozen=True)
class Span:
    """One output or step of a trace in its place.

    Args:
        of: the row.
        depth: how far below the first.
        is_orphan: the parent it names never arrived.
        start_ms: when it began, in milliseconds since 1970, on the clock of its parent; None where that is not known.
        shift_ms: how far that is from what it says itself; 0 unless its clock differs.
    """

    of: Output | Step
    depth: int
    is_orphan: bool
    start_ms: float | None = None
    shift_ms: float = 0.0

    @property
    def output(self) -> Output | None:
        """The output, unless it is a step."""
        return self.of if isinstance(self.of, Output) else None

    @property
    def key(self) -> str:
        """What names it within its trace: `o` or `s` and its number."""
        return key_of(self.of)

    @property
    def end_ms(self) -> float | None:
        """When it ended; with the beginning where its length is not known."""
        return None if self.start_ms is None else self.start_ms + (self.of.latency_ms or 0.0)


@dataclass(frozen=True)
class Trace:
    """The spans of a trace, each after its parent; `n` of them arrived, and no fewer where `is_exact` is false."""

    spans: list[Span]
    n: int
    is_exact: bool = True

    @property
    def is_whole(self) -> bool:
        return self.n == len(self.spans)

    @property
    def outputs(self) -> list[Output]:
        return [span.of for span in self.spans if isinstance(span.of, Output)]

    @property
    def steps(self) -> list[Step]:
        return [span.of for span in self.spans if isinstance(span.of, Step)]


def key_of(row: Output | Step) -> str:
    """What names a row within its trace."""
    return f"{'o' if isinstance(row, Output) else 's'}{row.pk}"


def trace(project_id: int, trace_id: str) -> Trace:
    """The trace, or as much of it as arrived first: two statements, and two more where it is cut."""
    if not trace_id or "\x00" in trace_id:
        return Trace([], 0)
    outputs = Output.objects.filter(project_id=project_id, trace_id=trace_id)
    steps = Step.objects.filter(project_id=project_id, trace_id=trace_id)
    rows: list[Output | Step] = [
        *outputs.select_related("prompt", "revision").order_by("pk")[: MOST_SPANS + 1],
        *steps.order_by("pk")[: MOST_SPANS + 1],
    ]
    if len(rows) <= MOST_SPANS:
        return Trace(in_tree(rows), len(rows))
    n = sum(kind.values("pk")[: MOST_COUNTED + 1].count() for kind in (outputs.order_by(), steps.order_by()))
    first = sorted(rows, key=lambda row: (row.received_at, row.pk))[:MOST_SPANS]
    return Trace(in_tree(first), min(n, MOST_COUNTED), is_exact=n <= MOST_COUNTED)


def in_tree(rows: Iterable[Output | Step]) -> list[Span]:
    """Each below its parent and by time; those whose parent is not among them, or is below them, at the top."""
    ordered = sorted(rows, key=lambda row: (row.started_at or row.received_at, row.received_at, key_of(row)))
    by_span: dict[str, Output | Step] = {}
    for row in ordered:
        if row.span_id:
            by_span.setdefault(row.span_id, row)
    below: dict[str, list[Output | Step]] = {}
    tops = []
    for row in ordered:
        parent = by_span.get(row.parent_span_id) if row.parent_span_id else None
        if parent is None or parent is row:
            tops.append(row)
        else:
            below.setdefault(key_of(parent), []).append(row)
    found: dict[str, Span] = {}
    waiting = [_at_top(row, is_orphan=bool(row.parent_span_id)) for row in reversed(tops)]
    # What is left are spans that are each other's parents: they stand at the top as well.
    rest = iter(ordered)
    while waiting or len(found) < len(ordered):
        span = waiting.pop() if waiting else _at_top(next(rest), is_orphan=True)
        if span.key not in found:
            found[span.key] = span
            waiting += [_below(span, child) for child in reversed(below.get(span.key, []))]
    return list(found.values())


def _at_top(row: Output | Step, *, is_orphan: bool) -> Span:
    return Span(row, 0, is_orphan, _began_ms(row))


def _below(parent: Span, row: Output | Step) -> Span:
    """A child, put on the clock of its parent where its own cannot be the same: it then begins where the parent does.

    What happens below it is on its clock, so it moves along.
    """
    began, depth = _began_ms(row), parent.depth + 1
    if began is None or parent.start_ms is None:
        return Span(row, depth, is_orphan=False, start_ms=began)
    start, length = began + parent.shift_ms, parent.of.latency_ms
    is_before = start < parent.start_ms - TOLERANCE_MS
    is_after = length is not None and start > parent.start_ms + length + max(LATEST_MS, 10 * length)
    if is_before or is_after:
        start = parent.start_ms
    return Span(row, depth, is_orphan=False, start_ms=start, shift_ms=start - began)


def _began_ms(row: Output | Step) -> float | None:
    return None if row.started_at is None else row.started_at.timestamp() * 1000


def step_bodies(steps: Iterable[Step]) -> dict[int, StepBody]:
    """The texts of these steps by step id, in one statement, without those that retention dropped."""
    ids = {step.pk: step.received_on for step in steps}
    if not ids:
        return {}
    found = StepBody.objects.filter(step_id__in=ids, received_on__in=set(ids.values()))
    return {body.step_id: body for body in found}


def fitting(spans: Sequence[Span], n_bytes: int) -> int:
    """How many of these, from the first, hold no more texts than `n_bytes`; at least one."""
    for place, span in enumerate(spans):
        n_bytes -= span.of.body_bytes
        if n_bytes < 0:
            return max(1, place)
    return len(spans)


@dataclass(frozen=True)
class Totals:
    """What a session adds up to, as far as `MOST_COUNTED` outputs.

    None where no output says it; `n_unpriced` outputs have no cost.
    """

    n: int
    n_errors: int
    n_unpriced: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    began_at: dt.datetime | None
    last_at: dt.datetime | None

    @property
    def is_exact(self) -> bool:
        """Whether it is all of them."""
        return self.n < MOST_COUNTED

    @property
    def duration_ms(self) -> float | None:
        """From the first to the last."""
        if self.began_at is None or self.last_at is None:
            return None
        return (self.last_at - self.began_at).total_seconds() * 1000


@dataclass(frozen=True)
class Session:
    """A part of a session, by arrival; what follows begins above `next`, None where nothing is left.

    Inside the part stands first what began first: what a conversation consists of often arrives together.
    """

    outputs: list[Output]
    totals: Totals
    next: int | None = None


def session(project_id: int, session_id: str, *, above: int = 0) -> Session | None:
    """The session from its beginning, or above an id: two statements; None where nothing has this session id."""
    if not session_id or "\x00" in session_id:
        return None
    rows = Output.objects.filter(project_id=project_id, session_id=session_id)
    moment = Coalesce("started_at", "received_at")
    # More than that is no conversation; its beginning is added up.
    summed = rows.order_by("pk")[:MOST_COUNTED].aggregate(
        n=Count("pk"),
        n_fine=Count("pk", filter=Q(status=Output.Status.OK)),
        n_priced=Count("cost_usd"),
        input_tokens=Sum("input_tokens"),
        output_tokens=Sum("output_tokens"),
        cost_usd=Sum("cost_usd"),
        began_at=Min(moment),
        last_at=Max(moment),
    )
    n = summed.pop("n")
    if not n:
        return None
    totals = Totals(n=n, n_errors=n - summed.pop("n_fine"), n_unpriced=n - summed.pop("n_priced"), **summed)
    part = list(rows.filter(pk__gt=above).select_related("prompt", "revision").order_by("pk")[: MOST_TURNS + 1])
    here = part[:MOST_TURNS]
    next_above = here[-1].pk if len(part) > len(here) else None
    here.sort(key=lambda output: (output.started_at or output.received_at, output.pk))
    return Session(here, totals, next_above)
