"""A real Chromium in front of the real pages.

Every test fails on a CSP violation, a script error or a request to another host.
"""

import contextlib
import os
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from pytest_django.live_server_helper import LiveServer

from projects.models import User
from tests import services
from tests.browser.chromium import ARGUMENTS, executable

DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
PATIENCE_MS = 15_000

# A refused answer (422, 409) is logged by the browser itself; a request that a page asked for as it was left, by htmx.
NO_FAULTS = ("Failed to load resource", "htmx:sendAbort", "htmx:afterRequest")

SignIn = Callable[..., Page]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module: while it runs, its thread has an event loop, which other tests would stumble over."""
    path = executable()
    if path is None and services.IS_STRICT:
        pytest.fail("Chromium is not installed, and RATCHET_TEST_STRICT=1 lets nothing be left out")
    if path is None:
        pytest.skip("Chromium is not installed")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # the ORM is used beside the browser's loop, never inside it
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


class Watch:
    """What a page must never do, written down while it is used."""

    def __init__(self, home: str) -> None:
        self.home = urllib.parse.urlsplit(home).netloc
        self.complaints: list[str] = []

    def over(self, context: BrowserContext) -> BrowserContext:
        context.on("page", self._over_page)
        context.on("request", self._note_request)
        return context

    def _over_page(self, page: Page) -> None:
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.complaints.append(f"script error: {error}"))

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(NO_FAULTS):
            self.complaints.append(f"console: {message.text}")
        elif "Content Security Policy" in message.text:
            self.complaints.append(f"CSP: {message.text}")

    def _note_request(self, request: Request) -> None:
        where = urllib.parse.urlsplit(request.url)
        if where.scheme in ("http", "https", "ws", "wss") and where.netloc != self.home:
            self.complaints.append(f"foreign request: {request.url}")


@pytest.fixture
def watch(live_server: LiveServer) -> Iterator[Watch]:
    """Complaints of all pages of a test; any fails it at its end. A test that expects one takes it out."""
    noted = Watch(live_server.url)
    yield noted
    assert not noted.complaints


@pytest.fixture
def new_context(chromium: Browser, live_server: LiveServer, watch: Watch) -> Iterator[Callable[..., BrowserContext]]:
    """Makes contexts (one is one person's browser): `new_context(viewport=PHONE, java_script_enabled=False, …)`."""
    made: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        context = chromium.new_context(**{"viewport": DESKTOP, "base_url": live_server.url, **options})
        context.set_default_timeout(PATIENCE_MS)
        made.append(context)
        return watch.over(context)

    yield make
    for context in made:
        for page in context.pages:
            _let_answers_arrive(page)
        context.close()


def _let_answers_arrive(page: Page) -> None:
    """What the server is still busy with would meet the emptying of the database."""
    with contextlib.suppress(PlaywrightError):  # a page that is gone, or that asks for ever
        page.wait_for_load_state("networkidle", timeout=1_500)


@pytest.fixture
def sign_in(new_context: Callable[..., BrowserContext], live_server: LiveServer) -> SignIn:
    """A page of this user's own browser, signed in: `sign_in(user)`, `sign_in(user, java_script_enabled=False)`."""

    def page_of(user: User, **options: Any) -> Page:
        context = new_context(**options)
        context.add_cookies([session_cookie(user, live_server.url)])
        return context.new_page()

    return page_of


def session_cookie(user: User, url: str) -> Any:
    """The cookie of a new session of this user."""
    client = Client()
    client.force_login(user)
    return {
        "name": settings.SESSION_COOKIE_NAME,
        "value": client.cookies[settings.SESSION_COOKIE_NAME].value,
        "url": url,
    }


def assert_accessible(page: Page) -> None:
    """axe finds nothing on the page as it stands."""
    found = Axe().run(page).response["violations"]
    said = [
        f"{violation['id']}: {violation['help']}: {[node['html'][:160] for node in violation['nodes'][:4]]}"
        for violation in found
    ]
    assert not said, "\n".join(said)
