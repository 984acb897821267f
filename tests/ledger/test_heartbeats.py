import datetime as dt

import pytest

from ledger import heartbeats

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def test_counts_each_living_process_of_a_kind_once():
    heartbeats.beat("worker:a", kind="worker", now=NOW)
    heartbeats.beat("worker:a", kind="worker", now=NOW)
    heartbeats.beat("worker:b", kind="worker", now=NOW)
    heartbeats.beat("beat:a", kind="beat", now=NOW)
    assert heartbeats.n_alive("worker", now=NOW + heartbeats.FRESH) == 2


def test_who_was_silent_for_twenty_seconds_is_not_alive():
    heartbeats.beat("worker:a", kind="worker", now=NOW)
    assert heartbeats.n_alive("worker", now=NOW + heartbeats.FRESH + dt.timedelta(seconds=1)) == 0


def test_who_was_silent_for_a_day_is_forgotten_once():
    heartbeats.beat("worker:a", kind="worker", now=NOW)
    heartbeats.beat("worker:b", kind="worker", now=NOW + dt.timedelta(days=2))
    assert heartbeats.forget(now=NOW + dt.timedelta(days=2)) == 1
    assert heartbeats.forget(now=NOW + dt.timedelta(days=2)) == 0
