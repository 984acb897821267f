"""The pages of runs: what they say, what they refuse, and that they cost the same at any size."""

import uuid

import pytest
from django.test import Client
from django.urls import reverse

from core import bells, clock
from evals import steering
from evals.models import Result, Run
from evals.services import runs
from ledger import heartbeats
from projects.models import Role
from tests import factories
from tests.evals import exams, gates

pytestmark = pytest.mark.django_db


@pytest.fixture
def rung(monkeypatch) -> list[tuple[str, int]]:
    """Every bell that was rung; none of them is heard."""
    found: list[tuple[str, int]] = []
    monkeypatch.setattr(bells, "ring_now", lambda name, *ids: found.append((name, *ids)) or True)
    return found


def signed_in(project, role: str = Role.ENGINEER) -> Client:
    client = Client()
    client.force_login(factories.a_member(project, role))
    return client


def page_of(run: Run, name: str = "run-detail") -> str:
    return reverse(f"evals:{name}", args=[run.project.slug, run.pk])


def words(response) -> str:
    return " ".join(response.content.decode().split())


class TestRunList:
    def test_shows_runs_with_their_verdicts(self, rung):
        site = gates.a_site(n_cases=40)
        run = gates.play(gates.start(site, gates.a_revision(site.prompt, site.by, "Better.")))
        said = words(signed_in(site.by.project).get(reverse("evals:run-list", args=[site.by.project.slug])))
        assert f"Run {run.pk}" in said
        assert "intent <strong>r2</strong>" in said
        assert "exact_match" in said

    def test_says_what_to_do_where_there_is_none(self):
        project = factories.a_project()
        assert "No run yet" in words(signed_in(project).get(reverse("evals:run-list", args=[project.slug])))

    def test_refuses_an_unknown_state(self):
        project = factories.a_project()
        asked = signed_in(project).get(reverse("evals:run-list", args=[project.slug]), {"state": "lost"})
        assert asked.status_code == 422

    def test_costs_the_same_for_any_number_of_runs(self, django_assert_num_queries):
        project = factories.a_project()
        client, url = signed_in(project), reverse("evals:run-list", args=[project.slug])
        for n_cases in range(1, 4):
            exams.a_run(n_cases, project=project, revision=exams.a_revision(project, model=f"m/{uuid.uuid4()}"))
        client.get(url)
        with django_assert_num_queries(7) as few:
            client.get(url)
        for number in range(5):
            exams.a_run(10 + number, project=project, revision=exams.a_revision(project, model=f"n/{number}"))
        with django_assert_num_queries(len(few)):
            client.get(url)

    def test_goes_on_by_cursor(self, monkeypatch):
        monkeypatch.setattr("evals.run_queries.ROWS", 2)
        project = factories.a_project()
        made = [exams.a_run(n, project=project, revision=exams.a_revision(project, model=f"n/{n}")) for n in (1, 2, 3)]
        client, url = signed_in(project), reverse("evals:run-list", args=[project.slug])
        assert f"cursor={made[1].pk}" in words(client.get(url))
        rest = words(client.get(url, {"cursor": made[1].pk}, headers={"HX-Request": "true"}))
        assert f"Run {made[0].pk}" in rest
        assert "<html" not in rest


