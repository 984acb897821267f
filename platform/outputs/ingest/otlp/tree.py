"""Lists and objects that were flattened into attributes, as `llm.input_messages.0.message.role`, put together again."""

from typing import Any

from outputs.ingest.otlp.spans import Attributes

_DEEPEST = 12
_MOST_DIGITS = 9


def grown(attributes: Attributes, prefix: str) -> tuple[list[Any], list[str]]:
    """The list below `prefix`, with the names of the attributes it was made of.

    Places need not be without gaps. An attribute whose name contradicts another's is left out.
    """
    tree: dict[Any, Any] = {}
    used = []
    start = f"{prefix}."
    for name in sorted(name for name in attributes if name.startswith(start)):
        steps = [_step(step) for step in name[len(start) :].split(".")]
        if isinstance(steps[0], int) and len(steps) <= _DEEPEST and _put(tree, steps, attributes[name]):
            used.append(name)
    found = _listed(tree)
    return (found, used) if isinstance(found, list) else ([], [])


def _step(step: str) -> int | str:
    is_place = len(step) <= _MOST_DIGITS and step.isascii() and step.isdecimal()
    return int(step) if is_place else step


def _put(tree: dict[Any, Any], steps: list[int | str], value: Any) -> bool:
    *above, last = steps
    for step in above:
        tree = tree.setdefault(step, _Branch())
        if not isinstance(tree, _Branch):
            return False
    if last in tree:
        return False
    tree[last] = value
    return True


class _Branch(dict[Any, Any]):
    """Grown here, unlike a value that is an object itself."""


def _listed(tree: Any) -> Any:
    """Branches whose every step is a place are lists."""
    inner = {step: _listed(value) if isinstance(value, _Branch) else value for step, value in tree.items()}
    if inner and all(isinstance(step, int) for step in inner):
        return [inner[place] for place in sorted(inner)]
    return {str(step): value for step, value in inner.items()}
