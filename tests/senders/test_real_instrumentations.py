"""Real instrumentations, each in a process of its own, pointed here by `OTEL_*` variables and nothing else.

Each watches the same application: an agent that asks a model (a double of the provider), whole and in a stream, uses a
tool, is refused twice, and asks for an embedding. Every answer to an exporter is lost once, so everything comes twice.
"""

import functools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
import pytest

from tests.outputs import live
from tests.outputs.live import Live
from tests.senders import provider, stage
from tests.senders.scripts import words
from tests.senders.stage import Relay, Script

PATIENCE_S = 60
# Each sender's process takes seconds to load its libraries.
AT_ONCE = 2
MODELS = {"openai": words.OPENAI_MODEL, "anthropic": words.ANTHROPIC_MODEL}
FOUND = json.dumps({"number": 7, "due": "tomorrow"})


class Said(NamedTuple):
    """A message by what it says: role, text, and the name and arguments of each tool call."""

    role: str
    text: str
    calls: tuple[tuple[str, str], ...] = ()


class Call(NamedTuple):
    """One call of the model: what was asked and what came."""

    asked: tuple[Said, ...]
    answer: Said | None


ASKED = (Said("system", words.SYSTEM), Said("user", words.QUESTION))
TOOL_CALL = Said("assistant", "", ((provider.TOOL, json.dumps(provider.ARGUMENTS)),))
ANSWERED = Call(ASKED, Said("assistant", provider.ANSWER))
WANTS_TOOL = Call((Said("user", words.PARCEL),), TOOL_CALL)
USED_TOOL = Call((Said("user", words.PARCEL), TOOL_CALL, Said("tool", FOUND)), Said("assistant", provider.AFTER_TOOL))
REFUSED = Call(ASKED, None)


class Tokens(NamedTuple):
    """As the sender tells them; None where it tells none."""

    input: int
    output: int
    cached: int | None = None
    written: int | None = None
    reasoning: int | None = None


# USD per million tokens, of every model that is asked here.
PRICE = {
    "input_usd": 1,
    "cached_input_usd": 0.5,
    "cache_write_usd": 2,
    "output_usd": 4,
    "reasoning_usd": 8,
    "valid_from": "2020-01-01T00:00:00Z",
}


@dataclass(frozen=True)
class Sender:
    """A script and what it can tell.

    Args:
        calls: those that it sees, in order.
        whole: the tokens of a call that came whole.
        streamed: likewise of one that came in a stream.
        is_silent_in_streams: a stream's answer is not told.
    """

    script: Script
    provider: str
    whole: Tokens
    calls: tuple[Call, ...]
    streamed: Tokens | None = None
    has_content: bool = True
    is_silent_in_streams: bool = False

    def __str__(self) -> str:
        return str(self.script)


