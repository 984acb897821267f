"""Menus, keys, the palette and notices: conveniences of every page, none of which loses what somebody typed."""

import pytest
from playwright.sync_api import Page, Route, expect

from projects.models import Project, Role
from tests import factories
from tests.browser.conftest import SignIn, Watch, assert_accessible

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project(transactional_db: None) -> Project:
    return factories.a_project("Support")


@pytest.fixture
def desk(project: Project, sign_in: SignIn) -> Page:
    """The home of a project, seen by its administrator."""
    page = sign_in(factories.a_member(project, Role.ADMIN))
    page.goto(f"/{project.slug}/")
    return page


class TestMenus:
    def test_close_on_escape_and_give_the_focus_back(self, desk: Page) -> None:
        summary = desk.locator(".user > summary")
        summary.click()
        expect(desk.get_by_role("button", name="Sign out")).to_be_visible()
        desk.keyboard.press("Escape")
        expect(desk.get_by_role("button", name="Sign out")).to_be_hidden()
        expect(summary).to_be_focused()

    def test_close_on_a_click_beside_them(self, desk: Page) -> None:
        desk.locator(".user > summary").click()
        desk.locator("h1").first.click()
        expect(desk.get_by_role("button", name="Sign out")).to_be_hidden()

    def test_open_without_a_script(self, project: Project, sign_in: SignIn) -> None:
        page = sign_in(factories.a_member(project), java_script_enabled=False)
        page.goto(f"/{project.slug}/")
        page.locator(".user > summary").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()


class TestKeys:
    def test_are_told_on_a_question_mark(self, desk: Page) -> None:
        desk.keyboard.press("?")
        expect(desk.get_by_role("dialog", name="Keys")).to_be_visible()
        assert_accessible(desk)
        desk.keyboard.press("Escape")
        expect(desk.get_by_role("dialog", name="Keys")).to_be_hidden()

    def test_rest_while_somebody_types(self, desk: Page, project: Project) -> None:
        desk.goto("/settings/")
        desk.get_by_label("Name").fill("Why")
        desk.get_by_label("Name").press("?")
        expect(desk.get_by_role("dialog", name="Keys")).to_be_hidden()
        expect(desk.get_by_label("Name")).to_have_value("Why?")

    def test_rest_for_whoever_turned_them_off(self, project: Project, sign_in: SignIn) -> None:
        user = factories.a_member(project)
        user.single_keys = False
        user.save()
        page = sign_in(user)
        page.goto(f"/{project.slug}/")
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_hidden()

    def test_lead_to_the_search_field(self, desk: Page, project: Project) -> None:
        desk.goto(f"/{project.slug}/search/")
        desk.keyboard.press("/")
        expect(desk.locator("main input[type=search]").first).to_be_focused()


class TestPalette:
    def test_opens_on_a_key_and_jumps_to_a_page(self, desk: Page, project: Project) -> None:
        desk.keyboard.press("Control+k")
        expect(desk.locator("#palette-words")).to_be_focused()
        assert_accessible(desk)
        desk.keyboard.type("runs")
        desk.keyboard.press("Enter")
        desk.wait_for_url(f"**/{project.slug}/runs/")

    def test_is_walked_by_arrows(self, desk: Page) -> None:
        desk.keyboard.press("Control+k")
        desk.keyboard.press("ArrowDown")
        desk.keyboard.press("ArrowUp")
        desk.keyboard.press("ArrowUp")
        expect(desk.locator("#palette-words")).to_be_focused()

    def test_finds_what_the_server_knows(self, desk: Page, project: Project) -> None:
        factories.a_prompt(project, "refund-answer")
        desk.keyboard.press("Control+k")
        desk.keyboard.type("refund-a")
        expect(desk.locator("#palette-found a").first).to_contain_text("refund-answer")

    def test_closes_at_the_first_escape_with_words_in_it(self, desk: Page) -> None:
        desk.keyboard.press("Control+k")
        desk.keyboard.type("ru")
        desk.keyboard.press("Escape")
        expect(desk.locator("#palette")).to_be_hidden()

    def test_is_a_page_without_a_script(self, project: Project, sign_in: SignIn) -> None:
        page = sign_in(factories.a_member(project, Role.ENGINEER), java_script_enabled=False)
        page.goto(f"/{project.slug}/")
        page.locator(".cmdk").click()
        page.wait_for_url(f"**/{project.slug}/search/")


class TestToasts:
    def test_stay_until_they_are_dismissed(self, desk: Page) -> None:
        desk.goto("/settings/")
        desk.get_by_role("button", name="Save", exact=True).click()
        toast = desk.locator(".toast")
        expect(toast).to_contain_text("Saved.")
        assert_accessible(desk)
        toast.get_by_role("button", name="Dismiss").click()
        expect(toast).to_have_count(0)


class TestFailures:
    def test_of_the_network_keep_what_was_typed_and_can_be_tried_again(self, desk: Page, watch: Watch) -> None:
        desk.keyboard.press("Control+k")

        def fail(route: Route) -> None:
            route.abort()

        desk.route("**/search/**", fail)
        desk.locator("#palette-words").press_sequentially("refund")
        expect(desk.locator("#problem")).to_contain_text("could not be reached")
        expect(desk.locator("#palette-words")).to_have_value("refund")
        desk.unroute("**/search/**", fail)
        desk.evaluate("document.querySelector('#palette').close()")
        desk.get_by_role("button", name="Try again").click()
        expect(desk.locator("#problem")).to_be_empty()
        watch.complaints.clear()

    def test_of_the_server_are_told_in_words_beside_the_page(self, desk: Page, watch: Watch) -> None:
        desk.route("**/search/**", lambda route: route.fulfill(status=500, body="<!doctype html><h1>Broken</h1>"))
        desk.keyboard.press("Control+k")
        desk.locator("#palette-words").press_sequentially("refund")
        expect(desk.locator("#problem")).to_contain_text("answered with an error (500)")
        assert "Broken" not in desk.content()
        watch.complaints.clear()
