"""One golden case as somebody sends it: checked, named and hashed. Pure."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from core.problems import FieldError
from core.similarity.folding import fold
from evals import hygiene
from evals.models import CasePart
from prompts import variables as prompt_variables
from prompts.content import digest

FIELDS = ("id", "input", "variables", "expected", "metadata", "tags", "part")
LONGEST_ID = 200
LONGEST_TAG = 100
MOST_TAGS = 50


@dataclass(frozen=True)
class CaseContent:
    """Everything that makes a case what it is; `key` names it in its set through all versions.

    `is_dealt` says that nobody named the part: a case that the set knows keeps its own.
    """

    key: str
    input: Any
    variables: dict[str, Any] | None = None
    expected: Any = None
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    part: str = CasePart.DEV
    verdict_id: int | None = None
    is_dealt: bool = False

    @property
    def hash(self) -> str:
        """SHA-256 of the content without the key, in hex."""
        return digest([self.input, self.variables, self.expected, self.metadata, self.tags, self.part])

    @cached_property
    def text_hash(self) -> str:
        """SHA-256 of the folded text, in hex: equal for texts that differ in writing alone."""
        text = fold(hygiene.case_text(self.input, self.variables))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read(row: Any) -> CaseContent | list[FieldError]:
    """The case that a row describes, or everything that is wrong with it.

    Without an `id` the key is a hash of input, variables and expectation, so the same row is the same case
    again. Without a `part` the case is dealt to gate or dev, half and half, by a hash of its folded text:
    texts that differ in writing alone share a part.
    """
    errors = list(_faults(row))
    if errors:
        return errors
    asked, given, expected = row["input"], row.get("variables"), row.get("expected")
    return CaseContent(
        key=row.get("id") or digest([asked, given, expected]),
        input=asked,
        variables=given,
        expected=expected,
        metadata=row.get("metadata") or {},
        tags=list(row.get("tags") or []),
        part=row.get("part") or dealt_part(hygiene.case_text(asked, given)),
        is_dealt=row.get("part") is None,
    )


def dealt_part(text: str) -> str:
    """Gate or dev with equal chances, always the same for texts that are equal after folding."""
    drawn = hashlib.sha256(b"golden part:" + fold(text).encode("utf-8", "surrogatepass")).digest()[0]
    return CasePart.GATE if drawn % 2 == 0 else CasePart.DEV


def _faults(row: Any) -> Iterator[FieldError]:
    if not isinstance(row, dict):
        yield FieldError("case", f"is no object; send an object with {', '.join(FIELDS)}")
        return
    for name in row:
        if name not in FIELDS:
            yield FieldError(str(name)[:100], f"is no field of a case; known: {', '.join(FIELDS)}")
    yield from _input_faults(row)
    key = row.get("id")
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= LONGEST_ID):
        yield FieldError("id", f"must be a text of 1 to {LONGEST_ID} characters")
    if not isinstance(row.get("metadata") or {}, dict):
        yield FieldError("metadata", "is no object")
    yield from _tag_faults(row.get("tags"))
    yield from _part_faults(row.get("part"))


def _input_faults(row: dict[str, Any]) -> Iterator[FieldError]:
    given = row.get("variables")
    if given is not None and not isinstance(given, dict):
        yield FieldError("variables", "is no object; send the variables by name")
        return
    if row.get("input") is None:
        yield FieldError("input", "is missing; send a text, an object of variables, or messages")
        return
    try:
        prompt_variables.variables_of(row["input"], given)
    except prompt_variables.NoInput as error:
        yield FieldError("input", str(error).removeprefix("input: "))


def _tag_faults(tags: Any) -> Iterator[FieldError]:
    if tags is None:
        return
    listed = isinstance(tags, list) and all(isinstance(tag, str) and 0 < len(tag) <= LONGEST_TAG for tag in tags)
    if not listed or len(tags) > MOST_TAGS:
        yield FieldError("tags", f"must be a list of at most {MOST_TAGS} texts of 1 to {LONGEST_TAG} characters")


def _part_faults(part: Any) -> Iterator[FieldError]:
    if part == "teach":
        yield FieldError("part", "is 'teach', the textbook; what teaches never examines: send gate, dev or anchor")
    elif part is not None and part not in CasePart.values:
        yield FieldError("part", f"is {str(part)[:40]!r}; send gate, dev or anchor")
