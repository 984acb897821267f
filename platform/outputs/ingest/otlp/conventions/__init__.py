"""The conventions that are read, the most specific first."""

from collections.abc import Sequence

from outputs.ingest.otlp.conventions.gen_ai import GenAI
from outputs.ingest.otlp.conventions.gen_ai_events import GenAIEvents
from outputs.ingest.otlp.conventions.gen_ai_indexed import GenAIIndexed
from outputs.ingest.otlp.conventions.general import General
from outputs.ingest.otlp.conventions.openinference import OpenInference
from outputs.ingest.otlp.conventions.traceloop import Traceloop
from outputs.ingest.otlp.conventions.vercel import Vercel
from outputs.ingest.otlp.reading import Convention

CONVENTIONS: Sequence[Convention] = (
    OpenInference(),
    Vercel(),
    Traceloop(),
    GenAI(),
    GenAIEvents(),
    GenAIIndexed(),
    General(),
)
