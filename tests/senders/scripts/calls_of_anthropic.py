"""What a team's own code does with the Anthropic client; nothing here knows who watches it."""

import contextlib
import json
import os

import anthropic
from words import ANTHROPIC_MODEL as MODEL
from words import PARCEL, QUESTION, REFUSED_MODELS, SYSTEM

TOOL = {
    "name": "find_parcel",
    "description": "Finds a parcel.",
    "input_schema": {"type": "object", "properties": {"number": {"type": "integer"}}},
}
ASKED = [{"role": "user", "content": QUESTION}]


def client() -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=os.environ["PROVIDER_URL"], api_key="sk-none", max_retries=0)


def plain(talk: anthropic.Anthropic) -> None:
    talk.messages.create(model=MODEL, max_tokens=100, system=SYSTEM, messages=ASKED)


def streamed(talk: anthropic.Anthropic) -> None:
    for _ in talk.messages.create(model=MODEL, max_tokens=100, system=SYSTEM, messages=ASKED, stream=True):
        pass


def with_tool(talk: anthropic.Anthropic, tool_span) -> None:
    said = [{"role": "user", "content": PARCEL}]
    asked = talk.messages.create(model=MODEL, max_tokens=100, messages=said, tools=[TOOL])
    call = asked.content[0]
    with tool_span(call.name):
        found = {"number": call.input["number"], "due": "tomorrow"}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": json.dumps(found)}
    said += [{"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
    talk.messages.create(model=MODEL, max_tokens=100, messages=said, tools=[TOOL])


def refused(talk: anthropic.Anthropic) -> None:
    for model in REFUSED_MODELS:
        with contextlib.suppress(anthropic.APIStatusError):
            talk.messages.create(model=model, max_tokens=100, system=SYSTEM, messages=ASKED)


def go(tool_span) -> None:
    talk = client()
    plain(talk)
    streamed(talk)
    with_tool(talk, tool_span)
    refused(talk)
