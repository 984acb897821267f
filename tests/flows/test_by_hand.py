"""The whole loop by hand: four people, four roles, one keyboard each, from the first output to release and rollback."""

import json
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page

from demo import traffic
from demo.client import Ratchet
from demo.model import MODEL
from demo.production import Production
from tests.browser.conftest import DESKTOP, PATIENCE_MS, Watch, chromium  # noqa: F401  # a fixture
from tests.browser.keyboard import Keyboard
from tests.flows.conftest import Playground

PROMPT, EXAM, RUBRIC, QUEUE = "intent", "exam", "right-intent", "intent-check"
N_OUTPUTS = 16
PATIENCE_S = 90


@dataclass
class Person:
    """Somebody at a browser of their own, with a keyboard."""

    page: Page
    home: str

    @property
    def keys(self) -> Keyboard:
        return Keyboard(self.page)

    def go(self, path: str) -> None:
        """Type an address below the project."""
        self.page.goto(f"{self.home}{path}")

    def link(self, name: str) -> None:
        """Follow a link by keyboard."""
        with self.page.expect_navigation():
            self.keys.press(self.page.get_by_role("link", name=name, exact=True).first)

    def button(self, name: str, within: Locator | None = None) -> None:
        """Press a button that leads to a page."""
        where = self.page if within is None else within
        with self.page.expect_navigation():
            self.keys.press(where.get_by_role("button", name=name).first)

    def fill(self, label: str, text: str) -> None:
        """Type into the field with this label."""
        self.keys.type(self.field(label), text)

    def choose(self, label: str, words: str) -> None:
        """Choose in the list with this label."""
        self.keys.choose(self.field(label), words)

    def field(self, label: str) -> Locator:
        """The control with this label."""
        return self.page.locator("main").locator("input, textarea, select").and_(self.page.get_by_label(label)).first

    def wait_for(self, words: str) -> None:
        """The page says this, at once, by itself, or when it is asked for again (as a person without script does)."""
        self.until(self.page.get_by_text(words), words)

    def until(self, sign: Locator, words: str) -> None:
        """The page shows this sign, in the same ways."""
        deadline = time.monotonic() + PATIENCE_S
        while not sign.count():
            text = self.page.inner_text("main")[:800]
            assert time.monotonic() < deadline, f"{self.page.url} never said {words!r}: {text}"
            self.page.reload()


@pytest.fixture(
    params=[
        pytest.param(True, id="with-script"),
        # Page by page the tests of the browser try this at every merge; the whole walk takes minutes.
        pytest.param(False, id="without-script", marks=pytest.mark.nightly),
    ]
)
def cast(
    request: pytest.FixtureRequest,
    playground: Playground,
    chromium: Browser,  # noqa: F811
) -> Iterator[dict[str, Person]]:
    """The four people of the demo's project, signed in by the form."""
    watch = Watch(playground.site.url)
    people = {}
    for login in playground.accounts["logins"]:
        context = watch.over(chromium.new_context(viewport=DESKTOP, java_script_enabled=request.param))
        context.set_default_timeout(PATIENCE_MS)
        person = Person(context.new_page(), f"{playground.site.url}/{playground.accounts['project']}/")
        person.go("")
        person.fill("E-mail", login["email"])
        person.fill("Password", login["password"])
        person.button("Sign in")
        people[login["role"]] = person
    yield people
    assert not watch.complaints


@pytest.mark.flows
def test_four_people_close_the_loop_by_keyboard(
    cast: dict[str, Person], playground: Playground, tmp_path: Path
) -> None:
    engineer, reviewer, manager, admin = (cast[role] for role in ("engineer", "reviewer", "manager", "admin"))
    key = make_connection_and_key(admin, playground.where.model_url)
    write_prompt(engineer)
    make_queue(engineer)
    make_exam(engineer, tmp_path)
    demand(admin)
    answer_customers(playground, key)
    see_the_first_output(engineer)
    review_all(reviewer)
    propose(engineer)
    approve(manager)
    examine_and_release(engineer)
    follow_a_line_to_its_output(engineer)
    roll_back(engineer)


def make_connection_and_key(admin: Person, model_url: str) -> str:
    """The administrator connects the model and makes production's key; its text."""
    admin.go("connections/")
    admin.fill("Name", "house")
    admin.fill("Address", model_url)
    admin.button("Add")
    admin.go("keys/")
    admin.fill("Name", "production")
    for scope in ("ingest", "read"):
        admin.keys.tick(admin.page.locator(f"input[name=scopes][value={scope}]"))
    admin.button("Make the key")
    return admin.page.locator("#secret-text").input_value()


def write_prompt(engineer: Person) -> None:
    """The engineer writes the first revision and releases it."""
    engineer.go("prompts/")
    engineer.link("New prompt")
    engineer.fill("Name", PROMPT)
    engineer.button("Create prompt")
    engineer.fill("Text of message 1", "Sort the message. Answer with the name of the intent alone.")
    engineer.fill("Model", f"house/{MODEL}")
    engineer.button("See the changes", engineer.page.get_by_role("complementary"))
    engineer.button("Save revision")
    engineer.link("Release")
    engineer.fill("Reason", "The first one.")
    engineer.button("Release revision 1")


