"""What a team's own code does with the OpenAI client; nothing here knows who watches it."""

import contextlib
import json
import os

import openai
from words import OPENAI_MODEL as MODEL
from words import PARCEL, QUESTION, REFUSED_MODELS, SYSTEM

TOOL = {
    "type": "function",
    "function": {
        "name": "find_parcel",
        "description": "Finds a parcel.",
        "parameters": {"type": "object", "properties": {"number": {"type": "integer"}}},
    },
}
ASKED = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]


def client() -> openai.OpenAI:
    return openai.OpenAI(base_url=os.environ["PROVIDER_URL"] + "/v1", api_key="sk-none", max_retries=0)


def plain(talk: openai.OpenAI) -> None:
    talk.chat.completions.create(model=MODEL, messages=ASKED, temperature=0.2)


def streamed(talk: openai.OpenAI) -> None:
    options = {"include_usage": True}
    for _ in talk.chat.completions.create(model=MODEL, messages=ASKED, stream=True, stream_options=options):
        pass


def with_tool(talk: openai.OpenAI, tool_span) -> None:
    said = [{"role": "user", "content": PARCEL}]
    asked = talk.chat.completions.create(model=MODEL, messages=said, tools=[TOOL]).choices[0].message
    call = asked.tool_calls[0]
    with tool_span(call.function.name):
        found = {"number": json.loads(call.function.arguments)["number"], "due": "tomorrow"}
    result = {"role": "tool", "tool_call_id": call.id, "content": json.dumps(found)}
    talk.chat.completions.create(
        model=MODEL, messages=[*said, asked.model_dump(exclude_none=True), result], tools=[TOOL]
    )


def refused(talk: openai.OpenAI) -> None:
    for model in REFUSED_MODELS:
        with contextlib.suppress(openai.APIStatusError):
            talk.chat.completions.create(model=model, messages=ASKED)


def response(talk: openai.OpenAI) -> None:
    talk.responses.create(model=MODEL, instructions=SYSTEM, input=QUESTION)


def embedded(talk: openai.OpenAI) -> None:
    talk.embeddings.create(model="text-embedding-3-small", input=["parcel seven"])


def go(tool_span) -> None:
    talk = client()
    plain(talk)
    streamed(talk)
    with_tool(talk, tool_span)
    refused(talk)
    response(talk)
    embedded(talk)
