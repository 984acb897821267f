"""Which row a span becomes, and where its attributes stand in it."""

import json
from typing import Any

import orjson
import pytest

from outputs.ingest.otlp import mapping, notation, tokens
from outputs.ingest.otlp.mapping import Mapped
from outputs.ingest.otlp.spans import Span
from outputs.models import Step
from outputs.records import SpanRecord, StepRecord
from tests.outputs.otlp.bodies import START, TRACE, a_request, a_span, attributes_of

CHAT = {"gen_ai.operation.name": "chat"}


def mapped(attributes: dict[str, Any] | None = None, **told: Any) -> Mapped:
    resource = told.pop("resource", None)
    body = orjson.dumps(a_request({**a_span(attributes=attributes), **told}, resource=resource))
    (span,) = notation.spans_of(body)
    assert isinstance(span, Span), span
    return mapping.mapped(span)


def an_output(attributes: dict[str, Any], **told: Any) -> SpanRecord:
    record = mapped(attributes, **told).record
    assert isinstance(record, SpanRecord)
    return record


def a_step(attributes: dict[str, Any], **told: Any) -> StepRecord:
    record = mapped(attributes, **told).record
    assert isinstance(record, StepRecord)
    return record


def kept(record: SpanRecord | StepRecord) -> Any:
    return (record.metadata or {})["otel"]


class TestWhatASpanBecomes:
    @pytest.mark.parametrize(
        "attributes",
        [
            {"gen_ai.operation.name": "chat"},
            {"gen_ai.operation.name": "text_completion"},
            {"gen_ai.operation.name": "generate_content"},
            {"gen_ai.system": "openai", "gen_ai.request.model": "m"},
            {"llm.request.type": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "m"},
            {"llm.request.type": "completion"},
            {"openinference.span.kind": "LLM"},
            {"ai.operationId": "ai.generateText.doGenerate"},
            {"traceloop.workflow.name": "w", "gen_ai.operation.name": "chat"},
        ],
    )
    def test_an_output_where_a_model_answered(self, attributes: dict[str, Any]) -> None:
        assert isinstance(mapped(attributes).record, SpanRecord)

    @pytest.mark.parametrize(
        ("attributes", "kind"),
        [
            ({}, Step.Kind.OTHER),
            ({"http.request.method": "GET"}, Step.Kind.HTTP),
            ({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m"}, Step.Kind.AGENT),
            ({"gen_ai.operation.name": "execute_tool"}, Step.Kind.TOOL),
            ({"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "m"}, Step.Kind.EMBEDDING),
            ({"llm.request.type": "embedding", "gen_ai.request.model": "m"}, Step.Kind.EMBEDDING),
            ({"llm.request.type": "rerank"}, Step.Kind.RERANKER),
            ({"traceloop.span.kind": "workflow", "gen_ai.system": "x"}, Step.Kind.CHAIN),
            ({"traceloop.span.kind": "tool"}, Step.Kind.TOOL),
            ({"openinference.span.kind": "AGENT", "llm.model_name": "m"}, Step.Kind.AGENT),
            ({"openinference.span.kind": "CHAIN", "gen_ai.operation.name": "chat"}, Step.Kind.CHAIN),
            ({"openinference.span.kind": "RETRIEVER"}, Step.Kind.RETRIEVAL),
            ({"openinference.span.kind": "RERANKER"}, Step.Kind.RERANKER),
            ({"openinference.span.kind": "GUARDRAIL"}, Step.Kind.GUARDRAIL),
            ({"openinference.span.kind": "EVALUATOR"}, Step.Kind.EVALUATOR),
            ({"openinference.span.kind": "UNKNOWN"}, Step.Kind.OTHER),
            ({"ai.operationId": "ai.generateText", "ai.prompt": "{}"}, Step.Kind.CHAIN),
            ({"ai.operationId": "ai.toolCall"}, Step.Kind.TOOL),
            ({"gen_ai.operation.name": "something else"}, Step.Kind.OTHER),
        ],
    )
    def test_a_step_of_its_kind_otherwise(self, attributes: dict[str, Any], kind: Step.Kind) -> None:
        assert a_step(attributes).kind == kind


class TestCurrentNames:
    def test_parts_become_contents_and_tool_calls(self) -> None:
        asked = [
            {"role": "user", "parts": [{"type": "text", "content": "weather?"}]},
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "id": "c1", "name": "w", "arguments": {"a": 1}}],
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "rain"}]},
            {"role": "user", "parts": [{"type": "text", "content": "a"}, {"type": "uri", "uri": "x"}], "name": "Ann"},
        ]
        record = an_output(
            {
                **CHAT,
                "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "be kind"}]),
                "gen_ai.input.messages": json.dumps(asked),
            }
        )
        assert record.input == [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "weather?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "name": "w", "arguments": {"a": 1}}],
            },
            {"role": "tool", "content": "rain", "tool_call_id": "c1"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "uri", "uri": "x"}], "name": "Ann"},
        ]
        assert kept(record)["attributes"] == CHAT

    def test_further_choices_stand_in_the_first(self) -> None:
        choices = [{"role": "assistant", "parts": [{"type": "text", "content": text}]} for text in ("a", "b")]
        record = an_output({**CHAT, "gen_ai.output.messages": json.dumps(choices)})
        assert record.output == {
            "role": "assistant",
            "content": "a",
            "other_choices": [{"role": "assistant", "content": "b"}],
        }

    def test_content_may_be_structured_instead_of_text(self) -> None:
        messages = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
        record = an_output({**CHAT, "gen_ai.input.messages": messages})
        assert record.input == [{"role": "user", "content": "hi"}]

    def test_what_is_no_list_of_messages_stays_as_it_is(self) -> None:
        record = an_output({**CHAT, "gen_ai.input.messages": "not JSON"})
        assert record.input is None
        assert kept(record)["attributes"]["gen_ai.input.messages"] == "not JSON"

    def test_the_answering_model_counts_and_the_one_asked_for_is_kept(self) -> None:
        record = an_output({**CHAT, "gen_ai.request.model": "m", "gen_ai.response.model": "m-0125"})
        assert record.model == "m-0125"
        assert kept(record)["attributes"]["gen_ai.request.model"] == "m"

    def test_session_prompt_and_environment_are_found(self) -> None:
        record = an_output(
            {
                **CHAT,
                "gen_ai.conversation.id": "c-7",
                "gen_ai.prompt.name": "intent",
                "gen_ai.prompt.version": 7,
                "enduser.id": "u1",
            },
            resource={"deployment.environment": "live"},
        )
        assert (record.session_id, record.prompt, record.revision) == ("c-7", "intent", "7")
        assert (record.user_id, record.environment) == ("u1", "live")


