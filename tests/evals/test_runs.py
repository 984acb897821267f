"""Runs from their making to their verdict; workers are played by hand."""

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from core import clock
from core.problems import Invalid, Missing, Unprocessable
from evals import gate, scorers
from evals.models import Look, Result, Run, Score
from evals.services import golden, looks, runs
from evals.services.planning import PromptTarget, RecordedTarget, RunRequest
from prompts import services as prompts
from prompts.models import Label
from tests.evals import gates
from tests.evals.gates import a_revision, a_site, play, start

pytestmark = pytest.mark.django_db


def n_unreturned_looks(site):
    return Look.objects.filter(golden_set=site.golden_set, returned_at=None).count()


class TestCreateRun:
    def test_makes_one_row_for_each_case_and_trial_in_one_statement(self):
        site = a_site(n_cases=40)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            run = start(site, site.active, golden_set="exam", part="gate", scorers=[gates.EXACT], trials=3)
        inserts = [query for query in captured.captured_queries if "INSERT INTO evals_result" in query["sql"]]
        assert len(inserts) == 1
        assert run.n_results == run.results.filter(state=Result.State.WAITING).count() == 120
        assert run.results.values("work_hash").distinct().count() == 120

    def test_takes_part_dev_where_nothing_is_said(self):
        site = a_site(n_cases=4)
        gates.a_version(site.golden_set, site.by, ["a dev case"], part="dev")
        run = start(site, site.active, golden_set="exam", scorers=[gates.EXACT])
        assert (run.part, run.n_results) == ("dev", 1)

    def test_under_a_policy_makes_the_baseline_run_of_what_is_active(self):
        site = a_site(n_cases=4)
        run = start(site, a_revision(site.prompt, site.by, "candidate"))
        assert run.policy == site.policy
        assert run.baseline.revision == site.active
        assert run.baseline.policy is None
        assert run.baseline.n_results == run.n_results == 4
        assert (run.trials, run.seed) == (1, 0)

    @pytest.mark.parametrize(
        "asked",
        [
            {"golden_set": "exam"},
            {"version": 1},
            {"part": "dev"},
            {"scorers": [gates.EXACT]},
            {"trials": 1},
            {"seed": 0},
            {"baseline": "production"},
            {"gate": {"kind": "non_inferiority", "margin": 0.9}},
        ],
    )
    def test_refuses_to_have_a_policy_weakened(self, asked):
        site = a_site(n_cases=2)
        with pytest.raises(Unprocessable) as refused:
            start(site, site.active, policy="production", **asked)
        assert [error.field for error in refused.value.errors] == list(asked)
        assert not Run.objects.exists()

    def test_refuses_another_model_under_a_policy(self):
        site = a_site(n_cases=2)
        target = PromptTarget(prompt="intent", revision=1, model="house/other")
        with pytest.raises(Unprocessable, match=r"target\.model"):
            runs.create_run(request=RunRequest(target=target, policy="production"), by=site.by, now=clock.now())

    def test_refuses_recorded_answers_under_a_policy(self):
        site = a_site(n_cases=2)
        request = RunRequest(target=RecordedTarget({}), policy="production")
        with pytest.raises(Unprocessable, match=r"target\.recorded"):
            runs.create_run(request=request, by=site.by, now=clock.now())

    @pytest.mark.parametrize(
        ("asked", "error"),
        [
            ({"golden_set": "unknown", "scorers": [gates.EXACT]}, Missing),
            ({"golden_set": "exam", "version": 9, "scorers": [gates.EXACT]}, Missing),
            ({"golden_set": "exam", "scorers": []}, Invalid),
            ({"golden_set": "exam", "scorers": [{"name": "vibes"}]}, Invalid),
            ({"golden_set": "exam", "scorers": [gates.EXACT, gates.EXACT]}, Invalid),
            ({"golden_set": "exam", "scorers": [gates.EXACT], "part": "teach"}, Invalid),
            ({"golden_set": "exam", "scorers": [gates.EXACT], "baseline": "999"}, Missing),
            ({"golden_set": "exam", "scorers": [gates.EXACT], "baseline": "yesterday"}, Missing),
            (
                {"golden_set": "exam", "scorers": [gates.EXACT], "gate": {"kind": "superiority"}},
                Unprocessable,
            ),
            ({"golden_set": "exam", "scorers": [gates.EXACT], "gate": {"kind": "floor"}}, Invalid),
            ({"scorers": [gates.EXACT]}, Invalid),
            ({"policy": "staging"}, Unprocessable),
        ],
    )
    def test_refuses_what_cannot_be_run_and_writes_nothing(self, asked, error):
        site = a_site(n_cases=2)
        with pytest.raises(error):
            start(site, site.active, **asked)
        assert not Run.objects.exists()

    def test_a_baseline_of_another_project_is_not_there(self):
        ours, theirs = a_site(n_cases=2), a_site(n_cases=2)
        run = start(theirs, theirs.active, golden_set="exam", part="gate", scorers=[gates.EXACT])
        with pytest.raises(Missing):
            start(ours, ours.active, golden_set="exam", part="gate", scorers=[gates.EXACT], baseline=str(run.pk))

    def test_a_baseline_on_another_part_is_refused(self):
        site = a_site(n_cases=2)
        other = start(site, site.active, golden_set="exam", part="dev", scorers=[gates.EXACT])
        with pytest.raises(Unprocessable, match="part dev"):
            start(
                site,
                site.active,
                golden_set="exam",
                part="gate",
                scorers=[gates.EXACT],
                baseline=str(other.pk),
            )


