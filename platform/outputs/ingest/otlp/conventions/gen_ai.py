"""OpenTelemetry's GenAI conventions as they are now: content on attributes, as JSON texts of `{role, parts}`.

(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/)
"""

from outputs import choices
from outputs.ingest.otlp import messages, reading
from outputs.ingest.otlp.reading import ANSWER, Found, Reading
from outputs.ingest.otlp.spans import Attributes, Span
from outputs.models import Step

_KINDS: dict[str, int] = {
    "chat": ANSWER,
    "text_completion": ANSWER,
    "completion": ANSWER,
    "generate_content": ANSWER,
    "generate": ANSWER,
    "message": ANSWER,
    "responses": ANSWER,
    "response": ANSWER,
    "embeddings": Step.Kind.EMBEDDING,
    "embedding": Step.Kind.EMBEDDING,
    "execute_tool": Step.Kind.TOOL,
    "invoke_agent": Step.Kind.AGENT,
    "create_agent": Step.Kind.AGENT,
    "invoke_workflow": Step.Kind.CHAIN,
    "retrieval": Step.Kind.RETRIEVAL,
    "rerank": Step.Kind.RERANKER,
    "evaluate": Step.Kind.EVALUATOR,
}
_WORDS = {
    "model": ("gen_ai.response.model", "gen_ai.request.model"),
    "provider": ("gen_ai.provider.name", "gen_ai.system"),
    "session_id": ("gen_ai.conversation.id",),
    "prompt": ("gen_ai.prompt.name",),
    "revision": ("gen_ai.prompt.version",),
}
_COUNTS = {
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"),
    "total_tokens": ("gen_ai.usage.total_tokens", "llm.usage.total_tokens"),
    "cached_input_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cached_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cache_read_input_tokens",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.details.cache_creation_input_tokens",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "llm.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
    ),
}
_CONTENT = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions")


class GenAI:
    """`gen_ai.*` on attributes."""

    name = "gen_ai"

    def recognises(self, span: Span) -> bool:
        return any(name.startswith("gen_ai.") for name in span.attributes)

    def read(self, span: Span) -> Reading:
        attributes = span.attributes
        return {
            **reading.words(attributes, _WORDS),
            **reading.counts(attributes, _COUNTS),
            **reading.said({"kind": _kind(attributes), **_tool(attributes)}),
            **_content(attributes),
        }


def _kind(attributes: Attributes) -> Found | None:
    """The operation says it; without one, whoever asked a model with words or was counted tokens is an answer."""
    operation = attributes.get("gen_ai.operation.name")
    if isinstance(operation, str) and operation.lower() in _KINDS:
        return reading.kind(_KINDS[operation.lower()])
    if operation is None and "gen_ai.request.model" in attributes and "llm.request.type" not in attributes:
        return reading.kind(ANSWER)
    return None


def _content(attributes: Attributes) -> Reading:
    sides = messages.of_details(attributes)
    if sides is None:
        return {}
    found = {}
    if messages.INPUT in sides:
        used = [name for name in (_CONTENT[0], _CONTENT[2]) if _is_told(attributes, name)]
        found["input"] = Found(sides[messages.INPUT], used)
    if messages.OUTPUT in sides:
        found["output"] = Found(choices.joined(sides[messages.OUTPUT]), _CONTENT[1:2])
    return found


def _is_told(attributes: Attributes, name: str) -> bool:
    """Whether the messages above hold what this attribute says."""
    value = attributes.get(name)
    told = messages.instructions(value) if name == _CONTENT[2] else messages.many(value, "user")
    return bool(told)


def _tool(attributes: Attributes) -> dict[str, Found | None]:
    """What a tool was asked and answered. An answer of a model has no such attributes."""
    asked = reading.first(attributes, "gen_ai.tool.call.arguments", "gen_ai.tool.arguments")
    answered = reading.first(attributes, "gen_ai.tool.call.result", "gen_ai.tool.result")
    return {
        "step_input": asked and Found(reading.structured(asked.value), asked.attributes),
        "step_output": answered and Found(reading.structured(answered.value), answered.attributes),
    }
