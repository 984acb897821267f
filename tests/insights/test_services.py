"""Rollups equal the rows they were reckoned from, whatever happened in between."""

import datetime as dt
import random
from collections import defaultdict
from decimal import Decimal
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from django.db import connection

from core import clock
from insights import services, sketch, tasks
from insights.models import Grain, QualityRollup, Rollup, StaleHour
from ledger.models import Handover
from outputs.models import Output
from projects.models import Project
from reviews import draw_queries, estimation
from reviews.models import Item, Match, Verdict
from reviews.services import adjudication
from tests import factories
from tests.insights import production
from tests.reviews import desk

DAY = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)


@pytest.fixture
def project(db: None) -> Project:
    return factories.a_project()


def cell_of(output: Output) -> tuple[Any, ...]:
    return output.prompt_id, output.revision_id, output.model, output.environment


def expected_volumes(project: Project, grain: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The rollups of all outputs, reckoned from the rows in plain Python."""
    cells: dict[tuple[Any, ...], list[Output]] = defaultdict(list)
    for output in Output.objects.of(project.pk):
        start = output.received_at.replace(minute=0, second=0, microsecond=0)
        cells[(start if grain == Grain.HOUR else start.replace(hour=0), *cell_of(output))].append(output)
    return {key: volume_of(outputs) for key, outputs in cells.items()}


def volume_of(outputs: list[Output]) -> tuple[Any, ...]:
    buckets: dict[str, int] = defaultdict(int)
    for output in outputs:
        if output.latency_ms is not None:
            buckets[str(sketch.bucket_of(output.latency_ms))] += 1
    return (
        len(outputs),
        sum(output.status == Output.Status.ERROR for output in outputs),
        sum(output.cost_usd is None for output in outputs),
        sum((output.cost_usd or Decimal(0) for output in outputs), start=Decimal(0)),
        sum(output.input_tokens or 0 for output in outputs),
        sum(output.output_tokens or 0 for output in outputs),
        sum(output.cached_input_tokens or 0 for output in outputs),
        sum(output.cost_usd is None and None in (output.input_tokens, output.output_tokens) for output in outputs),
        sum(output.input_tokens or 0 for output in outputs if output.cost_usd is None),
        sum(output.output_tokens or 0 for output in outputs if output.cost_usd is None),
        dict(buckets),
    )


def found_volumes(project: Project, grain: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return {
        (row.starts_at, row.prompt_id, row.revision_id, row.model, row.environment): (
            row.n,
            row.n_errors,
            row.n_unpriced,
            row.cost_usd,
            row.input_tokens,
            row.output_tokens,
            row.cached_input_tokens,
            row.n_uncounted,
            row.unpriced_input_tokens,
            row.unpriced_output_tokens,
            row.latency,
        )
        for row in Rollup.objects.filter(project=project, grain=grain)
    }


def expected_sums(project: Project, grain: str) -> dict[tuple[Any, ...], estimation.Sums]:
    """The sums of quality, output by output, from matches and verdicts."""
    firsts = draw_queries.first_versions(project.pk)
    found: dict[tuple[Any, ...], estimation.Sums] = defaultdict(estimation.Sums)
    for output in Output.objects.of(project.pk).filter(status=Output.Status.OK):
        matches = Match.objects.filter(output=output).select_related("rule__queue")
        by_question: dict[int, list[Match]] = defaultdict(list)
        for match in matches:
            by_question[firsts[match.rule.queue.rubric_id]].append(match)
        start = output.received_at.replace(minute=0, second=0, microsecond=0)
        for question, covering in by_question.items():
            pi = 1 - float(np.prod([1 - match.p for match in covering]))
            is_drawn = any(match.drawn for match in covering)
            verdicts = Verdict.objects.filter(
                item__item_outputs__output=output,
                replaced_at=None,
                item__rubric_id__in=[r for r, f in firsts.items() if f == question],
            )
            one = estimation.Sums(n_covered=1, n_drawn=int(is_drawn))
            if is_drawn and verdicts:
                quality = float(np.mean([verdict.quality for verdict in verdicts]))
                one += estimation.sums(np.array([pi]), np.array([quality]))
            key = (start if grain == Grain.HOUR else start.replace(hour=0), *cell_of(output), question)
            found[key] += one
    return dict(found)


def found_sums(project: Project, grain: str) -> dict[tuple[Any, ...], estimation.Sums]:
    names = list(estimation.Sums.__dataclass_fields__)
    return {
        (row.starts_at, row.prompt_id, row.revision_id, row.model, row.environment, row.rubric_id): estimation.Sums(
            **{name: getattr(row, name) for name in names}
        )
        for row in QualityRollup.objects.filter(project=project, grain=grain)
    }


def equal_their_rows(project: Project) -> None:
    for grain in Grain.values:
        assert found_volumes(project, grain) == expected_volumes(project, grain)
        found, expected = found_sums(project, grain), expected_sums(project, grain)
        assert found.keys() == expected.keys()
        for key, sums in expected.items():
            for name in estimation.Sums.__dataclass_fields__:
                value = getattr(sums, name)
                assert getattr(found[key], name) == (value if value is None else pytest.approx(value)), (key, name)


def mixed_traffic(project: Project, dice: random.Random) -> list[Output]:
    """Two days of outputs of two prompts and models, some without a price, a latency or success."""
    prompts = [factories.a_prompt(project, name) for name in ("one", "two")]
    revision = factories.a_revision(prompts[0])
    made = []
    for number in range(160):
        which = dice.randrange(3)
        made += production.arrive(
            project,
            DAY + dt.timedelta(minutes=dice.randrange(2 * 24 * 60)),
            prompt=prompts[which] if which < 2 else None,
            revision=revision if which == 0 and number % 2 else None,
            model=dice.choice(["small", "large", ""]),
            environment=dice.choice(["", "eu"]),
            status=int(dice.random() < 0.1),
            latency_ms=None if number % 7 == 0 else dice.lognormvariate(6, 1),
            cost_usd=None if number % 5 == 0 else Decimal("0.000123456"),
            input_tokens=dice.choice([None, 10]),
            output_tokens=20,
        )
    return made


def sampled_and_settled(project: Project, dice: random.Random) -> list[Output]:
    """Mixed traffic under rules of three queues, two of which ask the same; most draws are settled."""
    outputs = mixed_traffic(project, dice)
    first, other = desk.a_queue(project), desk.a_queue(project)
    same = desk.a_queue(project, rubric=first.rubric)
    production.a_rule(first, 0.4, prompt="one")
    production.a_rule(first, 0.5)
    production.a_rule(same, 0.3, model="small")
    production.a_rule(other, 0.6, model="small")
    production.draw(outputs)
    settled = [item for item in production.items_of(outputs) if dice.random() < 0.7]
    production.settle(settled, lambda item: dice.choice([0.0, 0.5, 1.0]))
    return outputs


class TestRollUp:
    def test_equals_the_rows(self, project: Project) -> None:
        sampled_and_settled(project, random.Random(1))
        assert production.roll_up() > 24
        assert QualityRollup.objects.filter(grain=Grain.DAY, n_settled__gt=0).count() > 4
        equal_their_rows(project)

    def test_reckons_anew_what_changed_later(self, project: Project) -> None:
        dice = random.Random(2)
        outputs = sampled_and_settled(project, dice)
        production.roll_up()
        waiting = Item.objects.of(project.pk).exclude(state=Item.State.SETTLED)
        production.settle(waiting, lambda item: 1.0)
        late = production.arrive(project, outputs[0].received_at, 3, model="late")
        production.draw(late)
        assert 0 < production.roll_up() <= 48
        equal_their_rows(project)

    def test_twice_changes_nothing(self, project: Project) -> None:
        sampled_and_settled(project, random.Random(3))
        production.roll_up()
        before = found_volumes(project, Grain.DAY), found_sums(project, Grain.HOUR)
        assert production.roll_up() == 0
        StaleHour.objects.create(project=project, hour=DAY)
        StaleHour.objects.create(project=project, hour=DAY)
        assert production.roll_up() == 1
        assert (found_volumes(project, Grain.DAY), found_sums(project, Grain.HOUR)) == before

    def test_follows_a_verdict_that_replaces_another(self, project: Project) -> None:
        queue = desk.a_queue(project)
        production.a_rule(queue, 1.0)
        outputs = production.arrive(project, DAY, 6)
        production.draw(outputs)
        production.settle(production.items_of(outputs), lambda item: 1.0)
        production.roll_up()
        Verdict.objects.filter(item=production.items_of(outputs)[0]).update(replaced_at=clock.now())
        StaleHour.objects.create(project=project, hour=DAY)
        production.roll_up()
        assert QualityRollup.objects.get(grain=Grain.DAY).n_settled == 5
        equal_their_rows(project)

    def test_counts_a_verdict_on_what_no_rule_drew_for_nothing(self, project: Project) -> None:
        queue = desk.a_queue(project)
        production.a_rule(queue, 0.000001)
        outputs = desk.filled(queue, *[f"by hand {number}" for number in range(5)])
        production.draw(outputs)
        production.settle(Item.objects.of(project.pk), lambda item: 1.0)
        production.roll_up()
        day = QualityRollup.objects.get(grain=Grain.DAY)
        assert (day.n_covered, day.n_drawn, day.n_settled, day.w) == (5, 0, 0, 0.0)

    def test_leaves_errors_outside_the_quality_population(self, project: Project) -> None:
        queue = desk.a_queue(project)
        production.a_rule(queue, 1.0)
        production.a_rule(queue, 1.0, status="error")
        outputs = production.arrive(project, DAY, 2) + production.arrive(project, DAY, 3, status=1)
        production.draw(outputs)
        production.settle(production.items_of(outputs), lambda item: 1.0)
        production.roll_up()
        assert QualityRollup.objects.get(grain=Grain.DAY).n_covered == 2
        assert Rollup.objects.get(grain=Grain.DAY).n_errors == 3

    def test_starts_another_series_where_the_question_changes(self, project: Project) -> None:
        queue = desk.a_queue(project)
        production.a_rule(queue, 1.0)
        before = production.arrive(project, DAY, 4)
        production.draw(before)
        first = queue.rubric
        queue.rubric = desk.a_rubric(project)
        queue.save()
        after = production.arrive(project, DAY + dt.timedelta(days=1), 5)
        production.draw(after)
        production.settle(production.items_of(before + after), lambda item: 1.0)
        production.roll_up()
        # Later changes of the queue leave what was drawn where it was.
        StaleHour.objects.create(project=project, hour=DAY)
        production.roll_up()
        days = QualityRollup.objects.filter(grain=Grain.DAY).order_by("starts_at").values_list("rubric_id", "n_settled")
        assert list(days) == [(first.pk, 4), (queue.rubric.pk, 5)]

    def test_goes_on_with_the_series_where_another_question_changes(self, project: Project) -> None:
        first = desk.a_rubric(project, "support")
        more = {"key": "why", "type": "text", "text": "Why?"}
        second = desk.a_rubric(project, "support", more)
        assert second.pk != first.pk
        assert draw_queries.first_versions(project.pk) == {first.pk: first.pk, second.pk: first.pk}

    def test_never_mixes_projects(self, project: Project) -> None:
        other = factories.a_project()
        production.arrive(project, DAY, 2)
        production.arrive(other, DAY, 3)
        production.roll_up()
        counts = Rollup.objects.filter(grain=Grain.DAY).values_list("project", "n")
        assert set(counts) == {(project.pk, 2), (other.pk, 3)}

    def test_of_an_hour_is_a_fixed_number_of_statements(self, project: Project) -> None:
        counts = []
        for n in (3, 60):
            production.a_rule(desk.a_queue(project), 1.0)
            production.draw(production.arrive(project, DAY, n))
            services.note_waiting(now=clock.now(), seconds=60)
            with desk.statements() as found:
                services.roll_up_a_day()
            counts.append(len(found))
        assert counts[0] == counts[1]


class TestNote:
    def test_follows_a_review_and_a_draw_through_their_services(self, project: Project) -> None:
        queue, reviewer = desk.a_queue(project), desk.a_reviewer(project)
        production.a_rule(queue, 1.0)
        (output,) = [factories.an_output(project, text="Where?")]
        production.draw([output])
        assert topics() == ["outputs.sampled"]
        desk.reviewed(queue, reviewer)
        assert topics() == ["items.settled", "outputs.sampled"]
        production.roll_up()
        assert QualityRollup.objects.get(grain=Grain.DAY).n_settled == 1
        item = Item.objects.get()
        by = factories.an_actor(project)
        adjudication.adjudicate(
            item_id=item.pk, answers=desk.NO, correction=None, rationale="no", by=by, now=clock.now()
        )
        assert topics() == ["items.settled"]
        production.roll_up()
        assert QualityRollup.objects.get(grain=Grain.DAY).wy == 0
        equal_their_rows(project)

    def test_takes_hand_overs_and_hours_together(self, project: Project) -> None:
        production.arrive(project, DAY, 2)
        production.arrive(project, DAY, 2)
        tasks.note()
        assert not Handover.objects.filter(consumer=services.CONSUMER).exists()
        assert set(StaleHour.objects.values_list("hour", flat=True)) == {DAY}
        tasks.roll_up()
        assert not StaleHour.objects.exists()

    def test_leaves_what_was_not_reached_in_time(self, project: Project) -> None:
        for hour in range(30):
            production.arrive(project, DAY + dt.timedelta(hours=hour))
        assert not services.note_waiting(now=clock.now(), seconds=-1)
        assert services.note_waiting(now=clock.now(), seconds=60)


def topics() -> list[str]:
    return sorted(set(Handover.objects.filter(consumer=services.CONSUMER).values_list("topic", flat=True)))


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_reckon_each_day_right() -> None:
    project = factories.a_project()
    for number in range(12):
        production.arrive(project, DAY + dt.timedelta(hours=5 * number), 5)
    services.note_waiting(now=clock.now(), seconds=60)
    StaleHour.objects.bulk_create(StaleHour(project=project, hour=one.hour) for one in list(StaleHour.objects.all()))
    desk.in_threads(*[lambda: services.roll_up(seconds=60)] * 4)
    assert not StaleHour.objects.exists()
    equal_their_rows(project)


@pytest.mark.django_db(transaction=True)
def test_what_arrived_before_the_room_existed_is_stale_once() -> None:
    project = factories.a_project()
    production.arrive(project, DAY, 3)
    production.arrive(project, DAY + dt.timedelta(hours=30), 3)
    Handover.objects.all().delete()
    migration = import_module("insights.migrations.0002_every_hour_that_was_is_stale").Migration
    with connection.cursor() as cursor:
        cursor.execute(migration.operations[0].sql)
    assert services.roll_up(seconds=60) == 2
    equal_their_rows(project)