class TestReuse:
    def test_a_baseline_that_was_run_before_is_not_run_again(self):
        site = a_site(n_cases=4)
        first = play(start(site, a_revision(site.prompt, site.by, "one")))
        second = start(site, a_revision(site.prompt, site.by, "two"))
        assert second.baseline_id == first.baseline_id

    def test_a_baseline_with_errors_is_asked_again_for_what_failed_alone(self):
        site = a_site(n_cases=60)
        first = play(start(site, a_revision(site.prompt, site.by, "one")), baseline=gates.failing_on("question 2"))
        assert Run.objects.get(pk=first.baseline_id).state == "done"
        second = start(site, a_revision(site.prompt, site.by, "two"))
        assert second.baseline_id != first.baseline_id
        assert [row.case.key for row in second.baseline.results.filter(reused_from=None)] == ["question 2"]
        play(second)
        assert start(site, a_revision(site.prompt, site.by, "three")).baseline_id == second.baseline_id

    def test_an_invalid_baseline_is_not_taken_again(self):
        site = a_site(n_cases=2)
        first = play(start(site, a_revision(site.prompt, site.by, "one")), baseline=lambda case: None)
        assert Run.objects.get(pk=first.baseline_id).state == "invalid"
        assert start(site, a_revision(site.prompt, site.by, "two")).baseline_id != first.baseline_id

    def test_a_released_candidate_is_the_next_baseline(self):
        site = a_site(n_cases=4)
        candidate = a_revision(site.prompt, site.by, "one")
        run = play(start(site, candidate))
        prompts.point_label(label=site.label, revision=candidate, now=clock.now())
        assert start(site, a_revision(site.prompt, site.by, "two")).baseline_id == run.pk

    def test_on_a_grown_exam_the_baseline_adopts_what_is_equal_with_its_scores(self):
        site = a_site(n_cases=4)
        play(start(site, a_revision(site.prompt, site.by, "one")), baseline=gates.wrong_on("question 2"))
        gates.a_version(site.golden_set, site.by, ["question new"])
        baseline = start(site, a_revision(site.prompt, site.by, "two")).baseline
        adopted = baseline.results.exclude(reused_from=None)
        assert sorted(adopted.values_list("case__key", flat=True)) == [f"question {n}" for n in range(4)]
        assert baseline.results.get(reused_from=None).state == Result.State.WAITING
        assert dict(adopted.values_list("case__key", "scores__value"))["question 2"] == 0

    def test_a_case_whose_expectation_changed_is_asked_again(self):
        site = a_site(n_cases=2)
        play(start(site, a_revision(site.prompt, site.by, "one")))
        case = gates.CaseContent(key="question 1", input="question 1", expected="another", part="gate")
        golden.add_cases(golden_set=site.golden_set, rows=[golden.Taken(0, case)], by=site.by, now=clock.now())
        golden.cut(golden_set=site.golden_set, by=site.by, now=clock.now())
        baseline = start(site, a_revision(site.prompt, site.by, "two")).baseline
        assert dict(baseline.results.values_list("case__key", "state")) == {
            "question 0": "done",
            "question 1": "waiting",
        }

    def test_another_endpoint_is_other_work(self):
        site = a_site(n_cases=2)
        play(start(site, a_revision(site.prompt, site.by, "one")))
        site.by.project.connections.update(base_url="http://127.0.0.1:10/v1")
        baseline = start(site, a_revision(site.prompt, site.by, "two")).baseline
        assert set(baseline.results.values_list("state", flat=True)) == {"waiting"}

    def test_a_candidate_is_always_asked(self):
        site = a_site(n_cases=2)
        candidate = a_revision(site.prompt, site.by, "one")
        play(start(site, candidate))
        assert set(start(site, candidate).results.values_list("state", flat=True)) == {"waiting"}

    def test_recorded_answers_are_never_adopted(self):
        site = a_site(n_cases=2)
        outputs = {f"question {n}": f"answer of question {n}" for n in range(2)}
        request = RunRequest(RecordedTarget(outputs), golden_set="exam", part="gate", scorers=[gates.EXACT])
        runs.conclude(runs.create_run(request=request, by=site.by, now=clock.now()).pk, now=clock.now())
        baseline = start(site, a_revision(site.prompt, site.by, "two")).baseline
        assert not baseline.results.exclude(reused_from=None).exists()

    def test_another_scorer_scores_the_adopted_answer_anew(self):
        site = a_site(n_cases=2)
        play(start(site, a_revision(site.prompt, site.by, "one")))
        gates.a_policy(site.prompt, site.golden_set, site.by, scorers=[{"name": "contains", "args": {}}])
        run = start(site, a_revision(site.prompt, site.by, "two"))
        assert set(run.baseline.results.values_list("state", flat=True)) == {"done"}
        assert not Score.objects.filter(result__run=run.baseline).exists()
        play(run)
        assert (
            list(Score.objects.filter(result__run=run.baseline).values_list("scorer", "value"))
            == [("contains", 1.0)] * 2
        )


