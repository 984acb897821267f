"""The demo's model: a nearest-neighbour in-context learner behind the OpenAI chat-completions protocol.

It is no language model and is called what it is everywhere. It reads the examples in the request it has just
received (each a user message with the assistant message that follows it), finds the one whose wording is
nearest to the last user message, and answers what the assistant answered there. So it gets better just when
the prompt that it is given gets better. It opens no file, remembers nothing from one request to the next, and
imports nothing of the house that it helps to show.
"""

import hmac
import json
import math
import re
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain, pairwise
from typing import Any

import uvicorn

MODEL = "nearest-neighbour"
DONT_KNOW = "I do not know."
MAX_BODY = 1024 * 1024

Reply = tuple[int, dict[str, Any]]
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def serve(port: int, host: str = "127.0.0.1", api_key: str | None = None) -> None:
    """Serve the model until the process is told to stop.

    Args:
        port: TCP port to listen on; 0 takes a free one.
        host: address to listen on.
        api_key: when given, requests without this bearer key are answered 401.
    """
    uvicorn.run(application(api_key), host=host, port=port, lifespan="off", access_log=False, log_level="warning")


# --- the learner ---


@dataclass(frozen=True)
class Example:
    """One pair of the request: what a user wrote, and what the assistant answered."""

    question: str
    answer: str


def nearest_answer(examples: Sequence[Example], question: str) -> str:
    """Answer like the example whose question is nearest.

    Nearness is the cosine between TF-IDF vectors (sublinear counts, smoothed idf over the examples, as in
    scikit-learn) of character n-grams. Of equally near examples the last wins: it stands closest to the
    question. Without an example that shares anything with the question the answer is `DONT_KNOW`.
    """
    counts = [ngrams(example.question) for example in examples]
    weights = inverse_document_frequencies(counts)
    asked = ngrams(question)
    nearest, answer = 0.0, DONT_KNOW
    for example, grams in zip(examples, counts, strict=True):
        similarity = cosine_up_to_the_question(asked, grams, weights)
        if similarity > 0 and similarity >= nearest:
            nearest, answer = similarity, example.answer
    return answer


def ngrams(text: str) -> dict[str, float]:
    """Sublinear counts (1 + ln n) of the text's n-grams."""
    return {gram: 1 + math.log(n) for gram, n in Counter(ngrams_in(text)).items()}


def ngrams_in(text: str) -> list[str]:
    """The 3- to 5-grams inside each blank-padded word of the folded text."""
    words = [f" {word} " for word in re.findall(r"\w+", text.casefold())]
    return [word[at : at + n] for word in words for n in (3, 4, 5) for at in range(len(word) - n + 1)]


def inverse_document_frequencies(counts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Map each n-gram to ln((1 + documents) / (1 + documents that hold it)) + 1."""
    holding = Counter(chain.from_iterable(counts))
    by_holding = [math.log((1 + len(counts)) / (1 + n)) + 1 for n in range(len(counts) + 1)]
    return {gram: by_holding[n] for gram, n in holding.items()}


def cosine_up_to_the_question(
    asked: Mapping[str, float], grams: Mapping[str, float], weights: Mapping[str, float]
) -> float:
    """Cosine similarity times the length of the question, a factor that is the same for every example."""
    shared = sum(asked[gram] * grams[gram] * weights[gram] ** 2 for gram in asked.keys() & grams.keys())
    return shared / math.hypot(*(count * weights[gram] for gram, count in grams.items())) if shared else 0.0


# --- the protocol ---


class Refusal(Exception):
    """A request that is answered with an OpenAI-style error instead of a completion."""

    def __init__(self, status: HTTPStatus, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    def reply(self) -> Reply:
        """The status and body that tell the caller what to do."""
        error = {
            "message": self.message,
            "type": "invalid_request_error",
            "param": self.param,
            "code": self.code,
        }
        return self.status, {"error": error}


def chat_completion(body: bytes) -> Reply:
    """Answer one request of `POST /v1/chat/completions`.

    Parameters that steer a language model (temperature, seed, max_tokens) are accepted and change nothing.

    Raises:
        Refusal: 400 when the body is not a non-streaming chat request, 404 when it asks for another model.
    """
    request = parsed(body)
    texts = conversation(request.get("messages"))
    asked = max((place for place, (role, _) in enumerate(texts) if role == "user"), default=-1)
    if asked < 0:
        raise Refusal(
            HTTPStatus.BAD_REQUEST,
            "messages: has no message with the role 'user'; add one.",
            param="messages",
        )
    answer = nearest_answer(examples_in(texts[:asked]), texts[asked][1])
    return HTTPStatus.OK, completion(answer, n_prompt_tokens=sum(rough_tokens(text) for _, text in texts))


def parsed(body: bytes) -> dict[str, Any]:
    """The request as an object for this model, or a refusal that names the field."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"The body is not valid JSON: {error}. Send a JSON object.") from error
    if not isinstance(request, dict):
        raise Refusal(HTTPStatus.BAD_REQUEST, f"The body is a JSON {kind(request)}; send an object.")
    model = request.get("model")
    if not isinstance(model, str):
        raise Refusal(HTTPStatus.BAD_REQUEST, f"model: expected a string, found {kind(model)}.", param="model")
    if model != MODEL:
        message = f"model: {model!r} does not exist here; the only model is {MODEL!r}."
        raise Refusal(HTTPStatus.NOT_FOUND, message, param="model", code="model_not_found")
    if request.get("stream"):
        raise Refusal(HTTPStatus.BAD_REQUEST, "stream: answers are not streamed here; leave it out.", param="stream")
    return request


def conversation(messages: object) -> list[tuple[str, str]]:
    """The (role, text) pairs of the request's messages, or a refusal that names the place."""
    if not isinstance(messages, list) or not messages:
        found = "an empty array" if messages == [] else kind(messages)
        message = f"messages: expected a non-empty array, found {found}."
        raise Refusal(HTTPStatus.BAD_REQUEST, message, param="messages")
    return [role_and_text(message, f"messages[{place}]") for place, message in enumerate(messages)]


def role_and_text(message: object, param: str) -> tuple[str, str]:
    """One message; its content is a string or an array of text parts."""
    if not isinstance(message, dict):
        raise Refusal(HTTPStatus.BAD_REQUEST, f"{param}: expected an object, found {kind(message)}.", param=param)
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str):
        raise Refusal(HTTPStatus.BAD_REQUEST, f"{param}.role: expected a string, found {kind(role)}.", param=param)
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list) or not all(is_text_part(part) for part in parts):
        expected = "expected a string or an array of text parts"
        raise Refusal(HTTPStatus.BAD_REQUEST, f"{param}.content: {expected}, found {kind(content)}.", param=param)
    return role, "".join(part["text"] for part in parts)


