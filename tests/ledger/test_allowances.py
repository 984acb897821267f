import datetime as dt
import threading

import pytest
from django.db import connection

from ledger import allowances
from ledger.models import Allowance, AllowanceHold

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
LEASE = dt.timedelta(seconds=20)


def taken(key: str = "k") -> int:
    return Allowance.objects.get(key=key).taken


def hold(holder: str, want: int, *, now: dt.datetime = NOW, in_use: int = 0, key: str = "k") -> int:
    return allowances.hold(key, holder=holder, want=want, in_use=in_use, now=now, lease=LEASE)


class TestSpend:
    def test_grants_what_is_left_and_then_nothing(self):
        allowances.open_allowance("k", capacity=5)
        assert [allowances.spend("k", 3), allowances.spend("k", 3), allowances.spend("k", 3)] == [3, 2, 0]

    def test_an_unknown_allowance_grants_nothing(self):
        assert allowances.spend("nobody", 3) == 0

    def test_what_comes_back_can_be_spent_again(self):
        allowances.open_allowance("k", capacity=5)
        allowances.spend("k", 5)
        allowances.give_back("k", 2)
        assert allowances.spend("k", 9) == 2

    def test_opening_again_keeps_what_is_taken(self):
        allowances.open_allowance("k", capacity=5)
        allowances.spend("k", 4)
        allowances.open_allowance("k", capacity=9)
        assert taken() == 4
        allowances.open_allowance("k", capacity=2)
        assert (taken(), allowances.spend("k", 1)) == (4, 0)

    @pytest.mark.django_db(transaction=True)
    def test_never_grants_more_than_there_is_to_many_at_once(self):
        allowances.open_allowance("k", capacity=50)
        granted: list[int] = []
        line = threading.Barrier(6)

        def spend_often() -> None:
            try:
                line.wait()
                granted.extend(allowances.spend("k", 3) for _ in range(5))
            finally:
                connection.close()

        threads = [threading.Thread(target=spend_often) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(granted) == 50


class TestHold:
    def test_one_alone_gets_everything(self):
        allowances.open_allowance("k", capacity=10)
        assert hold("a", 100) == 10
        assert hold("a", 3) == 3

    def test_two_settle_at_equal_shares(self):
        allowances.open_allowance("k", capacity=10)
        assert hold("a", 10) == 10
        assert hold("b", 10) == 0
        assert hold("a", 10) == 5
        assert hold("b", 10) == 5

    def test_what_is_in_use_is_not_given_to_others(self):
        allowances.open_allowance("k", capacity=10)
        hold("a", 10)
        hold("b", 10)
        assert hold("a", 10, in_use=8) == 5
        assert hold("b", 10) == 2
        assert hold("a", 10, in_use=5) == 5
        assert hold("b", 10) == 5

    def test_a_hold_that_ended_is_taken_back(self):
        allowances.open_allowance("k", capacity=10)
        hold("a", 10)
        later = NOW + LEASE + dt.timedelta(seconds=1)
        assert allowances.holders("k", now=later) == []
        assert hold("b", 10, now=later) == 10

    def test_release_makes_room_and_a_repeat_does_nothing(self):
        allowances.open_allowance("k", capacity=10)
        hold("a", 10)
        allowances.release("k", holder="a")
        allowances.release("k", holder="a")
        assert hold("b", 10) == 10
        assert allowances.holders("k", now=NOW) == ["b"]

    def test_of_an_unknown_allowance_nothing_is_held(self):
        assert hold("a", 10) == 0

    def test_closing_ends_every_hold(self):
        allowances.open_allowance("k", capacity=10)
        hold("a", 10)
        allowances.close_allowance("k")
        allowances.close_allowance("k")
        assert not AllowanceHold.objects.exists()
