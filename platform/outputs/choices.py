"""Several choices of one call, as one message: the first, which carries the others."""

from collections.abc import Sequence
from typing import Any

OTHERS = "other_choices"

Said = dict[str, Any]


def joined(choices: Sequence[Said]) -> Said | None:
    """The first choice with the others in it; None where there is none."""
    if not choices:
        return None
    first, *others = choices
    return {**first, OTHERS: others} if others else dict(first)


def apart(output: Any) -> list[Said]:
    """The choices of an output that `joined` made."""
    if not isinstance(output, dict):
        return []
    others = output.get(OTHERS)
    first = {name: value for name, value in output.items() if name != OTHERS}
    return [first, *others] if isinstance(others, list) else [output]
