"""The scorers of one run together: one answer in, one score per scorer out."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from evals.scorers.registry import Case, Scorer, ScoreValue, build, key

logger = logging.getLogger(__name__)


class Panel:
    """Built once per run from its stored scorers; every result gets exactly one score of each, by its key."""

    def __init__(self, specs: Sequence[Mapping[str, Any]]) -> None:
        self.scorers: dict[str, Scorer] = {key(spec): build(spec) for spec in specs}

    @property
    def keys(self) -> list[str]:
        return list(self.scorers)

    def score(self, output: Any, expected: Any, case: Case) -> dict[str, ScoreValue]:
        """What each scorer says of an answer; one that is no text is said to have no value."""
        if not isinstance(output, str):
            return self.no_answer("the answer is no text")
        return {name: _said(scorer, output, expected, case) for name, scorer in self.scorers.items()}

    def no_answer(self, error: str) -> dict[str, ScoreValue]:
        """The scores of a result that failed: no value, and the failure as the reason."""
        return {name: ScoreValue(None, f"no answer: {error}"[:1000]) for name in self.scorers}


def _said(scorer: Scorer, output: str, expected: Any, case: Case) -> ScoreValue:
    try:
        return scorer.score(output, expected, case)
    except Exception as error:
        # One answer that breaks a scorer must cost one score, not the run.
        logger.exception("scorer %s broke", scorer.name)
        return ScoreValue(None, f"the scorer broke: {type(error).__name__}")
