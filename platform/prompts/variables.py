"""From what production sent to the variables of a template, and to the text that inputs are compared by."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

INPUT = "input"
# Roles of earlier turns that belong to a conversation; instructions come from the revision alone.
SPOKEN = ("user", "assistant")

Turn = dict[str, str]


class NoInput(ValueError):
    """These messages hold nothing that a user said, so there is no variable `input`."""


def variables_of(
    input: Any,  # noqa: A002  # the contract's word
    variables: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], list[Turn]]:
    """The variables of an input by name, and the turns of the conversation before it.

    A string is the variable `input`; an object is the variables by name; of messages the last user content is
    `input`, and the user's and the assistant's turns before it are the history. Variables that came along go
    before what an input holds; beside messages they stand alone and without history, because such messages
    are mostly what was rendered from them.

    Args:
        input: a string, an object, or messages `[{"role", "content"}]`, as JSON gave them.
        variables: what the output or the case carries, if anything.

    Raises:
        NoInput: messages without a user's content, or an input of another type, and no variables.
    """
    carried = dict(variables or {})
    if isinstance(input, str):
        return {INPUT: input, **carried}, []
    if isinstance(input, Mapping):
        return {**input, **carried}, []
    if carried:
        return carried, []
    return _of_messages(input)


def text_of(variables: Mapping[str, Any]) -> str:
    """The text that inputs are compared and examples chosen by: `input`, else all values by order of name."""
    if INPUT in variables:
        return as_text(variables[INPUT])
    return "\n".join(as_text(variables[name]) for name in sorted(variables))


def as_text(value: Any) -> str:
    """A value as it stands in a prompt: strings as they are, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def content_text(content: Any) -> str:
    """The text of a message's content, which may be a list of parts of which some are text."""
    if isinstance(content, list):
        return "\n".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return "" if content is None else as_text(content)


def _of_messages(messages: Any) -> tuple[dict[str, Any], list[Turn]]:
    turns = [turn for turn in messages if isinstance(turn, dict)] if isinstance(messages, Sequence) else []
    last = max((place for place, turn in enumerate(turns) if turn.get("role") == "user"), default=None)
    if last is None:
        raise NoInput("input: holds no message of the role user; send a string, an object, or messages with one")
    history = [
        {"role": turn["role"], "content": content_text(turn.get("content"))}
        for turn in turns[:last]
        if turn.get("role") in SPOKEN
    ]
    return {INPUT: content_text(turns[last].get("content"))}, history