class TestEarlierNames:
    def test_messages_by_number_with_tool_calls(self) -> None:
        record = an_output(
            {
                "gen_ai.system": "Anthropic",
                "llm.request.type": "chat",
                "gen_ai.prompt.0.role": "user",
                "gen_ai.prompt.0.content": '[{"type": "text", "text": "hi"}]',
                "gen_ai.prompt.10.role": "user",
                "gen_ai.prompt.10.content": "last",
                "gen_ai.prompt.9.role": "tool",
                "gen_ai.prompt.9.content": "rain",
                "gen_ai.completion.0.role": "assistant",
                "gen_ai.completion.0.finish_reason": "tool_calls",
                "gen_ai.completion.0.tool_calls.0.name": "w",
                "gen_ai.completion.0.tool_calls.0.arguments": "{}",
                "gen_ai.usage.prompt_tokens": 3,
                "gen_ai.usage.completion_tokens": 4,
                "llm.usage.total_tokens": 7,
            }
        )
        assert [message["content"] for message in record.input or ()] == [
            [{"type": "text", "text": "hi"}],
            "rain",
            "last",
        ]
        assert record.output == {
            "role": "assistant",
            "content": None,
            "finish_reason": "tool_calls",
            "tool_calls": [{"name": "w", "arguments": "{}"}],
        }
        assert (record.provider, record.input_tokens, record.output_tokens) == ("Anthropic", 3, 4)
        assert kept(record)["attributes"] == {"llm.request.type": "chat", "llm.usage.total_tokens": 7}

    def test_content_on_events(self) -> None:
        events = [
            {"name": "gen_ai.system.message", "attributes": attributes_of({"content": "be kind"})},
            {"name": "gen_ai.user.message", "attributes": attributes_of({"content": "hi", "gen_ai.system": "x"})},
            {"name": "gen_ai.choice", "attributes": attributes_of({"message": '{"content": "hey"}', "index": 0})},
        ]
        record = an_output(CHAT, events=events)
        assert record.input == [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]
        assert record.output == {"role": "assistant", "content": "hey", "index": 0}
        assert len(kept(record)["events"]) == 3

    def test_prompt_and_completion_events(self) -> None:
        events = [
            {"name": "gen_ai.content.prompt", "attributes": attributes_of({"gen_ai.prompt": '[{"content": "hi"}]'})},
            {"name": "gen_ai.content.completion", "attributes": attributes_of({"gen_ai.completion": "hey"})},
        ]
        record = an_output(CHAT, events=events)
        assert record.input == [{"role": "user", "content": "hi"}]
        assert record.output == {"role": "assistant", "content": "hey"}


