"""What spans of any kind say of themselves: session, person, environment, labels, and that they speak HTTP."""

from outputs.ingest.otlp import reading
from outputs.ingest.otlp.reading import Found, Reading
from outputs.ingest.otlp.spans import Attributes, Span
from outputs.models import Step
from outputs.records import MOST_TAGS

_WORDS = {
    "session_id": ("session.id", "langfuse.session.id", "gen_ai.conversation.id"),
    "user_id": ("user.id", "enduser.id", "langfuse.user.id"),
    "environment": ("deployment.environment.name", "deployment.environment", "langfuse.environment"),
    "prompt": ("langfuse.observation.prompt.name",),
    "revision": ("langfuse.observation.prompt.version",),
    "model": ("langfuse.observation.model.name",),
}
_HTTP = ("http.request.method", "http.method", "http.url", "http.target")
_LONGEST_TAG = 100


class General:
    """Says something of every span."""

    name = "general"

    def recognises(self, span: Span) -> bool:
        return True

    def read(self, span: Span) -> Reading:
        return reading.said(
            {
                **reading.words(span.attributes, _WORDS),
                **_of_resource(span),
                "kind": reading.kind(Step.Kind.HTTP if any(name in span.attributes for name in _HTTP) else 0),
                "tags": _tags(span.attributes),
                "metadata": _metadata(span.attributes),
                "step_input": reading.first(span.attributes, "input.value", "langfuse.observation.input"),
                "step_output": reading.first(span.attributes, "output.value", "langfuse.observation.output"),
            }
        )


def _of_resource(span: Span) -> Reading:
    """The environment of the process, unless the span has one of its own."""
    told = reading.words(span.source.resource, {"environment": _WORDS["environment"]})
    own = reading.words(span.attributes, {"environment": _WORDS["environment"]})
    return own or {name: Found(found.value) for name, found in told.items()}


def _tags(attributes: Attributes) -> Found | None:
    found = reading.first(attributes, "tag.tags", "langfuse.trace.tags")
    tags = found and reading.structured(found.value)
    if found is None or not isinstance(tags, list) or len(tags) > MOST_TAGS:
        return None
    if not all(isinstance(tag, str) and 0 < len(tag) <= _LONGEST_TAG for tag in tags):
        return None
    return Found(tags, found.attributes)


def _metadata(attributes: Attributes) -> Found | None:
    found = reading.first(attributes, "metadata")
    told = found and reading.structured(found.value)
    return Found(told, found.attributes) if found and isinstance(told, dict) and "otel" not in told else None
