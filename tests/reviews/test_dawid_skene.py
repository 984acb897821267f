"""What answers come to: the model of Dawid and Skene, and the majority beside it."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reviews import dawid_skene
from reviews.dawid_skene import Answers

# Dawid and Skene (1979), table 1: 45 patients, five anaesthetists, of whom the first judged three times.
PATIENTS = """
1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343 1111111 2223212 1211111
1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222 1111111 1111111 2322222 1111111 1111111 1121121
1111111 3333233 1111111 2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 2222222
"""


def crowd(folder: Path) -> tuple[Answers, list[str]]:
    rows = dict.fromkeys(
        (row["item"], row["worker"], row["label"])
        for row in csv.DictReader((folder / "label.csv").read_text().splitlines())
    )
    truth = {row["item"]: row["truth"] for row in csv.DictReader((folder / "truth.csv").read_text().splitlines())}
    items, workers, labels = (list(column) for column in zip(*rows, strict=True))
    answers = Answers.of(items, workers, labels, sorted(set(labels)))
    return answers, [truth[item] for item in answers.items]


def accuracy(answers: Answers, weights: dawid_skene.Floats, truth: list[Any]) -> float:
    """The share of right options, a tie shared among its leaders."""
    lead = dawid_skene.leaders(weights)
    right = [answers.options.index(one) for one in truth]
    return float(np.mean(lead[np.arange(len(truth)), right] / lead.sum(axis=1)))


class TestFit:
    def test_equals_what_its_authors_published(self) -> None:
        rows = [
            (patient, max(0, place - 2), int(answer))
            for patient, answers in enumerate(PATIENTS.split())
            for place, answer in enumerate(answers)
        ]
        fitted = dawid_skene.fit(Answers.of(*zip(*rows, strict=True), options=[1, 2, 3, 4]))
        assert fitted.prior == pytest.approx([0.40, 0.42, 0.11, 0.07], abs=5e-3)
        # Table 2: the first observer, who never called a 1 a 3 or a 4.
        assert fitted.confusion[0, 0] == pytest.approx([0.89, 0.11, 0, 0], abs=5e-3)
        assert fitted.has_settled

    @pytest.mark.parametrize(
        ("name", "by_majority", "by_model"),
        [("bluebird", 0.7593, 0.8981), ("rte_snow2008", 0.8969, 0.9275), ("ms_music_genre", 0.7042, 0.7671)],
    )
    def test_equals_what_is_known_of_crowds(
        self, real_data: Path, name: str, by_majority: float, by_model: float
    ) -> None:
        answers, truth = crowd(real_data / "crowd_labels" / name)
        assert accuracy(answers, answers.votes, truth) == pytest.approx(by_majority, abs=5e-5)
        assert accuracy(answers, dawid_skene.fit(answers).posterior, truth) == pytest.approx(by_model, abs=5e-5)

    def test_learns_whom_to_trust(self) -> None:
        rng = np.random.default_rng(7)
        truth = rng.integers(0, 2, 400)
        right = rng.random((400, 5)) < [0.95, 0.9, 0.55, 0.55, 0.5]
        answers, given = answers_of(np.where(right, truth[:, None], 1 - truth[:, None])), truth.tolist()
        fitted = dawid_skene.fit(answers)
        assert accuracy(answers, fitted.posterior, given) > accuracy(answers, answers.votes, given) + 0.1
        diagonal = fitted.confusion[:, [0, 1], [0, 1]].mean(axis=1)
        assert diagonal == pytest.approx([0.95, 0.9, 0.55, 0.55, 0.5], abs=0.06)
        assert fitted.confusion.sum(axis=2) == pytest.approx(np.ones((5, 2)))

    def test_loses_to_the_majority_where_reviewers_copy_each_other(self) -> None:
        rng = np.random.default_rng(11)
        truth = rng.integers(0, 2, 300)
        right = rng.random((300, 5)) < 0.75
        right[:, 4] = right[:, 3]
        answers = answers_of(np.where(right, truth[:, None], 1 - truth[:, None]))
        by_model = accuracy(answers, dawid_skene.fit(answers).posterior, truth.tolist())
        assert by_model < accuracy(answers, answers.votes, truth.tolist()) - 0.03

    def test_a_first_review_is_usable_and_no_certainty(self) -> None:
        first = Answers.of(["a"], ["x"], ["yes"], ["yes", "no"])
        known = [dawid_skene.fit(first, n_settled=n).posterior[0, 0] for n in (0, 10, 19)]
        assert 0.7 < known[0] < 0.9
        assert known[0] < known[1] < known[2] < 1
        assert dawid_skene.fit(first, n_settled=20).posterior[0, 0] == pytest.approx(1)

    def test_of_what_nobody_ever_was_nothing_is_known(self) -> None:
        answers = Answers.of("aabb", "xyxy", [1, 1, 2, 2], [1, 2, 3])
        plain, drawn = dawid_skene.fit(answers), dawid_skene.fit(answers, n_settled=2)
        assert np.isnan(plain.confusion[:, 2]).all()
        assert plain.confusion[0, 0] == pytest.approx([1, 0, 0])
        assert drawn.confusion[0, 2] == pytest.approx([0.1, 0.1, 0.8], abs=0.01)

    def test_takes_gaps_and_counts_repeats(self) -> None:
        rows = [("a", "x", 1), ("a", "x", 1), ("a", "y", 2), ("b", "y", 2), ("c", "x", 1), ("c", "z", 1)]
        answers = Answers.of(*zip(*rows, strict=True), options=[1, 2])
        assert answers.votes.tolist() == [[1, 1], [0, 1], [2, 0]]
        once = Answers.of(*zip(*rows[1:], strict=True), options=[1, 2])
        twice_said, once_said = (dawid_skene.fit(one, n_settled=0).posterior[0, 0] for one in (answers, once))
        assert twice_said > once_said

    def test_refuses_what_says_nothing(self) -> None:
        with pytest.raises(ValueError, match="at least one answer"):
            dawid_skene.fit(Answers.of([], [], [], ["yes", "no"]))
        with pytest.raises(ValueError, match="'maybe'"):
            Answers.of(["a"], ["x"], ["maybe"], ["yes", "no"])
        with pytest.raises(ValueError, match="one of each"):
            Answers.of(["a", "b"], ["x"], ["yes"], ["yes", "no"])


def answers_of(rated: np.ndarray[Any, Any]) -> Answers:
    """From a table, one row per item and one column per reviewer."""
    item, reviewer = np.indices(rated.shape)
    return Answers.of(item.ravel().tolist(), reviewer.ravel().tolist(), rated.ravel().tolist(), [0, 1])


def test_a_tie_is_not_decided() -> None:
    answers = Answers.of("aabbbc", "xyxyzx", [1, 2, 1, 2, 2, 1], [1, 2])
    assert dawid_skene.decided(answers.votes).tolist() == [-1, 1, 0]
