"""The trends page and its files, as people with and without the right see them."""

import csv
import datetime as dt
import html
import random
import xml.etree.ElementTree as ET

import pytest
import time_machine
from django.test import Client

from core import clock
from insights import figures
from projects.models import Project, Role
from releases import services as releases
from tests import factories
from tests.insights import production
from tests.reviews import desk

NOW = dt.datetime(2026, 3, 20, 15, 30, tzinfo=dt.UTC)
TODAY = NOW.replace(hour=0, minute=0)


@pytest.fixture(autouse=True)
def at_a_known_time() -> None:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def project(db: None) -> Project:
    return factories.a_project()


@pytest.fixture
def manager(project: Project) -> Client:
    client = Client()
    client.force_login(factories.a_member(project, Role.MANAGER))
    return client


def ten_days(project: Project, *, uncovered: int = 0, rate: float = 0.9, **fields: object) -> None:
    """Ten days of traffic, everything reviewed; on the first `uncovered` of them nothing was drawn."""
    dice = random.Random(4)
    queue = desk.a_queue(project)
    production.a_rule(queue, rate)
    for day in range(10):
        at = TODAY - dt.timedelta(days=9 - day)
        production.a_day(project, at, 24, dice=dice, good=0.9, is_drawn=day >= uncovered, **fields)
    production.roll_up()