class TestConclude:
    def test_a_good_candidate_passes_and_is_evidence(self):
        site = a_site(n_cases=60, margin=0.2)
        run = play(start(site, a_revision(site.prompt, site.by, "candidate")))
        assert (run.state, run.gate["verdict"]) == ("done", "pass")
        assert run.gate["difference"]["n"] == 60
        assert run.scores["exact_match"]["value"] == 1.0
        assert gate.is_evidence(run, site.label) == []

    def test_a_bad_candidate_fails(self):
        site = a_site(n_cases=60)
        run = play(start(site, a_revision(site.prompt, site.by, "candidate")), gates.wrong)
        assert (run.state, run.gate["verdict"]) == ("done", "fail")
        assert len(run.gate["scorers"][0]["worse"]) == 60
        assert gate.is_evidence(run, site.label)

    def test_waits_for_its_baseline(self):
        site = a_site(n_cases=2)
        run = start(site, a_revision(site.prompt, site.by, "candidate"))
        gates.finish(run, gates.right)
        assert Run.objects.get(pk=run.pk).state == "running"
        gates.finish(run.baseline, gates.right)
        assert runs.conclude(run.pk, now=clock.now())
        assert Run.objects.get(pk=run.pk).gate is not None

    def test_does_nothing_too_early_or_twice(self):
        site = a_site(n_cases=2)
        run = start(site, site.active, golden_set="exam", part="gate", scorers=[gates.EXACT])
        assert not runs.conclude(run.pk, now=clock.now())
        done = play(run)
        before = Run.objects.filter(pk=run.pk).values().get()
        assert done.state == "done"
        assert not runs.conclude(run.pk, now=clock.now())
        assert Run.objects.filter(pk=run.pk).values().get() == before

    def test_a_fault_in_scoring_ends_the_run_with_its_name_and_an_inconclusive_gate(self, caplog):
        site = a_site(n_cases=2)
        run = start(site, a_revision(site.prompt, site.by, "candidate"))
        gates.finish(run.baseline, gates.right)
        gates.fill(run, gates.right)
        Run.objects.filter(pk=run.pk).update(scorers=[{"name": "vanished", "args": {}}])
        assert runs.conclude(run.pk, now=clock.now())
        ended = Run.objects.get(pk=run.pk)
        assert (ended.state, ended.gate["verdict"], ended.scores) == ("failed", "inconclusive", {})
        assert "vanished" in ended.reason
        assert ended.reason in ended.gate["sentence"]
        assert ended.ended_at is not None
        said = [record for record in caplog.records if record.name == "evals.services.runs"]
        assert [record.exc_info is not None for record in said] == [True]
        assert not runs.conclude(run.pk, now=clock.now())

    def test_an_error_of_the_database_passes_and_the_run_stays_to_be_concluded(self):
        site = a_site(n_cases=2)
        run = start(site, site.active, golden_set="exam", part="gate", scorers=[gates.EXACT])
        gates.fill(run, gates.right)
        connection.check_constraints()  # a table is not altered while any of its checks is put off
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE evals_run ADD CONSTRAINT nobody_is_done CHECK (state <> 'done')")
        with pytest.raises(IntegrityError):
            runs.conclude(run.pk, now=clock.now())
        assert Run.objects.get(pk=run.pk).state == "running"

    def test_errors_count_as_failed_and_stand_beside(self):
        site = a_site(n_cases=100)
        run = start(site, site.active, golden_set="exam", part="gate", scorers=[gates.EXACT])
        done = play(run, gates.failing_on("question 1", "question 2"))
        assert done.state == "done"
        assert done.scores["exact_match"]["value"] == 0.98
        assert done.scores["exact_match"]["n"] == 100
        assert done.scores["exact_match"]["reason"].startswith("2 of 100")

    def test_too_many_errors_make_the_run_invalid_and_the_gate_inconclusive(self):
        site = a_site(n_cases=100)
        run = start(site, a_revision(site.prompt, site.by, "candidate"))
        done = play(run, gates.failing_on("question 1", "question 2", "question 3"))
        assert done.state == "invalid"
        assert done.gate["verdict"] == "inconclusive"
        assert "invalid run" in done.gate["sentence"]

    def test_too_many_errors_of_the_baseline_make_the_gate_inconclusive(self):
        site = a_site(n_cases=100)
        run = start(site, a_revision(site.prompt, site.by, "candidate"))
        done = play(run, baseline=gates.failing_on("question 1", "question 2", "question 3"))
        assert (done.state, done.gate["verdict"]) == ("done", "inconclusive")
        assert "baseline" in done.gate["sentence"]

    def test_an_empty_part_is_done_and_inconclusive(self):
        site = a_site(n_cases=2)
        run = start(site, site.active, golden_set="exam", part="dev", scorers=[gates.EXACT], baseline="production")
        done = play(run)
        assert (done.state, done.n_results, done.gate["verdict"]) == ("done", 0, "inconclusive")
        assert done.scores["exact_match"]["value"] is None
        assert done.gate["difference"]["value"] is None

    def test_every_result_has_every_score(self):
        site = a_site(n_cases=3, scorers=[gates.EXACT, {"name": "contains", "args": {}}], max_error_share=0.9)
        run = play(start(site, a_revision(site.prompt, site.by, "candidate")), gates.failing_on("question 1"))
        for one in (run, run.baseline):
            assert Score.objects.filter(result__run=one).count() == 6

    def test_without_anything_released_only_a_floor_decides(self):
        site = a_site(n_cases=60, is_released=False)
        run = play(start(site, site.active))
        assert run.gate["verdict"] == "inconclusive"
        assert "nothing is released as production yet" in run.gate["sentence"]
        gates.a_policy(site.prompt, site.golden_set, site.by, kind="floor", floor=0.5)
        run = play(start(site, site.active))
        assert run.gate["verdict"] == "pass"
        assert gate.is_evidence(run, site.label) == []

    def test_with_something_released_a_floor_is_held_in_addition(self):
        site = a_site(n_cases=100, kind="floor", floor=0.5)
        run = play(
            start(site, a_revision(site.prompt, site.by, "one")),
            gates.wrong_on(*(f"question {number}" for number in range(25))),
        )
        assert run.gate["scorers"][0]["floor"]["low"] > 0.5
        assert run.gate["verdict"] == "fail"

    def test_cases_that_a_context_answers_leave_on_both_sides(self):
        site = a_site(n_cases=60)
        candidate = a_revision(site.prompt, site.by, "one", examples=["Question 7!", "something else altogether"])
        run = play(start(site, candidate), gates.wrong_on("question 7"))
        assert run.gate["left_out"] == 1
        assert run.gate["difference"]["n"] == 59
        assert run.gate["scorers"][0]["worse"] == []

    def test_cases_that_the_baselines_context_answers_leave_too(self):
        site = a_site(n_cases=60)
        taught = a_revision(site.prompt, site.by, "taught", examples=["question 7", "QUESTION 8."])
        prompts.point_label(label=site.label, revision=taught, now=clock.now())
        run = play(start(site, a_revision(site.prompt, site.by, "untaught")), gates.wrong_on("question 7"))
        assert (run.gate["left_out"], run.gate["scorers"][0]["worse"]) == (2, [])

    def test_too_many_cases_left_out_decide_nothing(self):
        site = a_site(n_cases=20)
        examples = [f"question {number}" for number in range(20)]
        run = play(start(site, a_revision(site.prompt, site.by, "one", examples=examples)))
        assert (run.gate["verdict"], run.gate["left_out"]) == ("inconclusive", 20)

    def test_a_cancelled_baseline_makes_the_gate_inconclusive(self):
        site = a_site(n_cases=2)
        run = start(site, a_revision(site.prompt, site.by, "candidate"))
        runs.cancel(run=run.baseline, by=site.by, now=clock.now())
        done = play(Run.objects.get(pk=run.pk))
        assert (done.state, done.gate["verdict"]) == ("done", "inconclusive")
        assert "was cancelled" in done.gate["sentence"]


