"""Exam and textbook are never the same page: cases that a context answers leave a comparison. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.similarity import shingles
from prompts import variables

# Above this share of cases left out, what is left no longer speaks for the exam.
LARGEST_SHARE_LEFT_OUT = 0.2


def case_text(asked: Any, given: Mapping[str, Any] | None) -> str:
    """The text by which a case is compared: of its variables, else the last user message; no system text.

    Args:
        asked: The case's input.
        given: Its variables, where it names them itself.
    """
    try:
        found, _ = variables.variables_of(asked, given)
    except variables.NoInput:
        return variables.as_text(asked)
    return variables.text_of(found)


def left_out(case_texts: Sequence[str], context_inputs: Sequence[str]) -> NDArray[np.bool_]:
    """Which cases equal or nearly equal an input in a context, shape (n,).

    Equal: after folding (NFKC, case, punctuation, space). Nearly: Jaccard of character 5-grams from 0.8 on.

    Args:
        case_texts: The cases' texts, n of them.
        context_inputs: The inputs of the candidate's and the baseline's examples.
    """
    # An example without an input shows no case; folded to nothing it must not match an empty one.
    inputs = [text for text in context_inputs if text.strip()]
    near = shingles.near_pairs(case_texts, inputs)
    return np.array([position is not None for position in near], dtype=bool)
