"""Counts of tokens, brought to one meaning: what came from a cache is a part of the input, thought one of the output.

OpenTelemetry asks senders for this meaning. Anthropic's interface, and what passes its figures on as they are, counts
the cache beside the input, and some of Google's count thoughts beside the output.
"""

from collections.abc import Mapping
from dataclasses import dataclass

NAMES = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
CACHE_ADDED = "cache_tokens_added_to_input"
REASONING_ADDED = "reasoning_tokens_added_to_output"


@dataclass(frozen=True)
class Counted:
    """The counts as ours, and what had to be done."""

    counts: Mapping[str, int]
    note: str = ""


def reconciled(sent: Mapping[str, int]) -> Counted:
    """The counts in one meaning.

    A part that is larger than its whole cannot be one; where a total is told, it decides.
    """
    counts = {name: value for name, value in sent.items() if name != "total_tokens"}
    cached = counts.get("cached_input_tokens", 0) + counts.get("cache_write_tokens", 0)
    thought = counts.get("reasoning_tokens", 0)
    notes = []
    if "input_tokens" in counts and cached and _is_beside(sent, "input_tokens", cached):
        counts["input_tokens"] += cached
        notes.append(CACHE_ADDED)
    if "output_tokens" in counts and thought and _is_beside(sent, "output_tokens", thought):
        counts["output_tokens"] += thought
        notes.append(REASONING_ADDED)
    return Counted(counts, ", ".join(notes))


def _is_beside(sent: Mapping[str, int], whole: str, part: int) -> bool:
    """Whether the part is counted beside the whole and not in it."""
    if part > sent[whole]:
        return True
    told = sent.get("input_tokens"), sent.get("output_tokens"), sent.get("total_tokens")
    asked, answered, total = told
    return asked is not None and answered is not None and total == asked + answered + part
