"""The explorer in a real browser: searched, scrolled, opened, chosen, by mouse, by keyboard, and without a script."""

import datetime as dt
import re
import urllib.parse

import pytest
from playwright.sync_api import Page, expect

from core import clock
from ledger import handovers
from outputs.models import Feedback, Output, OutputBody, Step, StepBody
from outputs.services import search
from projects.models import Project, User
from reviews.models import Intake, Item, Queue
from tests import factories
from tests.browser.conftest import PHONE, SignIn, assert_accessible

HOSTILE = '<img src=x onerror="window.ran=1"><script>window.ran = 1</script>'


@pytest.fixture
def project(transactional_db: None) -> Project:
    return factories.a_project("Support")


@pytest.fixture
def engineer(project: Project) -> User:
    return factories.a_member(project)


@pytest.fixture
def queue(project: Project) -> Queue:
    return factories.a_queue(project, "Refund answers")


def some_outputs(project: Project, n: int, *, says: str = "Where is my bike", model: str = "orchid") -> list[Output]:
    """Findable outputs, as the worker leaves them."""
    today = clock.now().date()
    outputs = Output.objects.bulk_create(
        Output(
            project=project,
            external_id=f"{model}/{number}",
            body_hash=b"",
            model=model,
            latency_ms=900 + number,
            trace_id=f"trace-{number // 3}",
            span_id=str(number),
            received_on=today,
            received_at=clock.now(),
        )
        for number in range(n)
    )
    OutputBody.objects.bulk_create(
        OutputBody(output_id=output.pk, received_on=today, input=f"{says}, number {number}?", output="It is **here**.")
        for number, output in enumerate(outputs)
    )
    findable(project, outputs)
    return outputs


def findable(project: Project, outputs: list[Output]) -> None:
    handovers.announce("outputs.stored", project_id=project.pk, ids=[output.pk for output in outputs])
    while search.index_waiting(now=clock.now()):
        pass


