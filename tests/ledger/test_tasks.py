import datetime as dt

import pytest

from core import bells, clock
from ledger import handovers, heartbeats, idempotency, tasks
from ledger.models import Heartbeat, IdempotentAnswer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rung(monkeypatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(bells, "ring_now", lambda name: found.append(name) or True)
    return found


def test_sweep_rings_for_each_consumer_with_something_to_fetch(rung, settings):
    settings.HANDOVER_CONSUMERS = {"things.stored": ["room.one", "room.without_a_bell"]}
    settings.HANDOVER_BELLS = {"room.one": "room.tasks.fetch", "room.two": "room.tasks.other"}
    tasks.sweep()
    assert rung == []
    handovers.announce("things.stored", project_id=1, ids=[1])
    handovers.announce("things.stored", project_id=1, ids=[2])
    tasks.sweep()
    tasks.sweep()
    assert rung == ["room.tasks.fetch"] * 2


def test_forget_drops_what_is_past_its_time_and_nothing_else():
    now = clock.now()
    for age in (dt.timedelta(hours=1), dt.timedelta(hours=49)):
        key = str(age)
        idempotency.begin(project_id=1, actor="a", key=key, digest=b"1" * 32)
        IdempotentAnswer.objects.filter(key=key).update(created_at=now - age)
        heartbeats.beat(key, kind="worker", now=now - age)
    tasks.forget()
    tasks.forget()
    assert list(IdempotentAnswer.objects.values_list("key", flat=True)) == ["1:00:00"]
    assert list(Heartbeat.objects.values_list("name", flat=True)) == ["1:00:00"]
