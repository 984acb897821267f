"""However many rows a file has, a worker holds a batch of them."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from outputs.ingest import lines
from outputs.models import Import, ImportPiece
from projects.models import Project
from tests import services
from tests.outputs.importing import files

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

MB = 1024 * 1024


def pieces_of(n: int) -> Iterator[bytes]:
    """A CSV of so many rows, as it lies in the database."""
    held = b"question,answer,model\n"
    for i in range(n):
        held += b"question %d with some words,%s,gpt-%d\n" % (i, b"words " * 30, i % 7)
        if len(held) > MB:
            yield held
            held = b""
    yield held


def grown(project: Project, n: int) -> int:
    """Bytes that a worker has grown by, from a small import to one of so many rows."""
    ids = []
    for size in (2_000, n):
        found = Import.objects.create(
            project=project, format="csv", state="waiting", created_at=files.now(), touched_at=files.now()
        )
        for piece in pieces_of(size):
            ImportPiece.objects.create(of=found, offset=found.received_bytes, body=piece)
            found.received_bytes += len(piece)
        found.size = found.received_bytes
        found.save()
        ids.append(found.pk)
    script = Path(__file__).with_name("take_in_turn.py")
    database = connection.settings_dict["NAME"]
    done = subprocess.run(
        [sys.executable, str(script), database, lines.address(), *map(str, ids)],
        cwd=services.ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    small, large = map(int, done.stdout.split()[-2:])
    assert [files.counts(Import.objects.get(pk=id_)) for id_ in ids] == [(2_000, 0, 0), (n - 2_000, 2_000, 0)]
    return (large - small) * (1024 if sys.platform == "linux" else 1)


def test_twenty_thousand_rows_take_hardly_more_than_two(project: Project) -> None:
    assert grown(project, 20_000) < 24 * MB


@pytest.mark.nightly
def test_a_million_rows_take_hardly_more_than_two_thousand(project: Project) -> None:
    assert grown(project, 1_000_000) < 48 * MB


def test_the_measure_is_one() -> None:
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
