"""Runs as somebody watches, steers and compares them in a browser."""

import os
import re
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from core import clock
from evals import tasks
from evals.models import Comparison, Run
from evals.services import work
from ledger import heartbeats
from projects.models import Role
from tests import factories
from tests.browser.conftest import PHONE, SignIn, assert_accessible
from tests.evals import exams, gates

pytestmark = pytest.mark.django_db(transaction=True)

# Where to put pictures of what these tests see, if anybody wants them.
PICTURES = os.environ.get("RATCHET_TEST_PICTURES", "")


def url(name: str, project, *args) -> str:
    return reverse(f"evals:{name}", args=[project.slug, *args])


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=False)


def an_engineer(project):
    return factories.a_member(project, Role.ENGINEER)


def answer_some(run: Run, n: int) -> None:
    now = clock.now()
    work.start(run, now=now)
    claimed = work.claim(run, want=n, worker="hand", now=now)
    from evals.models import Result
    from evals.scorers import Panel

    results = Result.objects.select_related("case").in_bulk([one.result_id for one in claimed])
    panel = Panel(run.scorers)
    done = [gates._finished(one, results[one.result_id].case, gates.right, panel) for one in claimed]
    work.finish(run, done, now=now)


class TestWatching:
    def test_the_bar_moves_by_itself_and_the_verdict_appears(self, sign_in: SignIn) -> None:
        run = exams.a_run(40)
        heartbeats.beat("worker:here", kind="worker", now=clock.now())
        page = sign_in(an_engineer(run.project))
        page.goto(url("run-detail", run.project, run.pk))
        expect(page.locator("#progress")).to_contain_text("0 of 40")
        answer_some(run, 20)
        expect(page.locator("#progress")).to_contain_text("20 of 40")
        picture(page, "run-live")
        assert_accessible(page)
        page.reload()
        expect(page.locator("#progress")).to_contain_text("20 of 40")
        gates.finish(run, gates.right)
        expect(page.get_by_role("heading", level=1)).to_contain_text("is done")
        expect(page.locator("#progress")).to_have_count(0)

    def test_pauses_and_resumes_by_keyboard(self, sign_in: SignIn) -> None:
        run = exams.a_run(5)
        page = sign_in(an_engineer(run.project))
        page.goto(url("run-detail", run.project, run.pk))
        page.get_by_role("button", name="Pause").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Resume")).to_be_visible()
        run.refresh_from_db()
        assert run.state == Run.State.PAUSED
        page.get_by_role("button", name="Resume").press("Enter")
        expect(page.get_by_role("button", name="Pause")).to_be_visible()

    def test_a_stale_page_is_told_so_and_offers_the_way_on(self, sign_in: SignIn) -> None:
        run = exams.a_run(2)
        page = sign_in(an_engineer(run.project), java_script_enabled=False)
        page.goto(url("run-detail", run.project, run.pk))
        gates.finish(run, gates.right)
        page.get_by_role("button", name="Cancel the run").click()
        expect(page.get_by_role("heading", name="This has changed meanwhile.")).to_be_visible()
        expect(page.get_by_text(f"Run {run.pk} is done; it cannot be cancelled.")).to_be_visible()

    def test_a_result_opens_in_place_and_more_come_while_scrolling(self, sign_in: SignIn) -> None:
        run = exams.a_run(120)
        gates.finish(run, gates.wrong)
        page = sign_in(an_engineer(run.project))
        page.goto(url("run-detail", run.project, run.pk))
        page.get_by_role("link", name="case 1", exact=True).click()
        expect(page.get_by_text("differs from what is expected").first).to_be_visible()
        assert page.url.endswith(f"/runs/{run.pk}/")
        picture(page, "run-done")
        assert_accessible(page)
        page.keyboard.press("End")
        expect(page.get_by_role("link", name="case 100", exact=True)).to_be_attached()
        page.keyboard.press("End")
        expect(page.get_by_role("link", name="case 120", exact=True)).to_be_attached()


@pytest.fixture
def compared() -> Run:
    """A candidate under a policy, better in some cases and worse in others, with its baseline."""
    site = gates.a_site(n_cases=200)
    for number, case in enumerate(site.golden_set.cases.order_by("pk")):
        case.tags = ["late refund"] if number % 3 == 0 else ["damaged on arrival"] if number % 3 == 1 else []
        case.save(update_fields=["tags"])
    candidate = gates.start(site, gates.a_revision(site.prompt, site.by, "Better."))
    worse = [f"question {number}" for number in range(0, 12, 3)]
    better = [f"question {number}" for number in range(20, 60)]
    return gates.play(candidate, gates.wrong_on(*worse), baseline=gates.wrong_on(*better))


