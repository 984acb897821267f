"""Two runs beside each other: the service, its task, the page and the API."""

import html

import pytest
from django.test import Client
from django.urls import reverse

from core import bells, clock
from core.problems import Unprocessable
from evals import tasks
from evals.models import Comparison, GoldenCase, Look, Run
from evals.services import comparisons, runs
from projects.models import Project, Role
from tests import factories
from tests.evals import exams, gates

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def rung(monkeypatch) -> list[tuple[str, int]]:
    """Every bell that was rung; none of them is heard."""
    found: list[tuple[str, int]] = []
    monkeypatch.setattr(bells, "ring_now", lambda name, *ids: found.append((name, *ids)) or True)
    return found


@pytest.fixture
def site() -> gates.Site:
    return gates.a_site(n_cases=60)


def a_candidate(site: gates.Site, answer=gates.right, *, baseline=gates.right, text: str = "Better.") -> Run:
    """A run of another revision under the policy, played, with its baseline."""
    return gates.play(gates.start(site, gates.a_revision(site.prompt, site.by, text)), answer, baseline=baseline)


def ask(site: gates.Site, candidate: Run, baseline: Run) -> Comparison:
    return comparisons.ask(candidate=candidate, baseline=baseline, by=site.by, now=clock.now())


def result_of(site: gates.Site, candidate: Run, baseline: Run) -> dict:
    found = ask(site, candidate, baseline)
    tasks.compare(found.pk)
    found.refresh_from_db()
    assert found.state == Comparison.State.DONE, found.error
    return found.result


def questions(*numbers: int) -> list[str]:
    return [f"question {number}" for number in numbers]


class TestAsk:
    def test_a_repeat_finds_the_same(self, site):
        run = a_candidate(site)
        assert ask(site, run, run.baseline) == ask(site, run, run.baseline)
        assert Comparison.objects.count() == 1

    def test_takes_no_look(self, site):
        run = a_candidate(site)
        before = Look.objects.count()
        result_of(site, run, run.baseline)
        assert Look.objects.count() == before

    def test_refuses_a_run_that_is_not_done(self, site):
        run = a_candidate(site)
        live = gates.start(site, gates.a_revision(site.prompt, site.by, "Live."))
        with pytest.raises(comparisons.NotComparable, match="compare it when it is done") as refused:
            ask(site, live, run)
        assert refused.value.status == 409
        runs.cancel(run=live, by=site.by, now=clock.now())
        live.refresh_from_db()
        with pytest.raises(comparisons.NotComparable, match="no scores"):
            ask(site, run, live)

    def test_refuses_a_run_beside_itself(self, site):
        run = a_candidate(site)
        with pytest.raises(Unprocessable):
            ask(site, run, run)


