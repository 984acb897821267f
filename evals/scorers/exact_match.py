"""The answer is exactly what is expected."""

import json
from typing import Any, ClassVar

from core import strict_json
from evals.scorers.registry import Case, ScoreValue, scorer


@scorer
class ExactMatch:
    """1 where the answer equals the expected text, else 0.

    Attributes:
        strip: Ignore white space around both. On by default: models end answers with line breaks.
        ignore_case: Compare case-folded.
    """

    name: ClassVar[str] = "exact_match"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    is_binary: ClassVar[bool] = True

    strip: bool = True
    ignore_case: bool = False

    def score(self, output: str, expected: Any, case: Case) -> ScoreValue:
        """Compare texts as texts; anything else expected (a number, an object) as JSON values."""
        if expected is None:
            return ScoreValue(None, "the case does not say what is expected")
        if isinstance(expected, str):
            return _verdict(self._shown(output) == self._shown(expected))
        return _verdict(_canonical(_parsed(output)) == _canonical(expected))

    def _shown(self, text: str) -> str:
        text = text.strip() if self.strip else text
        return text.casefold() if self.ignore_case else text


def _verdict(equal: bool) -> ScoreValue:
    return ScoreValue(1.0) if equal else ScoreValue(0.0, "differs from what is expected")


def _parsed(output: str) -> Any:
    """The JSON value of an answer; an answer that is none stands for itself and equals no other kind."""
    try:
        return strict_json.parse(output.encode("utf-8", "replace"))
    except strict_json.Refused:
        return output


def _canonical(value: Any) -> str:
    # Python holds 1 == True; as JSON texts they differ. 1 and 1.0 stay different too: say what you expect.
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
