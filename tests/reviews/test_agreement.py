"""How far reviewers agree: published values, undefined ones, and intervals that keep their word."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from core.figures import Figure
from reviews import agreement
from reviews.agreement import Answers, Level

# Krippendorff (2011), "Computing Krippendorff's alpha-reliability", section C: 4 observers, 12 units, cells missing.
KRIPPENDORFF = [
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
]
SCALE = (1, 2, 3, 4, 5)


def answers_in(table: list[str]) -> Answers:
    """One line per rater, one column per item; a full stop is a gap."""
    rows = [
        (item, rater, int(said))
        for rater, line in enumerate(table)
        for item, said in enumerate(line.split())
        if said != "."
    ]
    return Answers.of(*zip(*rows, strict=True), order=SCALE)


def table_of(path: Path) -> np.ndarray[Any, Any]:
    return np.array([[int(cell) for cell in row] for row in list(csv.reader(path.read_text().splitlines()))[1:]])


def crowd(folder: Path) -> tuple[list[str], list[str], list[str]]:
    rows = dict.fromkeys(
        (row["item"], row["worker"], row["label"])
        for row in csv.DictReader((folder / "label.csv").read_text().splitlines())
    )
    items, workers, labels = (list(column) for column in zip(*rows, strict=True))
    return items, workers, labels


def ratings(rng: np.random.Generator, n: int, n_raters: int, share_sure: float = 0.7) -> np.ndarray[Any, Any]:
    """Three answers of unequal frequency; a rater knows the right one or guesses, shape (n, raters)."""
    shares = [0.6, 0.3, 0.1]
    right = rng.choice(3, size=(n, 1), p=shares)
    return np.where(rng.random((n, n_raters)) < share_sure, right, rng.choice(3, size=(n, n_raters), p=shares))


def counts_of(rated: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (rated[:, :, None] == np.arange(3)).sum(axis=1)


class TestAlpha:
    @pytest.mark.parametrize(
        ("measured", "published"), [(Level.NOMINAL, 0.743), (Level.ORDINAL, 0.815), (Level.INTERVAL, 0.849)]
    )
    def test_equals_what_krippendorff_published(self, measured: Level, published: float) -> None:
        found = agreement.krippendorff_alpha(answers_in(KRIPPENDORFF), measured)
        assert found.value == pytest.approx(published, abs=5e-4)
        assert found.n == 11

    @pytest.mark.parametrize(
        ("name", "published"), [("bluebird", 0.1255), ("rte_snow2008", 0.2415), ("ms_music_genre", 0.3010)]
    )
    def test_equals_what_is_known_of_crowds(self, real_data: Path, name: str, published: float) -> None:
        found = agreement.krippendorff_alpha(Answers.of(*crowd(real_data / "crowd_labels" / name)), Level.NOMINAL)
        assert found.value == pytest.approx(published, abs=5e-5)

    def test_is_negative_where_people_contradict_each_other(self) -> None:
        found = agreement.krippendorff_alpha(
            Answers.of_rows([["yes", "no"], ["no", "no"], ["no", "yes"]], [4, 1, 3]), Level.NOMINAL
        )
        assert found.value == pytest.approx(1 - 15 * 14 / (16**2 - 9**2 - 7**2))
        assert found.high is not None
        assert found.high < 0

    def test_takes_gaps_and_the_last_of_repeated_answers(self) -> None:
        gaps = Answers.of("aabbbcd", "xyxyzxy", [1, 1, 1, 2, 2, 1, 2])
        repeats = Answers.of("aaabbbbcd", "xyxxyzzxy", [2, 1, 1, 1, 2, 1, 2, 1, 2])
        for measured in Level:
            found = agreement.krippendorff_alpha(gaps, measured)
            assert found == agreement.krippendorff_alpha(repeats, measured)
            assert (found.n, found.value) == (2, pytest.approx(1 - 4 * 2 / (25 - 9 - 4)))

    def test_does_not_depend_on_the_order_of_anything(self) -> None:
        rows = list(zip("aabbccddee", "xyxyxyxyxz", [1, 1, 1, 2, 2, 2, 3, 1, 3, 3], strict=True))
        for measured in Level:
            there, back = (Answers.of(*zip(*order, strict=True)) for order in (rows, rows[::-1]))
            assert agreement.krippendorff_alpha(there, measured) == agreement.krippendorff_alpha(back, measured)

    def test_numbers_may_lie_far_from_0(self) -> None:
        near = [[1.0, 2.0], [2.0, 2.0], [5.0, 4.0]]
        far = [[value + 1e9 for value in row] for row in near]
        found = [
            agreement.krippendorff_alpha(Answers.of_rows(rows, [1] * 3), Level.INTERVAL).value for rows in (near, far)
        ]
        assert found[0] == pytest.approx(found[1], abs=1e-6)

    def test_ordinal_steps_count_what_lies_between(self) -> None:
        """As the definition says it: (Σ n_g - (n_c + n_k)/2)², over all pairs, in two loops."""
        rng = np.random.default_rng(3)
        rated = np.clip(rng.integers(0, 5, (20, 1)) + rng.integers(-1, 2, (20, 3)), 0, 4)
        counts = (rated[:, :, None] == np.arange(5)).sum(axis=1)
        totals = counts.sum(axis=0)
        steps = np.array(
            [
                [(totals[min(c, k) : max(c, k) + 1].sum() - (totals[c] + totals[k]) / 2) ** 2 for k in range(5)]
                for c in range(5)
            ]
        )
        observed = sum(row @ steps @ row / (row.sum() - 1) for row in counts) / totals.sum()
        expected = totals @ steps @ totals / totals.sum() / (totals.sum() - 1)
        found = agreement.krippendorff_alpha(Answers.of_counts(counts), Level.ORDINAL)
        assert found.value == pytest.approx(1 - observed / expected)


class TestKappa:
    def test_equals_the_known_values(self, real_data: Path) -> None:
        folder = real_data / "agreement_examples"
        known = json.loads((folder / "expected.json").read_text())
        first, second = table_of(folder / "irr_anxiety_20x3.csv")[:, 1:].T
        for weights, name in (("none", "unweighted"), ("linear", "linear"), ("quadratic", "quadratic")):
            found = agreement.cohen_kappa(first, second, weights=weights)  # type: ignore[arg-type]
            assert found.value == pytest.approx(known["irr_anxiety_20x3.csv"][f"cohen_kappa_{name}"], abs=5e-8)
        table = table_of(folder / "sas_kappa_table_3x3.csv")
        one, other = np.nonzero(table)
        found = agreement.cohen_kappa(one, other, times=table[one, other])
        sas = known["sas_kappa_table_3x3.csv"]
        assert found.value == pytest.approx(sas["cohen_kappa"], abs=5e-5)
        # Theirs is the normal one; ours of so few items is wider and not symmetrical.
        assert [found.low, found.high] == pytest.approx(sas["ci95"], abs=0.06)

    def test_of_fleiss_equals_the_known_values(self, real_data: Path) -> None:
        folder = real_data / "agreement_examples"
        known = json.loads((folder / "expected.json").read_text())
        name = "fleiss_wikipedia_counts_10x5.csv"
        found = agreement.fleiss_kappa(Answers.of_counts(table_of(folder / name)))
        assert found.value == pytest.approx(known[name]["fleiss_kappa"], abs=5e-4)
        name = "fleiss1971_diagnoses_30x6.csv"
        diagnoses = Answers.of_rows(table_of(folder / name).tolist(), [1] * 30)
        assert agreement.fleiss_kappa(diagnoses).value == pytest.approx(known[name]["fleiss_kappa"], abs=5e-8)
        assert diagnoses.times @ diagnoses.counts == pytest.approx(known[name]["category_totals"])

    def test_equals_well_known_examples(self) -> None:
        """Those of Wikipedia: 14 raters, 10 subjects, 5 categories; two readers of 50 grant proposals."""
        rows = "0000e 02642 00356 03920 22811 77000 32630 25322 65210 02237".split()
        counts = np.array([[int(n, 16) for n in row] for row in rows])
        assert agreement.fleiss_kappa(Answers.of_counts(counts)).value == pytest.approx(0.210, abs=5e-4)
        grants = agreement.cohen_kappa([1, 1, 0, 0], [1, 0, 1, 0], times=[20, 5, 10, 15])
        assert (grants.value, grants.n) == (pytest.approx(0.4), 50)

    @pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
    def test_equals_scikit_learn(self, weights: agreement.Weights) -> None:
        first, second = ratings(np.random.default_rng(5), 80, 2).T
        found = agreement.cohen_kappa(first, second, weights=weights)
        theirs = cohen_kappa_score(first, second, weights=None if weights == "none" else weights)
        assert found.value == pytest.approx(theirs)

    def test_needs_both_raters_on_every_item(self) -> None:
        with pytest.raises(ValueError, match="same items"):
            agreement.cohen_kappa([1, 2], [1])

    def test_of_fleiss_needs_a_classical_design(self) -> None:
        found = agreement.fleiss_kappa(Answers.of_rows([["a", "b"], ["a", "a", "b"]], [1, 1]))
        assert found.value is None
        assert "same number" in str(found.reason)


class TestUndefined:
    @staticmethod
    def all_of(answers: Answers) -> list[Figure]:
        return [
            *(agreement.krippendorff_alpha(answers, measured) for measured in Level),
            agreement.fleiss_kappa(answers),
        ]

    def test_with_one_rater(self) -> None:
        alone = Answers.of("abc", "xxx", [1, 2, 3])
        for found in (agreement.raw_agreement(alone), *self.all_of(alone)):
            assert (found.value, found.n, found.reason) == (None, 0, agreement.NO_PAIR)
        assert agreement.cohen_kappa([], []).value is None

    def test_with_people_who_never_meet_on_an_item(self) -> None:
        for found in self.all_of(Answers.of("abcd", "xyxy", [1, 2, 1, 2])):
            assert (found.value, found.reason) == (None, agreement.NO_PAIR)

    def test_where_every_answer_is_the_same(self) -> None:
        same = Answers.of("aabb", "xyxy", [1, 1, 1, 1])
        for found in (*self.all_of(same), agreement.cohen_kappa([1, 1], [1, 1])):
            assert (found.value, found.reason, found.n) == (None, agreement.NO_VARIANCE, 2)
        raw = agreement.raw_agreement(same)
        assert (raw.value, raw.high) == (1.0, 1.0)
        assert raw.low == pytest.approx(0.342, abs=1e-3)

    def test_has_no_interval_where_resamples_say_nothing(self) -> None:
        for rows, times in (([["yes", "no"]], [1]), ([["yes", "no"]], [30]), ([[1, 1], [1, 2]], [40, 1])):
            found = agreement.krippendorff_alpha(Answers.of_rows(rows, times), Level.NOMINAL)
            assert found.value is not None
            assert (found.low, found.high, found.reason) == (None, None, agreement.TOO_UNIFORM)


class TestInterval:
    def test_is_the_same_each_time(self) -> None:
        answers = Answers.of_counts(counts_of(ratings(np.random.default_rng(1), 50, 3)))
        assert agreement.krippendorff_alpha(answers, Level.NOMINAL) == agreement.krippendorff_alpha(
            answers, Level.NOMINAL
        )

    def test_has_a_width_where_all_agree(self) -> None:
        found = agreement.krippendorff_alpha(Answers.of_rows([["a", "a"], ["b", "b"]], [10, 10]), Level.NOMINAL)
        assert (found.value, found.high) == (1.0, 1.0)
        # Wilson's lower end at 20 of 20 is .839; by chance 20/39 of all pairs differ.
        assert found.low == pytest.approx(1 - (1 - 0.8389) / (20 / 39), abs=1e-3)

    @pytest.mark.parametrize("n", [5, 30, 400])
    def test_reaches_as_far_out_as_so_few_items_ask(self, n: int) -> None:
        known = stats.norm.cdf(stats.t.ppf([0.025, 0.975], n - 1) * np.sqrt(n / (n - 1)))
        assert agreement.expanded_shares(n, 0.95) == pytest.approx(known, abs=2e-4)

    @pytest.mark.parametrize("n", [30, 60])
    def test_holds_the_truth_as_often_as_it_says(self, n: int) -> None:
        assert self.coverage(n) >= 0.93

    def test_answers_in_the_place_of_items_would_be_found(self) -> None:
        """Each pair of answers as an item of its own: what a bootstrap over answers does."""

        def split(rated: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            pairs = [(one, other) for one in range(rated.shape[1]) for other in range(one)]
            return np.concatenate([rated[:, list(pair)] for pair in pairs])

        assert self.coverage(60, split=split) < 0.85

    @staticmethod
    def coverage(n: int, *, split: Any = lambda rated: rated, n_draws: int = 300) -> float:
        """How often the interval of α of four raters holds what α is in a population of 200,000 items."""
        rng = np.random.default_rng(17)
        population = counts_of(ratings(rng, 200_000, 4))
        truth = agreement.krippendorff_alpha(Answers.of_counts(population), Level.NOMINAL).value
        held = 0
        for _ in range(n_draws):
            found = agreement.krippendorff_alpha(Answers.of_counts(counts_of(split(ratings(rng, n, 4)))), Level.NOMINAL)
            assert truth is not None
            assert found.low is not None
            assert found.high is not None
            held += found.low <= truth <= found.high
        return held / n_draws
