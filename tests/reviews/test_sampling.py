"""Which outputs a rule draws, and that nothing is drawn twice."""

import hashlib

import pytest

from core import clock
from ledger import handovers
from ledger.handovers import Claimed
from ledger.models import Handover
from outputs.models import Output
from projects.models import Project
from reviews import tasks
from reviews.models import Item, ItemOutput, Match, Queue, SamplingRule
from reviews.services import rules, sampling
from tests import factories
from tests.reviews import desk

TOPIC = "outputs.stored"


def a_rule(queue: Queue, rate: float = 0.5, **given) -> SamplingRule:
    by = factories.an_actor(queue.project)
    return rules.create_rule(queue=queue, rate=rate, given=given, by=by, now=clock.now())[0]


def outputs_of(project: Project, n: int, **fields) -> list[Output]:
    today = clock.now().date()
    start = Output.objects.count()
    return Output.objects.bulk_create(
        Output(project=project, external_id=f"o{start + i}", body_hash=b"", received_on=today, **fields)
        for i in range(n)
    )


def arrived(*outputs: Output) -> list[Claimed]:
    return [Claimed(outputs[0].project_id, TOPIC, [output.pk for output in outputs])]


def drawn_by(rule: SamplingRule) -> set[int]:
    return set(Match.objects.filter(rule=rule, drawn=True).values_list("output_id", flat=True))


def covered_by(rule: SamplingRule) -> set[int]:
    return set(Match.objects.filter(rule=rule).values_list("output_id", flat=True))


def would_draw(rule: SamplingRule, output: Output) -> bool:
    """The draw as the docs define it, reckoned a second time."""
    digest = hashlib.sha256(bytes(rule.salt) + output.pk.to_bytes(8, "big", signed=True)).hexdigest()
    return int(digest[:13], 16) / 2**52 < rule.rate


@pytest.mark.django_db
class TestDraw:
    def test_is_a_hash_of_salt_and_id(self) -> None:
        rule = a_rule(desk.a_queue(factories.a_project()), 0.3)
        outputs = outputs_of(rule.queue.project, 500)
        drawn = sampling.draw(claimed=arrived(*outputs))
        expected = {output.pk for output in outputs if would_draw(rule, output)}
        assert drawn_by(rule) == expected
        assert covered_by(rule) == {output.pk for output in outputs}
        assert (drawn.n_covered, drawn.n_drawn, drawn.n_items) == (500, len(expected), len(expected))
        assert {int(item.subject_key) for item in Item.objects.all()} == expected
        assert set(ItemOutput.objects.values_list("output_id", flat=True)) == expected

    def test_keeps_the_rate(self) -> None:
        rule = a_rule(desk.a_queue(factories.a_project()), 0.2)
        sampling.draw(claimed=arrived(*outputs_of(rule.queue.project, 4000)))
        # Four standard deviations of a binomial of 4,000 at 0.2 are 101; the salt is random.
        assert abs(len(drawn_by(rule)) - 800) < 120
        assert set(Match.objects.values_list("p", flat=True)) == {0.2}

    def test_takes_everything_at_rate_one(self) -> None:
        rule = a_rule(desk.a_queue(factories.a_project()), 1.0)
        outputs = outputs_of(rule.queue.project, 50)
        sampling.draw(claimed=arrived(*outputs))
        assert drawn_by(rule) == {output.pk for output in outputs}

    def test_changes_nothing_on_a_repeat(self) -> None:
        rule = a_rule(desk.a_queue(factories.a_project()))
        outputs = outputs_of(rule.queue.project, 100)
        sampling.draw(claimed=arrived(*outputs))
        before = (list(Match.objects.values()), list(Item.objects.values()), ItemOutput.objects.count())
        again = sampling.draw(claimed=arrived(*outputs))
        assert (again.n_covered, again.n_items) == (0, 0)
        assert (
            list(Match.objects.values()),
            list(Item.objects.values()),
            ItemOutput.objects.count(),
        ) == before

    def test_makes_one_item_of_an_output_that_two_rules_drew(self) -> None:
        queue = desk.a_queue(factories.a_project())
        first, second = a_rule(queue, 1.0), a_rule(queue, 0.9)
        outputs = outputs_of(queue.project, 30)
        sampling.draw(claimed=arrived(*outputs))
        assert covered_by(first) == covered_by(second)
        assert Item.objects.count() == ItemOutput.objects.count() == 30

    def test_leaves_an_item_that_was_added_by_hand(self) -> None:
        queue = desk.a_queue(factories.a_project())
        (output,) = desk.filled(queue, "by hand")
        rule = a_rule(queue, 1.0)
        sampling.draw(claimed=arrived(output))
        assert drawn_by(rule) == {output.pk}
        assert Item.objects.count() == ItemOutput.objects.count() == 1

    def test_never_reaches_into_another_project(self) -> None:
        mine, theirs = factories.a_project(), factories.a_project()
        rule = a_rule(desk.a_queue(mine), 1.0)
        own, foreign = outputs_of(mine, 3), outputs_of(theirs, 3)
        sampling.draw(claimed=[*arrived(*own), *arrived(*foreign), Claimed(mine.pk, TOPIC, [foreign[0].pk])])
        assert covered_by(rule) == {output.pk for output in own}

    def test_pins_the_rubric_and_overlap_of_the_queue(self) -> None:
        queue = desk.a_queue(factories.a_project(), overlap=3)
        a_rule(queue, 1.0)
        sampling.draw(claimed=arrived(*outputs_of(queue.project, 1)))
        item = Item.objects.get()
        assert (item.rubric, item.overlap, item.state) == (queue.rubric, 3, "open")

    def test_costs_one_statement_a_rule_whatever_arrived(self) -> None:
        queue = desk.a_queue(factories.a_project())
        for rate in (0.2, 0.4, 0.6):
            a_rule(queue, rate)
        for n in (10, 1000):
            outputs = outputs_of(queue.project, n)
            with desk.statements() as found:
                sampling.draw(claimed=arrived(*outputs))
            assert len(found) == 1 + 3


