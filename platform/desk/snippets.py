"""Pieces of code that send to this site, with its address and a placeholder for the key, to be copied as they stand."""

import string
from collections.abc import Sequence
from dataclasses import dataclass

KEY = "rk_YOUR_KEY"


@dataclass(frozen=True)
class Snippet:
    """One way to send."""

    key: str
    title: str
    says: str
    code: str


def all_of(site: str) -> Sequence[Snippet]:
    """Every snippet for a site's address, the shortest first."""
    words = {"site": site, "key": KEY}
    return [Snippet(key, title, says, string.Template(code).substitute(words)) for key, title, says, code in _ALL]


_CURL = """\
curl -X POST $site/api/v1/outputs \\
  -H "Authorization: Bearer $key" -H "Content-Type: application/json" \\
  -d '{"id": "first-1", "input": "Where is my parcel?", "output": "It arrives tomorrow.", "model": "my-model"}'"""

_PYTHON = """\
import json
import urllib.request

outputs = [{"id": "first-2", "input": "Where is my parcel?", "output": "It arrives tomorrow.", "model": "my-model"}]
request = urllib.request.Request(
    "$site/api/v1/outputs",
    data=json.dumps(outputs).encode(),
    headers={"Authorization": "Bearer $key", "Content-Type": "application/json"},
)
with urllib.request.urlopen(request, timeout=30) as answer:
    print(answer.status, json.load(answer))  # 201 {'accepted': 1, 'duplicates': 0, 'rejected': []}"""

_OTEL = """\
export OTEL_EXPORTER_OTLP_ENDPOINT=$site
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20$key"
export OTEL_SERVICE_NAME=my-service
export OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true"""

_OPENAI = """\
pip install openai opentelemetry-distro opentelemetry-exporter-otlp-proto-http opentelemetry-instrumentation-openai-v2

export OTEL_EXPORTER_OTLP_ENDPOINT=$site
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20$key"
export OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true
export OTEL_TRACES_EXPORTER=otlp OTEL_LOGS_EXPORTER=otlp OTEL_METRICS_EXPORTER=none
export OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED=true

opentelemetry-instrument python your_program.py   # the program itself stays as it is"""

_FEEDBACK = """\
curl -X POST $site/api/v1/feedback \\
  -H "Authorization: Bearer $key" -H "Content-Type: application/json" \\
  -d '{"output_id": "first-1", "kind": "thumb", "value": -1, "comment": "It never came."}'"""

_ALL = (
    ("curl", "curl", "One output. An id makes a repeat harmless.", _CURL),
    ("python", "Python", "Nothing to install. Send many at once: an array of up to 50,000.", _PYTHON),
    ("otel", "OpenTelemetry", "For any program that is instrumented: spans over HTTP, messages and all.", _OTEL),
    ("openai", "OpenAI SDK", "Instrumented from outside, in Python.", _OPENAI),
    ("feedback", "Feedback", "What somebody thought of an output, before it or after.", _FEEDBACK),
)