class TestComparing:
    def test_shows_that_it_is_worked_out_and_then_the_verdict(self, sign_in: SignIn, compared: Run) -> None:
        project = compared.project
        heartbeats.beat("worker:here", kind="worker", now=clock.now())
        page = sign_in(an_engineer(project))
        page.goto(url("run-compare", project, compared.pk, compared.baseline_id))
        expect(page.locator(".verdict .badge")).to_contain_text("Pass")
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_text("A worker resamples")).to_be_visible()
        tasks.compare(Comparison.objects.get().pk)
        expect(page.locator(".forest").first).to_be_visible()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Revision 2 does better than revision 1")
        assert_accessible(page)
        picture(page, "compare")
        page.get_by_role("link", name=re.compile("Got better")).press("Enter")
        expect(page.get_by_role("heading", name="question 20")).to_be_visible()

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_fits_a_phone(self, sign_in: SignIn, compared: Run, scheme: str) -> None:
        project = compared.project
        page = sign_in(an_engineer(project), viewport=PHONE, color_scheme=scheme)
        address = url("run-compare", project, compared.pk, compared.baseline_id)
        page.goto(address)
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_text("Look again")).to_be_visible()
        tasks.compare(Comparison.objects.get().pk)
        for name, where in (("compare", address), ("run", url("run-detail", project, compared.pk))):
            page.goto(where)
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            assert_accessible(page)
            picture(page, f"{name}-390-{scheme}")


class TestStarting:
    def test_a_run_is_started_by_keyboard_and_warns_of_its_look(self, sign_in: SignIn) -> None:
        site = gates.a_site(n_cases=8)
        page = sign_in(an_engineer(site.by.project))
        page.goto(url("run-new", site.by.project))
        page.get_by_label("Revision or label").fill("1")
        page.get_by_label("Golden set").select_option("exam")
        page.get_by_label("Part").select_option("gate")
        expect(page.locator("#look")).to_contain_text("10 of 10 are left")
        picture(page, "run-new")
        assert_accessible(page)
        page.get_by_role("button", name="Start the run").press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text("is waiting to begin")
        assert Run.objects.get().part == "gate"

    def test_works_without_javascript(self, sign_in: SignIn) -> None:
        site = gates.a_site(n_cases=8)
        page = sign_in(an_engineer(site.by.project), java_script_enabled=False)
        page.goto(url("run-new", site.by.project))
        page.get_by_label("Revision or label").fill("1")
        page.get_by_label("Golden set").select_option("exam")
        page.get_by_label("Part").select_option("gate")
        page.get_by_role("button", name="Show what it takes").click()
        expect(page.locator("#look")).to_contain_text("10 of 10 are left")
        page.get_by_role("button", name="Start the run").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("is waiting to begin")


class TestGoldenSets:
    def test_a_file_is_imported_and_its_bad_rows_are_named(self, sign_in: SignIn, tmp_path: Path) -> None:
        site = gates.a_site(n_cases=8)
        page = sign_in(an_engineer(site.by.project))
        page.goto(url("golden-set-list", site.by.project))
        picture(page, "golden-list")
        assert_accessible(page)
        page.get_by_role("link", name="exam").click()
        file = tmp_path / "cases.csv"
        file.write_text("input,expected,part\nWhere is it?,lost,dev\nHow much?,price,nowhere\n")
        page.get_by_label("File of cases").set_input_files(file)
        page.get_by_role("button", name="Import the file").click()
        expect(page.get_by_role("heading", name="1 row of what was sent was refused")).to_be_visible()
        expect(page.get_by_text("send gate, dev or anchor")).to_be_visible()
        picture(page, "golden-refused")
        assert_accessible(page)
        page.get_by_role("button", name="Cut version 2").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("version 2 with 9 cases")
        page.get_by_role("link", name="against version 1").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("1 case came, 0 went, 0 changed.")

    def test_a_policy_is_set_by_an_admin(self, sign_in: SignIn) -> None:
        site = gates.a_site(n_cases=8)
        page = sign_in(factories.a_member(site.by.project, Role.ADMIN))
        page.goto(url("policy-edit", site.by.project, "intent", "production"))
        picture(page, "policy")
        assert_accessible(page)
        page.get_by_label("Margin", exact=True).fill("2")
        page.get_by_role("button", name="This is demanded").click()
        expect(page.get_by_text("send a share from 0 up to but without 1")).to_be_visible()
        page.get_by_label("Margin", exact=True).fill("0.05")
        page.get_by_role("button", name="This is demanded").click()
        expect(page.get_by_text("5.0 points", exact=True)).to_be_visible()
