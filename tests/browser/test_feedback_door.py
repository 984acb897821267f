"""A page of another site, with the snippet of a door on it, in front of the real site."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import assert_accessible
from tests.outputs import live
from tests.outputs.live import Live

CSP = "default-src 'self'; script-src {site}; connect-src {site}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live.running(tmp_path_factory.mktemp("door")) as found:
        found.post("/api/v1/outputs", {"id": "answer-1", "input": "Where is it?", "output": "Within 45 days."})
        yield found


class Elsewhere(http.server.ThreadingHTTPServer):
    """Another site with one page, `body`."""

    def __init__(self, csp: str) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.csp, self.body = csp, ""
        self.origin = f"http://127.0.0.1:{self.server_port}"


class Answering(http.server.BaseHTTPRequestHandler):
    """Gives the page."""

    server: Elsewhere

    def do_GET(self) -> None:
        content = f"<!doctype html><html lang=en><title>Shop</title><main><h1>Shop</h1>{self.server.body}</main>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", self.server.csp)
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@contextmanager
def elsewhere(site: Live) -> Iterator[Elsewhere]:
    """A site under an origin of its own, which lets scripts of ours run and nothing else."""
    server = Elsewhere(CSP.format(site=site.site.url))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def an_admin(page: Page, site: Live) -> None:
    password = site.site.manage("create_user", "admin@example.org", "--project", "live", "--role", "admin").strip()
    page.goto(f"{site.site.url}/login/")
    page.fill("[name=username]", "admin@example.org")
    page.fill("[name=password]", password)
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{site.site.url}/")


def a_snippet(page: Page, site: Live, origin: str) -> str:
    """The admin makes a door for pages of this origin, and takes its snippet along."""
    page.goto(f"{site.site.url}/live/feedback-doors/")
    page.get_by_label("Name").fill(f"Door of {origin}")
    page.get_by_label("edit: the text").check()
    page.get_by_label("Sites").fill(origin)
    page.get_by_role("button", name="Make the door").click()
    expect(page.get_by_text("It is shown this once.")).to_be_visible()
    return page.locator("#snippet").inner_text().replace("OUTPUT_ID", "answer-1")


@pytest.fixture(scope="module")
def admin(chromium: Browser, site: Live) -> Page:
    page = chromium.new_context().new_page()
    an_admin(page, site)
    return page


def said_about(site: Live, output: str) -> list[tuple[str, float | None, str]]:
    return [(row["kind"], row["value"], row["comment"]) for row in site.get(f"/api/v1/outputs/{output}")["feedback"]]


def test_a_visitor_of_another_site_is_heard(chromium: Browser, site: Live, admin: Page) -> None:
    visitor = chromium.new_context().new_page()
    complaints: list[str] = []
    visitor.on("console", lambda message: complaints.append(message.text))
    with elsewhere(site) as shop:
        shop.body = f"<p id=answer>Within 45 days.</p>{a_snippet(admin, site, shop.origin)}"
        visitor.goto(shop.origin)
        assert_accessible(visitor)
        visitor.get_by_role("button", name="No", exact=True).click()
        expect(visitor.get_by_role("status")).to_have_text("Thank you.")
        expect(visitor.get_by_role("button", name="No", exact=True)).to_have_attribute("aria-pressed", "true")
        visitor.get_by_label("How should it read?").fill("Within 14 days.")
        with visitor.expect_response("**/api/v1/feedback"):
            visitor.get_by_role("button", name="Send").last.click()
    assert said_about(site, "answer-1") == [("thumb", -1.0, ""), ("edit", None, "Within 14 days.")]
    assert complaints == []
    assert visitor.context.cookies() == []


def test_a_page_of_an_origin_that_has_no_door_is_told_so_in_the_console_alone(
    chromium: Browser, site: Live, admin: Page
) -> None:
    before = said_about(site, "answer-1")
    visitor = chromium.new_context().new_page()
    with elsewhere(site) as evil:
        evil.body = a_snippet(admin, site, "https://shop.example.org")
        visitor.goto(evil.origin)
        with visitor.expect_console_message(lambda message: "CORS" in message.text):
            visitor.get_by_role("button", name="Yes").click()
        expect(visitor.get_by_role("status")).to_have_text("That did not arrive. Please try again.")
    assert said_about(site, "answer-1") == before