def beyond_the_edge(page: Page) -> list[str]:
    """What makes the page scroll sideways."""
    return page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
        .filter((one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.outerHTML.slice(0, 120))"""
    )


def rows(page: Page) -> int:
    return page.locator("#outputs tbody tr:not(.older)").count()


def test_is_searched_filtered_scrolled_and_looked_into(project: Project, engineer: User, sign_in: SignIn) -> None:
    some_outputs(project, 120)
    some_outputs(project, 5, says="The tent leaks", model="tulip")
    page = sign_in(engineer)
    page.goto(f"/{project.slug}/outputs/")
    assert rows(page) == 50
    assert_accessible(page)
    page.locator(".older").scroll_into_view_if_needed()
    expect(page.locator("#outputs tbody tr:not(.older)")).to_have_count(100)
    page.locator(".older").scroll_into_view_if_needed()
    expect(page.locator("#outputs tbody tr:not(.older)")).to_have_count(125)
    expect(page.get_by_text("That is all.")).to_be_visible()
    page.get_by_role("searchbox", name="Search outputs").fill("bik*")
    page.keyboard.press("Enter")
    expect(page.get_by_text("120 outputs, newest first")).to_be_visible()
    page.locator(".filter-menu > summary").click()
    page.get_by_label("Model").fill("tulip")
    page.get_by_role("button", name="Show these").click()
    expect(page.get_by_role("heading", name="No output matches")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("link", name="Words", exact=True).click()
    expect(page.locator("#outputs tbody tr:not(.older)")).to_have_count(5)
    page.locator(".input-cell a").first.click()
    expect(page.locator("#side h2")).to_contain_text("The tent leaks, number 4?")
    assert page.url.endswith("?model=tulip")
    assert_accessible(page)
    page.locator("#side").get_by_role("link", name="Show all").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("The tent leaks, number 4?")
    expect(page.locator("strong", has_text="here")).to_be_visible()
    assert_accessible(page)


def test_the_chosen_and_all_that_match_go_into_a_queue(
    project: Project, engineer: User, queue: Queue, sign_in: SignIn
) -> None:
    some_outputs(project, 70)
    page = sign_in(engineer)
    page.goto(f"/{project.slug}/outputs/?model=orchid")
    for place in (0, 2):
        page.get_by_role("checkbox", name="Choose").nth(place).check()
    expect(page.locator("#n-chosen")).to_have_text("2 chosen of")
    page.get_by_text("Send to a queue").click()
    page.get_by_role("button", name=queue.name).click()
    page.get_by_role("link", name="Open it").click()
    page.wait_for_url(f"**/queues/{urllib.parse.quote(queue.name)}/")
    assert sorted(item.subject_key for item in Item.objects.all()) == sorted(
        str(output.pk) for output in Output.objects.filter(external_id__in=["orchid/69", "orchid/67"])
    )
    page.goto(f"/{project.slug}/outputs/?model=orchid&days=7")
    page.get_by_text("Send to a queue").click()
    expect(page.get_by_label("All that match, 70 outputs")).to_be_checked()
    page.get_by_role("button", name=queue.name).click()
    page.get_by_role("link", name="Open it").click()
    page.wait_for_url(f"**/queues/{urllib.parse.quote(queue.name)}/")
    intake = Intake.objects.get()
    assert set(intake.filter) == {"model", "since"}


def test_the_whole_way_by_keyboard(project: Project, engineer: User, queue: Queue, sign_in: SignIn) -> None:
    some_outputs(project, 60)
    page = sign_in(engineer)
    page.goto(f"/{project.slug}/outputs/")
    page.keyboard.press("/")
    page.keyboard.type("bike")
    page.keyboard.press("Enter")
    page.wait_for_url("**/outputs/?q=bike*")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("#n-chosen")).to_have_text("1 chosen of")
    page.keyboard.press("o")
    expect(page.locator("#side h2")).to_contain_text("number 58?")
    page.keyboard.press("k")
    expect(page.locator("#side h2")).to_contain_text("number 59?")
    page.locator(".menu--btn summary", has_text="Send to a queue").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Open it").click()
    page.wait_for_url(f"**/queues/{urllib.parse.quote(queue.name)}/")
    assert Item.objects.count() == 1
    page.go_back()
    page.locator(".input-cell a").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("number 59?")


def test_the_same_without_a_script(project: Project, engineer: User, queue: Queue, sign_in: SignIn) -> None:
    some_outputs(project, 120)
    page = sign_in(engineer, java_script_enabled=False)
    page.goto(f"/{project.slug}/outputs/")
    page.get_by_role("searchbox", name="Search outputs").fill("bike")
    page.keyboard.press("Enter")
    for n_rows in (50, 20):
        page.get_by_role("link", name="Older outputs").click()
        assert rows(page) == n_rows
    page.get_by_role("checkbox", name="Choose").first.check()
    page.get_by_text("Send to a queue").click()
    page.get_by_role("button", name=queue.name).click()
    page.get_by_role("link", name="Open it").click()
    page.wait_for_url(f"**/queues/{urllib.parse.quote(queue.name)}/")
    assert Item.objects.count() == 1
    page.go_back()
    page.locator(".input-cell a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("number 19?")
    page.locator("#said").get_by_role("link", name="As sent").click()
    expect(page.get_by_text("It is **here**.")).to_be_visible()


def test_a_filter_is_saved_found_and_deleted(project: Project, engineer: User, sign_in: SignIn) -> None:
    some_outputs(project, 3)
    page = sign_in(engineer)
    page.goto(f"/{project.slug}/outputs/?status=error")
    page.get_by_text("Saved filters").click()
    page.get_by_label("Save the present filter as").fill("Errors")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved as “Errors”.")).to_be_visible()
    page.goto(f"/{project.slug}/outputs/")
    page.get_by_text("Saved filters").click()
    assert_accessible(page)
    page.get_by_role("link", name="Errors").click()
    page.wait_for_url("**/outputs/?status=error")
    page.get_by_text("Saved filters").click()
    page.get_by_role("button", name="Delete Errors").click()
    expect(page.get_by_text("“Errors” is deleted.")).to_be_visible()
    page.wait_for_url("**/outputs/?status=error")


def test_the_first_output_appears_by_itself(project: Project, engineer: User, sign_in: SignIn) -> None:
    page = sign_in(engineer)
    page.goto(f"/{project.slug}/outputs/")
    expect(page.get_by_role("heading", name="No output has arrived yet")).to_be_visible()
    assert_accessible(page)
    some_outputs(project, 1)
    expect(page.get_by_role("heading", name="The first output is here")).to_be_visible()
    expect(page.get_by_text("Where is my bike, number 0?")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_hostile_and_long_texts_do_nothing(project: Project, engineer: User, sign_in: SignIn, script: bool) -> None:
    output = some_outputs(project, 1, model=HOSTILE[:60])[0]
    long = f"{HOSTILE} السلام عليكم 日本語 😀 [click](javascript:alert(1)) ![x](http://example.org/x.png) " * 2_000
    OutputBody.objects.filter(output_id=output.pk).update(input=long, output=long, metadata={"context": [long]})
    for kind, value in (("thumb", -1), ("score", 0.5), ("comment", None)):
        Feedback.objects.create(
            project=project,
            external_id=kind,
            body_hash=b"",
            output_external_id=output.external_id,
            kind=kind,
            name=HOSTILE[:100],
            value=value,
            label=HOSTILE,
            comment=HOSTILE,
            source=HOSTILE[:100],
        )
    page = sign_in(engineer, java_script_enabled=script)
    for path in ("", f"?q={urllib.parse.quote(HOSTILE)}", f"{urllib.parse.quote(output.external_id, safe='')}/"):
        page.goto(f"/{project.slug}/outputs/{path}")
        if script:
            assert page.evaluate("window.ran") is None
            assert not beyond_the_edge(page)
        assert page.locator("main img, main script").count() == 0
        assert page.locator("main a[href^='javascript']").count() == 0


def test_a_phone_opens_the_page_and_needs_no_sideways_scrolling(
    project: Project, engineer: User, sign_in: SignIn
) -> None:
    some_outputs(project, 60)
    page = sign_in(engineer, viewport=PHONE)
    page.goto(f"/{project.slug}/outputs/?q=bike")
    assert not beyond_the_edge(page)
    assert_accessible(page)
    page.locator(".filter-menu > summary").click()
    expect(page.get_by_role("button", name="Show these")).to_be_visible()
    assert not beyond_the_edge(page)
    page.keyboard.press("Escape")
    page.locator(".input-cell a").first.click()
    page.wait_for_url("**/outputs/orchid/59/")
    assert not beyond_the_edge(page)
    assert_accessible(page)


def test_a_live_list_brings_what_arrives_and_rests_while_somebody_reads(
    project: Project, engineer: User, sign_in: SignIn
) -> None:
    some_outputs(project, 3)
    settled(project)
    page = sign_in(engineer)
    page.goto(f"/{project.slug}/outputs/")
    page.get_by_role("link", name="Live").click()
    page.wait_for_url("**/outputs/?live=1")
    assert_accessible(page)
    some_outputs(project, 2, says="The tent leaks", model="tulip")
    settled(project)
    expect(page.locator("#outputs tbody tr:not(.older)")).to_have_count(5)
    expect(page.locator(".input-cell a").first).to_contain_text("The tent leaks, number 1?")
    expect(page.locator("#live")).to_contain_text("a second")
    page.locator(".input-cell a").first.click()
    expect(page.locator("#side h2")).to_contain_text("The tent leaks")
    expect(page.locator("#live")).to_contain_text("Paused")
    some_outputs(project, 1, says="A third thing", model="rose")
    settled(project)
    page.locator("[data-close-side]").click()
    expect(page.locator(".input-cell a").first).to_contain_text("A third thing")
    assert rows(page) == 6
    page.get_by_role("link", name="Stop").click()
    expect(page.locator("#live")).to_have_count(0)


def test_a_live_list_never_grows_without_end(project: Project, engineer: User, sign_in: SignIn) -> None:
    some_outputs(project, 50)
    settled(project)
    page = sign_in(engineer)
    page.goto(f"/{project.slug}/outputs/?live=1")
    for number in range(5):
        some_outputs(project, 50, model=f"m{number}")
        settled(project)
        expect(page.locator(".input-cell a").first).to_have_attribute("href", re.compile(rf"m{number}/49/$"))
    expect(page.locator("#outputs tbody tr:not(.older)")).to_have_count(200)


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_a_trace_is_walked_span_by_span(project: Project, engineer: User, sign_in: SignIn, script: bool) -> None:
    output = some_outputs(project, 1)[0]
    step = Step.objects.create(
        project=project,
        external_id="s",
        body_hash=b"",
        trace_id=output.trace_id,
        span_id="root",
        name="find the order",
        kind=Step.Kind.TOOL,
        started_at=clock.now(),
        latency_ms=120,
        received_on=clock.now().date(),
    )
    StepBody.objects.create(step_id=step.pk, received_on=step.received_on, input={"order": 4411}, output="found")
    Output.objects.filter(pk=output.pk).update(session_id="s1", parent_span_id="root", started_at=clock.now())
    page = sign_in(engineer, java_script_enabled=script)
    page.goto(f"/{project.slug}/outputs/{output.external_id}/")
    page.get_by_role("link", name="Open the trace").click()
    expect(page.locator("#span")).to_contain_text("Where is my bike, number 0?")
    page.locator(".tree--wide").get_by_role("link", name="find the order").click()
    expect(page.locator("#span")).to_contain_text("4411")
    page.wait_for_url(f"**/?span=s{step.pk}*")
    if script:
        assert_accessible(page)
        assert not beyond_the_edge(page)
    page.locator("aside").get_by_role("link", name="s1").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("1 output")
    expect(page.locator("strong", has_text="here")).to_be_visible()
    if script:
        assert_accessible(page)


def settled(project: Project) -> None:
    """What is stored arrived a while ago."""
    Output.objects.filter(project=project).update(received_at=clock.now() - dt.timedelta(seconds=5))