class TestRecorded:
    def record(self, site, outputs, **asked):
        request = RunRequest(RecordedTarget(outputs), golden_set="exam", part="gate", scorers=[gates.EXACT], **asked)
        return runs.create_run(request=request, by=site.by, now=clock.now())

    def test_scores_what_was_recorded_and_fails_what_was_not(self):
        site = a_site(n_cases=3)
        run = self.record(site, {"question 0": "answer of question 0", "question 1": "no"})
        assert dict(run.results.values_list("case__key", "state")) == {
            "question 0": "done",
            "question 1": "done",
            "question 2": "failed",
        }
        assert runs.conclude(run.pk, now=clock.now())
        scores = dict(Score.objects.filter(result__run=run).values_list("result__case__key", "value"))
        assert scores == {"question 0": 1.0, "question 1": 0.0, "question 2": None}

    def test_takes_a_look_at_gate_cases(self):
        site = a_site(n_cases=3)
        self.record(site, {})
        assert n_unreturned_looks(site) == 1

    def test_names_a_case_that_is_not_there(self):
        site = a_site(n_cases=3)
        with pytest.raises(Invalid) as refused:
            self.record(site, {"question 0": "a", "question 9": "b"})
        assert refused.value.errors[0].field == "target.recorded[1].case"

    def test_compares_with_production_and_is_no_evidence(self):
        site = a_site(n_cases=60)
        outputs = {f"question {n}": f"answer of question {n}" for n in range(60)}
        run = play(self.record(site, outputs, baseline="production", gate={"margin": 0.2}))
        assert run.gate["verdict"] == "pass"
        assert "recorded answers" in gate.is_evidence(run, site.label)[0]


