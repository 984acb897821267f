"""A file's whole way in a real browser, against a real site with a worker: sent, understood, stored, accounted for."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.conftest import DESKTOP, PATIENCE_MS, PHONE, Watch, assert_accessible
from tests.outputs import live
from tests.outputs.live import Live

EMAIL = "sender@example.org"
SMALL = (
    "frage,chatgpt_response,latency,shop\n"
    "Where is my parcel? Write to ann@example.org,On its way.,1.2,north\n"
    "Hello,Hi!,oops,west\n"
)
# More than two slices of the script.
LARGE_ROWS = 90
LARGE = "question,answer\n" + "".join(f"question {n},{'x' * 100_000}\n" for n in range(LARGE_ROWS))

Opens = Callable[..., Page]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live.running(tmp_path_factory.mktemp("imports"), workers=1, broker_url="") as found:
        yield found


@pytest.fixture(scope="module")
def password(site: Live) -> str:
    return site.site.manage("create_user", EMAIL, "--project", "live", "--role", "engineer").strip()


@pytest.fixture
def opens(chromium: Browser, site: Live, password: str) -> Iterator[Opens]:
    """A page of somebody who is signed in; complaints of any fail the test at its end."""
    watch = Watch(site.site.url)
    made: list[BrowserContext] = []

    def page_of(**options: object) -> Page:
        asked = {"viewport": DESKTOP, "base_url": site.site.url, **options}
        context = watch.over(chromium.new_context(**asked))  # type: ignore[arg-type]  # its options by name
        context.set_default_timeout(PATIENCE_MS)
        made.append(context)
        page = context.new_page()
        page.goto("/login/")
        page.fill("[name=username]", EMAIL)
        page.fill("[name=password]", password)
        page.press("[name=password]", "Enter")
        page.wait_for_url("**/")
        return page

    yield page_of
    for context in made:
        context.close()
    assert not watch.complaints


def a_file(folder: Path, text: str, name: str = "replies.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def assert_fine(page: Page) -> None:
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def waits_for(page: Page, headline: str) -> None:
    """A worker has come so far; the page shows it by itself."""
    expect(page.get_by_role("heading", level=1)).to_have_text(headline, timeout=2 * PATIENCE_MS)


@pytest.mark.parametrize(
    "look",
    [{"viewport": DESKTOP, "color_scheme": "light"}, {"viewport": PHONE, "color_scheme": "dark"}],
    ids=["desktop-light", "phone-dark"],
)
def test_a_file_is_sent_mapped_shown_stored_and_accounted_for(
    look: dict[str, object], opens: Opens, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    page = opens(**look)
    page.goto("/live/imports/+new/")
    assert_fine(page)
    text = SMALL.replace("parcel", request.node.callspec.id)  # each look brings rows of its own
    page.get_by_label("File").set_input_files(a_file(tmp_path, text))
    page.get_by_role("button", name="Send the file").click()
    page.wait_for_url(re.compile(r"/imports/\d+/$"))
    waits_for(page, "What do the columns mean?")
    expect(page.get_by_role("alert")).to_contain_text("names no column for 'input'")
    page.get_by_label("frage").select_option("input")
    page.get_by_role("button", name="Show what becomes of the first rows").click()
    rows = page.get_by_role("region", name="The first rows, a table")
    expect(rows).to_contain_text("Write to [email]")
    expect(page.get_by_text("1 of 2 would be rejected.")).to_be_visible()
    assert_fine(page)
    page.get_by_role("button", name="Store the rows").click()
    waits_for(page, "1 row stored, 1 rejected")
    expect(page.get_by_role("region", name="Rejected rows, a table")).to_contain_text("latency")
    assert_fine(page)
    with page.expect_download() as told:
        page.get_by_role("link", name="All as CSV").click()
    header, flaw = told.value.path().read_text().splitlines()
    assert header == "row,line,field,message"
    assert flaw.startswith("2,3,latency,")


def test_a_reload_in_the_middle_goes_on_where_it_stopped(opens: Opens, tmp_path: Path) -> None:
    page = opens()
    path = a_file(tmp_path, LARGE, "large.csv")
    sent: list[str] = []

    def fail_later(route: Route) -> None:
        offset = route.request.url.rsplit("/", 1)[-1]
        if offset == "0":
            sent.append(offset)
            route.continue_()
        else:
            route.abort()

    page.route("**/pieces/*", fail_later)
    page.goto("/live/imports/+new/")
    page.get_by_label("File").set_input_files(path)
    page.get_by_role("button", name="Send the file").click()
    expect(page.locator("#said")).to_have_text("The connection is lost; it goes on by itself.")
    page.unroute("**/pieces/*")
    page.on("request", lambda asked: sent.append(asked.url.rsplit("/", 1)[-1]) if asked.method == "PUT" else None)
    page.reload()
    page.get_by_label("File").set_input_files(path)
    page.get_by_role("button", name="Send the file").click()
    page.wait_for_url(re.compile(r"/imports/\d+/$"))
    assert sent == ["0", str(4 * 1024 * 1024), str(8 * 1024 * 1024)]
    waits_for(page, "What do the columns mean?")
    page.get_by_role("button", name="Store the rows").click()
    waits_for(page, f"{LARGE_ROWS} rows stored")


def test_without_scripts_the_same_pages_do_it(opens: Opens, tmp_path: Path) -> None:
    page = opens(java_script_enabled=False)
    page.goto("/live/imports/")
    page.get_by_role("link", name=re.compile("Import a file|Import the first file")).first.click()
    page.get_by_label("File").set_input_files(a_file(tmp_path, SMALL.replace("parcel", "letter")))
    page.get_by_role("button", name="Send the file").click()
    comes_to(page, "What do the columns mean?")
    page.get_by_label("frage").select_option("input")
    page.get_by_role("button", name="Store the rows").click()
    comes_to(page, "1 row stored, 1 rejected")
    with page.expect_download() as told:
        page.get_by_role("link", name="All as JSON Lines").click()
    assert '"field":"latency"' in told.value.path().read_text()


def comes_to(page: Page, headline: str) -> None:
    """What the page offers to whoever has no scripts is used until the import has come so far."""
    heading = page.get_by_role("heading", level=1)
    for _ in range(200):
        if heading.inner_text() == headline:
            return
        page.get_by_role("link", name="Show how far it is now").click()
    expect(heading).to_have_text(headline)