class TestResult:
    def test_takes_the_gate_of_its_own_pair_as_it_is_stored(self, site):
        run = a_candidate(site, gates.wrong_on(*questions(1, 2)), baseline=gates.wrong_on(*questions(*range(10, 40))))
        result = result_of(site, run, run.baseline)
        (row,) = result["scorers"]
        assert result["is_gate"]
        assert row["difference"] == run.gate["scorers"][0]["difference"]
        assert (len(row["better"]), len(row["worse"])) == (30, 2)
        assert result["sentence"].startswith("Revision 2 does better than revision 1 by exact_match: 46.7 points more")
        assert (row["candidate"]["value"], row["baseline"]["value"]) == (58 / 60, 30 / 60)

    def test_judges_another_pair_and_says_that_it_is_no_gate(self, site):
        first = a_candidate(site, text="One.")
        second = a_candidate(site, gates.wrong_on(*questions(*range(30))), text="Two.")
        result = result_of(site, second, first)
        assert not result["is_gate"]
        assert result["verdict"] == "fail"
        assert result["sentence"].startswith("Revision 3 does worse than revision 2 by exact_match: 50.0 points fewer")

    def test_pairs_versions_by_the_cases_that_both_hold_with_equal_content(self, site):
        first = a_candidate(site, text="One.")
        changed = site.golden_set.cases.get(key="question 5")
        changed_again = gates.CaseContent(key="question 5", input="question 5", expected="something else", part="gate")
        gates.golden.add_cases(
            golden_set=site.golden_set, rows=[gates.Taken(0, changed_again)], by=site.by, now=clock.now()
        )
        gates.a_version(site.golden_set, site.by, ["question new"])
        second = a_candidate(site, text="Two.")
        result = result_of(site, second, first)
        assert GoldenCase.objects.get(pk=changed.pk).last_version == 1
        assert (result["cases"], result["paired"]) == ({"candidate": 61, "baseline": 60}, 59)

    def test_leaves_out_what_stands_in_a_context_and_counts_it(self, site):
        revision = gates.a_revision(site.prompt, site.by, "With examples.", examples=questions(7, 8))
        run = gates.play(gates.start(site, revision))
        result = result_of(site, run, run.baseline)
        assert (result["left_out"], result["compared"], result["paired"]) == (run.gate["left_out"], 60 - 2, 60)

    def test_adjusts_the_slices_and_tells_them_by_tag(self, site):
        for case in site.golden_set.cases.order_by("pk")[:20]:
            case.tags = ["late"]
            case.save(update_fields=["tags"])
        run = a_candidate(site, baseline=gates.wrong_on(*questions(0, 1, 2, 3)))
        result = result_of(site, run, run.baseline)
        assert [(row["name"], row["difference"]["n"]) for row in result["slices"]] == [
            ("late", 20),
            ("everything else", 40),
        ]
        assert result["slices"][0]["p"]["value"] == 0.125
        assert result["slices"][1]["p"]["reason"]

    def test_a_scorer_of_one_run_alone_has_a_row_that_says_why(self, site):
        asked = {"golden_set": "exam", "part": "gate", "scorers": [gates.EXACT, {"name": "contains", "args": {}}]}
        both = gates.play(gates.start(site, gates.a_revision(site.prompt, site.by, "Both."), **asked))
        one = a_candidate(site, text="One.")
        result = result_of(site, both, one)
        undefined = next(row for row in result["scorers"] if row["scorer"] == "contains")
        assert undefined["difference"]["reason"] == f"run {one.pk} was not scored by it"
        assert undefined["verdict"] is None

    def test_runs_that_share_no_case_are_inconclusive_with_the_reason(self, site):
        run = a_candidate(site)
        other = exams.a_run(3, project=site.by.project, scorers=[gates.EXACT])
        gates.finish(other, gates.right)
        other.refresh_from_db()
        result = result_of(site, run, other)
        assert result["verdict"] == "inconclusive"
        assert "share no case" in result["because"]
        both = next(row for row in result["scorers"] if row["scorer"] == "exact_match")
        assert (both["verdict"], both["difference"]["reason"]) == (None, "the two runs share no case")


class TestTask:
    def test_twice_is_once(self, site):
        run = a_candidate(site)
        found = ask(site, run, run.baseline)
        tasks.compare(found.pk)
        first = Comparison.objects.values().get()
        tasks.compare(found.pk)
        assert Comparison.objects.values().get() == first

    def test_a_fault_ends_it_and_says_so(self, site, monkeypatch):
        run = a_candidate(site)
        found = ask(site, run, run.baseline)
        monkeypatch.setattr("evals.services.comparisons.result_of", lambda *runs: 1 / 0)
        tasks.compare(found.pk)
        found.refresh_from_db()
        assert (found.state, found.result) == ("failed", None)
        assert "ZeroDivisionError" in found.error

    def test_the_sweep_rings_for_one_whose_bell_was_lost(self, site, rung, django_capture_on_commit_callbacks):
        run = a_candidate(site)
        found = ask(site, run, run.baseline)
        with django_capture_on_commit_callbacks(execute=True):
            tasks.sweep()
        assert (comparisons.BELL, found.pk) in rung


