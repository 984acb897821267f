"""One question to an endpoint that speaks the OpenAI chat-completions protocol, through the outbound gate.

Source: https://platform.openai.com/docs/api-reference/chat
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import msgspec

from connections.queries import Endpoint
from core import clock, outbound, sealing

# Statuses after which the same question may well be answered.
TRY_AGAIN = frozenset({408, 409, 425})
LONGEST_MESSAGE = 300
LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True)
class Completion:
    """What a model answered. Tokens are None where the endpoint did not count them.

    NUL, which no database text can hold, stands as U+FFFD in `text`.
    """

    text: str
    input_tokens: int | None
    output_tokens: int | None
    finish_reason: str | None


class ModelError(Exception):
    """A call that gave no answer. The message names no address and no secret, and may be stored and shown.

    Attributes:
        kind: one word for tables.
        retryable: whether the same call may be answered later.
        retry_after: seconds that the endpoint asked to wait, where it did.
    """

    kind = "failed"
    retryable = False
    retry_after: float | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unreachable(ModelError):
    """No connection, or one that broke before the answer was complete."""

    kind = "unreachable"
    retryable = True


class TimedOut(ModelError):
    """The answer did not come, or not end, in time."""

    kind = "timeout"
    retryable = True


class RateLimited(ModelError):
    """429: too many questions."""

    kind = "rate_limited"
    retryable = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EndpointFailed(RateLimited):
    """5xx and the like: the endpoint's fault, which may pass."""

    kind = "endpoint_failed"


class Declined(ModelError):
    """4xx or a redirect: the endpoint will not answer this question as it is asked."""

    kind = "declined"


class Garbled(ModelError):
    """An answer that is no chat completion: HTML, cut JSON, NaN, no choices."""

    kind = "garbled"
    retryable = True


class TooLarge(ModelError):
    """An answer over the limit of bytes."""

    kind = "too_large"


class Refused(ModelError):
    """The gate or the seal did not let the call out."""

    kind = "refused"


async def complete(
    client: httpx2.AsyncClient,
    endpoint: Endpoint,
    messages: Sequence[Mapping[str, Any]],
    parameters: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
) -> Completion:
    """Ask the model once; retries are the caller's business.

    Args:
        client: from `core.outbound.client`, shared by all calls of one event loop.
        endpoint: from `queries.resolve`.
        messages: `{"role", "content"}` in order.
        parameters: added to the request as they are (`temperature`, `max_tokens` …).
        idempotency_key: sent as `Idempotency-Key`, for endpoints that honour it.

    Raises:
        ModelError: one of the named failures above, each saying whether it may be tried again.
    """
    secret = _secret(endpoint)
    body = msgspec.json.encode({**parameters, "model": endpoint.model, "messages": messages})
    try:
        answer = await client.post(
            f"{endpoint.base_url}/chat/completions", content=body, headers=_headers(secret, idempotency_key)
        )
    except outbound.OutboundRefused as error:
        raise Refused(str(error)) from error
    except outbound.ResponseTooLarge as error:
        raise TooLarge(str(error)) from error
    except (outbound.TotalTimeout, httpx2.TimeoutException) as error:
        raise TimedOut(f"The endpoint did not answer in time ({type(error).__name__}).") from error
    except httpx2.DecodingError as error:
        raise Garbled("The answer is not compressed as it says.") from error
    except (httpx2.RequestError, httpx2.InvalidURL) as error:
        raise Unreachable(f"The endpoint cannot be reached, or broke off ({type(error).__name__}).") from error
    if answer.status_code != 200:
        raise _failure(answer, secret)
    return _completion(answer.content)


def _secret(endpoint: Endpoint) -> str | None:
    try:
        return endpoint.secret()
    except sealing.SealBroken as error:
        raise Refused(str(error)) from error


def _headers(secret: str | None, idempotency_key: str | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if secret is not None:
        headers["Authorization"] = f"Bearer {secret}"
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    return headers


# --- an answer ----------------------------------------------------------------------------------------------


class _Message(msgspec.Struct):
    content: Any = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: Any = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    usage: Any = None


_answers = msgspec.json.Decoder(_Answer)


def _completion(body: bytes) -> Completion:
    try:
        answer = _answers.decode(body)
    except msgspec.ValidationError as error:
        raise Garbled("The answer is JSON but no chat completion: it has no choices[0].message.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled(f"The answer is {_looks_like(body)}, not the JSON of a chat completion.") from error
    if not answer.choices:
        raise Garbled("The answer's `choices` is empty.")
    choice = answer.choices[0]
    usage = answer.usage if isinstance(answer.usage, dict) else {}
    return Completion(
        text=_text(choice.message.content),
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        finish_reason=choice.finish_reason[:60] if isinstance(choice.finish_reason, str) else None,
    )


def _looks_like(body: bytes) -> str:
    start = body.lstrip()[:1]
    return "empty" if not start else "HTML" if start == b"<" else "cut or malformed"


def _text(content: Any) -> str:
    """The text of a message: a string, or the text parts of a list."""
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if _is_text(part)) if any(map(_is_text, content)) else None
    if not isinstance(content, str):
        raise Garbled("The answer's message holds no text (`content` is neither a string nor text parts).")
    return content.replace("\x00", "\ufffd")


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**53 else None


# --- a failure ----------------------------------------------------------------------------------------------


def _failure(answer: httpx2.Response, secret: str | None) -> ModelError:
    status = answer.status_code
    said = f"The endpoint answered {status}{_told(answer, secret)}."
    if status == 429:
        return RateLimited(said, _retry_after(answer))
    if status >= 500 or status in TRY_AGAIN:
        return EndpointFailed(said, _retry_after(answer))
    if 300 <= status < 400:
        return Declined(f"The endpoint answered {status}, a redirect, which is never followed: correct its base_url.")
    return Declined(said) if status >= 400 else Garbled(said)


def _told(answer: httpx2.Response, secret: str | None) -> str:
    """What the endpoint said about it, cut, without the secret that some repeat."""
    try:
        told = msgspec.json.decode(answer.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    error = told.get("error", told) if isinstance(told, dict) else told
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str) or not message:
        return ""
    hidden = message.replace(secret, "•••") if secret else message
    return f": {''.join(c for c in hidden if c.isprintable())[:LONGEST_MESSAGE]}"


def _retry_after(answer: httpx2.Response) -> float | None:
    """Seconds to wait; the header holds seconds or a date (RFC 9110, section 10.2.3)."""
    text = answer.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text)
    return min(seconds, LONGEST_WAIT_S) if seconds >= 0 else None


def _seconds_until(text: str) -> float:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return -1.0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return max(0.0, (aware - clock.now()).total_seconds())
