"""The answer contains what is expected."""

from typing import Any, ClassVar

from evals.scorers.registry import Case, ScoreValue, scorer


@scorer
class Contains:
    """1 where the answer contains the wanted texts, else 0.

    Attributes:
        text: The wanted text or texts, the same for every case; without it, each case's `expected`.
        require: Whether `all` of several texts are wanted, or `any` of them.
        ignore_case: Compare case-folded.
    """

    name: ClassVar[str] = "contains"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    is_binary: ClassVar[bool] = True

    text: str | list[str] | None = None
    require: str = "all"
    ignore_case: bool = False

    def __post_init__(self) -> None:
        if self.require not in ("all", "any"):
            raise ValueError(f"require: is {self.require[:40]!r}; send all or any")
        if self.text is not None and not _wanted(self.text):
            # Every answer contains the empty text: such a scorer could only pass.
            raise ValueError("text: is empty or holds an empty text; send what the answer must contain")

    def score(self, output: str, expected: Any, case: Case) -> ScoreValue:
        """Look for the texts anywhere in the answer, inside words too."""
        wanted = _wanted(self.text if self.text is not None else expected)
        if not wanted:
            return ScoreValue(None, "the case expects no text, or an empty one")
        missing = [text for text in wanted if self._folded(text) not in self._folded(output)]
        is_enough = not missing if self.require == "all" else len(missing) < len(wanted)
        return ScoreValue(1.0) if is_enough else ScoreValue(0.0, f"does not contain {missing[0][:200]!r}")

    def _folded(self, text: str) -> str:
        return text.casefold() if self.ignore_case else text


def _wanted(texts: Any) -> list[str]:
    """The texts to look for; none where any of them is empty or no text."""
    listed = texts if isinstance(texts, list) else [texts]
    return listed if all(isinstance(text, str) and text for text in listed) else []
