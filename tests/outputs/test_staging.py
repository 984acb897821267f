"""Few rows and many go different ways into the tables; what stands there afterwards is the same."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import clock
from outputs import records
from outputs.ingest import lines
from outputs.models import Output, OutputBody
from outputs.reception import Reception
from outputs.services import outputs, staging
from outputs.services.staging import Fate
from projects.models import Project

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

# Every character but those that no row may hold.
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=60)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.fixed_dictionaries(
    {"input": TEXT | st.dictionaries(TEXT, VALUES, max_size=3), "output": TEXT},
    optional={
        "model": TEXT,
        "tags": st.lists(TEXT.filter(bool), max_size=3),
        "metadata": st.dictionaries(TEXT, VALUES, max_size=3),
        "latency_ms": st.floats(0, 1e9),
        "cost_usd": st.floats(0, 1e6),
        "input_tokens": st.integers(0, 10**15),
        "started_at": st.just("2026-01-31T12:00:00.123456+02:00"),
        "session_id": TEXT,
    },
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=5))
def test_few_and_many_rows_stand_alike(project: Project, rows: list[dict[str, Any]]) -> None:
    Output.objects.all().delete()
    few = [{**row, "id": f"few-{number}"} for number, row in enumerate(rows)]
    many = [{**row, "id": f"many-{number}"} for number, row in enumerate(rows)]
    padding = [{"id": f"pad-{number}", "input": "x", "output": "y"} for number in range(outputs.FEW)]
    assert stored(project, few) == [Fate.ACCEPTED] * len(few)
    assert stored(project, many + padding) == [Fate.ACCEPTED] * (len(many) + len(padding))
    for number in range(len(rows)):
        assert told(f"few-{number}") == told(f"many-{number}")


@pytest.mark.parametrize("n", [3, outputs.FEW + 3])
def test_repeats_and_conflicts_are_told_apart_either_way(project: Project, n: int) -> None:
    first = [{"id": f"o{number}", "input": "q", "output": "a"} for number in range(n)]
    stored(project, first)
    again = [first[0], {**first[1], "output": "b"}, {"id": "new", "input": "q", "output": "a"}, first[2], *first[3:]]
    fates = stored(project, [*again, {"id": "new", "input": "q", "output": "a"}])
    assert fates[:4] == [Fate.DUPLICATE, Fate.CONFLICT, Fate.ACCEPTED, Fate.DUPLICATE]
    assert fates[-1] is Fate.DUPLICATE
    assert OutputBody.objects.filter(output_id__in=project.outputs.values("pk")).count() == n + 1


def stored(project: Project, rows: list[dict[str, Any]]) -> list[Fate]:
    """What became of the rows, stored in one transaction."""
    reception = Reception(project.pk, bytes(project.hash_key))
    read = [records.checked(row, records.OutputRecord, suspect=True) for row in rows]
    arrivals = [outputs.arrival_of(record, reception=reception) for record in read]

    async def store() -> list[Fate]:
        connection = await staging.connect(lines.address(), (outputs.STAGE,))
        async with connection, connection.transaction():
            return await outputs.store_outputs(connection, arrivals, now=clock.now())

    return asyncio.run(store())


def told(external_id: str) -> dict[str, Any]:
    """All that stands of an output but its ids and moments."""
    row = Output.objects.filter(external_id=external_id).values().get()
    body = OutputBody.objects.filter(output_id=row["id"]).values().get()
    left_out = ("id", "external_id", "body_hash", "received_at", "output_id", "pk")
    return {name: value for found in (row, body) for name, value in found.items() if name not in left_out}