class TestTrends:
    def test_says_the_figure_in_its_headline(self, project: Project, manager: Client) -> None:
        ten_days(project)
        page = manager.get(f"/{project.slug}/trends/?days=10").content.decode()
        assert "% of answers are good from 11 Mar to 20 Mar." in page
        assert "The share lies between" in page
        assert page.count('role="img"') == 2 * len(figures.KEYS)

    def test_names_no_interval_where_every_output_was_reviewed(self, project: Project, manager: Client) -> None:
        ten_days(project, rate=1.0)
        page = manager.get(f"/{project.slug}/trends/?days=10").content.decode()
        assert "Every one of the 238 outputs was reviewed;" in page
        assert "The share lies between" not in page

    def test_compares_with_what_was_before_the_release(self, project: Project, manager: Client) -> None:
        prompt = factories.a_prompt(project)
        revision, by = factories.a_revision(prompt), factories.an_actor(project)
        releases.release_initially(
            prompt=prompt,
            label_name="production",
            revision=revision,
            reason="first",
            by=by,
            now=TODAY - dt.timedelta(days=4),
        )
        ten_days(project, prompt=prompt)
        page = manager.get(f"/{project.slug}/trends/?days=10&prompt={prompt.name}").content.decode()
        assert "Since revision 1, 17 Mar to 20 Mar, against the 5 days before its release" in page
        assert "no clear change from before revision 1" in page

    def test_a_release_of_one_prompt_does_not_split_the_days_of_all(self, project: Project, manager: Client) -> None:
        prompt = factories.a_prompt(project)
        revision, by = factories.a_revision(prompt), factories.an_actor(project)
        at = TODAY - dt.timedelta(days=4)
        releases.release_initially(
            prompt=prompt, label_name="production", revision=revision, reason="first", by=by, now=at
        )
        ten_days(project)
        page = manager.get(f"/{project.slug}/trends/?days=5").content.decode()
        assert "from the 5 days before" in page
        assert "revision 1" not in html.unescape(page).partition("<h1")[2].partition("</header>")[0]

    def test_tells_a_change_of_errors_by_the_interval_of_the_change(self, project: Project, manager: Client) -> None:
        # 4 of 200 after 12 of 200: the two intervals overlap, that of the difference (method 10) does not hold 0.
        for days_ago, n_errors in ((1, 12), (0, 4)):
            at = TODAY - dt.timedelta(days=days_ago)
            production.arrive_as(project, [{"received_at": at, "status": int(n < n_errors)} for n in range(200)])
        production.roll_up()
        context = manager.get(f"/{project.slug}/trends/?days=1").context
        errors = next(kpi for kpi in context["kpis"] if kpi.name == "Errors")
        assert (errors.change, errors.tone) == ("\u22124.0 points", "good")
        assert errors.change_interval == "\u22128.4 to \u22120.1 points (95\u202f%, n 400)"
        assert "Newcombe" in errors.change_method

    def test_says_no_more_of_a_change_than_its_interval_does(self, project: Project, manager: Client) -> None:
        for days_ago, n_errors, cost, latency in ((1, 6, "0.010000", 100.0), (0, 4, "0.020000", 900.0)):
            row = {"received_at": TODAY - dt.timedelta(days=days_ago), "latency_ms": latency, "cost_usd": cost}
            production.arrive_as(project, [{**row, "status": int(n < n_errors)} for n in range(200)])
        production.roll_up()
        kpis = {kpi.name: kpi for kpi in manager.get(f"/{project.slug}/trends/?days=1").context["kpis"]}
        assert (kpis["Errors"].change, kpis["Errors"].tone) == ("\u22121.0 points, within noise", "")
        latency = kpis["Latency, p95"]
        assert latency.change.startswith("+0.8")
        assert ("noise" in latency.change, latency.tone, latency.change_interval) == (False, "", "")

    def test_the_headline_keeps_silent_about_cost(self, project: Project, manager: Client) -> None:
        dice = random.Random(4)
        production.a_rule(desk.a_queue(project), 0.9)
        for days_ago, cost in ((1, 0.008), (0, 0.002)):
            at = TODAY - dt.timedelta(days=days_ago)
            production.a_day(project, at, 80, dice=dice, good=0.9, cost=cost)
        production.roll_up()
        heading = manager.get(f"/{project.slug}/trends/?days=1").context["headline"].sentence
        assert "from the day before" in heading
        assert "cost" not in heading

    def test_says_why_quality_is_undefined_and_the_way_on(self, project: Project, manager: Client) -> None:
        ten_days(project, uncovered=3)
        page = manager.get(f"/{project.slug}/trends/?days=10").content.decode()
        assert "Quality is undefined from 11 Mar to 20 Mar:" in page
        assert "outputs could never be drawn: no sampling rule covers them." in page
        assert "since=2026-03-14&amp;until=2026-03-20" in page
        assert "11 Mar to 13 Mar: not all covered by a rule" in page
        followed = manager.get(f"/{project.slug}/trends/?since=2026-03-14&until=2026-03-20").content.decode()
        assert "% of answers are good from 14 Mar to 20 Mar" in followed

    def test_of_an_empty_project_keeps_its_axes_and_says_when_they_fill(
        self, project: Project, manager: Client
    ) -> None:
        page = manager.get(f"/{project.slug}/trends/").content.decode()
        assert "Nothing arrived from 19 Feb to 20 Mar." in page
        assert page.count("Nothing to draw yet</h3>") == len(figures.KEYS)
        assert page.count('class="axis"') >= len(figures.KEYS)

    def test_says_that_nothing_is_priced(self, project: Project, manager: Client) -> None:
        ten_days(project, cost=None)
        page = manager.get(f"/{project.slug}/trends/?days=10").content.decode()
        assert "All 240 outputs are unpriced: set prices of their models, or send cost_usd with them." in page

    def test_filters_by_prompt_revision_and_model(self, project: Project, manager: Client) -> None:
        prompt = factories.a_prompt(project)
        revision = factories.a_revision(prompt)
        production.arrive(project, TODAY, 3, prompt=prompt, revision=revision, model="small")
        production.arrive(project, TODAY, 4, prompt=prompt, model="large")
        production.arrive(project, TODAY, 5)
        production.roll_up()
        for query, n in [
            ("", 12),
            ("&prompt=intent", 7),
            ("&prompt=intent&revision=1", 3),
            ("&prompt=intent&model=large", 4),
            ("&model=small", 3),
        ]:
            page = manager.get(f"/{project.slug}/trends/?days=1{query}").content.decode()
            assert f"n 0 of {n} outputs" in page, query

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("since=2026-03-20&until=2026-03-01", "The first day lies after the last one"),
            ("since=yesterday", "Enter a valid date"),
            ("until=2026-03-01", "Give the first day, too."),
            ("since=2000-01-01", "A period has at most 731 days."),
            ("days=0", "greater than or equal to 1"),
            ("revision=3", "choose the prompt first"),
        ],
    )
    def test_keeps_what_was_typed_and_names_the_field(
        self, project: Project, manager: Client, query: str, said: str
    ) -> None:
        answer = manager.get(f"/{project.slug}/trends/?{query}")
        assert answer.status_code == 422
        assert said in answer.content.decode()
        for value in (part.partition("=")[2] for part in query.split("&")):
            assert value in answer.content.decode()

    def test_knows_no_foreign_prompt(self, project: Project, manager: Client) -> None:
        factories.a_prompt(factories.a_project(), "theirs")
        for query in ("prompt=theirs", f"prompt={factories.a_prompt(project).name}&revision=7"):
            assert manager.get(f"/{project.slug}/trends/?{query}").status_code == 404

    def test_never_mixes_two_questions(self, project: Project, manager: Client) -> None:
        ten_days(project)
        other = desk.a_queue(project)
        production.a_rule(other, 1.0)
        late = production.arrive(project, TODAY, 9)
        production.draw(late)
        production.settle([item for item in production.items_of(late) if item.queue_id == other.pk], lambda item: 0.0)
        production.roll_up()
        page = manager.get(f"/{project.slug}/trends/?days=1&rubric={other.rubric.pk}").content.decode()
        assert "Quality is undefined on 20 Mar" in page
        assert f"{other.rubric.name} v1" in page

    def test_costs_the_same_over_any_number_of_outputs(self, project: Project, manager: Client) -> None:
        counts = []
        ten_days(project)
        for n in (1, 300):
            production.draw(production.arrive(project, TODAY, n, model=f"model {n}"))
            production.roll_up()
            with desk.statements() as found:
                assert manager.get(f"/{project.slug}/trends/").status_code == 200
            counts.append(len(found))
            assert not [sql for sql in found if "outputs_output" in sql or "reviews_match" in sql]
        assert counts[0] == counts[1]

    def test_never_shows_text_as_markup(self, project: Project, manager: Client) -> None:
        production.arrive(project, TODAY, 2, model="<script>alert(1)</script>")
        production.roll_up()
        page = manager.get(f"/{project.slug}/trends/?model=%3Cscript%3Ealert(1)%3C/script%3E").content.decode()
        assert "<script>alert(1)" not in page
        assert "&lt;script&gt;alert(1)" in page