class TestRunDetail:
    def test_says_the_verdict_first_and_shows_the_figures(self, rung):
        site = gates.a_site(n_cases=60)
        run = gates.play(gates.start(site, gates.a_revision(site.prompt, site.by, "Better.")), gates.right)
        said = words(signed_in(site.by.project).get(page_of(run)))
        assert said.index("Inconclusive") < said.index("exact_match")
        assert "Looks left" in said
        assert "9 <span" in said
        assert "unpriced" in said
        assert "Wilson" in said

    def test_shows_progress_and_asks_again_while_it_lives(self):
        run = exams.a_run(4)
        heartbeats.beat("worker:here", kind="worker", now=clock.now())
        said = words(signed_in(run.project).get(page_of(run)))
        assert "0 of 4" in said
        assert 'hx-trigger="every 1s"' in said
        assert "No worker is running" not in said

    def test_says_that_no_worker_is_running(self):
        run = exams.a_run(4)
        assert "No worker is running" in words(signed_in(run.project).get(page_of(run)))

    def test_a_run_that_is_over_asks_no_more(self):
        run = exams.a_run(2)
        gates.finish(run, gates.right)
        assert 'hx-trigger="every 1s"' not in words(signed_in(run.project).get(page_of(run)))

    def test_the_fragment_is_the_bar_alone_and_a_new_state_loads_the_page(self):
        run = exams.a_run(2)
        client = signed_in(run.project)
        asked = {"HX-Request": "true", "HX-Target": "progress"}
        fragment = client.get(page_of(run), {"seen": "queued"}, headers=asked)
        assert "<progress" in words(fragment)
        assert "<html" not in words(fragment)
        gates.finish(run, gates.right)
        assert client.get(page_of(run), {"seen": "queued"}, headers=asked).headers["HX-Refresh"] == "true"

    def test_filters_results(self, rung):
        site = gates.a_site(n_cases=10)
        answer = gates.wrong_on("question 3")
        run = gates.play(gates.start(site, gates.a_revision(site.prompt, site.by, "Other.")), answer)
        client = signed_in(site.by.project)
        failed = words(client.get(page_of(run), {"show": "failed"}))
        assert "question 3" in failed
        assert "question 4" not in failed
        flipped = words(client.get(page_of(run), {"show": "flipped"}))
        assert ("question 3" in flipped, "question 4" in flipped) == (True, False)
        assert "No answer errored" in words(client.get(page_of(run), {"show": "errors"}))

    def test_costs_the_same_for_any_number_of_results(self, django_assert_num_queries, monkeypatch):
        monkeypatch.setattr("evals.run_queries.ROWS", 5)
        small, large = exams.a_run(6), exams.a_run(60)
        for run in (small, large):
            gates.finish(run, gates.right)
        clients = {run.pk: signed_in(run.project) for run in (small, large)}
        for run in (small, large):
            clients[run.pk].get(page_of(run))
        with django_assert_num_queries(10):
            clients[small.pk].get(page_of(small))
        with django_assert_num_queries(10):
            clients[large.pk].get(page_of(large))

    def test_a_stranger_finds_nothing(self):
        run = exams.a_run(1)
        stranger = signed_in(factories.a_project())
        for name in ("run-detail", "run-pause", "run-cancel", "run-resume"):
            assert stranger.post(page_of(run, name)).status_code in (404, 405)
        assert stranger.get(page_of(run)).status_code == 404

    def test_a_reviewer_is_told_whose_it_is(self):
        run = exams.a_run(1)
        assert signed_in(run.project, Role.REVIEWER).get(page_of(run)).status_code == 403


class TestSteering:
    def test_pauses_resumes_and_cancels(self, rung, django_capture_on_commit_callbacks):
        run = exams.a_run(2)
        client = signed_in(run.project)
        for name, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
            with django_capture_on_commit_callbacks(execute=True):
                assert client.post(page_of(run, f"run-{name}")).status_code == 302
            run.refresh_from_db()
            assert run.state == state
        assert (steering.DRAIN, run.pk) in rung

    def test_a_stale_page_is_told_so(self):
        run = exams.a_run(1)
        gates.finish(run, gates.right)
        refused = signed_in(run.project).post(page_of(run, "run-pause"))
        assert refused.status_code == 409
        assert f"Run {run.pk} is done; it cannot be paused." in words(refused)

    def test_a_manager_may_not(self):
        run = exams.a_run(1)
        assert signed_in(run.project, Role.MANAGER).post(page_of(run, "run-cancel")).status_code == 403
        assert "Cancel the run" not in words(signed_in(run.project, Role.MANAGER).get(page_of(run)))