def make_queue(engineer: Person) -> None:
    """A rubric of one question and the right text, a queue, and a rule that draws everything."""
    engineer.go("rubrics/")
    engineer.link("Write a rubric")
    engineer.fill("Name", RUBRIC)
    engineer.button("Save the rubric")
    engineer.go("queues/")
    engineer.link("New queue")
    engineer.fill("Name", QUEUE)
    engineer.button("Make the queue")
    engineer.link("New rule")
    engineer.fill("Share to draw", "100")
    engineer.choose("Prompt", PROMPT)
    engineer.button("Make the rule")


def make_exam(engineer: Person, folder: Path) -> None:
    """A golden set out of a file, cut to its first version."""
    lines = [
        json.dumps({"id": f"case-{at}", "input": case.text, "expected": case.intent, "part": "gate"})
        for at, case in enumerate(traffic.golden_cases())
    ]
    (folder / "exam.jsonl").write_text("\n".join(lines))
    engineer.go("golden-sets/")
    engineer.fill("Name", EXAM)
    engineer.choose("Prompt", PROMPT)
    engineer.button("Make it")
    # What opens at this button is a window of the operating system.
    engineer.page.locator("input[type=file]").set_input_files(folder / "exam.jsonl")
    engineer.button("Import the file")
    engineer.button("Cut version")


def demand(admin: Person) -> None:
    """What production demands from now on."""
    admin.go(f"prompts/{PROMPT}/labels/production/policy/")
    admin.choose("Golden set", EXAM)
    admin.fill("Looks", "1")
    admin.keys.tick(admin.field("exact_match"))
    admin.button("This is demanded from now on")


def answer_customers(playground: Playground, key: str) -> None:
    """Production answers with what is released, and logs what it said."""
    with closing(Ratchet(playground.site.url, key)) as ratchet:
        production = Production(ratchet, playground.where.model_url, None, PROMPT)
        texts = [message.text for message in traffic.rounds(4)[0][:N_OUTPUTS]]
        assert production.answer_all(texts, name="by-hand") == N_OUTPUTS


def see_the_first_output(engineer: Person) -> None:
    """The engineer finds what arrived."""
    engineer.go("outputs/")
    engineer.wait_for(f"{N_OUTPUTS} outputs")


def review_all(reviewer: Person) -> None:
    """The reviewer judges every output, and corrects what is wrong."""
    right = {message.text: message.intent for message in traffic.rounds(4)[0]}
    reviewer.go("review/")
    reviewer.wait_for("wait for you")
    reviewer.button("Start")
    for _ in range(N_OUTPUTS):
        judge(reviewer.page, reviewer.keys, right)
    reviewer.wait_for("waits for you any more")


def judge(page: Page, keys: Keyboard, right: dict[str, str]) -> None:
    """One item, from reading to handing in."""
    work = page.locator(".work").first
    number = work.get_attribute("data-item")
    asked = work.locator(".thread .msg-text").last.inner_text().strip()
    said = work.locator(".output .read").first.inner_text().strip()
    form = page.locator("form.rubric").first
    keys.pick(form.locator(f"input[type=radio][value={'yes' if said == right[asked] else 'no'}]").first)
    if said != right[asked]:
        keys.type(work.locator(".correction textarea").first, right[asked])
    keys.press(form.locator("[data-submit]"))
    page.locator(f".work:not([data-item='{number}']), .empty, .queues-to-review").first.wait_for()


def propose(engineer: Person) -> None:
    """The engineer asks what the verdicts teach, and sees a candidate."""
    engineer.go(f"prompts/{PROMPT}/")
    engineer.button("Propose from verdicts")
    engineer.wait_for("join intent")


def approve(manager: Person) -> None:
    """The manager reads why and what, and approves."""
    manager.go("proposals/")
    manager.keys.press(manager.page.get_by_role("link", name="Proposal 1").first)
    manager.page.wait_for_url("**/proposals/*/")
    manager.fill("Reason", "These corrections are right.")
    manager.button("Approve revision 2")


def examine_and_release(engineer: Person) -> None:
    """The engineer has the candidate tested, and releases it on that evidence."""
    engineer.go(f"prompts/{PROMPT}/?revision=2")
    engineer.button("Start gate run")
    engineer.until(engineer.page.locator(".verdict .badge--pass"), "Pass")
    engineer.go(f"prompts/{PROMPT}/?revision=2")
    engineer.link("Release")
    engineer.button("Release revision 2")
    engineer.wait_for("Production is revision 2")


def follow_a_line_to_its_output(engineer: Person) -> None:
    """From a line of the context one step to its verdict, and on to the output that caused it."""
    engineer.go(f"prompts/{PROMPT}/?revision=2")
    engineer.keys.press(engineer.page.locator("main a[href*='/verdicts/']").first)
    engineer.page.wait_for_url("**/verdicts/*/")
    engineer.keys.press(engineer.page.locator("main a[href*='/outputs/']").first)
    engineer.page.wait_for_url("**/outputs/**")
    assert urllib.parse.unquote(engineer.page.url).rstrip("/").rsplit("/", 1)[-1].startswith(f"{PROMPT}-by-hand-")


def roll_back(engineer: Person) -> None:
    """It disappoints; production goes back."""
    engineer.go(f"prompts/{PROMPT}/")
    engineer.link("Roll back to revision 1")
    engineer.fill("Reason", "It disappoints.")
    engineer.button("Roll back to revision 1")
    engineer.wait_for("Production is revision 1")
