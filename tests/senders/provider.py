"""A double of a provider, in a process of its own: OpenAI's and Anthropic's protocols, with answers fixed beforehand.

Run as a file with the standard library alone. It prints its port, then serves until it is killed. It is no model: a
question about the parcel gets the parcel's answer, everything else a fixed one. The model `busy` is answered by 429 and
`broken` by 500, as the providers say it. Token counts are those of `USAGE`, cached and reasoning ones included.
"""

import base64
import itertools
import json
import struct
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Document = dict[str, Any]

ANSWER = "It is Paris. Ça va ? 🗼"
AFTER_TOOL = "Your parcel 7 arrives tomorrow."
THOUGHT = "A capital is asked for."
CALL_ID = "call_parcel_7"
TOOL, ARGUMENTS = "find_parcel", {"number": 7}
# What each kind of call is said to have cost.
USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 48,
    "total_tokens": 1248,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 16,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
RESPONSES_USAGE = {
    "input_tokens": 1200,
    "input_tokens_details": {"cached_tokens": 1024},
    "output_tokens": 48,
    "output_tokens_details": {"reasoning_tokens": 16},
    "total_tokens": 1248,
}
# Anthropic counts what was read from and written to its cache beside `input_tokens`, not within.
ANTHROPIC_USAGE = {
    "input_tokens": 100,
    "cache_creation_input_tokens": 76,
    "cache_read_input_tokens": 1024,
    "output_tokens": 48,
    "service_tier": "standard",
}
CREATED = 1_780_000_000
# No two answers have the same id.
NUMBERS = itertools.count(1)