class TestTrendDownload:
    def test_gives_the_figures_as_rows_with_all_that_belongs_to_them(self, project: Project, manager: Client) -> None:
        ten_days(project, uncovered=1)
        answer = manager.get(f"/{project.slug}/trends/quality.csv?days=10")
        assert answer["Content-Disposition"].endswith('quality-2026-03-11-2026-03-20.csv"')
        rows = list(csv.DictReader(answer.content.decode().splitlines()))
        assert [row["day"] for row in rows][:2] == ["2026-03-11", "2026-03-12"]
        assert rows[0]["value"] == ""
        assert rows[0]["reason"] == rows[0]["reason"].strip() != ""
        last = rows[-1]
        assert float(last["low"]) <= float(last["value"]) <= float(last["high"])
        assert (last["level"], last["figure"]) == ("0.95", "quality")
        assert int(last["n"]) > 5
        assert "conservative" in last["method"]

    @pytest.mark.parametrize("key", figures.KEYS)
    def test_gives_a_drawing_that_carries_its_own_colours(self, project: Project, manager: Client, key: str) -> None:
        ten_days(project, uncovered=1)
        body = manager.get(f"/{project.slug}/trends/{key}.svg?days=10").content.decode()
        tree = ET.fromstring(body)
        assert tree.tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in body
        assert "11 Mar 2026 to 20 Mar 2026 (UTC), all prompts, n 240 outputs" in body

    def test_gives_a_picture(self, project: Project, manager: Client) -> None:
        ten_days(project)
        answer = manager.get(f"/{project.slug}/trends/latency.png?days=10")
        assert answer["Content-Type"] == "image/png"
        assert answer.content.startswith(b"\x89PNG")

    @pytest.mark.parametrize("name", ["quality.pdf", "mood.svg", "quality.svg?days=x"])
    def test_knows_no_other(self, project: Project, manager: Client, name: str) -> None:
        assert manager.get(f"/{project.slug}/trends/{name}").status_code in (404, 422)

    def test_writes_markup_of_others_as_text(self, project: Project, manager: Client) -> None:
        production.arrive(project, TODAY, 2, model="<b>")
        production.roll_up()
        body = manager.get(f"/{project.slug}/trends/outputs.svg?model=%3Cb%3E").content.decode()
        assert "model &lt;b&gt;" in body
        ET.fromstring(body)


def test_a_reviewer_has_no_trends(project: Project) -> None:
    client = Client()
    client.force_login(factories.a_member(project, Role.REVIEWER))
    assert client.get(f"/{project.slug}/trends/").status_code == 403
    assert clock.now() == NOW