def signed_in(project: Project, role: str = Role.ENGINEER) -> Client:
    client = Client()
    client.force_login(factories.a_member(project, role))
    return client


def words(response) -> str:
    return " ".join(response.content.decode().split())


class TestRunCompare:
    def page(self, run: Run, other: Run | None = None) -> str:
        return reverse("evals:run-compare", args=[run.project.slug, run.pk, (other or run.baseline).pk])

    def test_says_that_it_is_worked_out_and_then_shows_it(self, site):
        run = a_candidate(site, gates.wrong_on("question 1"), baseline=gates.wrong_on(*questions(3, 4)))
        client = signed_in(site.by.project)
        assert client.post(self.page(run))["Location"] == self.page(run)
        assert "Look again" in words(client.get(self.page(run)))
        tasks.compare(Comparison.objects.get().pk)
        said = words(client.get(self.page(run)))
        assert "It is open whether revision 2 is no worse than revision 1 by exact_match" in said
        assert "Got worse 1" in said
        assert "Got better 2" in said
        assert "something else" in said
        better = words(client.get(self.page(run), {"show": "better"}))
        assert ("question 3" in better, "question 1<" in better) == (True, False)

    def test_a_look_asks_nobody_and_shows_the_gate_that_is_stored(self, site, rung, django_capture_on_commit_callbacks):
        run = a_candidate(site, gates.wrong_on("question 1"), baseline=gates.wrong_on(*questions(3, 4)))
        client, before = signed_in(site.by.project), list(rung)
        with django_capture_on_commit_callbacks(execute=True):
            said = words(client.get(self.page(run)))
        assert "It is open whether revision 2 is no worse than revision 1 by exact_match" in said
        assert "Compare</button>" in said
        assert (Comparison.objects.count(), rung) == (0, before)

    def test_a_pair_that_nobody_asked_for_says_so(self, site):
        first, second = a_candidate(site, text="One."), a_candidate(site, text="Two.")
        assert "have not been compared" in words(signed_in(site.by.project).get(self.page(second, first)))

    def test_a_manager_looks_and_asks_nobody(self, site):
        run = a_candidate(site)
        manager = signed_in(site.by.project, Role.MANAGER)
        assert "an engineer can" in words(manager.get(self.page(run)))
        assert manager.post(self.page(run)).status_code == 403
        assert Comparison.objects.count() == 0

    def test_one_that_failed_is_asked_for_again(self, site, monkeypatch):
        run = a_candidate(site)
        client = signed_in(site.by.project)
        client.post(self.page(run))
        with monkeypatch.context() as broken:
            broken.setattr("evals.services.comparisons.result_of", lambda *runs: 1 / 0)
            tasks.compare(Comparison.objects.get().pk)
        assert "Compare again" in words(client.get(self.page(run)))
        client.post(self.page(run))
        found = Comparison.objects.get()
        assert (found.state, found.attempts, found.error, found.finished_at) == ("waiting", 0, "", None)
        tasks.compare(found.pk)
        assert "Paired cases" in words(client.get(self.page(run)))

    def test_without_any_verdict_it_lists_the_scorers_of_both_with_the_reason(self, site):
        run = a_candidate(site)
        other = exams.a_run(3, project=site.by.project, scorers=[gates.EXACT])
        gates.finish(other, gates.right)
        other.refresh_from_db()
        result_of(site, run, other)
        said = words(signed_in(site.by.project).get(self.page(run, other)))
        assert "exact_match" in said
        assert "undefined: the two runs share no case" in said

    def test_an_invalid_run_is_shown_with_its_reason(self, site):
        run = a_candidate(site, gates.failing_on(*questions(*range(30))))
        assert run.state == Run.State.INVALID
        row = result_of(site, run, run.baseline)["scorers"][0]
        assert (row["scorer"], row["verdict"]) == ("exact_match", None)
        said = words(signed_in(site.by.project).get(self.page(run)))
        assert row["difference"]["reason"] in html.unescape(said)

    def test_runs_without_a_scorer_in_common_are_shown(self, site):
        run = a_candidate(site)
        asked = {"golden_set": "exam", "part": "gate", "scorers": [{"name": "contains", "args": {}}]}
        other = gates.play(gates.start(site, gates.a_revision(site.prompt, site.by, "Both."), **asked))
        result_of(site, run, other)
        said = words(signed_in(site.by.project).get(self.page(run, other)))
        assert f"run {other.pk} was not scored by it" in said

    def test_costs_the_same_for_any_number_of_flips(self, django_assert_num_queries, monkeypatch):
        monkeypatch.setattr("evals.run_queries.FLIPS", 3)
        sites = [gates.a_site(n_cases=n) for n in (10, 60)]
        found = [a_candidate(one, gates.wrong) for one in sites]
        for one, run in zip(sites, found, strict=True):
            result_of(one, run, run.baseline)
            client = signed_in(one.by.project)
            client.get(self.page(run))
            with django_assert_num_queries(11):
                client.get(self.page(run))

    def test_more_flips_come_by_cursor(self, site, monkeypatch):
        monkeypatch.setattr("evals.run_queries.FLIPS", 5)
        run = a_candidate(site, gates.wrong)
        result_of(site, run, run.baseline)
        client = signed_in(site.by.project)
        first = client.get(self.page(run))
        assert first.content.count(b'<article class="flip">') == 5
        last = site.golden_set.cases.get(key="question 58").pk
        rest = client.get(self.page(run), {"cursor": last}, headers={"HX-Request": "true"})
        assert rest.content.count(b'<article class="flip">') == 1
        assert b"<html" not in rest.content

    def test_refuses_a_run_that_is_not_done(self, site):
        run = a_candidate(site)
        live = gates.start(site, gates.a_revision(site.prompt, site.by, "Live."))
        assert signed_in(site.by.project).get(self.page(live, run)).status_code == 409

    def test_a_stranger_finds_nothing(self, site):
        run = a_candidate(site)
        slug = factories.a_project().slug
        stranger = signed_in(Project.objects.get(slug=slug))
        assert stranger.get(self.page(run)).status_code == 404
        assert stranger.get(reverse("evals:run-compare", args=[slug, run.pk, run.baseline_id])).status_code == 404


