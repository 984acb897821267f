"""The demo's traffic: messages to the support desk of Larkspoke, a bicycle rental that does not exist.

Every message was written for this demo. Each carries the intent that its author had in mind; several intents
lie close together on purpose: a wrong fare, a double charge and a missing refund share much of their words.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from demo.messages import bikes, money, plans, riding


@dataclass(frozen=True)
class Message:
    """What a customer wrote, and the intent behind it: the answer key of the scripted reviewer."""

    text: str
    intent: str


MESSAGES: Mapping[str, Sequence[str]] = riding.MESSAGES | money.MESSAGES | plans.MESSAGES | bikes.MESSAGES


def seed_examples() -> list[Message]:
    """The one example per intent that the first revision starts with: the plainest way to put it."""
    return [Message(texts[0], intent) for intent, texts in MESSAGES.items()]


def golden_cases() -> list[Message]:
    """The exam: two of every five messages after the seed example, never seen as traffic."""
    return [Message(text, intent) for intent, texts in MESSAGES.items() for text in _exam(texts)]


def rounds(n: int) -> list[list[Message]]:
    """Share what is neither seed nor exam over `n` rounds, each with every intent, in a fixed order.

    Raises:
        ValueError: when `n` is below 1 or leaves a round without some intent.
    """
    fewest = min(len(_traffic(texts)) for texts in MESSAGES.values())
    if not 1 <= n <= fewest:
        raise ValueError(f"n: {n} rounds asked; the traffic is enough for 1 to {fewest}")
    return [sorted(_share(start, n), key=_shuffled) for start in range(n)]


def _exam(texts: Sequence[str]) -> list[str]:
    return [text for place, text in enumerate(texts) if place % 5 in (1, 3)]


def _traffic(texts: Sequence[str]) -> list[str]:
    return [text for place, text in enumerate(texts) if place and place % 5 not in (1, 3)]


def _share(start: int, step: int) -> Iterator[Message]:
    for intent, texts in MESSAGES.items():
        yield from (Message(text, intent) for text in _traffic(texts)[start::step])


def _shuffled(message: Message) -> str:
    return hashlib.sha256(message.text.encode()).hexdigest()
