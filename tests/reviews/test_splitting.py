"""Exam or textbook: dealt once by group, never moved."""

import pytest

from core.similarity import folding
from prompts.models import Prompt
from reviews.models import Item, Part, PartSplit, Verdict
from reviews.services import splitting
from tests import factories
from tests.reviews import desk

LONG = "My bike was to come on Monday, it is Thursday now, and nobody of your team answers the phone at all."
NEAR = LONG.replace("Thursday", "Thursdays")


def settled(prompt: Prompt, *texts: str) -> list[Verdict]:
    """Verdicts on outputs with these inputs, in this order."""
    project = prompt.project
    queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
    desk.filled(queue, *texts, prompt=prompt)
    return [desk.reviewed(queue, reviewer).verdicts.get() for _ in texts]


def parts_of(shares: Prompt, n: int = 4000) -> dict[str, int]:
    dealt = [splitting.part_of(f"text {number}", hash_key=b"k" * 32, shares=shares) for number in range(n)]
    return {part: dealt.count(part) for part in Part}


def test_deals_by_the_shares() -> None:
    # Four standard deviations of a binomial of 4,000 at 0.2 are 101, at 0.6 124.
    found = parts_of(Prompt())
    assert abs(found["gate"] - 800) < 110
    assert abs(found["dev"] - 800) < 110
    assert abs(found["teach"] - 2400) < 130


@pytest.mark.parametrize("part", Part)
def test_deals_everything_to_a_part_that_has_it_all(part: Part) -> None:
    shares = {f"{name}_share": 100 if name == part else 0 for name in Part}
    assert parts_of(Prompt(**shares), 500)[part] == 500


def test_deals_otherwise_under_another_key() -> None:
    dealt = [
        [splitting.part_of(f"text {n}", hash_key=key * 32, shares=Prompt()) for n in range(100)] for key in (b"a", b"b")
    ]
    assert dealt[0] != dealt[1]


@pytest.mark.django_db
class TestGroups:
    def test_are_joined_by_equal_and_nearly_equal_inputs(self) -> None:
        verdicts = settled(factories.a_prompt(factories.a_project()), LONG, LONG.upper(), NEAR, "Where is it?")
        groups = [verdict.split_id for verdict in verdicts]
        assert groups[0] == groups[1] == groups[2] != groups[3]
        assert PartSplit.objects.count() == 2
        assert PartSplit.objects.order_by("pk")[0].text == folding.fold(LONG)
        assert all(verdict.part == verdict.split.part for verdict in verdicts)

    def test_are_told_apart_where_texts_share_a_band_and_little_else(self) -> None:
        prompt = factories.a_prompt(factories.a_project())
        (first,) = settled(prompt, LONG)
        # As a false candidate would: a stored group with the very bands of another text.
        PartSplit.objects.update(text="something else altogether, to be told apart", text_hash=b"other")
        (second,) = settled(prompt, LONG)
        assert second.split_id != first.split_id

    def test_take_the_earliest_of_several_that_are_near(self) -> None:
        prompt = factories.a_prompt(factories.a_project())
        (first,) = settled(prompt, LONG)
        split = PartSplit.objects.get()
        PartSplit.objects.create(
            project=split.project,
            prompt=prompt,
            text=split.text + " x",
            text_hash=b"other",
            bands=split.bands,
            part="dev",
        )
        (second,) = settled(prompt, NEAR)
        assert second.split_id == first.split_id

    def test_belong_to_one_prompt(self) -> None:
        project = factories.a_project()
        found = [settled(factories.a_prompt(project, name), LONG)[0] for name in ("intent", "reply")]
        assert found[0].split_id != found[1].split_id
        # The deal is by project and text, so equal texts fall alike.
        assert found[0].part == found[1].part

    def test_belong_to_the_project_where_there_is_no_prompt(self) -> None:
        groups = []
        for _ in range(2):
            project = factories.a_project()
            queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
            desk.filled(queue, LONG, NEAR)
            groups.append({desk.reviewed(queue, reviewer).verdicts.get().split_id for _ in range(2)})
        assert [len(found) for found in groups] == [1, 1]
        assert groups[0] != groups[1]

    def test_stay_where_they_are_when_the_shares_change(self) -> None:
        prompt = factories.a_prompt(factories.a_project())
        set_shares(prompt, gate=100)
        (before,) = settled(prompt, LONG)
        set_shares(prompt, teach=100)
        near, new = settled(prompt, NEAR, "Where is it?")
        assert [verdict.part for verdict in (before, near, new)] == [Part.GATE, Part.GATE, Part.TEACH]

    def test_are_made_of_what_the_user_said(self) -> None:
        project = factories.a_project()
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        messages = [{"role": "system", "content": "Sort."}, {"role": "user", "content": "Where is it?"}]
        desk.filled(queue, messages, [*messages[1:], {"role": "assistant", "content": "?"}], [{"role": "system"}])
        groups = [desk.reviewed(queue, reviewer).verdicts.get().split for _ in range(3)]
        assert groups[0] == groups[1]
        assert groups[0].text == folding.fold("Where is it?")
        assert groups[2].text == folding.fold('[{"role": "system"}]')


@pytest.mark.django_db(transaction=True)
def test_two_verdicts_at_once_found_one_group() -> None:
    prompt = factories.a_prompt(factories.a_project())
    for round_ in range(5):
        queues = [desk.a_queue(prompt.project) for _ in range(4)]
        texts = [f"{LONG} Round {round_}.", f"{NEAR} Round {round_}."] * 2
        held = []
        for queue, text in zip(queues, texts, strict=True):
            desk.filled(queue, text, prompt=prompt)
            reviewer = desk.a_reviewer(prompt.project)
            held.append((desk.next_of(queue, reviewer), reviewer))
        desk.in_threads(*[lambda one=one: desk.hand_in(*one) for one in held])
        assert Verdict.objects.filter(item__queue__in=queues).values("split").distinct().count() == 1
    assert Item.objects.filter(state="settled").count() == 20


def set_shares(prompt: Prompt, *, gate: int = 0, dev: int = 0, teach: int = 0) -> None:
    Prompt.objects.filter(pk=prompt.pk).update(gate_share=gate, dev_share=dev, teach_share=teach)
