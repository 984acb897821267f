"""Messages in the shapes that senders use, as ours: `{"role", "content", …}`, where what else there is is kept."""

from collections.abc import Mapping
from typing import Any

from outputs.ingest.otlp.reading import structured
from outputs.records import LONGEST_ROLE

Message = dict[str, Any]
INPUT, OUTPUT = 0, 1
# Events of a conversation, and whose words they are.
ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
CHOICE = "gen_ai.choice"
PROMPT, COMPLETION = "gen_ai.content.prompt", "gen_ai.content.completion"
DETAILS = "gen_ai.client.inference.operation.details"


def many(value: Any, role: str) -> list[Message] | None:
    """Messages from a list of them, or from the JSON text of one; None where it is no such thing."""
    found = structured(value)
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        return None
    return [one(each, role) for each in found]


def one(found: Mapping[str, Any], role: str) -> Message:
    """A message from one that has parts, or a content; without a role it is of this one."""
    told = dict(found)
    said_role = told.pop("role", None)
    if isinstance(said_role, str) and 0 < len(said_role) <= LONGEST_ROLE:
        role = said_role
    elif said_role is not None:
        told["said_role"] = said_role
    if isinstance(told.get("parts"), list) and "content" not in told:
        return {"role": role, **_of_parts(told.pop("parts")), **told}
    return {"role": role, **_of_content(told.pop("content", None)), **told}


def _of_content(content: Any) -> Message:
    content = _parts_in(content)
    if content is None or isinstance(content, str):
        return {"content": content}
    if isinstance(content, list) and all(isinstance(each, dict) for each in content):
        return {"content": content}
    return {"content": [{"type": "json", "value": content}]}


def _parts_in(content: Any) -> Any:
    """The parts that some write as a text of JSON; any other text stays one."""
    if not isinstance(content, str):
        return content
    found = structured(content)
    is_parts = isinstance(found, list) and found and all(isinstance(each, dict) and "type" in each for each in found)
    return found if is_parts else content


def _of_parts(parts: list[Any]) -> Message:
    """Parts of OpenTelemetry: texts, what a tool is asked and what it answered; others as they are."""
    content: list[Message] = []
    told: Message = {}
    for part in parts:
        match part:
            case {"type": "text", "content": str() as text} if len(part) == 2:
                content.append({"type": "text", "text": text})
            case {"type": "tool_call", **rest}:
                told.setdefault("tool_calls", []).append(rest)
            case {"type": "tool_call_response", "id": id_, **rest} if "tool_call_id" not in told:
                told["tool_call_id"] = id_
                content.append(_answer({str(name): value for name, value in rest.items()}))
            case dict():
                content.append(dict(part))
            case _:
                content.append({"type": "json", "value": part})
    return {"content": _content_of(content), **told}


def _answer(rest: Message) -> Message:
    """What a tool answered."""
    match rest:
        case {"response": str() as text} | {"result": str() as text} if len(rest) == 1:
            return {"type": "text", "text": text}
    return {"type": "tool_result", **rest}


def _content_of(parts: list[Message]) -> Any:
    if not parts:
        return None
    if len(parts) == 1 and parts[0].get("type") == "text" and set(parts[0]) == {"type", "text"}:
        return parts[0]["text"]
    return parts


Sides = dict[int, list[Message]]


def is_event(name: str) -> bool:
    """Whether it is one of a conversation's."""
    return name in {*ROLES, CHOICE, PROMPT, COMPLETION, DETAILS}


def of_event(name: str, told: Mapping[str, Any]) -> Sides | None:
    """The messages of a GenAI event, by their side; None where it is none, or tells no content.

    Args:
        name: of the event.
        told: its attributes, or the body of the log record that it is.
    """
    if name in ROLES:
        return _of_message(told, ROLES[name])
    if name == CHOICE:
        return _of_choice(told)
    if name in (PROMPT, COMPLETION):
        side, role, attribute = (
            (INPUT, "user", "gen_ai.prompt") if name == PROMPT else (OUTPUT, "assistant", "gen_ai.completion")
        )
        return {side: _plain(told[attribute], role)} if told.get(attribute) else None
    return of_details(told) if name == DETAILS else None


def of_details(told: Mapping[str, Any]) -> Sides | None:
    """The messages of a call in the current names, wherever they stand."""
    asked = [
        *instructions(told.get("gen_ai.system_instructions")),
        *(many(told.get("gen_ai.input.messages"), "user") or ()),
    ]
    answered = many(told.get("gen_ai.output.messages"), "assistant")
    sides = {side: found for side, found in ((INPUT, asked), (OUTPUT, answered)) if found}
    return sides or None


def instructions(value: Any) -> list[Message]:
    """The system's message: a text, or a list of parts."""
    found = structured(value)
    if isinstance(found, str) and found:
        return [{"role": "system", "content": found}]
    if isinstance(found, list) and found:
        return [{"role": "system", **_of_parts(found)}]
    return []


def _of_message(told: Mapping[str, Any], role: str) -> Sides | None:
    inner = {name: value for name, value in told.items() if not name.startswith("gen_ai.") and name != "event.name"}
    if not _tells(inner):
        return None
    return {INPUT: [one(_loosened(inner), role)]}


def _of_choice(told: Mapping[str, Any]) -> Sides | None:
    message = structured(told.get("message"))
    around = {
        name: value
        for name, value in told.items()
        if name not in ("message", "event.name") and not name.startswith("gen_ai.")
    }
    if isinstance(message, str) and message:
        message = {"content": message}
    inner = {**around, **message} if isinstance(message, dict) else around
    if not _tells(inner):
        return None
    return {OUTPUT: [one(_loosened(inner), "assistant")]}


def _tells(told: Message) -> bool:
    """Whether anything that was said is in it; without capture a tool's name is left, and nothing it was asked."""
    calls = structured(told.get("tool_calls"))
    if isinstance(calls, list) and all(isinstance(call, dict) for call in calls):
        calls = [call for call in calls if "arguments" in call.get("function", call)]
    return bool(told.get("content") or told.get("parts") or calls)


def _loosened(told: Message) -> Message:
    """Tool calls that stand as a text of JSON, as what they say."""
    return {name: structured(value) if name == "tool_calls" else value for name, value in told.items()}


def _plain(value: Any, role: str) -> list[Message]:
    return many(value, role) or [{"role": role, **_of_content(value)}]
