"""What the pages of a trace and of a session ask of all rooms, and how their spans and turns are drawn."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from django.db.models import Exists, OuterRef

from core import markup, plots
from core.problems import Missing
from outputs import queries, traces
from outputs.models import Feedback, Output, OutputBody, Step, StepBody
from outputs.traces import Span, Totals
from projects.access import Actor, Scope
from reviews import readings
from reviews.models import Item, ItemOutput, Review
from reviews.readings import Turn

# Deeper ones stand together.
DEEPEST = 8
MOST_SAID = 200


@dataclass(frozen=True)
class Look:
    """What a kind of span is called, and the icon beside the word."""

    word: str
    icon: str


MODEL = Look("model", "chat")
LOOKS: Mapping[int, Look] = MappingProxyType(
    {
        Step.Kind.AGENT: Look("agent", "people"),
        Step.Kind.CHAIN: Look("chain", "link"),
        Step.Kind.TOOL: Look("tool", "gear"),
        Step.Kind.RETRIEVAL: Look("retrieval", "search"),
        Step.Kind.EMBEDDING: Look("embedding", "mark"),
        Step.Kind.RERANKER: Look("reranker", "filter"),
        Step.Kind.GUARDRAIL: Look("guardrail", "lock"),
        Step.Kind.EVALUATOR: Look("evaluator", "flask"),
        Step.Kind.PROMPT: Look("prompt", "pencil"),
        Step.Kind.HTTP: Look("request", "out"),
    }
)
STEP = Look("step", "tree")


@dataclass(frozen=True)
class DrawnSpan:
    """A span with its bar on the trace's time scale from 0 to 100; no bar where no time is known."""

    span: Span
    name: str
    look: Look
    is_here: bool
    start: float | None = None
    width: float | None = None

    @property
    def depth(self) -> int:
        """How far in it stands."""
        return min(self.span.depth, DEEPEST)

    @property
    def output(self) -> Output | None:
        return self.span.output

    @property
    def failed(self) -> bool:
        return self.span.of.status == Output.Status.ERROR

    @property
    def n_tokens(self) -> int | None:
        """Of both directions; None where it says neither."""
        output = self.span.output
        counts = [] if output is None else [output.input_tokens, output.output_tokens]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None


@dataclass(frozen=True)
class DrawnTrace:
    """A trace as a tree; `total_ms` from the first's start to the last's end where times are known."""

    trace_id: str
    spans: list[DrawnSpan]
    total_ms: float | None
    n: int
    is_exact: bool

    @property
    def is_cut(self) -> bool:
        """Whether there are more spans than are drawn."""
        return self.n > len(self.spans)

    @property
    def name(self) -> str:
        """What the first span is called."""
        return self.spans[0].name

    @property
    def n_outputs(self) -> int:
        return sum(1 for drawn in self.spans if drawn.output is not None)

    @property
    def n_orphans(self) -> int:
        """Those whose parent never arrived."""
        return sum(1 for drawn in self.spans if drawn.span.is_orphan)

    @property
    def n_shifted(self) -> int:
        """Those whose clock differs from their parent's."""
        return sum(1 for drawn in self.spans if drawn.span.shift_ms)

    @property
    def n_failed(self) -> int:
        return sum(1 for drawn in self.spans if drawn.failed)

    @property
    def n_tokens(self) -> int | None:
        known = [drawn.n_tokens for drawn in self.spans if drawn.n_tokens is not None]
        return sum(known) if known else None

    @property
    def cost_usd(self) -> Decimal | None:
        """Of the outputs that have one."""
        costs = [drawn.output.cost_usd for drawn in self.spans if drawn.output is not None]
        known = [cost for cost in costs if cost is not None]
        return sum(known, Decimal()) if known else None

    @property
    def sessions(self) -> list[str]:
        """The sessions that its spans name, in order."""
        return list(dict.fromkeys(drawn.span.of.session_id for drawn in self.spans if drawn.span.of.session_id))


@dataclass(frozen=True)
class Opened:
    """A span with its texts, as people read them; `body` is None once retention dropped them."""

    drawn: DrawnSpan
    body: OutputBody | StepBody | None
    asked: list[Turn]
    answered: list[Turn]


@dataclass(frozen=True)
class TracePage:
    """A trace, the span that is open, and what was said about its outputs but for those the reader has yet to judge."""

    drawn: DrawnTrace
    opened: Opened | None
    feedback: list[Feedback]
    n_hidden: int


