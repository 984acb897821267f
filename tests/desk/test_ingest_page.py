"""The ingest page: every figure equals what the rows say, and a newcomer finds the first step."""

import datetime as dt
from collections import Counter

import pytest
from django.test import Client

from core import clock
from desk import ingest_chart, ingest_queries, snippets
from ledger import handovers
from outputs.models import Feedback, IngestLimit, Output, Tally
from outputs.services import tallies
from outputs.services.tallies import Count, Source
from projects.models import Project, Role
from tests import factories
from tests.outputs import face
from tests.outputs.face import FEEDBACK, an_output, post

OUTPUTS = "/api/v1/outputs"


@pytest.fixture
def project(db: None) -> Project:
    return factories.a_project("Shop")


def signed_in(project: Project, role: str) -> Client:
    client = Client()
    client.force_login(factories.a_member(project, role))
    return client


def look(project: Project, role: str = Role.ENGINEER, **headers: str) -> str:
    answer = signed_in(project, role).get(f"/{project.slug}/ingest/", headers=headers)
    assert answer.status_code == 200
    return str(answer.content.decode())


def counted(project: Project, at: dt.datetime, sender: str = "key:web", route: str = OUTPUTS, **told: object) -> None:
    count = Count(n_requests=1, **told)  # type: ignore[arg-type]
    tallies.count_now({Source(project.pk, sender, route, "curl"): count}, now=at)


@pytest.mark.django_db(transaction=True)
class TestTrueNumbers:
    def test_totals_equal_the_rows(self) -> None:
        project = factories.a_project()
        key = factories.a_key(project, "ingest")
        rows = [an_output(n) for n in range(30)]
        thumbs = [{"id": f"t{n}", "output_id": f"o{n}", "kind": "thumb", "value": 1} for n in range(5)]
        face.ask(
            post([*rows, {"id": "bad"}], key),
            post(rows[:10], key),
            post(an_output(1, output="another"), key),
            post(thumbs, key, path=FEEDBACK),
            post(b"{", key),
        )
        for later in (0, 60, 7_200, 86_400 * 3, 86_400 * 70):
            tallies.sum_up(now=clock.now() + dt.timedelta(seconds=later))
            found = ingest_queries.arrivals(project, now=clock.now())
            stored = {told.words: told.n for told in found.stored}
            assert stored == {"outputs": Output.objects.of(project.pk).count(), "feedback": Feedback.objects.count()}
            totals = found.totals
            assert (totals.sent, totals.accepted, totals.duplicates, totals.rejected) == (47, 35, 10, 2)
            assert totals.refused == 1


class TestPage:
    def test_a_newcomer_finds_the_first_call_and_is_shown_what_arrives(self, project: Project) -> None:
        page = look(project)
        assert "Send your first output" in page
        assert "curl -X POST http://testserver/api/v1/outputs" in page
        assert 'hx-trigger="every 2s"' in page
        counted(project, clock.now(), accepted=1, stored=Counter(outputs=1))
        part = look(project, **{"HX-Request": "true"})
        assert "<html" not in part
        assert "every 2s" not in part
        assert "Who sends" in part

    def test_shows_reasons_senders_and_lag(self, project: Project) -> None:
        now = clock.now()
        reasons = Counter({"input: is missing": 3})
        counted(project, now, rejected=3, reasons=reasons)
        counted(project, now - dt.timedelta(hours=5), sender="door:shop", route="/api/v1/feedback", accepted=2)
        counted(project, now, refused=2, refusals=Counter({"429: This project may send n rows a second": 2}))
        handovers.announce("outputs.stored", project_id=project.pk, ids=[1, 2])
        page = look(project)
        for words in (
            "input: is missing",
            "door shop",
            "silent for 3 h",
            "JSON feedback",
            "429: This project",
            "Search",
        ):
            assert words in page, words

    def test_names_of_senders_are_no_markup(self, project: Project) -> None:
        counted(project, clock.now(), sender="key:<script>x</script>", accepted=1)
        page = look(project)
        assert "<script>x" not in page
        assert "&lt;script&gt;x" in page

    def test_a_signed_in_sender_is_shown_by_address(self, project: Project) -> None:
        user = factories.a_member(project, Role.ENGINEER, "mara@example.org")
        counted(project, clock.now(), sender=f"user:{user.pk}", accepted=1)
        assert "mara@example.org" in look(project, Role.ADMIN)

    def test_only_admins_set_limits(self, project: Project) -> None:
        told = {"rows_per_second": "50", "rows_per_month": "1000"}
        url = f"/{project.slug}/ingest/"
        assert signed_in(project, Role.ENGINEER).post(url, told).status_code == 403
        assert "Change the limits" not in look(project)
        assert signed_in(project, Role.ADMIN).post(url, told).status_code == 302
        limit = IngestLimit.objects.get(project=project)
        assert (limit.rows_per_second, limit.burst_rows, limit.rows_per_month) == (50, None, 1000)
        wrong = signed_in(project, Role.ADMIN).post(url, {"burst_rows": "5"})
        assert wrong.status_code == 422
        assert "which is not limited" in wrong.content.decode()

    def test_counts_of_another_project_are_not_here(self, project: Project) -> None:
        counted(factories.a_project(), clock.now(), sender="key:theirs", accepted=7)
        assert "theirs" not in look(project)


class TestSeries:
    def test_each_row_is_in_one_bar(self, project: Project) -> None:
        now = dt.datetime(2026, 3, 5, 12, 34, 56, tzinfo=dt.UTC)
        for back in range(0, 50 * 60, 7):
            counted(project, now - dt.timedelta(minutes=back), accepted=1)
        for later in (0, 3, 30):
            tallies.sum_up(now=now + dt.timedelta(seconds=later))
            found = ingest_queries.arrivals(project, now=now)
            assert sum(bar.n for bar in found.minutes) == 9
            assert sum(bar.n for bar in found.hours) == len(range(0, 47 * 60 + 35, 7))
        assert Tally.objects.filter(project=project, grain=Tally.Grain.MOMENT).count() == 0

    def test_a_picture_holds_every_bar_inside(self) -> None:
        now = dt.datetime(2026, 3, 5, 12, tzinfo=dt.UTC)
        bars = [ingest_queries.Bar(now + dt.timedelta(minutes=n), {"a": n, "b": 2 * n} if n else {}) for n in range(60)]
        chart = ingest_chart.draw("k", "t", "minute", bars)
        assert len(chart.bars) == 118
        assert chart.total == 3 * sum(range(60))
        assert all(tick.at >= ingest_chart.TOP for tick in chart.y_ticks)
        assert ingest_chart.draw("k", "t", "minute", [ingest_queries.Bar(now, {})] * 60).described == "Nothing came."


def test_snippets_name_this_site_and_no_real_key() -> None:
    for snippet in snippets.all_of("https://ratchet.example.org"):
        assert "https://ratchet.example.org" in snippet.code
        assert snippets.KEY in snippet.code
        assert "$" not in snippet.code.replace("$(", "")
