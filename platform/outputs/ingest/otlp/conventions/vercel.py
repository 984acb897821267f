"""The AI SDK of Vercel: `ai.prompt`, `ai.response.text`. (https://ai-sdk.dev/docs/ai-sdk-core/telemetry)"""

from outputs.ingest.otlp import messages, reading
from outputs.ingest.otlp.reading import ANSWER, Found, Reading
from outputs.ingest.otlp.spans import Attributes, Span
from outputs.models import Step

_WORDS = {
    "model": ("ai.response.model", "ai.model.id"),
    "provider": ("ai.model.provider",),
    "session_id": ("ai.telemetry.metadata.sessionId",),
    "user_id": ("ai.telemetry.metadata.userId",),
}
_COUNTS = {
    "input_tokens": ("ai.usage.inputTokens", "ai.usage.promptTokens"),
    "output_tokens": ("ai.usage.outputTokens", "ai.usage.completionTokens"),
    "total_tokens": ("ai.usage.totalTokens",),
    "cached_input_tokens": ("ai.usage.cachedInputTokens",),
    "reasoning_tokens": ("ai.usage.reasoningTokens",),
}


class Vercel:
    """What carries `ai.operationId`. Only the inner span of a call, `….doGenerate`, is the answer of a model."""

    name = "vercel"

    def recognises(self, span: Span) -> bool:
        return "ai.operationId" in span.attributes

    def read(self, span: Span) -> Reading:
        attributes = span.attributes
        asked = reading.first(attributes, "ai.prompt.messages", "ai.prompt")
        said = asked and messages.many(asked.value, "user")
        answered = _answered(attributes)
        return reading.said(
            {
                **reading.words(attributes, _WORDS),
                **reading.counts(attributes, _COUNTS),
                "kind": reading.kind(_kind(str(attributes["ai.operationId"]))),
                "input": asked and Found(said or str(asked.value), asked.attributes),
                "output": answered,
                "step_input": _told(attributes, "ai.toolCall.args", "ai.prompt", "ai.value", "ai.values"),
                "step_output": _told(attributes, "ai.toolCall.result") or answered,
            }
        )


def _kind(operation: str) -> int:
    if operation.endswith((".doGenerate", ".doStream")):
        return ANSWER
    if operation.startswith("ai.embed"):
        return Step.Kind.EMBEDDING
    return Step.Kind.TOOL if operation == "ai.toolCall" else Step.Kind.CHAIN


def _answered(attributes: Attributes) -> Found | None:
    said = reading.first(attributes, "ai.response.text", "ai.result.text", "ai.response.object", "ai.result.object")
    calls = reading.first(attributes, "ai.response.toolCalls", "ai.result.toolCalls")
    asked = calls and reading.structured(calls.value)
    if not isinstance(asked, list):
        return said and Found(str(said.value), said.attributes)
    used = (*(said.attributes if said else ()), *(calls.attributes if calls else ()))
    return Found({"role": "assistant", "content": str(said.value) if said else None, "tool_calls": asked}, used)


def _told(attributes: Attributes, *names: str) -> Found | None:
    found = reading.first(attributes, *names)
    return found and Found(reading.structured(found.value), found.attributes)
