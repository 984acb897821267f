"""Costs by model: from rollups alone, with what is unpriced, why, and what to do about it."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from connections import price_queries
from connections.services import prices
from connections.services.prices import Amounts
from core import clock
from insights import costs, services
from insights.models import StaleHour
from outputs.models import Output, Repricing
from outputs.services import repricing
from projects.models import Project, Role
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.a_project("Shop")


@pytest.fixture
def admin(client: Client, project: Project) -> Client:
    client.force_login(factories.a_member(project, Role.ADMIN))
    return client


def arrived(project: Project, n: int, *, days_ago: int = 1, **others: Any) -> None:
    at = clock.now() - dt.timedelta(days=days_ago)
    told = {"model": "m", "input_tokens": 1000, "output_tokens": 10, **others}
    for _ in range(n):
        output = factories.an_output(project)
        Output.objects.filter(pk=output.pk).update(**told, received_at=at, received_on=at.date())
    StaleHour.objects.create(project=project, hour=at.replace(minute=0, second=0, microsecond=0))


def found(project: Project) -> dict[str, costs.ModelCost]:
    services.roll_up(seconds=60)
    now = clock.now()
    book = price_queries.book(project.pk)
    since = now - dt.timedelta(days=30)
    return {one.model: one for one in costs.by_model(project.pk, book, since=since, until=now, now=now)}


def set_price(project: Project, model: str = "m", **others: Any) -> None:
    amounts = Amounts(Decimal(1), Decimal(2))
    by, at = factories.an_actor(project), clock.now() - dt.timedelta(days=20)
    prices.set_price(model=model, amounts=amounts, valid_from=at, by=by, now=clock.now(), **others)


class TestByModel:
    def test_sums_what_arrived_exactly_and_apart_by_model(self, project: Project) -> None:
        arrived(project, 2, cost_usd="0.000000001", cached_input_tokens=400)
        arrived(project, 1)
        arrived(project, 1, days_ago=3)
        arrived(project, 1, model="dear", cost_usd="7")
        arrived(project, 1, model="old", days_ago=40)
        one = found(project)
        assert set(one) == {"m", "dear"}
        assert (one["m"].n, one["m"].n_unpriced, one["m"].cost_usd) == (4, 2, Decimal("0.000000002"))
        assert (one["m"].unpriced_input_tokens, one["m"].unpriced_output_tokens) == (2000, 20)
        assert one["m"].cached_share == 0.2
        days = [(clock.now() - dt.timedelta(days=days)).date() for days in (3, 1)]
        assert [at.date() for at in (one["m"].first_on, one["m"].last_on) if at] == days
        assert costs.unpriced(list(one.values())) == [one["m"]]

    @pytest.mark.parametrize(
        ("told", "why"),
        [
            ({}, "there is no price"),
            ({"model": ""}, "they name no model"),
            ({"output_tokens": None}, "they do not tell their tokens"),
            ({"model": "priced"}, "there is a price now: apply it to past outputs"),
            ({"model": "at azure"}, "there is a price now: apply it to past outputs"),
        ],
        ids=str,
    )
    def test_says_why_some_have_no_cost(self, project: Project, told: dict[str, Any], why: str) -> None:
        set_price(project, "priced")
        set_price(project, "at azure", provider="azure")
        arrived(project, 2, **told)
        assert [one.why for one in found(project).values()] == [why]


class TestCostsPage:
    def test_leads_from_an_unpriced_model_to_its_price_and_on_to_past_outputs(
        self, admin: Client, project: Project
    ) -> None:
        arrived(project, 3)
        services.roll_up(seconds=60)
        url = f"/{project.slug}/costs/"
        page = admin.get(url).content.decode()
        assert "3 of 3 outputs have no cost." in page
        assert f"/{project.slug}/prices/?model=m&amp;valid_from=" in page
        set_price(project)
        assert "apply it to past outputs" in admin.get(url).content.decode()
        today = clock.now().date()
        days = {"since": str(today - dt.timedelta(days=7)), "until": str(today)}
        assert "Running" in admin.post(url, days, follow=True).content.decode()
        while repricing.reprice_block(repricing_id=Repricing.objects.get().pk, now=clock.now()):
            pass
        services.note_waiting(now=clock.now(), seconds=60)
        services.roll_up(seconds=60)
        page = admin.get(url).content.decode()
        assert "All 3 outputs have a cost: $0.0031 together." in page
        assert "3 of 3 costs changed" in page

    @pytest.mark.parametrize(
        "days",
        [{}, {"since": "x", "until": "2026-01-01"}, {"since": "2026-01-02", "until": "2026-01-01"},
         {"since": "1066-01-01", "until": "2026-01-01"}],
        ids=str,
    )  # fmt: skip
    def test_says_what_is_wrong_with_the_days(self, admin: Client, project: Project, days: dict[str, str]) -> None:
        answer = admin.post(f"/{project.slug}/costs/", days)
        assert answer.status_code == 422
        assert not Repricing.objects.exists()

    def test_is_read_without_a_button_by_whoever_may_not_change_prices(self, client: Client, project: Project) -> None:
        client.force_login(factories.a_member(project, Role.MANAGER))
        arrived(project, 1)
        services.roll_up(seconds=60)
        page = client.get(f"/{project.slug}/costs/").content.decode()
        assert "there is no price" in page
        assert "Add a price" not in page
        assert client.post(f"/{project.slug}/costs/", {}).status_code == 403

    def test_costs_the_same_statements_however_many_models_there_are(
        self, admin: Client, project: Project, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        for number in range(12):
            arrived(project, 1, model=f"m{number}")
        services.roll_up(seconds=60)
        with django_assert_max_num_queries(7):
            admin.get(f"/{project.slug}/costs/")


class TestApi:
    def test_lists_the_models_without_a_price(self, client: Client, project: Project) -> None:
        arrived(project, 2)
        arrived(project, 1, model="silent", input_tokens=None, output_tokens=None)
        services.roll_up(seconds=60)
        headers = factories.bearer(factories.a_key(project, "read"))
        listed = client.get("/api/v1/prices/unpriced", headers=headers).json()["results"]
        assert [(one["model"], one["n_unpriced"], one["n_uncounted"], one["input_tokens"]) for one in listed] == [
            ("m", 2, 0, 2000),
            ("silent", 1, 1, 0),
        ]
        stranger = factories.bearer(factories.a_key(factories.a_project(), "read"))
        assert client.get("/api/v1/prices/unpriced", headers=stranger).json()["results"] == []

    def test_trends_group_costs_by_model(self, client: Client, project: Project) -> None:
        arrived(project, 2, cost_usd="0.25")
        arrived(project, 1, model="dear", cost_usd="7")
        services.roll_up(seconds=60)
        headers = factories.bearer(factories.a_key(project, "read"))
        points = client.get("/api/v1/trends?metric=cost_usd&group=model", headers=headers).json()["points"]
        assert {(point["group"], point["value"]) for point in points} == {("m", 0.5), ("dear", 7.0)}