@pytest.mark.django_db
class TestFilter:
    def test_covers_what_has_every_attribute(self) -> None:
        project = factories.a_project()
        prompt = factories.a_prompt(project)
        revision = factories.a_revision(prompt)
        queue = desk.a_queue(project)
        fields = {
            "prompt": prompt,
            "revision": revision,
            "model": "gpt-x",
            "environment": "prod",
            "tags": ["beta", "slow"],
        }
        (full,) = outputs_of(project, 1, **fields)
        others = [outputs_of(project, 1, **{k: v for k, v in fields.items() if k != name})[0] for name in fields]
        given = {
            "prompt": prompt.name,
            "revision": revision.number,
            "model": "gpt-x",
            "environment": "prod",
            "tag": "beta",
        }
        whole = a_rule(queue, 1.0, **given)
        single = {
            name: a_rule(queue, 1.0, **({"prompt": prompt.name} if name == "revision" else {}), **{name: value})
            for name, value in given.items()
        }
        sampling.draw(claimed=arrived(full, *others))
        assert covered_by(whole) == {full.pk}
        for number, name in enumerate(given):
            missing = {others[number].pk} | ({others[0].pk} if name == "revision" else set())
            assert covered_by(single[name]) == {output.pk for output in [full, *others]} - missing, name

    def test_leaves_errors_out_unless_it_asks_for_them(self) -> None:
        project = factories.a_project()
        queue = desk.a_queue(project)
        (fine,) = outputs_of(project, 1)
        (failed,) = outputs_of(project, 1, status=Output.Status.ERROR)
        found = {status: a_rule(queue, 1.0, **given) for status, given in (("", {}), ("ok", {"status": "ok"}))}
        errors = a_rule(queue, 1.0, status="error")
        sampling.draw(claimed=arrived(fine, failed))
        assert covered_by(found[""]) == covered_by(found["ok"]) == {fine.pk}
        assert covered_by(errors) == {failed.pk}


@pytest.mark.django_db(transaction=True)
class TestTask:
    def test_drains_every_handover_and_finds_nothing_the_second_time(self) -> None:
        rule = a_rule(desk.a_queue(factories.a_project()), 1.0)
        outputs = outputs_of(rule.queue.project, 90)
        for start in range(0, 90, 2):
            ids = [output.pk for output in outputs[start : start + 2]]
            handovers.announce(TOPIC, project_id=rule.queue.project_id, ids=ids)
        tasks.sample()
        assert Item.objects.count() == Match.objects.count() == 90
        assert not Handover.objects.filter(consumer=sampling.CONSUMER).exists()
        tasks.sample()
        assert Item.objects.count() == Match.objects.count() == 90

    def test_parks_what_cannot_be_drawn_from_and_goes_on_with_the_others(self) -> None:
        broken, whole = (a_rule(desk.a_queue(factories.a_project()), 1.0) for _ in range(2))
        for rule in (broken, whole):
            (output,) = outputs_of(rule.queue.project, 1)
            handovers.announce(TOPIC, project_id=rule.queue.project_id, ids=[output.pk])
        SamplingRule.objects.filter(pk=broken.pk).update(filter={"status": "gone"})
        tasks.sample()
        parked = Handover.objects.get(consumer=sampling.CONSUMER)
        assert (parked.project_id, parked.reason) == (broken.queue.project_id, "KeyError: 'gone'")
        assert [match.rule for match in Match.objects.all()] == [whole]

    def test_draws_each_output_once_in_two_workers_at_once(self) -> None:
        queue = desk.a_queue(factories.a_project())
        a_rule(queue, 1.0)
        a_rule(queue, 0.5)
        for _ in range(20):
            ids = [output.pk for output in outputs_of(queue.project, 20)]
            handovers.announce(TOPIC, project_id=queue.project_id, ids=ids)
        desk.in_threads(*[tasks.sample] * 3)
        assert not Handover.objects.filter(consumer=sampling.CONSUMER).exists()
        assert Item.objects.count() == ItemOutput.objects.count() == 400
        assert Match.objects.count() == 800