def is_text_part(part: object) -> bool:
    """Whether this is a content part that carries text; there are no images and no sounds here."""
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def examples_in(texts: Sequence[tuple[str, str]]) -> list[Example]:
    """Every user message that an assistant message follows at once."""
    turns = pairwise(texts)
    return [Example(said, reply) for (one, said), (other, reply) in turns if (one, other) == ("user", "assistant")]


def completion(answer: str, *, n_prompt_tokens: int) -> dict[str, Any]:
    """The answer in the shape of the protocol."""
    n_answer_tokens = rough_tokens(answer)
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": n_prompt_tokens,
            "completion_tokens": n_answer_tokens,
            "total_tokens": n_prompt_tokens + n_answer_tokens,
        },
    }


def rough_tokens(text: str) -> int:
    """About four characters make a token; there is no tokenizer here."""
    return math.ceil(len(text) / 4)


def models(_body: bytes) -> Reply:
    """Answer `GET /v1/models`: what is served here, and that it is the demo's."""
    return HTTPStatus.OK, {
        "object": "list",
        "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "ratchet-demo"}],
    }


def kind(value: object) -> str:
    """What JSON calls the type of a parsed value."""
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")


# --- the server ---

ROUTES: Mapping[tuple[str, str], Callable[[bytes], Reply]] = {
    ("GET", "/v1/models"): models,
    ("POST", "/v1/chat/completions"): chat_completion,
}


def application(api_key: str | None) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An ASGI application that answers the two routes, to holders of `api_key` only if there is one."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        # A websocket is closed before it opens, which the protocol turns into 403.
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        try:
            check_key(scope, api_key)
            status, content = route(scope)(await whole_body(receive))
        except Refusal as refusal:
            status, content = refusal.reply()
        await respond(send, status, content)

    return answer


def check_key(scope: Scope, api_key: str | None) -> None:
    """Let holders of the key pass, and everybody when there is none."""
    given = dict(scope["headers"]).get(b"authorization", b"")
    if api_key is not None and not hmac.compare_digest(given, f"Bearer {api_key}".encode()):
        message = "Incorrect API key provided; send it as 'Authorization: Bearer <key>'."
        raise Refusal(HTTPStatus.UNAUTHORIZED, message, code="invalid_api_key")


def route(scope: Scope) -> Callable[[bytes], Reply]:
    """The answer that belongs to method and path."""
    method, path = scope["method"], scope["path"]
    if (method, path) not in ROUTES:
        known = ", ".join(" ".join(each) for each in ROUTES)
        raise Refusal(HTTPStatus.NOT_FOUND, f"Unknown request URL: {method} {path}; here are only {known}.")
    return ROUTES[method, path]


async def whole_body(receive: Receive) -> bytes:
    """The request's body, refused as soon as it grows beyond `MAX_BODY` bytes."""
    body, more = bytearray(), True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
        if len(body) > MAX_BODY:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {MAX_BODY} bytes.")
    return bytes(body)


async def respond(send: Send, status: int, content: dict[str, Any]) -> None:
    """Send one JSON answer."""
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
