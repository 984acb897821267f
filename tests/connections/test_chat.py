"""A call gives an answer, or a named failure that says whether it may be tried again; both can be stored."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from pytest_django import Settings

from connections import chat
from connections.queries import Endpoint
from core import outbound, sealing
from tests.connections.endpoint_server import EndpointServer

QUICK = outbound.Limits(connect_s=2, read_s=0.5, total_s=5)
ASKED = [{"role": "user", "content": "Capital of France?"}]


@pytest.fixture(scope="module")
def server() -> Iterator[EndpointServer]:
    with EndpointServer() as running:
        yield running


@pytest.fixture(autouse=True)
def allowed(settings: Settings, server: EndpointServer) -> None:
    settings.OUTBOUND_ALLOW = [server.place]
    settings.OPENAI_API_KEY = "sk-canary"


def endpoint(base_url: str, **options: Any) -> Endpoint:
    return Endpoint(None, base_url, "gpt-x", 20, "connection:default", "openai", **options)


def ask(base_url: str, limits: outbound.Limits = QUICK, **options: Any) -> chat.Completion:
    async def work() -> chat.Completion:
        async with outbound.client(limits) as client:
            return await chat.complete(client, endpoint(base_url), ASKED, {"temperature": 0}, **options)

    return asyncio.run(work())


def failure(base_url: str, limits: outbound.Limits = QUICK) -> chat.ModelError:
    with pytest.raises(chat.ModelError) as caught:
        ask(base_url, limits)
    assert "canary" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
    return caught.value


def test_speaks_the_chat_completions_protocol(server: EndpointServer) -> None:
    assert ask(server.url("ok"), idempotency_key="result-7") == chat.Completion("Paris", 12, 3, "stop")
    request = server.requests[-1]
    assert request.path == "/ok/v1/chat/completions"
    assert request.json() == {"model": "gpt-x", "messages": ASKED, "temperature": 0}
    assert request.headers["authorization"] == "Bearer sk-canary"
    assert request.headers["idempotency-key"] == "result-7"


def test_sends_no_authorization_without_a_secret(server: EndpointServer, settings: Settings) -> None:
    settings.OPENAI_API_KEY = ""
    ask(server.url("ok"))
    assert "authorization" not in server.requests[-1].headers


@pytest.mark.parametrize("mode", ["ok-gzip", "parts", "no-usage"])
def test_reads_answers_of_other_makes(server: EndpointServer, mode: str) -> None:
    assert ask(server.url(mode)).text == "Paris"


def test_counts_that_are_none_are_unknown_not_zero(server: EndpointServer) -> None:
    answer = ask(server.url("no-usage"))
    assert (answer.input_tokens, answer.output_tokens, answer.finish_reason) == (None, None, None)


def test_puts_a_replacement_character_where_a_database_could_hold_nothing(server: EndpointServer) -> None:
    assert ask(server.url("nul")).text == "a\ufffdb"


@pytest.mark.parametrize(
    ("mode", "kind", "retryable"),
    [
        ("html", "garbled", True),
        ("empty", "garbled", True),
        ("garbage", "garbled", True),
        ("nan", "garbled", True),
        ("deep", "garbled", True),
        ("surrogate", "garbled", True),
        ("bad-gzip", "garbled", True),
        ("no-choices", "garbled", True),
        ("no-choice", "garbled", True),
        ("no-text", "garbled", True),
        ("201", "garbled", True),
        ("huge", "too_large", False),
        ("endless", "too_large", False),
        ("bomb", "too_large", False),
        ("cut", "unreachable", True),
        ("hang-up", "unreachable", True),
        ("slow", "timeout", True),
        ("429", "rate_limited", True),
        ("500", "endpoint_failed", True),
        ("503", "endpoint_failed", True),
        ("400", "declined", False),
        ("401", "declined", False),
        ("404", "declined", False),
        ("redirect", "declined", False),
    ],
)
def test_names_each_failure(server: EndpointServer, mode: str, kind: str, retryable: bool) -> None:
    found = failure(server.url(mode))
    assert (found.kind, found.retryable) == (kind, retryable)


@pytest.mark.parametrize(
    ("mode", "seconds"), [("429", 7), ("503", 2), ("429-date", 0), ("429-nonsense", None), ("500", None)]
)
def test_tells_how_long_the_endpoint_asked_to_wait(server: EndpointServer, mode: str, seconds: float | None) -> None:
    assert failure(server.url(mode)).retry_after == seconds


def test_passes_on_what_a_permitted_endpoint_said_but_never_the_secret_in_it(server: EndpointServer) -> None:
    assert "max_tokens is too large" in failure(server.url("400")).message
    assert "wrong key" in failure(server.url("401")).message


def test_says_that_a_page_came_instead_of_an_answer(server: EndpointServer) -> None:
    assert "HTML" in failure(server.url("html")).message
    assert "portal" not in failure(server.url("html")).message


def test_calls_out_through_the_gate_alone(server: EndpointServer, settings: Settings) -> None:
    settings.OUTBOUND_ALLOW = []
    before = server.n_connections
    found = failure(server.url("ok"))
    assert (found.kind, found.retryable) == ("refused", False)
    assert server.n_connections == before


def test_an_endpoint_that_is_down_is_unreachable(settings: Settings) -> None:
    with EndpointServer() as gone:
        settings.OUTBOUND_ALLOW = [gone.place]
    assert failure(gone.url("ok")).kind == "unreachable"


def test_a_name_that_nobody_knows_is_unreachable() -> None:
    assert failure("http://no-such-host.invalid/v1").kind == "unreachable"


def test_does_not_send_a_secret_that_was_saved_for_another_host(server: EndpointServer) -> None:
    moved = endpoint(server.url("ok"), _sealed=sealing.seal("sk-canary", bound_to="https://api.example.org:443"))

    async def work() -> None:
        async with outbound.client(QUICK) as client:
            await chat.complete(client, moved, ASKED, {})

    before = len(server.requests)
    with pytest.raises(chat.Refused, match="another host"):
        asyncio.run(work())
    assert len(server.requests) == before


def test_parameters_never_replace_what_is_ours_to_send(server: EndpointServer) -> None:
    async def work(client: httpx2.AsyncClient) -> None:
        await chat.complete(client, endpoint(server.url("ok")), ASKED, {"model": "other", "messages": []})

    async def inside() -> None:
        async with outbound.client(QUICK) as client:
            await work(client)

    asyncio.run(inside())
    assert server.requests[-1].json() == {"model": "gpt-x", "messages": ASKED}


def test_costs_little_of_a_processor_at_a_width_of_a_hundred(server: EndpointServer) -> None:
    """1,000 answers without delay, where one large pool of connections would cost more than the calls."""

    async def work(n: int) -> float:
        turns = iter(range(n))
        async with outbound.client(outbound.Limits(width=100)) as client:

            async def asker() -> None:
                for _ in turns:
                    await chat.complete(client, endpoint(server.url("ok")), ASKED, {})

            started = time.thread_time()
            await asyncio.gather(*(asker() for _ in range(100)))
            return (time.thread_time() - started) / n

    assert asyncio.run(work(1_000)) < 0.005
