"""OpenLLMetry's workflows, tasks, agents and tools around the calls of models."""

from outputs.ingest.otlp import reading
from outputs.ingest.otlp.reading import Found, Reading
from outputs.ingest.otlp.spans import Attributes, Span
from outputs.models import Step

_KIND = "traceloop.span.kind"
_KINDS: dict[str, int] = {
    "workflow": Step.Kind.CHAIN,
    "task": Step.Kind.CHAIN,
    "agent": Step.Kind.AGENT,
    "tool": Step.Kind.TOOL,
}


class Traceloop:
    """What carries `traceloop.*`; a call of a model inside a workflow carries its name, too."""

    name = "traceloop"

    def recognises(self, span: Span) -> bool:
        return any(name.startswith("traceloop.") for name in span.attributes)

    def read(self, span: Span) -> Reading:
        attributes = span.attributes
        kind = attributes.get(_KIND)
        return reading.said(
            {
                "kind": reading.kind(_KINDS[kind]) if isinstance(kind, str) and kind in _KINDS else None,
                "step_input": _told(attributes, "traceloop.entity.input"),
                "step_output": _told(attributes, "traceloop.entity.output"),
                "session_id": _word(attributes, "traceloop.association.properties.session_id"),
                "user_id": _word(attributes, "traceloop.association.properties.user_id"),
                "prompt": _word(attributes, "traceloop.prompt.key"),
                "revision": _word(attributes, "traceloop.prompt.version"),
            }
        )


def _told(attributes: Attributes, name: str) -> Found | None:
    found = reading.first(attributes, name)
    return found and Found(reading.structured(found.value), found.attributes)


def _word(attributes: Attributes, name: str) -> Found | None:
    return reading.words(attributes, {"word": (name,)}).get("word")
