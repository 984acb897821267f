"""The watch itself: what must never happen is noticed."""

from playwright.sync_api import Page

from tests import factories
from tests.browser.conftest import SignIn, Watch, assert_accessible


def test_home_opens_for_a_member_without_complaint(sign_in: SignIn) -> None:
    project = factories.a_project("Support")
    page = sign_in(factories.a_member(project))
    page.goto("/")
    assert page.get_by_role("link", name="Support").count() >= 1
    assert_accessible(page)


def test_an_inline_script_and_a_foreign_picture_are_noticed(sign_in: SignIn, watch: Watch) -> None:
    page: Page = sign_in(factories.a_member(factories.a_project()))
    page.goto("/")
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate("""() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = 1";
            const picture = new Image();
            picture.src = "http://example.org/x.png";
            document.body.append(picture, script);
        }""")
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in said for said in watch.complaints)
    watch.complaints.clear()
