"""What a worker's main process does beside Celery; whole workers are killed in tests/faults."""

import celery
import pytest

import config
from config import workers
from config.workers import DEAF_AFTER_S, STILL_RINGING_S, Hearing, Sweeper
from core import clock
from ledger import heartbeats


class Time:
    """Seconds that only the test lets pass."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def ring_for(hearing: Hearing, time: Time, seconds: float, *, every: float = 5.0) -> None:
    end = time.now + seconds
    while time.now < end:
        hearing.rang()
        time.now += every


class TestHearing:
    def test_is_lost_when_bells_are_rung_for_long_and_none_is_heard(self, time):
        hearing = Hearing(is_idle=lambda: True, ticking=time)
        ring_for(hearing, time, DEAF_AFTER_S - 10)
        assert not hearing.is_lost()
        ring_for(hearing, time, 20)
        assert hearing.is_lost()

    def test_is_not_lost_while_it_hears_some(self, time):
        hearing = Hearing(is_idle=lambda: True, ticking=time)
        ring_for(hearing, time, DEAF_AFTER_S - 10)
        hearing.heard()
        ring_for(hearing, time, 20)
        assert not hearing.is_lost()

    def test_is_not_lost_while_it_has_something_in_hand(self, time):
        hearing = Hearing(is_idle=lambda: False, ticking=time)
        ring_for(hearing, time, 2 * DEAF_AFTER_S)
        assert not hearing.is_lost()

    def test_counts_from_the_moment_it_became_idle(self, time):
        busy = [True]
        hearing = Hearing(is_idle=lambda: not busy[0], ticking=time)
        ring_for(hearing, time, 2 * DEAF_AFTER_S)
        assert not hearing.is_lost()
        busy.clear()
        busy.append(False)
        ring_for(hearing, time, 20)
        assert not hearing.is_lost()

    def test_a_bell_that_another_worker_heard_long_ago_says_nothing(self, time):
        hearing = Hearing(is_idle=lambda: True, ticking=time)
        hearing.rang()
        time.now += 10 * DEAF_AFTER_S
        assert not hearing.is_lost()
        hearing.rang()
        time.now += STILL_RINGING_S / 2
        assert not hearing.is_lost()


@pytest.mark.django_db(transaction=True)
class TestSweeper:
    def test_a_round_gives_a_sign_of_life_and_sweeps_every_room(self, settings, swept):
        settings.SWEEPS = [f"{__name__}.sweep_one", f"{__name__}.sweep_two"]
        Sweeper(Hearing(is_idle=lambda: True)).round()
        assert swept == ["one", "two"]
        assert heartbeats.n_alive("worker", now=clock.now()) == 1

    def test_a_sweep_that_fails_keeps_nobody_else_from_theirs(self, settings, swept, caplog):
        settings.SWEEPS = [f"{__name__}.sweep_badly", f"{__name__}.missing", f"{__name__}.sweep_two"]
        Sweeper(Hearing(is_idle=lambda: True)).round()
        assert swept == ["two"]
        assert caplog.text.count("a sweep failed and is tried again") == 2

    def test_every_sweep_of_the_settings_can_be_called(self, settings):
        for path in settings.SWEEPS:
            assert callable(workers.import_string(path))


_swept: list[str] = []


@pytest.fixture
def swept(monkeypatch) -> list[str]:
    _swept.clear()
    return _swept


def sweep_one() -> None:
    _swept.append("one")


def sweep_two() -> None:
    _swept.append("two")


def sweep_badly() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(("queues", "kind"), [("runs,ratchet", "worker"), ("ratchet", "errands")])
def test_says_what_it_hears_and_counts_no_bell_that_goes_elsewhere(queues: str, kind: str) -> None:
    app = celery.Celery("of the test", set_as_current=True)
    app.amqp.queues.select(queues.split(","))
    try:
        assert workers.kind() == kind
        assert workers.is_heard({"routing_key": "ratchet"})
        assert workers.is_heard({"routing_key": "runs"}) == (kind == "worker")
    finally:
        config.celery_app.set_current()
