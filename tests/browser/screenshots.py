"""`make screenshots`: every page × theme × width of the demo project as a picture in `var/screens/`.

The pages are those of the access table, so a new address is pictured without being named here a second time; what an
address leaves open (`{run}`, `{output}` …) is filled from the demo by `Ids`, and a name that is missing there fails.
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from rich.console import Console

from config import launcher
from demo import play, replies, scenario, spans
from demo.client import Ratchet
from tests.browser.chromium import ARGUMENTS, executable
from tests.conventions import access_table
from tests.flows.conftest import a_free_port

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = {1280: 860, 390: 844}
THEMES = ("light", "dark")
# What a page needs → who is pictured looking at it.
LOOKERS = {"read": "engineer", "review": "reviewer", "approve": "manager", "admin": "admin"}
# Addresses that answer with something other than a page, or with a part of one.
NO_PICTURE = ("healthz", "readyz", "api/schema/")
NO_PICTURE_ENDINGS = (".csv", ".jsonl", ".{form}", "/export/", "/newer/")


# What a page is asked beyond its address, so that it has something to show.
QUERIES = {
    "{project}/trends/": "?prompt={prompt}",
    "{project}/search/": "?q=support",
    "{project}/prices/history/": "?model=gpt-4o",
}


# The names in addresses that `Ids` and the steps beside it find in the demo.
NAMES = frozenset(
    "project prompt label golden_set before after run a b result release proposal verdict output queue rubric"
    " connection item tryout member import trace session door".split()
)


@dataclass(frozen=True)
class Screen:
    """One picture to take: its name, its address, and whose eyes see it."""

    name: str
    path: str
    role: str | None


def screens() -> list[Screen]:
    """Every page that the access table knows, in its order."""
    pages = [(path, needs) for (method, path), needs in access_table.PAGES.items() if method == "GET"]
    return [Screen(_name(path), path, _looker(path, needs)) for path, needs in pages if is_pictured(path)]


def is_pictured(path: str) -> bool:
    """Whether a person looks at what this address answers."""
    return path not in NO_PICTURE and not path.endswith(NO_PICTURE_ENDINGS)


def _name(path: str) -> str:
    words = re.sub(r"[{}+]", "", path.replace("{project}/", "")).strip("/").replace("/", "-")
    return words or ("project-home" if "{project}" in path else "home")


def _looker(path: str, needs: str) -> str | None:
    if needs == "open":
        return None
    if path.startswith(("{project}/review", "{project}/work")):
        return "reviewer"
    return next((role for word, role in LOOKERS.items() if word in needs.split("|")), "engineer")


class Ids:
    """What the names in addresses stand for in the demo project, each found as somebody would find it on a page."""

    def __init__(self, project: str, engineer: Ratchet) -> None:
        prompt = scenario.support_intent().prompt
        gated = (engineer.run(row["id"]) for row in engineer.rows("runs"))
        run = next(run for run in gated if run["gate"] and run["gate"]["verdict"] == "pass")
        release = engineer.rows(f"prompts/{prompt}/releases")[0]
        self.known: dict[str, str] = {
            "project": project,
            "prompt": prompt,
            "label": play.LABEL,
            "golden_set": prompt,
            "before": "1",
            "after": "1",
            "run": str(run["id"]),
            "a": str(run["id"]),
            "b": str(run["baseline"]),
            "result": str(engineer.rows(f"runs/{run['id']}/results")[0]["id"]),
            "release": str(release["id"]),
            "proposal": str(engineer.rows(f"prompts/{prompt}/proposals")[0]["id"]),
            "verdict": str(engineer.rows("verdicts")[0]["id"]),
            "output": spans.output_id("ticket-1", replies.REPLY),
            "session": str(_replies(engineer)[0]["session_id"]),
            "trace": _trace_of_a_reply(),
            "queue": replies.PROMPT,
            "rubric": replies.PROMPT,
            "connection": "demo",
            "import": str(engineer.rows("imports")[0]["id"]),
        }

    def fill(self, path: str) -> str:
        """The address with every name filled in."""
        try:
            return "/" + path.format(**self.known)
        except KeyError as missing:
            raise SystemExit(f"screenshots: nothing is known for {missing} in {path}; add it to Ids") from missing


def _trace_of_a_reply() -> str:
    return spans.output_id("ticket-1", replies.REPLY).partition(":")[0]


def _replies(engineer: Ratchet) -> list[dict[str, Any]]:
    return engineer.rows(f"outputs?trace={_trace_of_a_reply()}")


@contextmanager
def demo_site(home: Path, *, fresh: bool) -> Iterator[tuple[launcher.Site, dict[str, Any]]]:
    """A site with the loop played on it; what an earlier call played is shown again, unless it is to be fresh."""
    noted = home / "accounts.json"
    is_played = noted.exists() and not fresh
    if not is_played:
        shutil.rmtree(home, ignore_errors=True)
    accounts = json.loads(noted.read_text()) if is_played else {"model_port": a_free_port()}
    variables = {"RATCHET_OUTBOUND_ALLOW": f"127.0.0.1:{accounts['model_port']}", "RATCHET_MODE": "test"}
    site = launcher.Site(home, a_free_port(), variables=variables)
    with site:
        model_url = site.add_demo_model(accounts["model_port"])
        if not is_played:
            accounts |= json.loads(site.manage("demo_accounts"))
            _play(site, accounts["keys"], model_url)
            noted.write_text(json.dumps(accounts))
        yield site, accounts


def _play(site: launcher.Site, keys: dict[str, str], model_url: str) -> None:
    where = play.Site(site.url, keys["engineer"], keys["reviewer"], keys["admin"], model_url)
    play.play(where, [scenario.support_intent()], Console())
    play.leave_replies(where)
    _leave_file(where)


def _leave_file(where: play.Site) -> None:
    """A file that was sent in pieces, and waits for somebody to say what its columns mean."""
    body = b"user_query,chatgpt_response,latency,shop\nWhere is my parcel?,On its way.,1.2,north\nHello,Hi!,oops,west\n"
    with httpx2.Client(base_url=where.base_url, headers={"Authorization": f"Bearer {where.engineer_key}"}) as sender:
        made = sender.post(f"/api/v1/imports?name=replies.csv&size={len(body)}").raise_for_status().json()
        sender.put(f"/api/v1/imports/{made['id']}/pieces/0", content=body).raise_for_status()


class Photographer:
    """Takes the pictures of one theme and width, with one signed-in browser context for each role."""

    def __init__(self, browser: Browser, url: str, logins: list[dict[str, str]], width: int, theme: str) -> None:
        self.browser, self.url, self.width, self.theme = browser, url, width, theme
        self.logins = {login["role"]: login for login in logins}
        self.pages: dict[str | None, Page] = {}

    def page_of(self, role: str | None) -> Page:
        """The page of somebody with this role, signed in by the form."""
        if role not in self.pages:
            page = self._context().new_page()
            if role is not None:
                page.goto("/login/")
                page.fill("[name=username]", self.logins[role]["email"])
                page.fill("[name=password]", self.logins[role]["password"])
                page.press("[name=password]", "Enter")
                page.wait_for_url("**/")
            self.pages[role] = page
        return self.pages[role]

    def take(self, screen: Screen, address: str, folder: Path) -> None:
        """The picture of one page, whole."""
        page = self.page_of(screen.role)
        answer = page.goto(address)
        if answer is None or answer.status != 200:
            raise SystemExit(f"screenshots: {address} answered {answer and answer.status} to {screen.role}")
        page.wait_for_load_state("load")
        page.screenshot(path=folder / f"{screen.name}-{self.width}-{self.theme}.png", full_page=True)

    def _context(self) -> BrowserContext:
        size = {"width": self.width, "height": WIDTHS[self.width]}
        scheme = "dark" if self.theme == "dark" else "light"
        return self.browser.new_context(base_url=self.url, viewport=size, color_scheme=scheme)


def item_on_the_desk(photographer: Photographer, ids: Ids) -> str:
    """The reviewer starts on the replies; the item's number."""
    page = photographer.page_of("reviewer")
    page.goto(ids.fill("{project}/review/"))
    page.locator(f"main form[action*='/{replies.PROMPT}/'] button[type=submit]").first.click()
    page.wait_for_url(f"**/review/{replies.PROMPT}/*/")
    return _last_word(page)


