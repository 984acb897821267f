"""Every task is run twice: the second time nothing more happens."""

from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app
from django.apps import apps
from django.db import connection

from core import clock
from evals.models import Comparison, Run
from evals.services import comparisons
from ledger import handovers
from reviews.models import SamplingRule
from tests import factories
from tests.conventions.world import World, a_world

# What each task is told; a task that is missing here fails the test.
TOLD: dict[str, Callable[[World], list[Any]]] = {
    "connections.tasks.relay": lambda world: [],
    "connections.tasks.sweep": lambda world: [],
    "evals.tasks.compare": lambda world: [_a_comparison(world).pk],
    "evals.tasks.drain": lambda world: [int(world.ids["run"])],
    "evals.tasks.forget": lambda world: [],
    "evals.tasks.sweep": lambda world: [],
    "evals.tasks.try_out": lambda world: [int(world.ids["tryout"])],
    "improvement.tasks.build": lambda world: [int(world.ids["proposal"])],
    "improvement.tasks.sweep": lambda world: [],
    "insights.tasks.note": lambda world: [],
    "insights.tasks.roll_up": lambda world: [],
    "ledger.tasks.forget": lambda world: [],
    "ledger.tasks.sweep": lambda world: [],
    "outputs.tasks.index_texts": lambda world: [],
    "outputs.tasks.fill_contents": lambda world: [],
    "outputs.tasks.make_partitions": lambda world: [],
    "outputs.tasks.sum_up_tallies": lambda world: [],
    "outputs.tasks.reprice": lambda world: [int(world.ids["repricing"])],
    "outputs.tasks.sweep": lambda world: [],
    "outputs.tasks.take_import": lambda world: [int(world.ids["import"])],
    "prompts.tasks.build_index": lambda world: [world.project.prompts.get().revisions.first().pk],
    "prompts.tasks.sweep": lambda world: [],
    "reviews.tasks.sample": lambda world: [],
    "reviews.tasks.sweep": lambda world: [],
    "reviews.tasks.tell": lambda world: [],
    "reviews.tasks.take_in": lambda world: [int(world.ids["intake"])],
}
# A sign of life or the moment of a look is no effect.
UNCOUNTED = {"ledger_heartbeat"}


def _a_comparison(world: World) -> Comparison:
    run = Run.objects.get(pk=world.ids["run"])
    by = factories.an_actor(world.project)
    return comparisons.ask(candidate=run, baseline=run.baseline, by=by, now=clock.now())


@pytest.fixture
def world(transactional_db: None) -> World:
    """One of everything, and outputs that wait to be sampled."""
    made = a_world()
    prompt = made.project.prompts.get()
    SamplingRule.objects.create(queue=factories.a_queue(made.project), rate=0.5, salt=b"0" * 16)
    outputs = [factories.an_output(made.project, prompt, text=f"Number {number}?") for number in range(20)]
    handovers.announce("outputs.stored", project_id=made.project.pk, ids=[output.pk for output in outputs])
    return made


def test_the_table_names_every_task() -> None:
    current_app.loader.import_default_modules()
    assert set(TOLD) == {name for name in current_app.tasks if not name.startswith("celery.")}


@pytest.mark.parametrize("name", sorted(TOLD))
def test_a_second_bell_changes_nothing(name: str, world: World) -> None:
    current_app.loader.import_default_modules()
    told = TOLD[name](world)
    current_app.tasks[name](*told)
    after_first = contents()
    current_app.tasks[name](*told)
    assert contents() == after_first


def test_sampling_does_something_the_first_time(world: World) -> None:
    current_app.loader.import_default_modules()
    before = contents()
    current_app.tasks["reviews.tasks.sample"]()
    after = contents()
    assert after["reviews_match"] != before["reviews_match"]
    assert after["reviews_item"] != before["reviews_item"]


def contents() -> dict[str, str]:
    """A hash of every row of every table of ours, order aside."""
    tables = sorted(model._meta.db_table for model in apps.get_models() if model.__module__.split(".")[0] != "django")
    found = {}
    with connection.cursor() as cursor:
        for table in tables:
            if table not in UNCOUNTED:
                cursor.execute(f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {table} t")
                found[table] = str(cursor.fetchone())
    return found
