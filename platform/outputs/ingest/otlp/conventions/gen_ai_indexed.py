"""OpenLLMetry's earlier names, which many senders still use: `gen_ai.prompt.0.content`, `llm.request.type`."""

from typing import Any

from outputs import choices
from outputs.ingest.otlp import messages, reading, tree
from outputs.ingest.otlp.reading import ANSWER, Found, Reading
from outputs.ingest.otlp.spans import Attributes, Span
from outputs.models import Step

_KINDS: dict[str, int] = {
    "chat": ANSWER,
    "completion": ANSWER,
    "embedding": Step.Kind.EMBEDDING,
    "rerank": Step.Kind.RERANKER,
}
_PREFIXES = ("gen_ai.prompt.", "gen_ai.completion.", "llm.prompts.", "llm.completions.")


class GenAIIndexed:
    """A message for each number, a field for each attribute."""

    name = "gen_ai indexed"

    def recognises(self, span: Span) -> bool:
        return "llm.request.type" in span.attributes or any(name.startswith(_PREFIXES) for name in span.attributes)

    def read(self, span: Span) -> Reading:
        attributes = span.attributes
        asked = _said(attributes, "gen_ai.prompt", "user") or _said(attributes, "llm.prompts", "user")
        answered = _said(attributes, "gen_ai.completion", "assistant") or _said(
            attributes, "llm.completions", "assistant"
        )
        return reading.said(
            {
                "kind": _kind(attributes),
                "model": reading.first(attributes, "llm.response.model", "llm.request.model"),
                "input": asked,
                "output": answered and Found(choices.joined(answered.value), answered.attributes),
            }
        )


def _kind(attributes: Attributes) -> Found | None:
    type_ = attributes.get("llm.request.type")
    if isinstance(type_, str) and type_.lower() in _KINDS:
        return reading.kind(_KINDS[type_.lower()])
    return reading.kind(ANSWER) if "gen_ai.completion.0.content" in attributes else None


def _said(attributes: Attributes, prefix: str, role: str) -> Found | None:
    found, used = tree.grown(attributes, prefix)
    if not found or not all(isinstance(each, dict) for each in found):
        return None
    return Found([messages.one(_loosened(each), role) for each in found], used)


def _loosened(told: dict[str, Any]) -> dict[str, Any]:
    """A message with what its tool calls are asked as it was said; only the list is ours."""
    calls = told.get("tool_calls")
    return {**told, "tool_calls": list(calls.values())} if isinstance(calls, dict) else told
