"""One suite over every importer: what is registered is held to this, and nothing need be added here but a writer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from outputs import importers
from outputs.models import Output
from projects.models import Project
from tests.outputs.importing import files

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

WRITERS: dict[str, Callable[[Sequence[Mapping[str, Any]]], bytes]] = {
    "jsonl": files.as_jsonl,
    "csv": files.as_csv,
    "parquet": files.as_parquet,
    "langfuse": files.as_langfuse,
}
NAMES = sorted(WRITERS)


def test_every_importer_has_a_writer_here() -> None:
    assert sorted(importers.names()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_stores_every_row_and_nothing_more_when_sent_again(name: str, project: Project, key: str) -> None:
    body = WRITERS[name](files.rows(1_203))
    first = files.worked(files.sent(body, key, f"format={name}"))
    again = files.worked(files.sent(body, key, f"format={name}"))
    assert (first.state, files.counts(first)) == ("done", (1_203, 0, 0))
    assert (again.state, files.counts(again)) == ("done", (0, 1_203, 0))
    assert Output.objects.of(project.pk).count() == 1_203
    assert not first.pieces.exists()