class TestApi:
    def test_answers_202_and_then_the_figures(self, site):
        run = a_candidate(site, baseline=gates.wrong_on(*questions(3, 4)))
        url = f"/api/v1/runs/{run.pk}/compare/{run.baseline_id}"
        headers = factories.bearer(factories.a_key(site.by.project, "read"))
        waiting = Client().get(url, headers=headers)
        assert (waiting.status_code, waiting.json()["state"], waiting.json()["sentence"]) == (202, "waiting", None)
        tasks.compare(Comparison.objects.get().pk)
        done = Client().get(url, headers=headers)
        assert done.status_code == 200
        assert done.json()["flipped"] == {"better": questions(3, 4), "worse": []}
        assert done.json()["scorers"][0]["difference"]["n"] == 60

    def test_tells_whoever_polls_that_it_failed(self, site, monkeypatch):
        run = a_candidate(site)
        url = f"/api/v1/runs/{run.pk}/compare/{run.baseline_id}"
        headers = factories.bearer(factories.a_key(site.by.project, "read"))
        Client().get(url, headers=headers)
        monkeypatch.setattr("evals.services.comparisons.result_of", lambda *runs: 1 / 0)
        tasks.compare(Comparison.objects.get().pk)
        for _ in range(2):
            failed = Client().get(url, headers=headers)
            assert (failed.status_code, failed.json()["state"]) == (200, "failed")

    def test_a_foreign_run_is_not_found(self, site):
        run = a_candidate(site)
        headers = factories.bearer(factories.a_key(factories.a_project(), "read"))
        assert Client().get(f"/api/v1/runs/{run.pk}/compare/{run.baseline_id}", headers=headers).status_code == 404
