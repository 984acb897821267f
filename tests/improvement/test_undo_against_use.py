"""A review is taken back while somebody builds on what it settled: one comes first, and the other sees it."""

import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from core import clock
from evals import imports
from evals.models import GoldenCase
from evals.services import golden
from improvement import services as improvement
from improvement.models import Origin
from projects.access import Actor
from prompts.models import Prompt
from reviews.models import Part, PartSplit, Queue, Verdict
from reviews.services import withdrawals
from reviews.services.withdrawals import BuiltUpon
from tests import factories
from tests.reviews import desk

pytestmark = pytest.mark.django_db(transaction=True)

FIX = {"key": "fix", "type": "correction", "text": "Right would be"}


class Room:
    """A prompt whose one output was just corrected by one reviewer, who may still take that back."""

    def __init__(self, part: Part) -> None:
        self.project = factories.a_project()
        self.prompt: Prompt = factories.a_prompt(self.project)
        factories.a_revision(self.prompt, ("Hello", "greeting"))
        self.reviewer: Actor = desk.a_reviewer(self.project)
        self.queue: Queue = desk.a_queue(self.project, rubric=desk.a_rubric(self.project, "", FIX))
        desk.filled(self.queue, "Where is my bike?", prompt=self.prompt)
        self.item = desk.reviewed(self.queue, self.reviewer, desk.NO, correction="delivery")
        PartSplit.objects.update(part=part)
        Verdict.objects.update(part=part)

    def undo(self) -> None:
        withdrawals.withdraw(queue_name=self.queue.name, item_id=self.item.pk, by=self.reviewer, now=clock.now())


def taught(room: Room) -> None:
    """A proposal is built."""
    improvement.build(proposal_id=factories.a_proposal(room.prompt).pk, now=clock.now())


def examined(room: Room) -> None:
    """The draft of an exam takes up what was settled."""
    by = factories.an_actor(room.project)
    exam, _ = golden.create_set(name="exam", prompt=room.prompt, description="", by=by, now=clock.now())
    imports.into_draft(exam, {}, form="verdicts", by=by, now=clock.now())


BOTH = pytest.mark.parametrize(("part", "build"), [(Part.TEACH, taught), (Part.GATE, examined)])


def someone_waits() -> bool:
    """Whether a connection waits for a lock of this one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
        return bool(cursor.fetchone()[0])


def until_someone_waits() -> None:
    last = time.monotonic() + 20
    while not someone_waits():
        assert time.monotonic() < last, "nobody waits"


def first_and_second(first: Callable[[], None], second: Callable[[], None]) -> None:
    """`first` is done and not yet committed when `second` begins, and is committed once that waits for it."""
    is_done = threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                first()
                is_done.set()
                until_someone_waits()
        finally:
            is_done.set()

    def follow() -> None:
        assert is_done.wait(timeout=20)
        second()

    desk.in_threads(hold, follow)


@BOTH
def test_nothing_is_built_on_a_verdict_that_is_being_taken_back(part: Part, build: Callable[[Room], None]) -> None:
    room = Room(part)
    first_and_second(room.undo, lambda: build(room))
    assert Verdict.objects.get().replaced_at is not None
    assert not Origin.objects.exists()
    assert not GoldenCase.objects.exists()


@BOTH
def test_a_verdict_that_is_being_built_on_is_not_taken_back(part: Part, build: Callable[[Room], None]) -> None:
    room = Room(part)

    def undo() -> None:
        with pytest.raises(BuiltUpon):
            room.undo()

    first_and_second(lambda: build(room), undo)
    assert Verdict.objects.get().replaced_at is None
    assert Origin.objects.exists() or GoldenCase.objects.exists()
