"""Whatever people do in whatever order and time: places are never given twice, nothing handed in is lost."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core import clock
from core.problems import Conflict
from reviews.models import Claim, Item, Review, Verdict
from reviews.services import assignment
from tests import factories
from tests.reviews import desk

PEOPLE = st.integers(0, 2)
ITEMS = st.integers(0, 1)


class Desk(RuleBasedStateMachine):
    """Three reviewers, two items with overlap 2, a lease of 15 minutes, and a clock that jumps."""

    @initialize()
    def begin(self) -> None:
        self.undo = transaction.atomic()
        self.undo.__enter__()
        project = factories.a_project()
        self.queue = desk.a_queue(project, overlap=2)
        desk.filled(self.queue, "Where is it?", "What does it cost?")
        self.items = list(self.queue.items.order_by("pk").values_list("pk", flat=True))
        self.people = [desk.a_reviewer(project) for _ in range(3)]
        self.now = clock.now()
        self.leases: dict[tuple[int, int], uuid.UUID] = {}
        self.kept: dict[tuple[int, int], Review] = {}
        self.skipped: set[tuple[int, int]] = set()

    def teardown(self) -> None:
        if hasattr(self, "undo"):
            transaction.set_rollback(True)
            self.undo.__exit__(None, None, None)

    @rule(minutes=st.sampled_from([8, 16]))
    def wait(self, minutes: int) -> None:
        self.now += dt.timedelta(minutes=minutes)

    @rule(person=PEOPLE)
    def ask(self, person: int) -> None:
        held = self.held_by(person)
        found = assignment.claim_next(queue_name=self.queue.name, by=self.people[person], now=self.now)
        if found is None:
            assert held is None, "whoever holds an item gets it again"
            assert not self.places_for(person), "nobody goes away while a place is free"
            return
        item = self.items.index(found.task.item.pk)
        assert held in (None, item)
        assert (person, item) not in self.kept
        assert (person, item) not in self.skipped
        if held is None:
            assert item == min([*self.places_for(person), item])
        self.leases[person, item] = found.lease

    @rule(person=PEOPLE)
    def ask_again(self, person: int) -> None:
        self.ask(person)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), says=st.sampled_from(["yes", "yes", "no"]))
    def hand_in_what_was_asked_for(self, data: st.DataObject, says: str) -> None:
        self.hand_in(*data.draw(st.sampled_from(sorted(self.leases))), says)

    @rule(person=PEOPLE, item=ITEMS)
    def hand_in_whatever(self, person: int, item: int) -> None:
        self.hand_in(person, item, "yes")

    @rule(person=PEOPLE, item=ITEMS, how=st.sampled_from(["skip", "release", "release"]))
    def put_down(self, person: int, item: int, how: str) -> None:
        getattr(self, how)(person, item)

    def hand_in(self, person: int, item: int, says: str) -> None:
        lease = self.leases.get((person, item), uuid.UUID(int=0))
        may = self.may_hand_in(person, item, says)
        handed_in: dict[str, Any] = {"rubric_version": 1, "answers": {"correct": says}}
        try:
            review = assignment.submit_review(
                item_id=self.items[item],
                lease=lease,
                handed_in=assignment.HandedIn(**handed_in),
                by=self.people[person],
                now=self.now,
            )
        except Conflict:
            assert not may
            return
        assert may
        assert self.kept.setdefault((person, item), review).pk == review.pk

    def skip(self, person: int, item: int) -> None:
        try:
            assignment.skip(item_id=self.items[item], reason="x", by=self.people[person], now=self.now)
        except Conflict:
            assert (person, item) in self.kept or self.state_of(item) != "open"
            return
        self.skipped.add((person, item))
        if (person, item) not in self.kept:
            self.leases.pop((person, item), None)

    def release(self, person: int, item: int) -> None:
        assignment.release(item_id=self.items[item], by=self.people[person])
        if (person, item) not in self.kept:
            self.leases.pop((person, item), None)

    @invariant()
    def nobody_has_a_place_too_many(self) -> None:
        for item in Item.objects.filter(queue=self.queue) if hasattr(self, "queue") else []:
            people = [claim.reviewer for claim in item.claims.filter(lease_until__gt=self.now)]
            people += item.reviews.values_list("reviewer", flat=True)
            assert len(set(people)) == len(people) <= item.overlap

    @invariant()
    def all_that_was_kept_is_there(self) -> None:
        if not hasattr(self, "queue"):
            return
        assert Review.objects.filter(item__queue=self.queue).count() == len(self.kept)
        for number, pk in enumerate(self.items):
            said = [review.answers for (_, item), review in self.kept.items() if item == number]
            state = {0: "open", 1: "open"}.get(
                len(said), "settled" if len(said) == 2 and said[0] == said[1] else "disputed"
            )
            assert self.state_of(number) == state
            assert Verdict.objects.filter(item=pk).count() == (state == "settled")

    def state_of(self, item: int) -> str:
        return Item.objects.get(pk=self.items[item]).state

    def live(self, item: int, *, but: int) -> int:
        """How many others hold the item now."""
        claims = Claim.objects.filter(item=self.items[item], lease_until__gt=self.now)
        return claims.exclude(reviewer=self.people[but].identity).count()

    def held_by(self, person: int) -> int | None:
        claim = Claim.objects.filter(
            reviewer=self.people[person].identity,
            lease_until__gt=self.now,
            item__in=self.items,
            item__state="open",
        ).first()
        return None if claim is None else self.items.index(claim.item_id)

    def places_for(self, person: int) -> list[int]:
        """The items that still need this person."""
        return [
            item
            for item in range(2)
            if self.state_of(item) == "open"
            and (person, item) not in self.kept
            and (person, item) not in self.skipped
            and self.n_kept(item) + self.live(item, but=person) < 2
        ]

    def n_kept(self, item: int) -> int:
        return sum(1 for _, number in self.kept if number == item)

    def may_hand_in(self, person: int, item: int, says: str) -> bool:
        if (person, item) in self.kept:
            return self.kept[person, item].answers == {"correct": says}
        claim = Claim.objects.filter(item=self.items[item], reviewer=self.people[person].identity).first()
        if claim is None or self.leases.get((person, item)) != claim.token or self.state_of(item) != "open":
            return False
        return claim.lease_until > self.now or self.n_kept(item) + self.live(item, but=person) < 2


@pytest.mark.django_db
def test_the_desk_keeps_its_promises() -> None:
    run_state_machine_as_test(
        Desk,
        settings=settings(
            max_examples=8,
            stateful_step_count=40,
            # A failure is shown as it was found: shrinking takes minutes of statements.
            phases=[Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )
