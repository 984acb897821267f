"""The gate's rules over plain arrays; one test for each sentence of the rules."""

import dataclasses

import numpy as np
import pytest

from core.statistics import means, paired, proportions
from evals import comparison, gate, hygiene, scorers
from evals.comparison import Sheet
from evals.gate import Demand

EXACT = scorers.build({"name": "exact_match"})


@dataclasses.dataclass(frozen=True)
class Graded:
    """A scorer of 1 to 5; with `higher_is_better` False, 1 is best."""

    name = "graded"
    range = (1.0, 5.0)
    is_binary = False
    higher_is_better: bool = True

    def score(self, output, expected, case):
        raise NotImplementedError


def sheet(values, key="exact_match", *, first_id=1):
    columns = np.asarray(values, dtype=float)
    columns = columns[:, None] if columns.ndim == 1 else columns
    return Sheet(np.arange(first_id, first_id + len(columns)), {key: columns})


def passes(n, n_failed=0, n_errors=0):
    return sheet([np.nan] * n_errors + [0.0] * n_failed + [1.0] * (n - n_failed - n_errors))


def judge(candidate, baseline, *, texts=None, context=(), by=None, **asked):
    alone = asked.pop("may_stand_alone", baseline is None)
    return gate.judge(
        Demand(**asked),
        by or {"exact_match": EXACT},
        candidate=candidate,
        baseline=baseline,
        case_texts=texts or {int(one): f"case number {one} of many" for one in candidate.case_ids},
        context_inputs=list(context),
        may_stand_alone=alone,
    )


class TestLevel:
    def test_is_shared_among_the_looks(self):
        assert Demand(looks=10).level == pytest.approx(0.995)
        assert Demand(looks=1).level == pytest.approx(0.95)

    def test_travels_with_the_figure(self):
        assert judge(passes(60), passes(60), looks=5).difference.level == pytest.approx(0.99)


class TestNonInferiority:
    def test_passes_where_the_lower_end_lies_above_minus_margin(self):
        said = judge(passes(400), passes(400, 40))
        assert said.verdict == "pass"
        assert said.difference == paired.tango(40, 0, 400, level=Demand().level)
        assert said.difference.low > -0.02

    def test_fails_where_the_upper_end_lies_below_minus_margin(self):
        said = judge(passes(400, 60), passes(400))
        assert said.verdict == "fail"
        assert said.difference.high < -0.02

    def test_is_inconclusive_in_between_and_says_what_would_settle_it(self):
        said = judge(passes(100), passes(100))
        assert said.verdict == "inconclusive"
        more = said.scorers[0].more_cases
        assert f"about {more.value:.0f} more cases would settle it" in said.sentence

    def test_a_value_beyond_the_margin_alone_fails_nobody(self):
        said = judge(passes(60, 4), passes(60))
        assert said.difference.value < -0.02 < said.difference.high
        assert said.verdict == "inconclusive"

    def test_the_cases_it_asks_for_do_settle_it(self):
        more = int(judge(passes(100), passes(100)).scorers[0].more_cases.value)
        assert judge(passes(100 + more), passes(100 + more)).verdict == "pass"
        assert judge(passes(90 + more), passes(90 + more)).verdict == "inconclusive"

    def test_a_scorer_may_bring_its_own_margin(self):
        assert judge(passes(60), passes(60), margins={"exact_match": 0.2}).verdict == "pass"
        assert judge(passes(60), passes(60), margins={"other": 0.2}).verdict == "inconclusive"


class TestSuperiority:
    def test_asks_for_more_than_nothing(self):
        assert judge(passes(400), passes(400, 40), kind="superiority").verdict == "pass"
        assert judge(passes(4000), passes(4000), kind="superiority").verdict == "inconclusive"
        assert judge(passes(400, 40), passes(400), kind="superiority").verdict == "fail"


class TestFloor:
    def test_stands_alone_where_nothing_is_released(self):
        assert judge(passes(100, 10), None, kind="floor", floor=0.7).verdict == "pass"
        assert judge(passes(100, 60), None, kind="floor", floor=0.7).verdict == "fail"
        said = judge(passes(100, 28), None, kind="floor", floor=0.7)
        assert said.verdict == "inconclusive"
        assert "more cases would settle it" in said.sentence

    def test_is_wilsons_interval_at_the_gates_level(self):
        said = judge(passes(100, 10), None, kind="floor", floor=0.7)
        assert said.scorers[0].floor == proportions.wilson(90, 100, level=Demand().level)

    def test_is_held_in_addition_to_the_difference(self):
        assert judge(passes(400, 200), passes(400, 240), kind="floor", floor=0.7).verdict == "fail"
        assert judge(passes(400, 20), passes(400, 20), floor=0.7, margin=0.1).verdict == "pass"
        assert judge(passes(400, 80), passes(400), kind="floor", floor=0.7).verdict == "fail"

    def test_does_not_make_up_for_a_missing_baseline(self):
        said = judge(passes(100), None, kind="floor", floor=0.7, may_stand_alone=False)
        assert said.verdict == "inconclusive"


class TestSeveralScorers:
    BY = {"a": EXACT, "b": EXACT}

    def two(self, a, b):
        return Sheet(a.case_ids, {"a": a.values["exact_match"], "b": b.values["exact_match"]})

    @pytest.mark.parametrize(
        ("second", "verdict"),
        [(passes(400), "pass"), (passes(400, 80), "fail"), (passes(400, 5), "inconclusive")],
    )
    def test_all_must_pass_and_one_may_fail_it(self, second, verdict):
        candidate = self.two(passes(400), second)
        baseline = self.two(passes(400, 40), passes(400, 40) if verdict == "pass" else passes(400))
        said = judge(candidate, baseline, by=self.BY, margin=0.025)
        assert said.verdict == verdict
        assert [one.scorer for one in said.scorers] == ["a", "b"]

    def test_each_is_judged_at_the_full_level(self):
        candidate, baseline = self.two(passes(60), passes(60)), self.two(passes(60), passes(60))
        assert {one.difference.level for one in judge(candidate, baseline, by=self.BY).scorers} == {Demand().level}

    def test_shown_p_values_are_adjusted_and_say_so(self):
        candidate = self.two(passes(400), passes(400))
        baseline = self.two(passes(400, 40), passes(400, 20))
        said = judge(candidate, baseline, by=self.BY)
        assert said.scorers[1].p.value == pytest.approx(paired.mcnemar_exact(20, 0).value)
        assert said.scorers[0].p.value == pytest.approx(2 * paired.mcnemar_exact(40, 0).value)
        assert "Holm-adjusted over 2" in said.scorers[0].p.method


class TestErrors:
    def test_over_the_share_on_either_side_the_run_is_invalid(self):
        for sides in ((passes(100, 0, 3), passes(100)), (passes(100), passes(100, 0, 3))):
            said = judge(*sides)
            assert said.verdict == "inconclusive"
            assert "invalid run" in said.sentence

    def test_a_pass_must_hold_in_the_worst_case_too(self):
        candidate, baseline = passes(1000, 0, 0), passes(1000, 0, 20)
        assert judge(candidate, baseline, margin=0.005).verdict == "inconclusive"
        assert "errors gone against" in judge(candidate, baseline, margin=0.005).sentence
        assert judge(candidate, baseline, margin=0.02).verdict == "pass"

    def test_count_as_failures_of_the_candidate(self):
        said = judge(passes(100, 0, 2), passes(100))
        assert said.difference == paired.tango(0, 2, 100, level=Demand().level)


class TestHygiene:
    def test_near_copies_leave_both_sides_and_are_counted(self):
        texts = {one: f"an entirely different question about the number {one}" for one in range(1, 61)}
        texts[1], texts[2] = "Where is my card?", "I lost my phone on holiday in Spain, what now?"
        context = ["where is MY card", "I lost my phone on holiday in Spain. What now??"]
        candidate = sheet([0.0, 0.0] + [1.0] * 58)
        said = judge(candidate, passes(60), texts=texts, context=context, margin=0.2)
        assert (said.verdict, said.left_out, said.difference.n) == ("pass", 2, 58)
        assert "2 cases were left out" in said.sentence

    def test_more_than_a_fifth_decides_nothing(self):
        texts = {one: f"{one} " * 9 for one in range(1, 61)}
        for n, verdict in ((12, "pass"), (13, "inconclusive")):
            context = [texts[one] for one in range(1, n + 1)]
            said = judge(passes(60), passes(60), texts=texts, context=context, margin=0.3)
            assert (said.verdict, said.left_out) == (verdict, n)

    def test_all_cases_left_out_decide_nothing(self):
        texts = dict.fromkeys(range(1, 11), "the same")
        assert judge(passes(10), passes(10), texts=texts, context=["the same"]).verdict == "inconclusive"

    @pytest.mark.parametrize(
        ("asked", "given", "text"),
        [
            ("a question", None, "a question"),
            ({"input": "a question"}, None, "a question"),
            ([{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}], None, "hi"),
            ([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}], None, "hi"),
            ({"b": "2", "a": "1"}, None, "1\n2"),
            ([{"role": "user", "content": "rendered"}], {"input": "raw"}, "raw"),
        ],
    )
    def test_compares_what_the_variables_say(self, asked, given, text):
        assert hygiene.case_text(asked, given) == text

    def test_an_example_without_input_matches_nothing(self):
        assert hygiene.left_out(["a", "?"], ["", "  "]).tolist() == [False, False]


class TestNothingToDecide:
    def test_no_case(self):
        said = judge(passes(0), passes(0))
        assert said.verdict == "inconclusive"
        assert said.difference.value is None

    def test_no_baseline(self):
        said = gate.judge(
            Demand(),
            {"exact_match": EXACT},
            candidate=passes(10),
            baseline=None,
            case_texts=dict.fromkeys(range(1, 11), "x"),
            context_inputs=[],
            no_baseline="nothing is released yet",
        )
        assert said.sentence == "Inconclusive: nothing is released yet."

    def test_no_case_in_common(self):
        said = judge(passes(10), sheet([1.0] * 10, first_id=100))
        assert said.verdict == "inconclusive"


class TestComparison:
    def test_is_paired_by_case_whatever_else_each_run_answered(self):
        candidate = sheet([1.0, 0.0, 1.0], first_id=1)
        baseline = sheet([0.0, 1.0, 0.0], first_id=2)
        shared = comparison.shared_cases(candidate, baseline)
        assert shared.tolist() == [2, 3]
        ours, theirs = candidate.of_cases(shared), baseline.of_cases(shared)
        found = comparison.compare(
            ours.values["exact_match"], theirs.values["exact_match"], EXACT, case_ids=shared, level=0.95
        )
        # Paired by place instead of by case, one would be better and two would be worse.
        assert (found.better.tolist(), found.worse.tolist(), found.difference.n) == ([], [], 2)

    def test_counts_the_cases_that_flipped(self):
        found = comparison.compare(
            sheet([1, 1, 0, 0]).values["exact_match"],
            sheet([1, 0, 1, 0]).values["exact_match"],
            EXACT,
            case_ids=np.array([7, 8, 9, 10]),
            level=0.95,
        )
        assert (found.better.tolist(), found.worse.tolist()) == ([8], [9])
        assert found.difference.method == paired.TANGO
        assert found.p == paired.mcnemar_exact(1, 1)

    def test_several_trials_make_the_case_mean_the_unit(self):
        rng = np.random.default_rng(5)
        ours, theirs = (rng.integers(0, 2, (40, 3)).astype(float) for _ in range(2))
        found = comparison.compare(ours, theirs, EXACT, case_ids=np.arange(40), level=0.95, seed=3)
        assert found.difference == paired.paired_mean_difference(ours.mean(1), theirs.mean(1), level=0.95, seed=3)
        assert found.difference.n == 40
        assert found.p.method == paired.WILCOXON

    def test_lower_is_better_is_turned(self):
        low_is_good = Graded(higher_is_better=False)
        ours, theirs = np.full((40, 1), 2.0), np.linspace(2, 5, 40)[:, None]
        found = comparison.compare(ours, theirs, low_is_good, case_ids=np.arange(40), level=0.95)
        assert found.difference.value == pytest.approx(1.5)
        errors = np.full((40, 1), np.nan)
        found = comparison.compare(errors, np.full((40, 1), 5.0), low_is_good, case_ids=np.arange(40), level=0.95)
        assert found.difference.value == 0.0


class TestScoreFigure:
    def test_a_pass_rate_is_wilsons(self):
        assert comparison.score_figure(passes(50, 5).values["exact_match"], EXACT) == proportions.wilson(45, 50)

    def test_an_error_is_the_worst_value_and_is_told(self):
        figure = comparison.score_figure(np.array([[5.0], [np.nan]]), Graded())
        assert figure.value == 3.0
        assert figure.reason.startswith("1 of 2 answers")
        figure = comparison.score_figure(np.array([[1.0], [np.nan]]), Graded(higher_is_better=False))
        assert figure.value == 3.0

    def test_a_graded_mean_is_over_cases_not_trials(self):
        values = np.random.default_rng(1).uniform(1, 5, (50, 4))
        expected = means.mean(values.mean(axis=1), score_range=(1, 5))
        assert comparison.score_figure(values, Graded()) == expected
        assert expected.n == 50

    def test_no_case_is_undefined(self):
        figure = comparison.score_figure(np.empty((0, 1)), EXACT)
        assert figure.value is None
        assert figure.reason


class TestSheet:
    def test_has_a_line_for_each_case_and_nan_for_what_is_missing(self):
        rows = [(9, 1, "a", 1.0), (9, 2, "a", None), (4, 1, None, None), (4, 2, "a", 0.0), (9, 1, "b", 1.0)]
        found = comparison.sheet_of(rows, keys=["a"], trials=2)
        assert found.case_ids.tolist() == [4, 9]
        np.testing.assert_array_equal(found.values["a"], [[np.nan, 0.0], [1.0, np.nan]])
        assert found.error_share == 0.5

    def test_errors_of_any_scorer_count_once(self):
        values = {"a": np.array([[np.nan], [1.0]]), "b": np.array([[np.nan], [1.0]])}
        assert Sheet(np.array([1, 2]), values).error_share == 0.5
