"""Where an output's cost is from, as its page says it."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from connections.services import prices
from connections.services.prices import Amounts
from core import clock
from outputs.models import Output
from projects.models import Project, Role
from tests import factories

pytestmark = pytest.mark.django_db

JUNE = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


@pytest.fixture
def project() -> Project:
    return factories.a_project()


def set_price(project: Project, dollars: str) -> None:
    amounts = Amounts(Decimal(dollars), Decimal(dollars))
    by = factories.an_actor(project)
    prices.set_price(model="m/1", amounts=amounts, valid_from=JUNE, by=by, now=clock.now())


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"cost_usd": "0.5", "cost_source": Output.CostSource.SENT}, ["$0.5", "as the sender gave it"]),
        ({"cost_usd": "0.5"}, ["$0.5", "as the sender gave it"]),
        (
            {"cost_usd": "0.003", "cost_source": Output.CostSource.COMPUTED},
            ["$0.003", "computed from the price of", "?model=m%2F1&amp;provider=", "valid from 1 Jun 2026"],
        ),
        (
            {"cost_usd": "0.009", "cost_source": Output.CostSource.COMPUTED},
            ["$0.009", "a price that counts no more", "$0.003", "/costs/"],
        ),
        ({}, ["unpriced", "there is a price now", "$0.003"]),
        ({"model": "other"}, ["unpriced", "no price of its model was valid then", "/prices/?model=other"]),
        ({"output_tokens": None}, ["unpriced", "its tokens were not told"]),
        ({"model": ""}, ["unpriced", "it names no model"]),
    ],
    ids=str,
)
def test_a_page_says_where_the_cost_is_from(
    client: Client, project: Project, stored: dict[str, Any], said: list[str]
) -> None:
    set_price(project, "1")
    output = factories.an_output(project)
    tokens = {"model": "m/1", "started_at": JUNE, "input_tokens": 1000, "output_tokens": 2000}
    Output.objects.filter(pk=output.pk).update(**{**tokens, **stored})
    client.force_login(factories.a_member(project, Role.MANAGER))
    page = client.get(f"/{project.slug}/outputs/{output.external_id}/").content.decode()
    assert [words for words in said if words not in page] == []