class TestResultDetail:
    def test_shows_expected_answer_and_their_difference(self):
        run = exams.a_run(1)
        gates.finish(run, gates.wrong)
        result = Result.objects.get(run=run)
        url = reverse("evals:result-detail", args=[run.project.slug, run.pk, result.pk])
        client = signed_in(run.project)
        said = words(client.get(url))
        assert "answer 1" in said
        assert "something else" in said
        assert "<ins>" in said
        assert "differs from what is expected" in said
        assert "<html" not in words(client.get(url, headers={"HX-Request": "true"}))

    def test_a_result_of_another_run_is_not_found(self):
        run, other = exams.a_run(1), exams.a_run(1)
        result = Result.objects.get(run=other)
        url = reverse("evals:result-detail", args=[run.project.slug, run.pk, result.pk])
        assert signed_in(run.project).get(url).status_code == 404

    def test_what_a_model_says_is_text(self):
        run = exams.a_run(1)
        gates.finish(run, lambda case: "<script>alert(1)</script>")
        url = reverse("evals:result-detail", args=[run.project.slug, run.pk, Result.objects.get(run=run).pk])
        assert "<script>alert" not in signed_in(run.project).get(url).content.decode()


class TestRunNew:
    @pytest.fixture
    def site(self, rung):
        return gates.a_site(n_cases=8)

    def sent(self, **fields):
        return {
            "once": str(uuid.uuid4()),
            "prompt": "intent",
            "revision": "1",
            "policy": "",
            "golden_set": "exam",
            "part": "gate",
            "use_exact_match": "on",
            **fields,
        }

    def url(self, site) -> str:
        return reverse("evals:run-new", args=[site.by.project.slug])

    def test_starts_a_run(self, site):
        made = signed_in(site.by.project).post(self.url(site), self.sent())
        run = Run.objects.latest("pk")
        assert made["Location"] == page_of(run)
        assert (run.part, run.n_results, run.policy) == ("gate", 8, None)

    def test_starts_a_run_under_a_policy(self, site):
        gates.a_revision(site.prompt, site.by, "Better.")
        signed_in(site.by.project).post(self.url(site), self.sent(policy="production", revision="2"))
        assert Run.objects.latest("pk").policy == site.policy

    def test_a_double_click_makes_one_run(self, site):
        client, form = signed_in(site.by.project), self.sent()
        assert client.post(self.url(site), form)["Location"] == client.post(self.url(site), form)["Location"]
        assert Run.objects.count() == 1

    def test_keeps_what_was_typed_and_names_the_field(self, site):
        refused = signed_in(site.by.project).post(self.url(site), self.sent(revision="77"))
        assert refused.status_code == 422
        assert "There is no such revision here." in words(refused)
        assert 'value="77"' in words(refused)
        wrong = signed_in(site.by.project).post(self.url(site), self.sent(args_exact_match="[1]"))
        assert "is no JSON object" in words(wrong)
        unknown = signed_in(site.by.project).post(self.url(site), self.sent(args_exact_match='{"stripp": true}'))
        assert "is no argument of this scorer" in words(unknown)
        assert Run.objects.count() == 0

    def test_warns_of_the_look_it_takes(self, site):
        asked = {"prompt": "intent", "golden_set": "exam", "part": "gate"}
        client = signed_in(site.by.project)
        assert "10 of 10 are left" in words(client.get(self.url(site), asked))
        fragment = client.get(self.url(site), asked, headers={"HX-Request": "true", "HX-Target": "look"})
        assert "10 of 10 are left" in words(fragment)
        assert "<html" not in words(fragment)
        assert "are left" not in words(client.get(self.url(site), {**asked, "part": "dev"}))

    def test_says_what_is_missing_in_an_empty_project(self):
        project = factories.a_project()
        assert "No prompt yet" in words(signed_in(project).get(reverse("evals:run-new", args=[project.slug])))


def test_time_left_is_said_only_where_a_pace_is_known():
    from evals import run_queries

    run = exams.a_run(40)
    heartbeats.beat("worker:here", kind="worker", now=clock.now())
    assert run_queries.progress(run, now=clock.now()).left_s is None
    gates.fill(run, gates.right)
    run.refresh_from_db()
    Result.objects.filter(run=run, pk__gt=run.results.order_by("pk")[19].pk).update(state="waiting", finished_at=None)
    left = run_queries.progress(run, now=clock.now()).left_s
    assert left is not None
    assert left < 60
    runs.pause(run=run, by=factories.an_actor(run.project), now=clock.now())
    run.refresh_from_db()
    assert run_queries.progress(run, now=clock.now()).left_s is None
