"""Prices and costs in a real browser: read by axe in both themes and widths, and the whole way on a narrow one."""

import datetime as dt
from decimal import Decimal

import pytest

from connections.services import prices
from connections.services.prices import Amounts
from core import clock
from insights import services as insights
from insights.models import StaleHour
from outputs.models import Output, Repricing
from outputs.services import repricing
from projects.models import Project, Role
from tests import factories
from tests.browser.conftest import PHONE, SignIn, assert_accessible

pytestmark = pytest.mark.django_db(transaction=True)


def some_costs(project: Project) -> None:
    """A priced model, one without a price, one that tells no tokens; a price that was corrected."""
    by, now = factories.an_actor(project), clock.now()
    for dollars in ("0.0375", "0.05"):
        amounts = Amounts(Decimal(dollars), Decimal("0.15"), cached_input_usd=Decimal("0.01"))
        start = now - dt.timedelta(days=50)
        prices.set_price(model="gpt-4o*", amounts=amounts, valid_from=start, note="contract 7", by=by, now=now)
    for model, told in (
        ("gpt-4o-mini", {"cost_usd": "0.0042"}),
        ("house/llama-3.1-70b-instruct", {}),
        ("", {"input_tokens": None}),
    ):
        output = factories.an_output(project)
        tokens = {"input_tokens": 120_000, "output_tokens": 4_000, "model": model, "cached_input_tokens": 30_000}
        Output.objects.filter(pk=output.pk).update(**{**tokens, **told})
    StaleHour.objects.create(project=project, hour=now.replace(minute=0, second=0, microsecond=0))
    insights.roll_up(seconds=60)
    repricing.ask(since=now - dt.timedelta(days=9), until=now - dt.timedelta(days=8), by=by, now=now)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 860}, PHONE], ids=["wide", "narrow"])
def test_prices_and_costs_are_accessible(sign_in: SignIn, theme: str, viewport: dict[str, int]) -> None:
    project = factories.a_project()
    some_costs(project)
    page = sign_in(factories.a_member(project, Role.ADMIN), color_scheme=theme, viewport=viewport)
    for path in ("prices/?model=house/llama", "prices/history/?model=gpt-4o*", "prices/history/?model=o3", "costs/"):
        page.goto(f"/{project.slug}/{path}")
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_an_unpriced_model_gets_its_price_and_past_outputs_follow(sign_in: SignIn) -> None:
    project = factories.a_project()
    some_costs(project)
    page = sign_in(factories.a_member(project, Role.ADMIN), viewport=PHONE)
    page.goto(f"/{project.slug}/costs/")
    page.get_by_role("link", name="Add a price of house/llama-3.1-70b-instruct").click()
    page.get_by_label("Input", exact=True).fill("0.6")
    page.get_by_label("Output", exact=True).fill("0.8")
    page.get_by_role("button", name="Set this price").click()
    page.get_by_text("is set.").wait_for()
    page.get_by_role("link", name="Costs by model").click()
    page.get_by_role("button", name="Apply to what arrived on these days").click()
    page.get_by_text("Running").first.wait_for()
    for one in Repricing.objects.all():
        repricing.reprice_block(repricing_id=one.pk, now=clock.now())
    page.get_by_text("1 of 2 costs changed").wait_for()
    assert Output.objects.get(model__startswith="house").cost_usd == Decimal("0.0752")
