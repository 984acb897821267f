"""What a revision is made of, checked and hashed: the same content is the same revision."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from core.problems import FieldError, Invalid
from prompts import templates
from prompts.models import ContextItem, Revision

Kind = ContextItem.Kind
Strategy = Revision.Strategy

ROLES = ("system", "user", "assistant")
# What is ours to send with every call (connections.chat); a revision may not name them.
OWN_PARAMETERS = frozenset({"model", "messages", "stream", "stream_options", "n"})

MOST_MESSAGES = 100
MOST_ITEMS = 50_000
MOST_TAGS = 20
LARGEST_K = 1_000
LONGEST_TEXT = 200_000
LONGEST_TAG = 100
LONGEST_MODEL = 200
LARGEST_PARAMETERS = 20_000
MOST_ERRORS = 20


@dataclass(frozen=True, slots=True)
class ContextLine:
    """One line of context: an example (input, output), or a lesson or a fact (text)."""

    kind: str
    input: str = ""
    output: str = ""
    text: str = ""
    tags: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of the content, in hex; equal lines of a prompt share one row by it."""
        return digest([self.kind, self.input, self.output, self.text, sorted(self.tags)])

    def as_dict(self) -> dict[str, Any]:
        """The line as the API shows it."""
        texts = {"input": self.input, "output": self.output, "text": self.text}
        return {"kind": self.kind, **texts, "tags": list(self.tags)}


@dataclass(frozen=True)
class Content:
    """Everything that decides what a revision says; its note and its parent do not."""

    messages: Sequence[Mapping[str, str]]
    model: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    context: Sequence[ContextLine] = ()
    strategy: str = Strategy.ALL
    k: int | None = None

    @cached_property
    def line_hashes(self) -> tuple[str, ...]:
        """The hashes of the context, in order."""
        return tuple(line.hash for line in self.context)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over canonical JSON, in hex."""
        return digest(
            {
                "messages": [[message["role"], message["content"]] for message in self.messages],
                "model": self.model,
                "parameters": self.parameters,
                "context": self.line_hashes,
                "strategy": str(self.strategy),
                "k": self.k,
            }
        )

    def check(self) -> None:
        """Raise `Invalid`, naming up to `MOST_ERRORS` faults, where this is no revision's content."""
        faults = [
            *self._message_faults(),
            *self._model_faults(),
            *self._selection_faults(),
            *self._context_faults(),
        ]
        if faults:
            raise Invalid(*faults[:MOST_ERRORS])

    def _message_faults(self) -> Iterable[FieldError]:
        if not 1 <= len(self.messages) <= MOST_MESSAGES:
            yield FieldError("messages", f"holds {len(self.messages)} messages; send 1 to {MOST_MESSAGES}")
        for place, message in enumerate(self.messages[:MOST_MESSAGES]):
            if message["role"] not in ROLES:
                yield FieldError(f"messages[{place}].role", f"is {message['role'][:40]!r}; use {', '.join(ROLES)}")
            yield from _template_faults(f"messages[{place}].content", message["content"])

    def _model_faults(self) -> Iterable[FieldError]:
        if not self.model.strip() or len(self.model) > LONGEST_MODEL:
            yield FieldError("model", f"is empty or longer than {LONGEST_MODEL} characters; write connection/model")
        for name in sorted(OWN_PARAMETERS & self.parameters.keys()):
            yield FieldError(f"parameters.{name}", "is set by the server with every call; leave it out")
        if len(canonical(self.parameters)) > LARGEST_PARAMETERS:
            yield FieldError("parameters", f"are more than {LARGEST_PARAMETERS} characters of JSON")

    def _selection_faults(self) -> Iterable[FieldError]:
        if self.strategy not in Strategy.values:
            known = ", ".join(Strategy.values)
            yield FieldError("selection.strategy", f"is {self.strategy[:40]!r}; choose from {known}")
        elif self.strategy == Strategy.SIMILAR and not (self.k is not None and 1 <= self.k <= LARGEST_K):
            yield FieldError("selection.k", f"is {self.k}; `similar` takes a k from 1 to {LARGEST_K}")
        elif self.strategy == Strategy.ALL and self.k is not None:
            yield FieldError("selection.k", "goes with the strategy `similar` alone; leave it out")

    def _context_faults(self) -> Iterable[FieldError]:
        if len(self.context) > MOST_ITEMS:
            yield FieldError("context", f"holds {len(self.context)} items; at most {MOST_ITEMS} fit in a revision")
            return
        seen: dict[str, int] = {}
        for place, (line, line_hash) in enumerate(zip(self.context, self.line_hashes, strict=True)):
            yield from _line_faults(f"context[{place}]", line)
            first = seen.setdefault(line_hash, place)
            if first != place:
                yield FieldError(f"context[{place}]", f"says the same as context[{first}]; send it once")


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def canonical(value: Any) -> str:
    """One text for equal JSON values: sorted names, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _template_faults(place: str, text: str) -> Iterable[FieldError]:
    if len(text) > LONGEST_TEXT:
        yield FieldError(place, f"has {len(text)} characters; at most {LONGEST_TEXT} are taken")
        return
    try:
        templates.parse(text)
    except templates.BadTemplate as error:
        yield FieldError(place, str(error))


def _line_faults(place: str, line: ContextLine) -> Iterable[FieldError]:
    if line.kind not in Kind.values:
        yield FieldError(f"{place}.kind", f"is {line.kind[:40]!r}; choose from {', '.join(Kind.values)}")
        return
    needed, foreign = (
        (("input", "output"), ("text",)) if line.kind == Kind.EXAMPLE else (("text",), ("input", "output"))
    )
    for name in needed:
        if not getattr(line, name).strip():
            yield FieldError(f"{place}.{name}", f"is empty; {line.kind} needs {' and '.join(needed)}")
    for name in foreign:
        if getattr(line, name):
            yield FieldError(f"{place}.{name}", f"does not belong to {line.kind}; leave it out")
    yield from _size_faults(place, line)


def _size_faults(place: str, line: ContextLine) -> Iterable[FieldError]:
    for name in ("input", "output", "text"):
        if len(getattr(line, name)) > LONGEST_TEXT:
            yield FieldError(f"{place}.{name}", f"is longer than {LONGEST_TEXT} characters")
    if len(line.tags) > MOST_TAGS or any(not tag or len(tag) > LONGEST_TAG for tag in line.tags):
        yield FieldError(f"{place}.tags", f"are at most {MOST_TAGS} of 1 to {LONGEST_TAG} characters")
