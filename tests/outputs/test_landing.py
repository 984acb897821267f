"""Rows land as one statement stores them: whole, each once, linked; in as many statements as they need."""

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
from outputs.services import landing, outputs
from outputs.services.landing import Fate
from projects.models import Project
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

# Every character but those that no row may hold.
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=60)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | TEXT,
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
def test_what_stands_is_what_was_said(project: Project, rows: list[dict[str, Any]]) -> None:
    Output.objects.all().delete()
    said = [{**row, "id": f"row-{number}"} for number, row in enumerate(rows)]
    assert stored(project, said) == [Fate.ACCEPTED] * len(said)
    for row in said:
        output, body = told(row["id"])
        assert (body["input"], body["output"]) == (row["input"], row["output"])
        assert body["metadata"] == (row.get("metadata") or None)
        assert (output["model"], output["tags"]) == (row.get("model", ""), row.get("tags", []))
        assert (output["latency_ms"], output["input_tokens"]) == (row.get("latency_ms"), row.get("input_tokens"))
        assert output["session_id"] == row.get("session_id", "")


@pytest.mark.parametrize("most_rows", [2, 1_000])
def test_repeats_and_conflicts_are_told_apart(
    project: Project, most_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "MOST_ROWS", most_rows)
    first = [{"id": f"o{number}", "input": "q", "output": "a"} for number in range(5)]
    stored(project, first)
    again = [first[0], {**first[1], "output": "b"}, {"id": "new", "input": "q", "output": "a"}, first[2], *first[3:]]
    twice = [{"id": "new", "input": "q", "output": "a"}, {"id": "new", "input": "q", "output": "b"}]
    fates = stored(project, [*again, *twice])
    assert fates[:4] == [Fate.DUPLICATE, Fate.CONFLICT, Fate.ACCEPTED, Fate.DUPLICATE]
    assert fates[-2:] == [Fate.DUPLICATE, Fate.CONFLICT]
    assert OutputBody.objects.filter(output_id__in=project.outputs.values("pk")).count() == 6


def test_large_rows_take_several_statements(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "MOST_BYTES", 5_000)
    rows = [{"id": f"o{number}", "input": "x" * 2_000, "output": "y"} for number in range(7)]
    assert stored(project, [*rows, {**rows[0], "input": "other"}]) == [Fate.ACCEPTED] * 7 + [Fate.CONFLICT]
    assert project.outputs.count() == 7


def test_a_prompt_and_its_revision_are_linked_where_the_project_has_them(project: Project) -> None:
    revision = factories.a_revision(factories.a_prompt(project, name="intent"))
    other = factories.a_revision(factories.a_prompt(factories.a_project(), name="foreign"))
    row = {"input": "q", "output": "a"}
    said = {
        "by number": {"prompt": "intent", "revision": revision.number},
        "by hash": {"prompt": "intent", "revision": revision.content_hash},
        "no such revision": {"prompt": "intent", "revision": 99_999},
        "no revision": {"prompt": "intent"},
        "no such prompt": {"prompt": "absent", "revision": 1},
        "of another project": {"prompt": "foreign", "revision": other.content_hash},
        "none": {},
    }
    stored(project, [{"id": name, **row, **named} for name, named in said.items()])
    found = {output.external_id: (output.prompt_id, output.revision_id) for output in project.outputs.all()}
    prompt_id = revision.prompt_id
    assert found == {
        "by number": (prompt_id, revision.pk),
        "by hash": (prompt_id, revision.pk),
        "no such revision": (prompt_id, None),
        "no revision": (prompt_id, None),
        "no such prompt": (None, None),
        "of another project": (None, None),
        "none": (None, None),
    }


def stored(project: Project, rows: list[dict[str, Any]]) -> list[Fate]:
    """What became of the rows, stored in one transaction."""
    reception = Reception(project.pk, bytes(project.hash_key))
    read = [records.checked(row, records.OutputRecord, suspect=True) for row in rows]
    arrivals = [outputs.arrival_of(record, reception=reception) for record in read]

    async def store() -> list[Fate]:
        connection = await landing.connect(lines.address())
        async with connection, connection.transaction():
            return await outputs.store_outputs(connection, arrivals, now=clock.now())

    return asyncio.run(store())


def told(external_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What stands of an output: the row and its body."""
    row = Output.objects.filter(external_id=external_id).values().get()
    return row, OutputBody.objects.filter(output_id=row["id"]).values().get()
