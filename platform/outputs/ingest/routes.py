"""The ways in: what a body holds, and what its sender is answered. One small class for each form of body."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from core.problems import FieldError, Problem
from outputs.ingest import answers
from outputs.ingest.answers import Answer
from outputs.ingest.asgi import Scope, header
from outputs.reception import Reception
from outputs.services.landing import Arrival

# The list of errors of a problem; `rejected` names every row.
MOST_ERRORS = 1_000
Errors = tuple[FieldError, ...]
Rejections = Mapping[int, Errors]
_CHARSET = re.compile(r'charset\s*=\s*"?([^\s;"]+)')


@dataclass
class Batch:
    """What one body brought.

    Args:
        rows: of each kind of `store.STORES`: (place in the body, arrival).
        rejected: of each bad row its errors, by place.
        along: rows of each kind that others brought along (a span's evaluations, say); stored with them, and
            counted in no answer.
        n_silent: rows that a sender does well to send and that say nothing to keep: accepted, and not stored.
    """

    rows: dict[str, list[tuple[int, Arrival]]] = field(default_factory=dict)
    rejected: dict[int, Errors] = field(default_factory=dict)
    along: dict[str, list[Arrival]] = field(default_factory=dict)
    n_silent: int = 0
    # What the sender's software calls itself in the body; where it says nothing, its User-Agent counts.
    instrument: str = ""

    @property
    def n_rows(self) -> int:
        """Rows that an answer counts and that may be stored."""
        return sum(map(len, self.rows.values()))

    @property
    def n_bytes(self) -> int:
        """About what it costs to hold."""
        counted = sum(arrival.n_bytes for rows in self.rows.values() for _, arrival in rows)
        return counted + sum(arrival.n_bytes for rows in self.along.values() for arrival in rows)


@dataclass(frozen=True)
class Outcome:
    """What became of the rows of one body: sent = accepted + duplicates + rejected."""

    accepted: int
    duplicates: int
    rejected: Rejections

    @property
    def is_all_bad(self) -> bool:
        return bool(self.rejected) and not (self.accepted or self.duplicates)


class Route(Protocol):
    """One way in."""

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """Methods that Django answers at the same address."""

    def check(self, scope: Scope) -> None:
        """What can be refused before the body is read: its Content-Type.

        Raises:
            Problem: 415.
        """

    def read(self, body: bytes, scope: Scope, reception: Reception) -> Batch:
        """The rows of a body, checked and made ready to be stored. May run in a thread.

        Raises:
            Problem: the body as a whole cannot be understood, or is too much.
        """

    def answer(self, outcome: Outcome, scope: Scope) -> Answer:
        """What the sender is told once `outcome` is committed, or at once where nothing of it can be stored."""

    def refusal(self, problem: Problem, scope: Scope) -> Answer:
        """What the sender is told where the request failed as a whole."""


def said_otherwise(what: str = "id") -> Errors:
    """Why a row in conflict with a stored one is not taken."""
    return (FieldError(what, "belongs to a row that says something else; use a new id for new content"),)


def content_type(scope: Scope, *, known: set[str], wanted: str) -> str:
    """The media type without parameters, in lower case.

    Raises:
        Problem: 415 where it is not among `known`, or in another charset than UTF-8.
    """
    said = header(scope, b"content-type")
    kind, _, parameters = said.lower().partition(";")
    charset = _CHARSET.search(parameters)
    if kind.strip() not in known or (charset and charset.group(1) not in ("utf-8", "utf8")):
        raise Problem(415, f"Content-Type {said[:80]!r} is not taken: send {wanted}.")
    return kind.strip()


def counts(outcome: Outcome) -> Answer:
    """201 with what became of the rows, or 400 where every one of them is bad."""
    if outcome.is_all_bad:
        return answers.of_problem(nothing_stored(outcome.rejected))
    told = {"accepted": outcome.accepted, "duplicates": outcome.duplicates, "rejected": _shown(outcome.rejected)}
    return Answer(201, orjson.dumps(told))


def nothing_stored(rejected: Rejections) -> Problem:
    """Every row is bad: a problem that names each."""
    told = itertools.islice(((place, error) for place in sorted(rejected) for error in rejected[place]), MOST_ERRORS)
    errors = [FieldError(error.field, error.message, place) for place, error in told]
    detail = f"None of the {len(rejected)} rows was stored." if len(rejected) > 1 else "The row was not stored."
    return Problem(400, detail, errors=errors, extra={"rejected": _shown(rejected)})


def _shown(rejected: Rejections) -> list[dict[str, object]]:
    return [{"index": place, "errors": [error.as_dict() for error in rejected[place]]} for place in sorted(rejected)]
