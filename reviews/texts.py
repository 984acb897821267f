"""The texts of an output that judgements rest on: what was asked, and what was answered."""

from collections.abc import Mapping
from typing import Any

from prompts import variables


def input_text(sent: Any, carried: Mapping[str, Any] | None) -> str:
    """The text inputs are compared by: that of the variables, else the last user message; no system text.

    An input in which no user speaks is compared whole, as JSON.
    """
    try:
        return variables.text_of(variables.variables_of(sent, carried)[0])
    except variables.NoInput:
        return "" if sent is None else variables.as_text(sent)


def output_text(answered: Any) -> str:
    """The text of an answer that is a string, a message, or a list of messages of which the last counts."""
    if isinstance(answered, list) and answered:
        answered = answered[-1]
    if isinstance(answered, dict) and "content" in answered:
        return variables.content_text(answered["content"])
    return "" if answered is None else variables.as_text(answered)
