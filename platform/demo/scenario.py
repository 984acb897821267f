"""What is played: one prompt, its first examples, its exam, its traffic, and how its reviewer behaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from demo import traffic
from demo.traffic import Message

CLASSIFY = "You sort messages to a support desk. Answer with the name of the one intent that fits, and nothing else."


@dataclass(frozen=True)
class Scenario:
    """One play of the loop.

    Attributes:
        prompt: name of the prompt; rubric, queue and golden set are named after it.
        system: text of the system message.
        seed_examples: the examples of the first revision.
        golden_cases: the exam, all of part gate.
        rounds: the production traffic, round by round.
        permute: whether the scripted reviewer permutes its corrections.
        parts: shares of verdicts that go to gate, dev and teach, in percent.
        k: how many examples a request shows the model.
        margin: how much worse than production a release may be, in accuracy.
        looks: how many times the exam may be looked at.
        error_rate: share of the reviewer's judgements that are wrong.
        seed: decides on which texts the reviewer errs.
    """

    prompt: str
    seed_examples: Sequence[Message]
    golden_cases: Sequence[Message]
    rounds: Sequence[Sequence[Message]]
    system: str = CLASSIFY
    permute: bool = False
    parts: Mapping[str, int] = field(default_factory=lambda: {"gate": 0, "dev": 10, "teach": 90})
    k: int = 16
    margin: float = 0.02
    looks: int = 10
    error_rate: float = 0.03
    seed: int = 0

    def answer_key(self) -> dict[str, str]:
        """The right intent of every message of the traffic."""
        return {message.text: message.intent for messages in self.rounds for message in messages}


def support_intent() -> Scenario:
    """Larkspoke's support desk, reviewed in good faith."""
    return Scenario(
        prompt="support-intent",
        seed_examples=traffic.seed_examples(),
        golden_cases=traffic.golden_cases(),
        rounds=traffic.rounds(4),
    )


def support_intent_permuted() -> Scenario:
    """The same desk and the same services; only what the scripted reviewer writes as corrections is wrong."""
    honest = support_intent()
    return replace(honest, prompt="support-intent-permuted", permute=True, rounds=honest.rounds[:2])