CHAT = (ANSWERED, ANSWERED, WANTS_TOOL, USED_TOOL, REFUSED, REFUSED)
CHAT_AND_RESPONSE = (*CHAT, ANSWERED)
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
LATEST = {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}
ON_EVENTS = {**LATEST, CAPTURE: "event_only", "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT": "true"}
V2 = Tokens(1200, 48)
OPENAI = Tokens(1200, 48, cached=1024, reasoning=16)
ANTHROPIC = Tokens(1200, 48, cached=1024, written=76)
SENDERS = [
    Sender(Script("openai_v2", {CAPTURE: "true"}), "openai", V2, CHAT),
    Sender(Script("openai_v2", {**LATEST, CAPTURE: "span_only"}), "openai", V2, CHAT),
    Sender(Script("openai_v2", ON_EVENTS), "openai", V2, CHAT),
    Sender(Script("openai_v2"), "openai", V2, CHAT, has_content=False),
    Sender(
        Script("openllmetry_openai"),
        "openai",
        OPENAI,
        CHAT_AND_RESPONSE,
        streamed=Tokens(1200, 48, cached=1024),  # it tells no reasoning in a stream
    ),
    Sender(Script("openinference_openai"), "openai", OPENAI, CHAT_AND_RESPONSE),
    Sender(
        Script("openllmetry_anthropic"),
        "anthropic",
        ANTHROPIC,
        CHAT,
        streamed=Tokens(1200, 49, cached=1024, written=76),  # it adds the token that a stream begins with
    ),
    Sender(Script("openinference_anthropic"), "anthropic", ANTHROPIC, CHAT),
    Sender(
        Script("anthropic_alone", {"ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE": "content"}),
        "anthropic",
        ANTHROPIC,
        CHAT,
        is_silent_in_streams=True,
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    quick = {"RATCHET_REAPER_SECONDS": "0.5"}
    with live.running(tmp_path_factory.mktemp("senders"), workers=1, broker_url="", variables=quick) as found:
        yield found


@pytest.fixture(scope="module")
def traces(site: Live) -> dict[str, Any]:
    """The trace of each sender, all of which have ended; each body came twice, and was taken twice."""
    _set_prices(site)
    with stage.provider() as provider_url, Relay(site.site.port) as relay:
        run = functools.partial(stage.run, provider_url=provider_url, endpoint=relay.url, key=site.sender)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ids = dict(zip(map(str, SENDERS), pool.map(run, (sender.script for sender in SENDERS)), strict=True))
    assert set(relay.seen.values()) == {2}
    assert set(relay.statuses) == {200}
    _await_used(site)
    return {name: site.get(f"/api/v1/traces/{trace_id}") for name, trace_id in ids.items()}


def _await_used(site: Live) -> None:
    """What was handed over to workers was used: texts that came apart from their output are in it."""
    deadline = time.monotonic() + PATIENCE_S
    with psycopg.connect(site.site.database_url, autocommit=True) as connection:
        while connection.execute("SELECT 1 FROM ledger_handover").fetchone():
            assert time.monotonic() < deadline, "no worker takes what is handed over"
            time.sleep(0.1)


def _set_prices(site: Live) -> None:
    admin = site.site.manage("create_api_key", "live", "--scopes", "admin", "--name", "prices").strip()
    for model in MODELS.values():
        price = json.dumps({"model": f"{model}*", **PRICE}).encode()
        status, told = site.call("POST", "/api/v1/prices", price, key=admin)
        assert status == 201, told


@pytest.fixture(params=SENDERS, ids=str)
def sender(request: pytest.FixtureRequest) -> Sender:
    found: Sender = request.param
    return found


@pytest.fixture
def trace(traces: dict[str, Any], sender: Sender) -> dict[str, Any]:
    found: dict[str, Any] = traces[str(sender)]
    return found


def test_each_call_of_the_model_is_one_output(trace: dict[str, Any], sender: Sender) -> None:
    assert len(trace["outputs"]) == len(sender.calls)
    answered = [f"{MODELS[sender.provider]}-2026-08-06"] * (len(sender.calls) - 2)
    assert [output["model"] for output in trace["outputs"]] == [*answered[:4], "busy", "broken", *answered[4:]]
    assert {output["provider"] for output in trace["outputs"]} == {sender.provider}
    assert all(output["latency_ms"] > 0 for output in trace["outputs"])


def test_it_says_what_was_said(trace: dict[str, Any], sender: Sender) -> None:
    for place, (output, call) in enumerate(zip(trace["outputs"], sender.calls, strict=True)):
        if not sender.has_content:
            assert (output["input"], output["output"]) == (None, None)
            continue
        assert _all_said(output["input"]) == _as_sent(call.asked, sender), place
        told = output["output"] if isinstance(output["output"], dict | None) else {"content": output["output"]}
        is_silent = sender.is_silent_in_streams and place == 1
        assert (told and _said({"role": "assistant", **told})) == (None if is_silent else call.answer), place


def test_it_counts_tokens_and_what_they_cost(trace: dict[str, Any], sender: Sender) -> None:
    for place, output in enumerate(trace["outputs"]):
        if sender.calls[place] is REFUSED:
            assert (output["input_tokens"], output["output_tokens"], output["cost_usd"]) == (None, None, None)
            continue
        wanted = sender.streamed if place == 1 and sender.streamed else sender.whole
        names = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")
        found = [output[name] for name in names]
        assert found[:2] == list(wanted[:2])
        assert [count or None for count in found[2:]] == list(wanted[2:])
        assert output["cost_usd"] == pytest.approx(_cost(wanted), abs=1e-9)
        assert output["cost_source"] == "computed"


def test_a_refused_call_is_an_error_with_the_reason(trace: dict[str, Any], sender: Sender) -> None:
    errors = {output["model"]: output["error"] for output in trace["outputs"] if output["status"] == "error"}
    assert set(errors) == {"busy", "broken"}
    reasons = ("429", "rate_limit_error"), ("500", "api_error")
    for error, known in zip((errors["busy"], errors["broken"]), reasons, strict=True):
        assert any(word in error for word in known), error


def test_the_flow_around_the_calls_is_kept(trace: dict[str, Any], sender: Sender) -> None:
    steps = {step["name"]: step for step in trace["steps"]}
    agent, tool = steps["invoke_agent traveller"], steps["execute_tool find_parcel"]
    assert (agent["kind"], tool["kind"], tool["parent_span_id"]) == ("agent", "tool", agent["span_id"])
    assert (agent["service"], agent["depth"], agent["is_orphan"]) == ("shop", 0, False)
    assert {output["parent_span_id"] for output in trace["outputs"]} == {agent["span_id"]}
    assert all(output["depth"] == 1 for output in trace["outputs"])
    assert trace["is_whole"]


def test_nothing_that_they_send_is_rejected_and_every_repeat_adds_nothing(site: Live, traces: dict[str, Any]) -> None:
    with psycopg.connect(site.site.database_url) as connection:
        found = connection.execute(
            "SELECT sum(rejected), sum(refused), sum((stored->>'outputs')::int) FROM outputs_tally"
        ).fetchone()
    assert found == (0, 0, sum(len(sender.calls) for sender in SENDERS))


def _cost(tokens: Tokens) -> float:
    cached, written, reasoning = tokens.cached or 0, tokens.written or 0, tokens.reasoning or 0
    picos = (tokens.input - cached - written) * 1 + cached * 0.5 + written * 2
    return (picos + (tokens.output - reasoning) * 4 + reasoning * 8) / 1_000_000


def _as_sent(asked: tuple[Said, ...], sender: Sender) -> tuple[Said, ...]:
    """To Anthropic a tool's answer is said by the user; OpenInference calls it the tool's even so."""
    if sender.provider == "openai" or sender.script.name == "openinference_anthropic":
        return asked
    return tuple(said._replace(role="user") if said.role == "tool" else said for said in asked)


def _all_said(messages: list[dict[str, Any]]) -> tuple[Said, ...]:
    return tuple(_said(message) for message in messages)


def _said(message: dict[str, Any]) -> Said:
    """A message by what it says, whichever way its parts are written."""
    content = message.get("content") or ""
    calls = [_call(call) for call in message.get("tool_calls") or ()]
    return Said(message["role"], _text(content), tuple(calls))


def _text(content: Any) -> str:
    """The text in a message's content, and in what a tool answered."""
    if isinstance(content, str):
        return content
    return "".join(_text(part.get("text") or part.get("response") or part.get("content") or "") for part in content)


def _call(call: dict[str, Any]) -> tuple[str, str]:
    function = call.get("function", call)
    arguments = function.get("arguments")
    return function["name"], arguments if isinstance(arguments, str) else json.dumps(arguments)