def wait_for_comparison(photographer: Photographer, ids: Ids) -> None:
    """A worker compares the two runs once somebody asks for it; the picture is of what it found."""
    page = photographer.page_of("engineer")
    page.goto(ids.fill("{project}/runs/{a}/compare/{b}/"))
    asking = page.locator("main form[action*='/compare/'] button[type=submit]")
    if asking.count():
        asking.click()
    page.locator(".forest").first.wait_for()


def a_tryout(photographer: Photographer, ids: Ids) -> str:
    """The engineer tries the prompt once; the try-out's number."""
    page = photographer.page_of("engineer")
    page.goto(ids.fill("{project}/prompts/{prompt}/try/"))
    page.locator("main textarea").first.fill("My bike is broken and I was billed twice.")
    page.get_by_role("button", name="Ask").click()
    page.wait_for_url("**tryout=*")
    return page.url.rsplit("=", 1)[-1]


def a_member(photographer: Photographer, ids: Ids) -> str:
    """The administrator's page of members names each in its forms."""
    page = photographer.page_of("admin")
    page.goto(ids.fill("{project}/members/"))
    return str(page.locator("a[href*='/remove/']").first.get_attribute("href")).rstrip("/").split("/")[-2]


def a_door(photographer: Photographer, ids: Ids) -> str:
    """The administrator makes a feedback door, or finds the one of an earlier call; its number."""
    page = photographer.page_of("admin")
    page.goto(ids.fill("{project}/feedback-doors/"))
    doors = page.locator("tbody th a[href*='/feedback-doors/']")
    if not doors.count():
        page.get_by_label("Name").fill("Help pages")
        page.get_by_label("Sites").fill("https://shop.example.org")
        page.get_by_role("button", name="Make the door").click()
        page.goto(ids.fill("{project}/feedback-doors/"))
    return str(doors.first.get_attribute("href")).rstrip("/").rsplit("/", 1)[-1]