class TestLooks:
    def test_a_candidate_takes_one_and_the_baseline_none(self):
        site = a_site(n_cases=2)
        run = start(site, a_revision(site.prompt, site.by, "candidate"))
        assert n_unreturned_looks(site) == 1
        assert looks.left_for(run) == 9
        assert not Look.objects.filter(run=run.baseline).exists()

    def test_a_run_without_policy_takes_one_too(self):
        site = a_site(n_cases=2)
        start(
            site,
            a_revision(site.prompt, site.by, "one"),
            golden_set="exam",
            part="gate",
            scorers=[gates.EXACT],
        )
        assert n_unreturned_looks(site) == 1

    @pytest.mark.parametrize("part", ["dev", "anchor"])
    def test_other_parts_take_none(self, part):
        site = a_site(n_cases=2)
        start(site, a_revision(site.prompt, site.by, "one"), golden_set="exam", part=part, scorers=[gates.EXACT])
        assert n_unreturned_looks(site) == 0

    def test_the_active_revision_takes_none_but_with_another_model_it_does(self):
        site = a_site(n_cases=2)
        start(site, site.active, golden_set="exam", part="gate", scorers=[gates.EXACT])
        assert n_unreturned_looks(site) == 0
        target = PromptTarget(prompt="intent", revision=1, model="house/other")
        request = RunRequest(target, golden_set="exam", part="gate", scorers=[gates.EXACT])
        runs.create_run(request=request, by=site.by, now=clock.now())
        assert n_unreturned_looks(site) == 1

    def test_when_spent_nothing_is_asked_and_the_gate_says_so(self):
        site = a_site(n_cases=2, looks=1)
        start(site, a_revision(site.prompt, site.by, "one"))
        run = start(site, a_revision(site.prompt, site.by, "two"))
        assert (run.state, run.n_results, run.results.count()) == ("cancelled", 0, 0)
        assert run.gate["verdict"] == "inconclusive"
        assert "refresh the gate part" in run.gate["sentence"]
        assert "refresh the gate part" in run.reason
        assert not Look.objects.filter(run=run).exists()

    def test_spent_looks_hold_for_runs_without_policy_and_recorded_ones(self):
        site = a_site(n_cases=2, looks=1)
        start(site, a_revision(site.prompt, site.by, "one"))
        free = {"golden_set": "exam", "part": "gate", "scorers": [gates.EXACT]}
        assert start(site, a_revision(site.prompt, site.by, "two"), **free).state == "cancelled"
        request = RunRequest(RecordedTarget({}), **free)
        assert runs.create_run(request=request, by=site.by, now=clock.now()).state == "cancelled"

    def test_recorded_looks_count_against_the_prompt(self):
        site = a_site(n_cases=2, looks=1)
        request = RunRequest(RecordedTarget({}), golden_set="exam", part="gate", scorers=[gates.EXACT])
        runs.create_run(request=request, by=site.by, now=clock.now())
        assert start(site, a_revision(site.prompt, site.by, "one")).state == "cancelled"

    def test_half_new_gate_cases_restart_the_count(self):
        site = a_site(n_cases=4, looks=1)
        start(site, a_revision(site.prompt, site.by, "one"))
        gates.a_version(site.golden_set, site.by, [f"fresh {n}" for n in range(3)])
        assert start(site, a_revision(site.prompt, site.by, "two")).state == "cancelled"
        gates.a_version(site.golden_set, site.by, ["fresh 3"])
        assert start(site, a_revision(site.prompt, site.by, "three")).state == "queued"
        assert start(site, a_revision(site.prompt, site.by, "four")).state == "cancelled"

    def test_other_expectations_make_no_case_new(self):
        site = a_site(n_cases=2, looks=1)
        start(site, a_revision(site.prompt, site.by, "one"))
        rows = [
            golden.Taken(n, gates.CaseContent(key=f"question {n}", input=f"question {n}", part="gate"))
            for n in range(2)
        ]
        golden.add_cases(golden_set=site.golden_set, rows=rows, by=site.by, now=clock.now())
        golden.cut(golden_set=site.golden_set, by=site.by, now=clock.now())
        assert start(site, a_revision(site.prompt, site.by, "two")).state == "cancelled"

    def test_another_way_of_writing_makes_no_case_new(self):
        site = a_site(n_cases=2, looks=1)
        start(site, a_revision(site.prompt, site.by, "one"))
        rows = [
            golden.Taken(n, gates.CaseContent(key=f"question {n}", input=f"Question  {n}. ", part="gate"))
            for n in range(2)
        ]
        golden.add_cases(golden_set=site.golden_set, rows=rows, by=site.by, now=clock.now())
        assert golden.cut(golden_set=site.golden_set, by=site.by, now=clock.now())[1]
        assert start(site, a_revision(site.prompt, site.by, "two")).state == "cancelled"

    def test_comes_back_with_a_run_that_showed_nothing(self):
        site = a_site(n_cases=2, looks=1)
        runs.cancel(run=start(site, a_revision(site.prompt, site.by, "one")), by=site.by, now=clock.now())
        assert start(site, a_revision(site.prompt, site.by, "two")).state == "queued"

    def test_comes_back_when_the_model_answered_nothing(self):
        site = a_site(n_cases=2, looks=1)
        down = play(start(site, a_revision(site.prompt, site.by, "one")), lambda case: None)
        assert (down.state, Score.objects.filter(result__run=down).count()) == ("invalid", 2)
        assert start(site, a_revision(site.prompt, site.by, "two")).state == "queued"

    def test_stays_spent_with_a_run_that_stored_a_score(self):
        site = a_site(n_cases=2, looks=1)
        run = start(site, a_revision(site.prompt, site.by, "one"))
        Score.objects.create(result=run.results.first(), scorer="exact_match", value=1)
        runs.cancel(run=run, by=site.by, now=clock.now())
        assert start(site, a_revision(site.prompt, site.by, "two")).state == "cancelled"


