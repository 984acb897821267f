"""What holds for every page that the access table knows: no complaint, no barrier, nothing wider than the window."""

from typing import Any

import pytest
from playwright.sync_api import Page

from projects.models import Role
from tests import factories
from tests.browser.conftest import DESKTOP, PHONE, SignIn, assert_accessible
from tests.browser.screenshots import Screen, screens
from tests.conventions.world import World, a_world

LOOKS = [
    pytest.param({"viewport": DESKTOP, "color_scheme": "light"}, id="desktop-light"),
    pytest.param({"viewport": PHONE, "color_scheme": "dark"}, id="phone-dark"),
]
SIGNED_IN = [screen for screen in screens() if screen.role is not None]


@pytest.mark.parametrize("look", LOOKS)
def test_opens_without_a_barrier_and_fits(look: dict[str, Any], transactional_db: None, sign_in: SignIn) -> None:
    world = a_world()
    pages = {role: sign_in(factories.a_member(world.project, role), **look) for role in Role.values}
    said = [_flaws(pages[str(screen.role)], screen, world) for screen in SIGNED_IN]
    assert not [flaw for flaw in said if flaw], "\n".join(flaw for flaw in said if flaw)


def _flaws(page: Page, screen: Screen, world: World) -> str:
    """What is wrong with one page, in words."""
    answer = page.goto("/" + screen.path.format(**{"project": world.project.slug, **world.ids}))
    if answer is None or answer.status != 200:
        return f"{screen.name}: {answer and answer.status}"
    flaws = []
    try:
        assert_accessible(page)
    except AssertionError as found:
        flaws.append(str(found))
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        flaws.append(f"is {wide} px wider than the window")
    return f"{screen.name}: {'; '.join(flaws)}" if flaws else ""
