"""The application around the calls: an agent that uses a tool, observed as `OTEL_*` says and in no other way."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

ToolSpan = Callable[[str], AbstractContextManager[Any]]
GEN_AI = {
    "agent": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "traveller"},
    "tool": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_parcel"},
}
OPENINFERENCE = {
    "agent": {"openinference.span.kind": "AGENT"},
    "tool": {"openinference.span.kind": "TOOL", "tool.name": "find_parcel"},
}


def run(
    instrumentor: BaseInstrumentor | None,
    calls: Callable[[ToolSpan], None],
    names: Mapping[str, Mapping[str, str]] = GEN_AI,
) -> None:
    """The calls, in one trace; its id is printed, and at the process's end everything was exported.

    The configurator is what `opentelemetry-instrument` runs. The instrumentor is named because all the
    packages for one client share the entry point by which that command would find it.
    """
    _OTelSDKConfigurator().configure()
    if instrumentor is not None:
        instrumentor.instrument()
    tracer = trace.get_tracer("application")

    def tool_span(name: str) -> AbstractContextManager[Any]:
        return tracer.start_as_current_span(f"execute_tool {name}", attributes=names["tool"])

    with tracer.start_as_current_span("invoke_agent traveller", attributes=names["agent"]) as span:
        calls(tool_span)
        print(f"{span.get_span_context().trace_id:032x}", flush=True)