class TestOpenInference:
    def test_retrieved_documents_are_a_steps_output(self) -> None:
        step = a_step(
            {
                "openinference.span.kind": "RETRIEVER",
                "input.value": "where?",
                "retrieval.documents.0.document.content": "here",
                "retrieval.documents.0.document.score": 0.5,
                "retrieval.documents.1.document.content": "there",
            }
        )
        assert step.input == "where?"
        assert step.output == [{"content": "here", "score": 0.5}, {"content": "there"}]

    def test_contents_of_several_parts_stay_parts(self) -> None:
        start = "llm.input_messages.0.message"
        record = an_output(
            {
                "openinference.span.kind": "LLM",
                f"{start}.role": "user",
                f"{start}.contents.0.message_content.type": "text",
                f"{start}.contents.0.message_content.text": "look",
                f"{start}.contents.1.message_content.type": "image",
                f"{start}.contents.1.message_content.image.image.url": "https://x/y.png",
            }
        )
        image = {"type": "image", "image": {"image": {"url": "https://x/y.png"}}}
        assert record.input == [{"role": "user", "content": [{"type": "text", "text": "look"}, image]}]

    def test_a_request_alone_tells_the_messages(self) -> None:
        record = an_output(
            {
                "openinference.span.kind": "LLM",
                "input.value": '{"messages": [{"role": "user", "content": "hi"}], "model": "m"}',
                "input.mime_type": "application/json",
                "output.value": '{"choices": [{"message": {"role": "assistant", "content": "hey"}}]}',
                "output.mime_type": "application/json",
            }
        )
        assert record.input == [{"role": "user", "content": "hi"}]
        assert record.output == {"role": "assistant", "content": "hey"}
        assert "input.value" in kept(record)["attributes"]

    def test_annotations_are_scores(self) -> None:
        found = mapped(
            {
                "openinference.span.kind": "LLM",
                "annotations.0.annotation.name": "helpful",
                "annotations.0.annotation.score": 1,
                "annotations.1.annotation.name": "tone",
                "annotations.1.annotation.label": "rude",
                "annotations.2.annotation.name": "says nothing",
            }
        )
        assert [(f.name, f.value, f.label) for f in found.feedback] == [("helpful", 1.0, None), ("tone", None, "rude")]


