import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from core import clock
from ledger import handovers
from ledger.handovers import Claimed
from ledger.models import Handover

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def consumers(settings):
    settings.HANDOVER_CONSUMERS = {"things.stored": ["room.one", "room.two"]}


def test_announces_to_every_registered_consumer():
    handovers.announce("things.stored", project_id=1, ids=[7, 8])
    assert sorted(handovers.waiting_consumers()) == ["room.one", "room.two"]
    with handovers.claimed("room.one") as claimed:
        assert claimed == [Claimed(project_id=1, topic="things.stored", ids=[7, 8])]
    assert handovers.waiting_consumers() == ["room.two"]


def test_says_nothing_for_nothing_and_to_nobody():
    handovers.announce("things.stored", project_id=1, ids=[])
    handovers.announce("unknown", project_id=1, ids=[1])
    assert not Handover.objects.exists()


def test_comes_in_order_and_at_most_as_many_as_asked_for():
    for number in range(5):
        handovers.announce("things.stored", project_id=1, ids=[number])
    with handovers.claimed("room.one", limit=3) as claimed:
        assert [one.ids for one in claimed] == [[0], [1], [2]]


def test_what_failed_stays_and_comes_again():
    handovers.announce("things.stored", project_id=1, ids=[7])
    with pytest.raises(ZeroDivisionError), handovers.claimed("room.one"):
        raise ZeroDivisionError
    with handovers.claimed("room.one") as claimed:
        assert [one.ids for one in claimed] == [[7]]


def test_two_at_once_never_get_the_same():
    for number in range(10):
        handovers.announce("things.stored", project_id=1, ids=[number])
    found: list[int] = []

    def claim() -> None:
        try:
            with handovers.claimed("room.one", limit=10) as claimed:
                found.extend(one.ids[0] for one in claimed)
        finally:
            connection.close()

    with handovers.claimed("room.one", limit=4) as mine:
        other = threading.Thread(target=claim)
        other.start()
        other.join()
    assert sorted(found + [one.ids[0] for one in mine]) == list(range(10))
    assert len(mine) == 4


def failing_on(number: int) -> Callable[[list[Claimed]], None]:
    """Uses hand-overs unless this id is among them."""

    def use(claimed: list[Claimed]) -> None:
        if any(number in one.ids for one in claimed):
            raise ValueError(f"{number} cannot be used")
        used.extend(claimed)

    used: list[Claimed] = []
    use.used = used  # type: ignore[attr-defined]  # where a test looks
    return use


def test_one_that_cannot_be_used_is_parked_and_keeps_nobody_waiting(settings: Any) -> None:
    settings.HANDOVER_CONSUMERS = {"things.stored": ["room.one"]}
    for number in range(5):
        handovers.announce("things.stored", project_id=number, ids=[number])
    use = failing_on(2)
    assert handovers.fetch("room.one", use, now=clock.now())
    assert [one.ids for one in use.used] == [[0], [1], [3], [4]]
    parked = Handover.objects.get()
    assert (parked.ids, parked.reason) == ([2], "ValueError: 2 cannot be used")
    assert parked.parked_at is not None
    assert not handovers.fetch("room.one", use, now=clock.now())
    assert handovers.waiting_consumers() == []
