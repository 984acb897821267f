"""Engineer and manager walk a correction into production and back in a real browser, with script and without."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from core import clock
from improvement import services as improvement
from improvement.models import Proposal
from projects.models import Role
from prompts.models import Label, Revision
from tests import factories
from tests.browser.conftest import DESKTOP, PHONE, SignIn, assert_accessible
from tests.desk import loops
from tests.desk.loops import Loop

WAYS = [
    pytest.param({}, id="with script"),
    pytest.param({"java_script_enabled": False}, id="without script"),
]


def served(loop: Loop) -> int | None:
    revision = Label.objects.get(prompt=loop.prompt, name="production").revision
    return None if revision is None else revision.number


def press(page: Page, name: str) -> None:
    """Press a button as somebody without a mouse does."""
    button = page.get_by_role("button", name=name, exact=True).last
    button.focus()
    page.keyboard.press("Enter")


def follow(page: Page, name: str) -> None:
    """The same for a link."""
    link = page.get_by_role("link", name=name, exact=True).first
    link.focus()
    page.keyboard.press("Enter")


@pytest.mark.parametrize("way", WAYS)
def test_a_correction_walks_into_production_and_back(
    way: dict[str, Any], transactional_db: None, sign_in: SignIn
) -> None:
    loop = loops.a_loop()
    loops.a_correction(loop.prompt, 1)
    engineer = sign_in(factories.a_member(loop.project, Role.ENGINEER), **way)
    manager = sign_in(factories.a_member(loop.project, Role.MANAGER), **way)

    engineer.goto(f"/{loop.project.slug}/prompts/")
    follow(engineer, "refund-answer")
    press(engineer, "Propose from verdicts")
    expect(engineer.get_by_role("heading", level=1)).to_contain_text("is being built")
    made = Proposal.objects.latest("pk")
    improvement.build(proposal_id=made.pk, now=clock.now())
    if way:
        follow(engineer, "Look again")
    expect(engineer.get_by_role("heading", level=1)).to_contain_text("2 corrections join refund-answer")

    manager.goto(f"/{loop.project.slug}/proposals/")
    follow(manager, f"Proposal {made.pk}")
    manager.get_by_label("Reason").fill("Refunds were late.")
    press(manager, "Approve revision 3")
    expect(manager.get_by_role("heading", name="Approved")).to_be_visible()
    assert served(loop) == 1

    loops.a_tested(Revision.objects.get(prompt=loop.prompt, number=3))
    engineer.reload()
    follow(engineer, "Release on evidence")
    press(engineer, "Release revision 3")
    expect(engineer.get_by_role("heading", name="Production is revision 3")).to_be_visible()
    assert served(loop) == 3

    follow(engineer, "Roll back to revision 1")
    press(engineer, "Roll back to revision 1")
    expect(engineer.get_by_role("heading", name="Production is revision 1")).to_be_visible()
    assert served(loop) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_revision_is_looked_at_before_it_is_saved(
    way: dict[str, Any], transactional_db: None, sign_in: SignIn
) -> None:
    loop = loops.a_loop()
    page = sign_in(factories.a_member(loop.project, Role.ENGINEER), **way)
    page.goto(f"/{loop.project.slug}/prompts/{loop.prompt.name}/")
    follow(page, "New revision")
    text = page.get_by_label("Text of message 1")
    text.fill(text.input_value().replace("Be brief.", "Be kind."))
    press(page, "Add message")
    page.get_by_label("Text of message 3").fill("Sure:")
    page.get_by_role("textbox", name="Note").fill("kinder")
    # Return in a line looks; it removes nothing and saves nothing.
    page.get_by_label("Model").press("Enter")
    expect(page.locator("#changes ins").first).to_have_text("kind")
    expect(page.locator("#changes")).to_contain_text("Assistant message, new")
    assert not Revision.objects.filter(note="kinder").exists()
    press(page, "Save revision")
    expect(page.get_by_role("heading", name="Revision 3 against 2")).to_be_visible()
    made = Revision.objects.get(note="kinder")
    assert [message["role"] for message in made.messages] == ["system", "user", "assistant"]
    assert made.messages[0]["content"] == loops.POLICY.replace("Be brief.", "Be kind.")


def test_one_click_leads_from_a_line_to_verdict_and_output(transactional_db: None, sign_in: SignIn) -> None:
    loop = loops.a_loop()
    page = sign_in(factories.a_member(loop.project, Role.ENGINEER))
    there = f"/{loop.project.slug}/prompts/{loop.prompt.name}/?revision=2"
    for name, place in (
        (f"Verdict {loop.verdict.pk}", f"/verdicts/{loop.verdict.pk}/"),
        ("2 reviews", f"/verdicts/{loop.verdict.pk}/#who-h"),
        (f"output {loop.output}", f"/outputs/{loop.output}/"),
    ):
        page.goto(there)
        page.get_by_role("link", name=name, exact=True).click()
        page.wait_for_url(f"**{place}")


@pytest.mark.parametrize("look", [{"viewport": DESKTOP}, {"viewport": PHONE, "color_scheme": "dark"}], ids=str)
def test_pages_in_full_fit_and_have_no_barrier(look: dict[str, Any], transactional_db: None, sign_in: SignIn) -> None:
    loop = loops.a_loop(n_corrections=3)
    loops.a_tested(loop.candidate)
    right_to_left = "مرحبا " * 40 + "漢字" * 60 + "🙂" * 30
    loops.a_revision(loop.prompt, loop.by, right_to_left + "\n" + "x" * 3_000, note=right_to_left)
    prompt = f"/{loop.project.slug}/prompts/{loop.prompt.name}"
    page = sign_in(factories.a_member(loop.project, Role.ADMIN), **look)
    for path in (
        f"{prompt}/",
        f"{prompt}/?revision=3&against=1&show=context",
        f"{prompt}/?revision=3&against=1&show=parameters",
        f"{prompt}/releases/+new/?revision=2",
        f"{prompt}/releases/+new/?revision=3",
        f"/{loop.project.slug}/proposals/{loop.proposal.pk}/",
    ):
        page.goto(path)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0, path
        assert_accessible(page)
