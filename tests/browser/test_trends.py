"""Trends in a real browser: read by keyboard and by axe, in both themes and widths, with and without script."""

import datetime as dt
import random

import pytest

from core import clock
from projects.models import Project, Role
from tests import factories
from tests.browser.conftest import PHONE, SignIn, assert_accessible
from tests.insights import production
from tests.reviews import desk

pytestmark = pytest.mark.django_db(transaction=True)


def a_week(project: Project) -> None:
    """Seven days of traffic: one that no rule covered, one that nobody reviewed, one with errors."""
    dice, queue = random.Random(11), desk.a_queue(project)
    production.a_rule(queue, 0.9)
    today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    for day in range(7):
        production.a_day(
            project,
            today - dt.timedelta(days=6 - day),
            16,
            dice=dice,
            good=0.85,
            is_drawn=day != 1,
            reviewed=0 if day == 3 else 1,
            errors=0.3 if day == 5 else 0.0,
        )
    production.roll_up()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 860}, PHONE], ids=["wide", "narrow"])
def test_trends_are_accessible(sign_in: SignIn, theme: str, viewport: dict[str, int]) -> None:
    project = factories.a_project()
    a_week(project)
    page = sign_in(factories.a_member(project, Role.MANAGER), color_scheme=theme, viewport=viewport)
    page.goto(f"/{project.slug}/trends/?days=7")
    assert_accessible(page)
    shown = "wide" if viewport["width"] > 1000 else "narrow"
    assert page.locator("svg.chart--wide:visible, svg.chart--narrow:visible").count() == 5
    assert page.locator(f"section[aria-labelledby=figure-quality] svg.chart--{shown}:visible").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("group", name="Show good answers per day as").get_by_label("Table").check()
    assert_accessible(page)


@pytest.mark.parametrize("has_script", [True, False], ids=["with script", "without"])
def test_the_table_behind_a_figure_is_reached_by_keyboard(sign_in: SignIn, *, has_script: bool) -> None:
    project = factories.a_project()
    a_week(project)
    page = sign_in(factories.a_member(project, Role.ENGINEER), java_script_enabled=has_script)
    page.goto(f"/{project.slug}/trends/?days=7")
    table = page.get_by_role("region", name="Good answers per day, as a table")
    assert not table.is_visible()
    page.locator("input[name=show-quality][value=chart]").focus()
    page.keyboard.press("ArrowRight")
    assert table.is_visible()
    assert "outputs could never be drawn" in table.inner_text()
    assert "none of the" in table.inner_text()


def test_a_figure_is_downloaded_by_keyboard_and_a_filter_is_a_link(sign_in: SignIn) -> None:
    project = factories.a_project()
    a_week(project)
    page = sign_in(factories.a_member(project, Role.MANAGER))
    page.goto(f"/{project.slug}/trends/?days=7")
    page.locator("section[aria-labelledby=figure-cost] details summary").focus()
    page.keyboard.press("Enter")
    with page.expect_download() as got:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    assert got.value.suggested_filename.endswith(".png")
    page.get_by_text("Period", exact=True).click()
    page.get_by_role("link", name="The last 30 days").click()
    page.wait_for_url("**/trends/?days=30")
    assert "Quality is undefined" in page.get_by_role("heading", level=1).inner_text()
    page.get_by_role("link", name="Show from").click()
    assert page.url.count("since=") == 1


def test_an_empty_project_says_when_its_trends_fill(sign_in: SignIn) -> None:
    project = factories.a_project()
    page = sign_in(factories.a_member(project, Role.MANAGER))
    page.goto(f"/{project.slug}/trends/")
    assert page.get_by_role("heading", name="Nothing to draw yet").count() == 5
    assert_accessible(page)
