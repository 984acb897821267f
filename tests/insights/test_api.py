"""Trends by HTTP."""

import datetime as dt
import random
from typing import Any

import pytest
from django.test import Client

from core import clock
from projects.models import Project
from tests import factories
from tests.insights import production
from tests.reviews import desk

DAY = dt.datetime(2026, 3, 9, tzinfo=dt.UTC)  # a Monday
RANGE = "since=2026-03-09&until=2026-03-23"


@pytest.fixture
def project(db: None) -> Project:
    return factories.a_project()


class Reader:
    def __init__(self, project: Project, *scopes: str) -> None:
        self.headers = factories.bearer(factories.a_key(project, *scopes))

    def get(self, query: str) -> Any:
        return Client().get(f"/api/v1/trends?{query}", headers=self.headers)

    def points(self, query: str) -> list[dict[str, Any]]:
        answer = self.get(query)
        assert answer.status_code == 200, answer.content
        return answer.json()["points"]


@pytest.fixture
def reader(project: Project) -> Reader:
    return Reader(project, "read")


@pytest.fixture
def traffic(project: Project) -> Project:
    dice, queue = random.Random(6), desk.a_queue(project)
    production.a_rule(queue, 0.8)
    for day in range(9):
        model = "small" if day % 2 else "large"
        production.a_day(project, DAY + dt.timedelta(days=day), 16, dice=dice, good=0.8, model=model)
    production.roll_up()
    return project


class TestTrends:
    @pytest.mark.parametrize(
        "metric", ["quality", "outputs", "errors", "cost_usd", "latency_p50", "latency_p95", "reviews"]
    )
    def test_gives_points_that_are_figures(self, traffic: Project, reader: Reader, metric: str) -> None:
        points = reader.points(f"metric={metric}&{RANGE}")
        assert len(points) == 9
        assert points[0]["at"].startswith("2026-03-09T00:00:00")
        assert set(points[0]) == {"at", "group", "value", "low", "high", "level", "n", "method", "reason"}
        for point in points:
            assert point["value"] is not None or point["reason"]
            assert point["method"]

    def test_adds_hours_up_to_days_and_weeks(self, traffic: Project, reader: Reader) -> None:
        totals = {
            by: [point["value"] for point in reader.points(f"metric=outputs&by={by}&{RANGE}")]
            for by in ("hour", "day", "week")
        }
        assert {by: (len(values), sum(values)) for by, values in totals.items()} == {
            "hour": (72, 144),
            "day": (9, 144),
            "week": (2, 144),
        }
        weeks = reader.points(f"metric=quality&by=week&{RANGE}")
        assert weeks[0]["n"] > 60

    def test_groups_by_name(self, traffic: Project, reader: Reader) -> None:
        points = reader.points(f"metric=outputs&group=model&by=week&{RANGE}")
        assert {(point["group"], point["at"][:10]): point["value"] for point in points} == {
            ("large", "2026-03-09"): 64,
            ("small", "2026-03-09"): 48,
            ("large", "2026-03-16"): 16,
            ("small", "2026-03-16"): 16,
        }

    def test_names_prompts_and_revisions(self, project: Project, reader: Reader) -> None:
        prompt = factories.a_prompt(project)
        revision = factories.a_revision(prompt)
        production.arrive(project, DAY, 2, prompt=prompt, revision=revision)
        production.arrive(project, DAY, 3)
        production.roll_up()
        by_prompt = reader.points(f"metric=outputs&group=prompt&{RANGE}")
        assert [(point["group"], point["value"]) for point in by_prompt] == [("intent", 2), ("none", 3)]
        by_revision = reader.points(f"metric=outputs&group=revision&prompt=intent&{RANGE}")
        assert [(point["group"], point["value"]) for point in by_revision] == [("intent r1", 2)]
        assert reader.points(f"metric=outputs&prompt=intent&revision=1&{RANGE}")[0]["value"] == 2

    def test_says_why_quality_is_undefined(self, project: Project, reader: Reader) -> None:
        production.arrive(project, DAY, 4)
        production.roll_up()
        (point,) = reader.points(f"metric=quality&{RANGE}")
        assert (point["value"], point["n"]) == (None, 0)
        assert point["reason"] == "4 of 4 outputs could never be drawn: no sampling rule covers them"

    def test_names_the_question(self, traffic: Project, reader: Reader) -> None:
        said = reader.get(f"metric=quality&{RANGE}").json()["rubric"]
        assert said["question"] == "correct"
        assert reader.points(f"metric=quality&rubric={said['name']}&{RANGE}")
        assert reader.get(f"metric=quality&rubric=other&{RANGE}").status_code == 404

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("", "metric"),
            ("metric=mood", "metric"),
            ("metric=quality&by=minute", "by"),
            ("metric=quality&group=end_user", "group"),
            ("metric=quality&revision=1", "prompt"),
            ("metric=quality&since=2026-03-02&until=2026-03-01", "since"),
            ("metric=quality&by=hour&since=2026-01-01&until=2026-03-01", "since"),
            ("metric=quality&since=2020-01-01&until=2026-03-01", "since"),
            ("metric=quality&promt=intent", "promt"),
        ],
    )
    def test_names_what_is_wrong(self, reader: Reader, query: str, field: str) -> None:
        answer = reader.get(query)
        assert answer.status_code == 400
        assert field in [error["field"] for error in answer.json()["errors"]]

    def test_without_a_period_ends_now(self, project: Project, reader: Reader) -> None:
        production.arrive(project, clock.now(), 2)
        production.roll_up()
        for by in ("hour", "day", "week"):
            assert [point["value"] for point in reader.points(f"metric=outputs&by={by}")] == [2]

    def test_shows_nothing_of_another_project(self, traffic: Project) -> None:
        stranger = Reader(factories.a_project(), "read")
        assert stranger.points(f"metric=outputs&{RANGE}") == []

    def test_needs_the_right_to_read(self, project: Project) -> None:
        assert Reader(project, "ingest").get("metric=outputs").status_code == 403

    def test_costs_a_fixed_number_of_statements(self, traffic: Project, reader: Reader) -> None:
        counts = []
        for n in (1, 200):
            production.arrive(traffic, DAY, n, model=f"model {n}")
            production.roll_up()
            with desk.statements() as found:
                reader.points(f"metric=quality&group=model&{RANGE}")
            counts.append(len(found))
        assert counts[0] == counts[1]
