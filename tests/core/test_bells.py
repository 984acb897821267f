"""Bells: after the commit, never in the way of a request, and gone when nobody heard them."""

import os
import subprocess
import sys

import pytest
from celery import signals
from django.db import transaction

from core import bells

RINGS = """
import time
import django
django.setup()
import config.celery
from core import bells
for _ in range(3):
    began = time.monotonic()
    taken = bells.ring_now("evals.tasks.sweep")
print(taken, time.monotonic() - began)
"""


@pytest.fixture
def published():
    """The name and the arguments of every bell that the broker took."""
    found = []

    def remember(sender, headers, body, **_):
        found.append((sender, body[0], headers["expires"] is not None))

    signals.after_task_publish.connect(remember)
    yield found
    signals.after_task_publish.disconnect(remember)


@pytest.mark.django_db(transaction=True)
class TestRing:
    def test_is_heard_only_after_the_commit(self, published):
        with transaction.atomic():
            bells.ring("evals.tasks.drain", 7)
            assert published == []
        assert published == [("evals.tasks.drain", (7,), True)]

    def test_is_never_heard_after_a_rollback(self, published):
        with transaction.atomic():
            bells.ring("evals.tasks.drain", 7)
            transaction.set_rollback(True)
        assert published == []

    def test_goes_out_at_once_without_a_transaction(self, published):
        bells.ring("evals.tasks.drain", 7)
        assert len(published) == 1


@pytest.mark.parametrize("broker", ["redis+socket:///nowhere.sock", "redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"])
def test_a_broker_that_is_away_is_said_and_costs_no_time(broker):
    environment = {**os.environ, "CELERY_BROKER_URL": broker, "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(
        [sys.executable, "-c", RINGS], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    taken, seconds = done.stdout.split()
    assert taken == "False"
    assert float(seconds) < 2
    assert "was not taken by the broker" in done.stderr