class TestCancel:
    def test_drops_what_waits_and_fences_what_is_in_flight(self):
        site = a_site(n_cases=3)
        run = start(site, a_revision(site.prompt, site.by, "one"))
        gates.work.start(run, now=clock.now())
        claimed = gates.work.claim(run, want=1, worker="w", now=clock.now())
        runs.cancel(run=run, by=site.by, now=clock.now())
        late = gates.Finished(claimed[0], Result.State.DONE, output="late", scores={})
        assert not gates.work.finish(run, [late], now=clock.now())
        assert set(run.results.values_list("state", flat=True)) == {"dropped"}

    def test_a_repeat_changes_nothing_and_a_finished_run_refuses(self):
        site = a_site(n_cases=1)
        run = start(site, site.active, golden_set="exam", part="gate", scorers=[gates.EXACT])
        first = runs.cancel(run=run, by=site.by, now=clock.now())
        assert runs.cancel(run=run, by=site.by, now=clock.now()).ended_at == first.ended_at
        other = play(start(site, site.active, golden_set="exam", part="gate", scorers=[gates.EXACT]))
        for change in (runs.cancel, runs.pause, runs.resume):
            with pytest.raises(runs.WrongState):
                change(run=other, by=site.by, now=clock.now())

    def test_a_paused_run_is_not_claimed_until_it_is_resumed(self):
        site = a_site(n_cases=1)
        run = start(site, site.active, golden_set="exam", part="gate", scorers=[gates.EXACT])
        runs.pause(run=run, by=site.by, now=clock.now())
        assert runs.pause(run=run, by=site.by, now=clock.now()).state == "paused"
        assert not gates.work.claim(run, want=1, worker="w", now=clock.now())
        assert runs.resume(run=run, by=site.by, now=clock.now()).state == "queued"
        assert runs.resume(run=run, by=site.by, now=clock.now()).state == "queued"
        assert gates.work.claim(run, want=1, worker="w", now=clock.now())