def trace_page(actor: Actor, trace_id: str, *, opened: str = "") -> TracePage:
    """The trace with the span of the key `opened`: seven statements at most.

    Raises:
        Missing: the project has no such trace.
    """
    drawn = drawn_trace(actor.project.pk, trace_id)
    if drawn is None:
        raise Missing("trace")
    outputs = [found.output for found in drawn.spans if found.output is not None]
    feedback, n_hidden = said_about(actor, outputs)
    drawn = without_judgements(drawn) if n_hidden else drawn
    return TracePage(drawn, _opened(drawn, opened), feedback, n_hidden)


def drawn_trace(project_id: int, trace_id: str, *, here: Output | None = None) -> DrawnTrace | None:
    """The trace as a tree on one time scale; None where nothing of it is here."""
    found = traces.trace(project_id, trace_id)
    if not found.spans:
        return None
    starts = [span.start_ms for span in found.spans if span.start_ms is not None]
    ends = [span.end_ms for span in found.spans if span.end_ms is not None]
    first, last = min(starts, default=0.0), max(ends, default=0.0)
    scale = plots.Scale(first, last, 0, 100)
    spans = [_drawn(span, scale, is_here=here is not None and span.of == here) for span in found.spans]
    return DrawnTrace(trace_id, spans, last - first if starts else None, found.n, found.is_exact)


def without_judgements(drawn: DrawnTrace) -> DrawnTrace:
    """The trace without the steps in which a machine judged: whoever still has to judge looks for oneself."""
    return replace(drawn, spans=[one for one in drawn.spans if not _is_judgement(one.span.of)])


def _is_judgement(row: Output | Step) -> bool:
    return isinstance(row, Step) and row.kind == Step.Kind.EVALUATOR


def _drawn(span: Span, scale: plots.Scale, *, is_here: bool) -> DrawnSpan:
    look = MODEL if isinstance(span.of, Output) else LOOKS.get(span.of.kind, STEP)
    name = _name(span.of)
    if span.start_ms is None or span.end_ms is None or scale.high <= scale.low:
        return DrawnSpan(span, name, look, is_here)
    start, end = scale.at(span.start_ms), scale.at(span.end_ms)
    return DrawnSpan(span, name, look, is_here, start=min(start, 99.0), width=max(1.0, round(end - start, 1)))


def _name(row: Output | Step) -> str:
    if isinstance(row, Output):
        return row.prompt.name if row.prompt else row.model or row.external_id
    return row.name or LOOKS.get(row.kind, STEP).word


def _opened(drawn: DrawnTrace, key: str) -> Opened | None:
    found = next((one for one in drawn.spans if one.span.key == key), None)
    if found is None:
        return None
    row = found.span.of
    body: OutputBody | StepBody | None
    body = queries.bodies([row]).get(row.pk) if isinstance(row, Output) else traces.step_bodies([row]).get(row.pk)
    if body is None:
        return Opened(found, None, [], [])
    legible = _Legible()
    return Opened(found, body, legible(readings.thread_of(body.input)), legible(answer_of(body.output)))


def answer_of(answered: Any) -> list[Turn]:
    """An answer as turns: a message or messages as such, a text in JSON in readable lines."""
    return [_as_answer(turn) for turn in readings.thread_of(answered)]


def _as_answer(turn: Turn) -> Turn:
    who = "Output" if turn.who == "Input" else turn.who
    found = None if turn.is_code or len(turn.text) > readings.LONGEST_RENDERED else markup.as_json(turn.text)
    if found is not None:
        return Turn(who, markup.pretty(found), is_ours=True, is_code=True)
    return Turn(who, turn.text, is_ours=turn.is_ours or who == "Output", is_code=turn.is_code)


class _Legible:
    """Turns of one page; those behind the first that take as long to render as a page may stand as they came."""

    def __init__(self) -> None:
        self._n_left = readings.LONGEST_RENDERED

    def __call__(self, turns: Sequence[Turn]) -> list[Turn]:
        return [self._turn(turn) for turn in turns]

    def _turn(self, turn: Turn) -> Turn:
        if turn.is_ours and not turn.is_code:
            self._n_left -= len(turn.text)
        return replace(turn, is_code=True) if turn.is_ours and self._n_left < 0 else turn


