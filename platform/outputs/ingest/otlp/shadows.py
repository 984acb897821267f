"""One call that two libraries watched: the client itself (Anthropic's does) and an instrumentation around it.

The client's span tells no texts and lies within the other's, below it or beside it. Taken as outputs, the two would
count the call's tokens and cost twice; so the inner one is kept as a step. Only spans of one body are compared.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from outputs.ingest.otlp.spans import Span
from outputs.records import SpanRecord

# Beside more calls than these none is looked for, so that no body costs more than a moment.
MOST_NEAR = 200


def shadows(answers: Iterable[tuple[Span, SpanRecord]]) -> set[str]:
    """The external ids of those answers that tell of a call which another one tells of, too."""
    known = list(answers)
    near: dict[tuple[str, str], list[tuple[Span, SpanRecord]]] = defaultdict(list)
    for span, record in known:
        near[span.trace_id, span.span_id].append((span, record))
        near[span.trace_id, span.parent_span_id].append((span, record))
    return {
        span.external_id
        for span, record in known
        if record.input is None
        and record.output is None
        and _is_within(span, record, near[span.trace_id, span.parent_span_id])
    }


def _is_within(span: Span, record: SpanRecord, others: Sequence[tuple[Span, SpanRecord]]) -> bool:
    if len(others) > MOST_NEAR:
        return False
    return any(_is_around(other, span) for other in others if _same(other, record))


def _same(other: tuple[Span, SpanRecord], record: SpanRecord) -> bool:
    return (other[1].model, other[1].provider) == (record.model, record.provider)


def _is_around(other: tuple[Span, SpanRecord], span: Span) -> bool:
    """Whether another library's span holds this one."""
    outer = other[0]
    by_another = outer.source.scope.get("name") != span.source.scope.get("name")
    return by_another and outer.start_ns <= span.start_ns and span.end_ns <= outer.end_ns