def _last_word(page: Page) -> str:
    return page.url.rstrip("/").rsplit("/", 1)[-1]


def main() -> None:
    """Plays the demo, takes the pictures, and says where they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only screens whose name holds one of these texts (a,b,c)")
    parser.add_argument("--fresh", action="store_true", help="play the demo again, on a new data folder")
    asked = parser.parse_args()
    folder = ROOT / "var" / "screens"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        site, accounts = stack.enter_context(demo_site(ROOT / "var" / "screens-site", fresh=asked.fresh))
        engineer = stack.enter_context(closing(Ratchet(site.url, accounts["keys"]["engineer"])))
        ids = Ids(accounts["project"], engineer)
        playwright = stack.enter_context(sync_playwright())
        browser = stack.enter_context(closing(playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)))
        n_taken = 0
        for width in WIDTHS:
            for theme in THEMES:
                photographer = Photographer(browser, site.url, accounts["logins"], width, theme)
                ids.known["item"] = item_on_the_desk(photographer, ids)
                if "tryout" not in ids.known:
                    wait_for_comparison(photographer, ids)
                    ids.known["tryout"], ids.known["member"] = a_tryout(photographer, ids), a_member(photographer, ids)
                    ids.known["door"] = a_door(photographer, ids)
                for screen in screens():
                    if any(words in screen.name for words in asked.only.split(",")):
                        photographer.take(screen, ids.fill(screen.path + QUERIES.get(screen.path, "")), folder)
                        n_taken += 1
    sys.stdout.write(f"{n_taken} pictures in {folder}\n")


if __name__ == "__main__":
    main()
