"""The demo's scripted reviewer: a program with an answer key that reviews through the public API.

It is called scripted wherever it shows up. A few of its judgements are wrong, as people's are; which ones is
decided by a hash of the text, so that a repeat judges alike.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count, takewhile

from demo.client import Json, Ratchet

PERMUTED_BY = 1


@dataclass(frozen=True)
class Judgement:
    """What the reviewer says of one output; a correction belongs to a wrong one."""

    is_correct: bool
    correction: str | None = None


@dataclass(frozen=True)
class ScriptedReviewer:
    """Reviews a queue against an answer key.

    Attributes:
        ratchet: the API, with a key of scope `review`.
        queue: name of the queue to review.
        answer_key: the right intent of each input text.
        error_rate: share of judgements that are turned into their opposite.
        seed: another seed errs on other texts.
        permute: give the intent that follows the right one (in alphabetical order, cyclic) as correction.
    """

    ratchet: Ratchet
    queue: str
    answer_key: Mapping[str, str]
    error_rate: float = 0.03
    seed: int = 0
    permute: bool = False

    def review_all(self) -> int:
        """Review until the queue is empty; the number of reviews.

        Raises:
            KeyError: when an output's input is missing from the answer key.
            client.Refused: when the API refuses a review.
        """
        return sum(1 for _ in takewhile(bool, (self._review_next() for _ in count())))

    def judge(self, text: str, output: str) -> Judgement:
        """What the reviewer says of `output`, the intent that the model found in `text`."""
        right = self.answer_key[text]
        if (output == right) != self._errs_on(text):
            return Judgement(is_correct=True)
        # Where the reviewer errs on a right output, it believes in some other intent.
        believed = right if output != right else self._following(right, len(set(self.answer_key.values())) // 2)
        return Judgement(is_correct=False, correction=self._permuted(believed, output))

    def _review_next(self) -> bool:
        item = self.ratchet.next_item(queue=self.queue)
        if item is not None:
            self._review(item)
        return item is not None

    def _review(self, item: Json) -> None:
        output = item["outputs"][0]
        judgement = self.judge(output["input"], output["output"])
        answers = {"correct": "yes" if judgement.is_correct else "no"}
        self.ratchet.review(item, answers=answers, correction=judgement.correction)

    def _errs_on(self, text: str) -> bool:
        digest = hashlib.sha256(f"{self.seed}:{text}".encode()).digest()
        return int.from_bytes(digest[:8]) < self.error_rate * 2**64

    def _permuted(self, intent: str, output: str) -> str:
        if not self.permute:
            return intent
        shifted = self._following(intent, PERMUTED_BY)
        # What was just called wrong cannot be its own correction.
        return shifted if shifted != output else self._following(shifted, PERMUTED_BY)

    def _following(self, intent: str, steps: int) -> str:
        intents = sorted(set(self.answer_key.values()))
        return intents[(intents.index(intent) + steps) % len(intents)]
