"""A call that the client and an instrumentation both watched is one output."""

from typing import Any

import orjson
import pytest

from outputs.ingest.otlp import traces
from outputs.ingest.store import OUTPUTS, STEPS
from outputs.reception import Reception
from tests.outputs import face
from tests.outputs.otlp.bodies import START, a_request, a_span

CALL = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "m"}
SAID = {**CALL, "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]'}
INSIDE = {"startTimeUnixNano": str(START + 1), "endTimeUnixNano": str(START + 2)}
AGENT, OUTER, INNER = f"{1:016x}", f"{2:016x}", f"{3:016x}"


def becoming(*scopes: tuple[str, dict[str, Any]]) -> tuple[list[str], list[str]]:
    """The spans that become outputs, and those that become steps; each is of its own library."""
    request: dict[str, Any] = {"resourceSpans": []}
    for name, span in scopes:
        (resource,) = a_request(span)["resourceSpans"]
        resource["scopeSpans"][0]["scope"]["name"] = name
        request["resourceSpans"].append(resource)
    scope: Any = {"type": "http", "path": "/v1/traces", "headers": [(b"content-type", face.JSON.encode())]}
    batch = traces.Traces().read(orjson.dumps(request), scope, Reception(project_id=1, hash_key=b"k"))
    assert not batch.rejected
    outputs, steps = ([row.external_id[-16:] for _, row in batch.rows[kind]] for kind in (OUTPUTS, STEPS))
    return outputs, steps


@pytest.mark.parametrize("parent", [OUTER, AGENT], ids=["below it", "beside it"])
def test_the_clients_own_span_is_a_step_of_it(parent: str) -> None:
    outer = a_span(2, SAID, parentSpanId=AGENT)
    inner = a_span(3, CALL, parentSpanId=parent, **INSIDE)
    assert becoming(("around", outer), ("client", inner)) == ([OUTER], [INNER])
    assert becoming(("client", inner), ("around", outer)) == ([OUTER], [INNER])


@pytest.mark.parametrize(
    ("library", "told"),
    [
        ("around", {**CALL}),
        ("client", SAID),
        ("client", {**CALL, "gen_ai.request.model": "another"}),
        ("client", {**CALL, "gen_ai.provider.name": "another"}),
    ],
    ids=["of the same library", "with texts of its own", "of another model", "of another provider"],
)
def test_a_call_of_its_own_stays_an_output(library: str, told: dict[str, Any]) -> None:
    other = a_span(3, told, parentSpanId=AGENT, **INSIDE)
    assert becoming(("around", a_span(2, SAID, parentSpanId=AGENT)), (library, other)) == ([OUTER, INNER], [])


def test_a_call_at_another_time_stays_an_output() -> None:
    later = {"startTimeUnixNano": str(START + 10**9), "endTimeUnixNano": str(START + 2 * 10**9)}
    other = a_span(3, CALL, parentSpanId=AGENT, **later)
    assert becoming(("around", a_span(2, SAID, parentSpanId=AGENT)), ("client", other)) == ([OUTER, INNER], [])