class TestEvidence:
    """Each single thing that does not match makes a run that passed worthless as evidence."""

    def passed(self):
        site = a_site(n_cases=60, margin=0.2)
        run = play(start(site, a_revision(site.prompt, site.by, "candidate")))
        assert gate.is_evidence(run, site.label) == []
        return site, run

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"target_kind": "recorded"}, "recorded answers"),
            ({"model": "house/other"}, "another model"),
            ({"state": "running"}, "not done"),
            ({"state": "invalid"}, "not done"),
            ({"gate": {"verdict": "fail"}}, "not pass"),
            ({"gate": {"verdict": "inconclusive"}}, "not pass"),
            ({"gate": None}, "not pass"),
            ({"policy": None}, "this label's policy"),
            ({"scorers": [{"name": "contains", "args": {}}]}, "other scorers"),
            ({"part": "dev"}, "another part"),
            ({"baseline": None}, "no executed baseline"),
        ],
    )
    def test_refuses_a_run_with(self, fields, reason):
        site, run = self.passed()
        Run.objects.filter(pk=run.pk).update(**fields)
        assert any(reason in why for why in gate.is_evidence(Run.objects.get(pk=run.pk), site.label))

    def test_refuses_it_once_it_was_spent_whenever_it_was_read(self):
        site, run = self.passed()
        runs.spend(run=run, now=clock.now())
        spent = Run.objects.get(pk=run.pk)
        runs.spend(run=run, now=clock.now())
        assert gate.is_evidence(run, site.label) == [f"run {run.pk} was spent on an earlier release"]
        assert not gate.stands_as_evidence(spent)
        assert Run.objects.get(pk=run.pk).spent_at == spent.spent_at is not None

    def test_refuses_it_once_the_policy_changed(self):
        site, run = self.passed()
        gates.a_policy(site.prompt, site.golden_set, site.by, margin=0.01)
        assert gate.is_evidence(run, site.label) == [f"run {run.pk} was made under policy version 1; 2 is in force"]

    def test_takes_it_again_once_the_policy_is_back(self):
        site, run = self.passed()
        gates.a_policy(site.prompt, site.golden_set, site.by, margin=0.01)
        gates.a_policy(site.prompt, site.golden_set, site.by, margin=0.2)
        assert gate.is_evidence(run, site.label) == []

    def test_refuses_it_for_another_label(self):
        site, run = self.passed()
        gates.a_policy(site.prompt, site.golden_set, site.by, label="staging")
        staging = Label.objects.get(prompt=site.prompt, name="staging")
        assert any("this label's policy" in why for why in gate.is_evidence(run, staging))

    def test_refuses_it_for_a_label_without_policy(self):
        site, run = self.passed()
        bare = prompts.label_named(prompt=site.prompt, name="bare")
        assert "has no policy" in gate.is_evidence(run, bare)[0]

    def test_refuses_it_for_another_prompt(self):
        site, run = self.passed()
        other, _ = prompts.create_prompt(name="other", by=site.by, now=clock.now())
        Run.objects.filter(pk=run.pk).update(revision=a_revision(other, site.by, "candidate"))
        assert any("another prompt" in why for why in gate.is_evidence(Run.objects.get(pk=run.pk), site.label))

    def test_refuses_it_once_another_revision_is_active(self):
        site, run = self.passed()
        prompts.point_label(label=site.label, revision=a_revision(site.prompt, site.by, "newer"), now=clock.now())
        assert gate.is_evidence(run, site.label) == [
            f"the baseline of run {run.pk} is not the revision that is active now"
        ]

    def test_refuses_it_where_the_version_was_not_the_newest_when_it_began(self):
        site, run = self.passed()
        newer = gates.a_version(site.golden_set, site.by, ["one more"])
        assert gate.is_evidence(run, site.label) == []
        newer.cut_at = run.created_at
        newer.save()
        assert "not the newest" in gate.is_evidence(run, site.label)[0]

    def test_refuses_it_on_another_golden_set(self):
        site, run = self.passed()
        other, _ = golden.create_set(name="other", prompt=site.prompt, description="", by=site.by, now=clock.now())
        version = gates.a_version(other, site.by, ["a question"])
        Run.objects.filter(pk=run.pk).update(golden_version=version)
        assert any("another golden set" in why for why in gate.is_evidence(Run.objects.get(pk=run.pk), site.label))

    def test_a_run_with_its_own_margin_is_no_evidence_whatever_it_says(self):
        site = a_site(n_cases=60)
        asked = {"golden_set": "exam", "part": "gate", "scorers": [gates.EXACT], "baseline": "production"}
        loose = {"kind": "non_inferiority", "margin": 0.9}
        run = play(start(site, a_revision(site.prompt, site.by, "candidate"), gate=loose, **asked))
        assert run.gate["verdict"] == "pass"
        assert any("this label's policy" in why for why in gate.is_evidence(run, site.label))


def test_scores_are_named_by_scorer_and_arguments():
    site = a_site(n_cases=2, scorers=[{"name": "exact_match", "args": {"ignore_case": True}}])
    run = play(start(site, a_revision(site.prompt, site.by, "candidate")), lambda case: str(case.expected).upper())
    assert list(run.scores) == [scorers.key(run.scorers[0])] == ["exact_match(ignore_case=true)"]
    assert run.scores["exact_match(ignore_case=true)"]["value"] == 1.0