def said_about(actor: Actor, outputs: Sequence[Output]) -> tuple[list[Feedback], int]:
    """All feedback on these outputs, oldest first, but on what this reader has yet to judge, and how many that is.

    Two statements at most.
    """
    hidden = unjudged(actor, outputs)
    names = [output.external_id for output in outputs if output.pk not in hidden]
    if not names:
        return [], len(hidden)
    rows = Feedback.objects.filter(project=actor.project, output_external_id__in=names).order_by("pk")
    return list(rows[:MOST_SAID]), len(hidden)


def unjudged(actor: Actor, outputs: Iterable[Output]) -> set[int]:
    """Those of the outputs in an open item that this reader may still review; see `explorer_queries.output_page`."""
    if not actor.may(Scope.REVIEW):
        return set()
    mine = Review.objects.standing().filter(item=OuterRef("item"), reviewer=actor.identity)
    waiting = ItemOutput.objects.filter(output__in=[output.pk for output in outputs], item__state=Item.State.OPEN)
    return set(waiting.exclude(Exists(mine)).values_list("output_id", flat=True))


@dataclass(frozen=True)
class Exchange:
    """One output of a session: what was new in its input, what came of it, and what was said about that.

    `n_repeated` messages of its input stand further up already.
    """

    output: Output
    asked: list[Turn]
    answered: list[Turn]
    error: str
    n_repeated: int
    is_gone: bool
    feedback: list[Feedback]


@dataclass(frozen=True)
class SessionPage:
    """A session as a conversation; `next` is where the following part begins."""

    session_id: str
    exchanges: list[Exchange]
    totals: Totals
    traces: list[str]
    next: int | None
    n_hidden: int


def session_page(actor: Actor, session_id: str, *, above: int = 0) -> SessionPage:
    """The session from its beginning or above an id: six statements at most.

    Raises:
        Missing: no output of the project names such a session.
    """
    found = traces.session(actor.project.pk, session_id, above=above)
    if found is None:
        raise Missing("session")
    here = found.outputs[: queries.fitting(found.outputs)] if found.outputs else []
    rest = here[-1].pk if len(here) < len(found.outputs) else found.next
    feedback, n_hidden = said_about(actor, here)
    about: dict[str, list[Feedback]] = {}
    for one in feedback:
        about.setdefault(one.output_external_id, []).append(one)
    return SessionPage(
        session_id,
        exchanges(here, queries.bodies(here), about),
        found.totals,
        list(dict.fromkeys(output.trace_id for output in here if output.trace_id)),
        rest,
        n_hidden,
    )


def exchanges(
    outputs: Iterable[Output], bodies: Mapping[int, OutputBody], about: Mapping[str, list[Feedback]]
) -> list[Exchange]:
    """The outputs as one conversation: each message once, where an input repeats what was said before it."""
    said: list[tuple[str, str]] = []
    found = []
    legible = _Legible()
    for output in outputs:
        body = bodies.get(output.pk)
        asked = [] if body is None else readings.thread_of(body.input)
        answered = [] if body is None else answer_of(body.output)
        n_repeated = _n_repeated(said, [_mark(turn) for turn in asked])
        said += [_mark(turn) for turn in (*asked[n_repeated:], *answered)]
        error = (body.error or "") if body is not None else ""
        feedback = about.get(output.external_id, [])
        new, answered = legible(asked[n_repeated:]), legible(answered)
        found.append(Exchange(output, new, answered, error, n_repeated, is_gone=body is None, feedback=feedback))
    return found


def _mark(turn: Turn) -> tuple[str, str]:
    """What two turns have in common that are the same message."""
    return ("ours" if turn.is_ours else turn.who, turn.text.strip())


def _n_repeated(said: Sequence[tuple[str, str]], asked: Sequence[tuple[str, str]]) -> int:
    """How many of the first messages asked were said before: as instructions, then as the last that was said.

    Applications send the whole conversation with each turn, or its last part after the same instructions.
    """
    known = set(said)
    n_first = next((n for n, mark in enumerate(asked) if mark[0] not in INSTRUCTIONS or mark not in known), len(asked))
    rest = asked[n_first:]
    for n in range(min(len(rest), len(said)), 0, -1):
        if list(rest[:n]) == list(said[-n:]):
            return n_first + n
    # The whole from the beginning, with an answer in it that was worded differently.
    return n_first


INSTRUCTIONS = frozenset({"System", "Developer"})
