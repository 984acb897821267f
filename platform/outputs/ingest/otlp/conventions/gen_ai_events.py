"""OpenTelemetry's GenAI conventions with content on the events of a span, as they were and partly are.

(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/)
"""

from outputs import choices
from outputs.ingest.otlp import messages
from outputs.ingest.otlp.messages import Message
from outputs.ingest.otlp.reading import Found, Reading
from outputs.ingest.otlp.spans import Span


class GenAIEvents:
    """`gen_ai.user.message`, `gen_ai.choice` and their like on a span."""

    name = "gen_ai events"

    def recognises(self, span: Span) -> bool:
        return any(messages.is_event(event.name) for event in span.events)

    def read(self, span: Span) -> Reading:
        said: dict[int, list[Message]] = {messages.INPUT: [], messages.OUTPUT: []}
        for event in span.events:
            for side, told in (messages.of_event(event.name, event.attributes) or {}).items():
                said[side] += told
        # The events stay where they are: they tell times, too.
        return {
            name: Found(value)
            for name, value in (
                ("input", said[messages.INPUT]),
                ("output", choices.joined(said[messages.OUTPUT])),
            )
            if value
        }
