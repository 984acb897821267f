"""What is evaluated. A target answers one question; it knows no run, no row and no scorer."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Question:
    """What a target is asked: a case's `input`, and its `variables` where the case names them itself.

    `key` is the same for every attempt at this question and for no other: endpoints that honour such keys answer
    a repeat without working twice.
    """

    input: Any
    variables: dict[str, Any] | None
    key: str


@dataclass(frozen=True)
class Answer:
    """What came back: a text, or an error with what may be done about it.

    `n_calls` says how many calls left the house for it (0 where the question could not even be asked). A retryable
    error may pass by itself; `retry_after` is the wait in seconds that the other side asked for.
    """

    text: str | None
    error: str = ""
    n_calls: int = 1
    is_retryable: bool = False
    retry_after: float | None = None
    latency_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    context_ids: tuple[int, ...] = ()


class Target(Protocol):
    """One thing under test."""

    async def answer(self, question: Question) -> Answer:
        """The answer to one question. Expected failures are answers with an `error`, never exceptions."""
        ...
