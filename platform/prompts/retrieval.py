"""A revision's rows as a `Serving` that chooses and renders, kept in memory for the next request."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from core.problems import Conflict
from core.similarity import tfidf
from prompts import templates
from prompts.content import ContextLine
from prompts.models import ContextItem, Revision, RevisionContext, RevisionIndex
from prompts.rendering import Line, Serving

RETRY_AFTER_S = 5


class IndexNotReady(Conflict):
    """The similar examples of this revision are still being indexed by a worker."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"The examples of revision {number} are being indexed; try again in {RETRY_AFTER_S} seconds.",
            retry_after=RETRY_AFTER_S,
        )


class Recent:
    """What was used last, up to a weight; the least recently used goes first. Safe between threads."""

    def __init__(self, largest_weight: int) -> None:
        self._largest = largest_weight
        self._weight = 0
        self._kept: OrderedDict[int, tuple[Serving, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, revision_id: int) -> Serving | None:
        with self._lock:
            if revision_id not in self._kept:
                return None
            self._kept.move_to_end(revision_id)
            return self._kept[revision_id][0]

    def keep(self, serving: Serving, weight: int) -> None:
        """Remember it; one that is heavier than everything allowed is not kept."""
        with self._lock:
            self._weight -= self._kept.pop(serving.revision_id, (serving, 0))[1]
            if weight > self._largest:
                return
            self._kept[serving.revision_id] = serving, weight
            self._weight += weight
            while self._weight > self._largest:
                self._weight -= self._kept.popitem(last=False)[1][1]


# Bytes, roughly: of texts and of postings. A web process stays small whatever it is asked for.
recent = Recent(128 * 1024 * 1024)
# An unpacked index is about this much larger than its stored bytes.
UNPACKED = 4


def serving(revision: Revision) -> Serving:
    """The revision ready to render; two statements the first time (three with an index), then none.

    Raises:
        IndexNotReady: 409 with `Retry-After`.
    """
    kept = recent.get(revision.pk)
    if kept is not None and kept.content_hash == revision.content_hash:
        return kept
    if revision.index_state == Revision.IndexState.WAITING:
        raise IndexNotReady(revision.number)
    lines = context_of(revision)
    stored = _stored_index(revision)
    made = _made(revision, lines, stored)
    recent.keep(made, _weight(lines, stored))
    return made


def context_of(revision: Revision) -> list[Line]:
    """The revision's context in order; one statement."""
    rows = (
        RevisionContext.objects.filter(revision=revision)
        .order_by("position")
        .values_list("item_id", "item__kind", "item__input", "item__output", "item__text", "item__tags")
    )
    return [
        Line(pk, ContextLine(kind, input=asked, output=answered, text=text, tags=tuple(tags)))
        for pk, kind, asked, answered, text, tags in rows
    ]


def examples_of(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Those that can be similar to a question, in order; an index ranks them by these places."""
    return tuple(line for line in lines if line.content.kind == ContextItem.Kind.EXAMPLE)


def _stored_index(revision: Revision) -> bytes:
    if revision.index_state != Revision.IndexState.READY:
        return b""
    return bytes(RevisionIndex.objects.values_list("postings", flat=True).get(revision=revision))


def _made(revision: Revision, lines: list[Line], stored: bytes) -> Serving:
    return Serving(
        revision_id=revision.pk,
        prompt_id=revision.prompt_id,
        number=revision.number,
        content_hash=revision.content_hash,
        model=revision.model,
        parameters=revision.parameters,
        messages=tuple((message["role"], templates.parse(message["content"])) for message in revision.messages),
        examples=examples_of(lines),
        notes=tuple(line for line in lines if line.content.kind != ContextItem.Kind.EXAMPLE),
        index=tfidf.Index.from_bytes(stored) if stored else None,
        k=revision.k,
    )


def _weight(lines: list[Line], stored: bytes) -> int:
    texts = sum(len(line.content.input) + len(line.content.output) + len(line.content.text) + 300 for line in lines)
    return texts + UNPACKED * len(stored) + 10_000