class TestTokens:
    @pytest.mark.parametrize(
        ("sent", "expected", "note"),
        [
            ({"input_tokens": 10, "cached_input_tokens": 4}, 10, ""),
            ({"input_tokens": 10, "cached_input_tokens": 40}, 50, tokens.CACHE_ADDED),
            ({"input_tokens": 10, "cached_input_tokens": 4, "cache_write_tokens": 9}, 23, tokens.CACHE_ADDED),
            ({"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "cached_input_tokens": 4}, 10, ""),
            (
                {"input_tokens": 10, "output_tokens": 5, "total_tokens": 19, "cached_input_tokens": 4},
                14,
                tokens.CACHE_ADDED,
            ),
        ],
    )
    def test_of_a_cache_are_a_part_of_the_input(self, sent: dict[str, int], expected: int, note: str) -> None:
        found = tokens.reconciled(sent)
        assert (found.counts["input_tokens"], found.note) == (expected, note)

    def test_that_were_changed_are_kept_as_sent(self) -> None:
        record = an_output({**CHAT, "gen_ai.usage.input_tokens": 10, "gen_ai.usage.cache_read.input_tokens": 40})
        assert (record.input_tokens, record.cached_input_tokens) == (50, 40)
        assert kept(record)["attributes"]["gen_ai.usage.input_tokens"] == 10
        assert kept(record)["notes"] == [tokens.CACHE_ADDED]

    def test_of_thoughts_are_a_part_of_the_output(self) -> None:
        found = tokens.reconciled({"output_tokens": 5, "reasoning_tokens": 9})
        assert (found.counts["output_tokens"], found.note) == (14, tokens.REASONING_ADDED)

    @pytest.mark.parametrize("sent", ["11", 11, 11.0])
    def test_may_be_written_in_any_way(self, sent: Any) -> None:
        assert an_output({**CHAT, "gen_ai.usage.input_tokens": sent}).input_tokens == 11

    @pytest.mark.parametrize("sent", ["many", -1, 1.5, True, 10**16])
    def test_that_are_none_stay_attributes(self, sent: Any) -> None:
        record = an_output({**CHAT, "gen_ai.usage.input_tokens": sent})
        assert record.input_tokens is None
        assert kept(record)["attributes"]["gen_ai.usage.input_tokens"] == sent


class TestTimes:
    @pytest.mark.parametrize(
        ("start", "end", "started", "latency_ms", "notes"),
        [
            (START, START + 1_500_000, True, 1.5, []),
            (START, START - 1, True, None, ["clock_skew"]),
            (0, START, False, None, []),
            (START, 0, True, None, []),
            (2**64 - 1, START, False, None, ["start_out_of_range"]),
            (START, 2**64 - 1, True, None, ["end_out_of_range"]),
            (7_258_118_400_000_000_000, 0, False, None, ["start_out_of_range"]),
        ],
    )
    def test_are_used_where_they_are_times(
        self, start: int, end: int, started: bool, latency_ms: float | None, notes: list[str]
    ) -> None:
        record = an_output(CHAT, startTimeUnixNano=str(start), endTimeUnixNano=str(end))
        assert (record.started_at is not None, record.latency_ms) == (started, latency_ms)
        assert kept(record).get("notes", []) == notes
        assert ("start_time_unix_nano" in kept(record)) == bool(notes)


class TestErrors:
    def test_say_what_the_status_says(self) -> None:
        assert an_output(CHAT, status={"code": 2, "message": "no quota"}).error == "no quota"

    def test_say_what_was_raised(self) -> None:
        attributes = attributes_of({"exception.type": "Timeout", "exception.message": "after 3 s"})
        event = {"name": "exception", "attributes": attributes}
        assert an_output(CHAT, status={"code": "STATUS_CODE_ERROR"}, events=[event]).error == "Timeout: after 3 s"

    def test_are_never_silent(self) -> None:
        assert an_output(CHAT, status={"code": 2}).error
        assert an_output({**CHAT, "error.type": "429"}, status={"code": 2}).error == "429"

    def test_that_were_caught_are_none(self) -> None:
        assert an_output(CHAT, events=[{"name": "exception"}]).error is None


def test_nothing_captured_is_null() -> None:
    record = an_output(CHAT)
    assert (record.input, record.output, record.error) == (None, None, None)
    assert record.id == f"{TRACE}:{1:016x}"


def test_a_text_too_long_for_its_column_is_cut_there_and_whole_in_metadata() -> None:
    record = an_output({**CHAT, "session.id": "s" * 300})
    assert record.session_id == "s" * 200
    assert kept(record)["attributes"]["session.id"] == "s" * 300


def test_a_name_that_stands_twice_loses_nothing() -> None:
    span = a_span()
    span["attributes"] = [*attributes_of({"a": 1}), *attributes_of({"a": 2})]
    (found,) = notation.spans_of(orjson.dumps(a_request(span)))
    assert isinstance(found, Span)
    assert found.attributes == {"a": 1, "a#2": 2}


def test_evaluations_on_events_are_scores() -> None:
    told = attributes_of({"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.5})
    (score,) = mapped(CHAT, events=[{"name": "gen_ai.evaluation.result", "attributes": told}]).feedback
    assert (score.kind, score.name, score.value, score.output_id) == ("score", "relevance", 0.5, f"{TRACE}:{1:016x}")
