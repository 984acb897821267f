"""Workers are told soon and seldom, and nobody waits for the broker."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.conf import settings

from outputs.ingest import ringer
from outputs.ingest.app import Ingest
from outputs.ingest.ringer import Ringer
from projects.models import Project
from tests.outputs import face
from tests.outputs.face import an_output, post


@pytest.fixture
def queue() -> Iterator[Any]:
    """The bells of the in-memory broker that the tests' mode has."""
    with current_app.connection_for_read() as connection:
        assert connection.transport.driver_type == "memory"
        found = connection.SimpleQueue("ratchet")
        found.clear()
        yield found
        found.clear()
        found.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("committed")
def test_many_requests_ring_once_and_again(project: Project, key: str, queue: Any) -> None:
    async def talk(app: Ingest) -> None:
        await asyncio.gather(*(post(an_output(number), key).to(app) for number in range(100)))
        await _until(lambda: queue.qsize() > 0)
        await post({"id": 1}, key).to(app)

    began = time.monotonic()
    face.during(talk)
    most_rounds = 1 + (time.monotonic() - began) / ringer.PAUSE_SECONDS
    assert project.outputs.count() == 100
    assert 1 <= queue.qsize() <= most_rounds * len(settings.HANDOVER_CONSUMERS["outputs.stored"])
    message = queue.get_nowait()
    assert (message.headers["task"], message.payload[0]) == ("reviews.tasks.sample", [])


def test_a_broker_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr(current_app, "send_task", lambda *_, **__: answers.wait(20))

    async def live() -> float:
        bell = Ringer(["some.task"], pause=0.01)
        bell.start()
        began = time.monotonic()
        for _ in range(100):
            bell.want()
            await asyncio.sleep(0)
        answers.set()
        await bell.stop()
        return time.monotonic() - began

    assert asyncio.run(live()) < 5


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
