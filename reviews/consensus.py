"""Whether several people said the same about one item: pure, no database."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from core.similarity import folding
from reviews.questions import Opinion, Question


def agree(questions: Sequence[Question], opinions: Sequence[Opinion]) -> bool:
    """Whether all answers to required questions (the quality question is one) and the corrections agree.

    Texts agree where they are equal after folding (NFKC, case, punctuation, space), other answers where they are
    equal. Corrections become what is expected of a model, where `-5` is not `5` and `C#` is not `C`: they agree where
    they differ in space and compatibility forms alone. Answers to questions that may be left out settle nothing.
    """
    required = [question["key"] for question in questions if question["required"]]
    return (
        all(len({_folded(opinion.answers.get(key)) for opinion in opinions}) <= 1 for key in required)
        and len({spaced(opinion.correction) for opinion in opinions}) <= 1
    )


def joint(opinions: Sequence[Opinion]) -> Opinion:
    """What all of them say, in the words of the first; answers in which they differ are left out."""
    first = opinions[0]
    shared = {
        key: answer
        for key, answer in first.answers.items()
        if all(_folded(other.answers.get(key)) == _folded(answer) for other in opinions)
    }
    return Opinion(shared, first.correction)


def spaced(correction: str | None) -> str | None:
    """A correction as it is compared: in one compatibility form, with one space where there are several."""
    return None if correction is None else " ".join(unicodedata.normalize("NFKC", correction).split())


def _folded(answer: Any) -> Any:
    if isinstance(answer, str):
        return folding.fold(answer)
    return tuple(answer) if isinstance(answer, list) else answer