class Provider(BaseHTTPRequestHandler):
    """Both protocols, told apart by their paths."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked: Document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_anthropic = self.path.endswith("/messages")
        if asked["model"] in REFUSALS:
            status, kind, message = REFUSALS[asked["model"]]
            error = {"type": kind, "message": message}
            self._say(status, {"type": "error", "error": error} if is_anthropic else {"error": {**error, "code": kind}})
            return
        ways = {
            "/v1/chat/completions": (completion, completion_chunks),
            "/v1/responses": (response, response_events),
            "/v1/embeddings": (embeddings, None),
            "/v1/messages": (message_of, message_events),
        }
        whole, streamed = ways[self.path.partition("?")[0]]
        if asked.get("stream") and streamed:
            self._stream(streamed(asked))
        else:
            self._say(200, whole(asked))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # the parent's name
        """Nobody reads it."""

    def _say(self, status: int, document: Document) -> None:
        body = json.dumps(document, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("request-id", "req_1")
        self.send_header("x-request-id", "req_1")
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, lines: Iterable[str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            text = f"{line}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


REFUSALS = {
    "busy": (429, "rate_limit_error", "Rate limit reached for busy."),
    "broken": (500, "api_error", "The server had an error."),
}


# --- chat completions ---


def completion(asked: Document) -> Document:
    """`POST /v1/chat/completions`, whole."""
    wants_tool = _wants_tool(asked)
    message: Document = {"role": "assistant", "content": None if wants_tool else _text(asked), "refusal": None}
    if wants_tool:
        message["tool_calls"] = [_tool_call()]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": "tool_calls" if wants_tool else "stop",
    }
    return {**_completion_head(asked), "object": "chat.completion", "choices": [choice], "usage": USAGE}


def completion_chunks(asked: Document) -> Iterator[str]:
    """The same, piece by piece; the usage comes last, for those who asked for it."""
    head = {**_completion_head(asked), "object": "chat.completion.chunk"}

    def chunk(delta: Document, reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return "data: " + json.dumps({**head, "choices": [choice]})

    if _wants_tool(asked):
        call = _tool_call()
        start = {**call, "index": 0, "function": {"name": TOOL, "arguments": ""}}
        yield chunk({"role": "assistant", "content": None, "tool_calls": [start]})
        for piece in _pieces(call["function"]["arguments"]):
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        yield chunk({}, "tool_calls")
    else:
        yield chunk({"role": "assistant", "content": "", "refusal": None})
        for piece in _pieces(_text(asked)):
            yield chunk({"content": piece})
        yield chunk({}, "stop")
    if asked.get("stream_options", {}).get("include_usage"):
        yield "data: " + json.dumps({**head, "choices": [], "usage": USAGE})
    yield "data: [DONE]"


def _completion_head(asked: Document) -> Document:
    return {
        "id": f"chatcmpl-{next(NUMBERS)}",
        "created": CREATED,
        "model": _dated(asked),
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }


def _tool_call() -> Document:
    return {"id": CALL_ID, "type": "function", "function": {"name": TOOL, "arguments": json.dumps(ARGUMENTS)}}


# --- responses and embeddings ---


def response(asked: Document) -> Document:
    """`POST /v1/responses`, whole."""
    part = {"type": "output_text", "text": ANSWER, "annotations": [], "logprobs": []}
    message = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    return {**_response_head(asked), "status": "completed", "output": [message], "usage": RESPONSES_USAGE}


def response_events(asked: Document) -> Iterator[str]:
    """The same, piece by piece."""
    began = {**_response_head(asked), "status": "in_progress", "output": [], "usage": None}
    done = response(asked)
    message, part = done["output"][0], done["output"][0]["content"][0]
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events: list[Document] = [
        {"type": "response.created", "response": began},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**message, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *(
            {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
            for piece in _pieces(part["text"])
        ),
        {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": message},
        {"type": "response.completed", "response": done},
    ]
    for number, event in enumerate(events):
        yield f"event: {event['type']}\ndata: " + json.dumps({**event, "sequence_number": number})


def _response_head(asked: Document) -> Document:
    return {
        "id": f"resp_{next(NUMBERS)}",
        "object": "response",
        "created_at": CREATED,
        "model": _dated(asked),
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
    }


def embeddings(asked: Document) -> Document:
    """`POST /v1/embeddings`; packed as the client asks for it by default."""
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    vector: Any = [0.25, -0.5, 0.75]
    if asked.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<3f", *vector)).decode()
    found = [{"object": "embedding", "index": place, "embedding": vector} for place in range(len(texts))]
    usage = {"prompt_tokens": 9, "total_tokens": 9}
    return {"object": "list", "data": found, "model": asked["model"], "usage": usage}


# --- messages ---


def message_of(asked: Document) -> Document:
    """`POST /v1/messages`, whole."""
    content: list[Document] = [{"type": "text", "text": _text(asked)}]
    if asked.get("thinking", {}).get("type") == "enabled":
        content.insert(0, {"type": "thinking", "thinking": THOUGHT, "signature": "c2lnbmVk"})
    if wants_tool := _wants_tool(asked):
        content = [{"type": "tool_use", "id": CALL_ID, "name": TOOL, "input": ARGUMENTS}]
    return {
        "id": f"msg_{next(NUMBERS)}",
        "type": "message",
        "role": "assistant",
        "model": _dated(asked),
        "content": content,
        "stop_reason": "tool_use" if wants_tool else "end_turn",
        "stop_sequence": None,
        "usage": ANTHROPIC_USAGE,
    }


def message_events(asked: Document) -> Iterator[str]:
    """The same, piece by piece: the input's usage comes first, the output's last."""
    done = message_of(asked)
    began = {**done, "content": [], "stop_reason": None, "usage": {**ANTHROPIC_USAGE, "output_tokens": 1}}
    events: list[Document] = [{"type": "message_start", "message": began}]
    for place, block in enumerate(done["content"]):
        events += _block_events(place, block)
    ending = {"stop_reason": done["stop_reason"], "stop_sequence": None}
    events.append({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 48}})
    events.append({"type": "message_stop"})
    for event in events:
        yield f"event: {event['type']}\ndata: " + json.dumps(event)


def _block_events(place: int, block: Document) -> Iterator[Document]:
    match block["type"]:
        case "tool_use":
            empty: Document = {**block, "input": {}}
            kind, key, text = "input_json_delta", "partial_json", json.dumps(block["input"])
        case "thinking":
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            kind, key, text = "thinking_delta", "thinking", block["thinking"]
        case _:
            empty = {"type": "text", "text": ""}
            kind, key, text = "text_delta", "text", block["text"]
    yield {"type": "content_block_start", "index": place, "content_block": empty}
    for piece in _pieces(text):
        yield {"type": "content_block_delta", "index": place, "delta": {"type": kind, key: piece}}
    if kind == "thinking_delta":
        signed = {"type": "signature_delta", "signature": block["signature"]}
        yield {"type": "content_block_delta", "index": place, "delta": signed}
    yield {"type": "content_block_stop", "index": place}


# --- what is said ---


def _text(asked: Document) -> str:
    return AFTER_TOOL if "tool" in json.dumps(asked["messages"][-1]) else ANSWER


def _wants_tool(asked: Document) -> bool:
    """A tool is offered and has not been used."""
    return bool(asked.get("tools")) and "tool" not in json.dumps(asked["messages"][-1])


def _dated(asked: Document) -> str:
    """The model that answers is named more exactly than the one that was asked for."""
    return f"{asked['model']}-2026-08-06"


def _pieces(text: str, size: int = 7) -> Iterator[str]:
    return (text[start : start + size] for start in range(0, len(text), size))


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()
