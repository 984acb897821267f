"""OpenInference (Arize): `openinference.span.kind`, messages flattened into attributes, `input.value`.

(https://arize-ai.github.io/openinference/spec/semantic_conventions.html)
"""

from typing import Any

from outputs import choices
from outputs.ingest.otlp import messages, reading, tree
from outputs.ingest.otlp.messages import Message
from outputs.ingest.otlp.reading import ANSWER, Found, Reading
from outputs.ingest.otlp.spans import Attributes, Span
from outputs.models import Step

_KIND = "openinference.span.kind"
_KINDS: dict[str, int] = {
    "LLM": ANSWER,
    "AGENT": Step.Kind.AGENT,
    "CHAIN": Step.Kind.CHAIN,
    "TOOL": Step.Kind.TOOL,
    "RETRIEVER": Step.Kind.RETRIEVAL,
    "EMBEDDING": Step.Kind.EMBEDDING,
    "RERANKER": Step.Kind.RERANKER,
    "GUARDRAIL": Step.Kind.GUARDRAIL,
    "EVALUATOR": Step.Kind.EVALUATOR,
    "PROMPT": Step.Kind.PROMPT,
}
_WORDS = {
    "model": ("llm.response.model_name", "llm.model_name", "llm.request.model_name", "embedding.model_name"),
    "provider": ("llm.provider", "llm.system"),
    "prompt": ("llm.prompt_template.name",),
    "revision": ("llm.prompt_template.version",),
}
_COUNTS = {
    "input_tokens": ("llm.token_count.prompt",),
    "output_tokens": ("llm.token_count.completion",),
    "total_tokens": ("llm.token_count.total",),
    "cached_input_tokens": (
        "llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_input",
    ),
    "cache_write_tokens": ("llm.token_count.prompt_details.cache_write",),
    "reasoning_tokens": ("llm.token_count.completion_details.reasoning",),
}


class OpenInference:
    """What carries `openinference.span.kind`."""

    name = "openinference"

    def recognises(self, span: Span) -> bool:
        return _KIND in span.attributes or "llm.model_name" in span.attributes

    def read(self, span: Span) -> Reading:
        attributes = span.attributes
        return reading.said(
            {
                "model": _model(attributes),
                **reading.words(attributes, _WORDS),
                **reading.counts(attributes, _COUNTS),
                "kind": _kind(attributes),
                "input": _messages(attributes, "llm.input_messages", "user") or _asked(attributes),
                "output": _answered(attributes),
                "step_input": _value(attributes, "input"),
                "step_output": _documents(attributes) or _value(attributes, "output"),
                "variables": _variables(attributes),
            }
        )


def _kind(attributes: Attributes) -> Found | None:
    kind = attributes.get(_KIND)
    if isinstance(kind, str) and kind.upper() in _KINDS:
        return reading.kind(_KINDS[kind.upper()])
    return None if kind is not None else reading.kind(ANSWER)


def _model(attributes: Attributes) -> Found | None:
    """As it was asked for; of a call that was refused it stands nowhere else."""
    asked = reading.structured(attributes.get("llm.invocation_parameters"))
    model = asked.get("model") if isinstance(asked, dict) else None
    return Found(model) if isinstance(model, str) and model else None


def _messages(attributes: Attributes, prefix: str, role: str) -> Found | None:
    found, used = tree.grown(attributes, prefix)
    if not found or not all(isinstance(each, dict) and isinstance(each.get("message"), dict) for each in found):
        return None
    return Found([_message(each, role) for each in found], used)


def _message(told: dict[str, Any], role: str) -> Message:
    """A message without the wrappers that the names of attributes need."""
    around = {name: value for name, value in told.items() if name != "message"}
    inner = {**around, **told["message"]}
    if isinstance(inner.get("contents"), list) and "content" not in inner:
        inner["content"] = [_unwrapped(each, "message_content") for each in inner.pop("contents")]
        if [set(each) for each in inner["content"] if isinstance(each, dict)] == [{"type", "text"}]:
            inner["content"] = inner["content"][0]["text"]
    if isinstance(inner.get("tool_calls"), list):
        inner["tool_calls"] = [_unwrapped(each, "tool_call") for each in inner["tool_calls"]]
    return messages.one(inner, role)


def _unwrapped(told: Any, name: str) -> Any:
    inner = told.get(name) if isinstance(told, dict) else None
    return {**{key: value for key, value in told.items() if key != name}, **inner} if isinstance(inner, dict) else told


def _asked(attributes: Attributes) -> Found | None:
    """What was asked, of a span that only has the request whole."""
    found = _value(attributes, "input")
    if found is None:
        return None
    if isinstance(found.value, dict) and (told := messages.many(found.value.get("messages"), "user")):
        return Found(told)
    if isinstance(found.value, list):
        told = messages.many(found.value, "user")
        return Found(told) if told else Found(attributes["input.value"], found.attributes)
    return found if isinstance(found.value, str | dict) else Found(str(attributes["input.value"]))


def _answered(attributes: Attributes) -> Found | None:
    said = _messages(attributes, "llm.output_messages", "assistant")
    if said is not None:
        return Found(choices.joined(said.value), said.attributes)
    whole = _value(attributes, "output")
    if whole is None:
        return None
    if isinstance(whole.value, dict) and (told := _choices_in(whole.value)):
        return Found(choices.joined(told))
    return Found(str(attributes["output.value"]), whole.attributes)


def _choices_in(answer: dict[str, Any]) -> list[Message]:
    """The messages of a chat completion."""
    listed = answer.get("choices")
    inner = [each.get("message") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [messages.one(each, "assistant") for each in inner if isinstance(each, dict)]


def _value(attributes: Attributes, side: str) -> Found | None:
    found = reading.first(attributes, f"{side}.value")
    if found is None or not str(attributes.get(f"{side}.mime_type", "")).startswith("application/json"):
        return found
    return Found(reading.structured(found.value), found.attributes)


def _documents(attributes: Attributes) -> Found | None:
    """What a retriever found, or what a reranker put in order."""
    for prefix in ("retrieval.documents", "reranker.output_documents"):
        found, used = tree.grown(attributes, prefix)
        if found:
            return Found([_unwrapped(each, "document") for each in found], used)
    return None


def _variables(attributes: Attributes) -> Found | None:
    found = reading.first(attributes, "llm.prompt_template.variables")
    value = found and reading.structured(found.value)
    return Found(value, found.attributes) if found and isinstance(value, dict) and value else None
