"""Nearly equal texts are found, exactly and fast."""

import random
import string
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.similarity import shingles
from core.similarity.folding import fold

WORDS = (
    "card",
    "payment",
    "refund",
    "account",
    "my",
    "is",
    "pending",
    "cancel",
    "where",
    "transfer",
    "to",
    "still",
)
TEXTS = st.lists(st.sampled_from(WORDS), min_size=0, max_size=12).map(" ".join)


def _grams(text: str) -> set[str]:
    """The definition: 5-grams of the folded text, a shorter text being its own."""
    folded = fold(text)
    return {folded[at : at + 5] for at in range(max(1, len(folded) - 4))}


def _plain_jaccard(one: str, other: str) -> float:
    return len(_grams(one) & _grams(other)) / len(_grams(one) | _grams(other))


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_jaccard_is_the_share_of_common_five_grams(one: str, other: str) -> None:
    assert len(shingles.shingles(one)) == len(_grams(one))
    found = shingles.jaccard(shingles.shingles(one), shingles.shingles(other))
    assert found == pytest.approx(_plain_jaccard(one, other))


def test_jaccard_of_known_texts() -> None:
    # "abcdefghij" has 6 five-grams, "abcdefghix" shares 5 of them.
    assert shingles.jaccard(shingles.shingles("abcdefghij"), shingles.shingles("Abcdefghix!")) == 5 / 7


def test_hashes_stay_the_same_for_ever() -> None:
    assert shingles.shingles("Where is it?").tolist() == FROZEN_HASHES


FROZEN_HASHES = [
    3047583415269148867,
    8730746075326606781,
    9526669731068536633,
    9579553856980112433,
    10092949120475410986,
    11462907548324288659,
    15328076867167381432,
]


@pytest.mark.parametrize(
    ("one", "other", "is_near"),
    [
        ("Where is my new card?", "where is my NEW card", True),
        (
            "I would like to cancel my transfer, please help",
            "I would like to cancel my transfer please help me",
            True,
        ),
        ("I would like to cancel my transfer", "I would like to know my balance today", False),
        ("refund", "refunds", False),
        ("abcd", "abcd", True),
        ("abcd", "abcde", False),
        ("", "", True),
        ("", "a", False),
        ("", "\x00", False),
    ],
)
def test_near_means_equal_or_mostly_shared(one: str, other: str, is_near: bool) -> None:
    assert shingles.is_near(one, other) is is_near
    assert shingles.is_near(other, one) is is_near


def test_near_includes_the_threshold_itself() -> None:
    # Twenty-four five-grams each, nineteen in common: 19 / 29; as a share of itself it is near, above not.
    one, other = string.ascii_lowercase + "01", string.ascii_lowercase[:23] + "98765"
    exact = _plain_jaccard(one, other)
    assert shingles.near_pairs([one], [other], threshold=exact) == [0]
    assert shingles.near_pairs([one], [other], threshold=exact + 1e-6) == [None]


def test_near_pairs_sees_a_text_that_only_went_on_in_new_words() -> None:
    # 8 five-grams of 10: the two that no reference holds are the rarest, and must not hide the others.
    assert shingles.near_pairs(["abcdefghijklmn"], ["zzzzzzzz", "abcdefghijkl"]) == [1]
    assert shingles.near_pairs(["abcdefghijklmno"], ["zzzzzzzz", "abcdefghijkl"]) == [None]


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=6), st.lists(TEXTS, max_size=6), st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_near_pairs_finds_what_comparing_every_pair_finds(
    queries: list[str], references: list[str], threshold: float
) -> None:
    found = shingles.near_pairs(queries, references, threshold=threshold)
    for query, position in zip(queries, found, strict=True):
        near = [
            place
            for place, reference in enumerate(references)
            if fold(query) == fold(reference) or _plain_jaccard(query, reference) >= threshold
        ]
        assert (position is None) == (not near)
        assert position is None or position in near


def test_near_pairs_names_an_equal_reference_before_a_similar_one() -> None:
    references = ["I want to cancel my transfer now.", "I want to cancel my transfer now!!", "Something else"]
    assert shingles.near_pairs(["I WANT to cancel my transfer now"], references) == [0]
    assert shingles.near_pairs(["I want to cancel my transfer"], ["i want to cancel my transfer x", *references]) == [0]


@pytest.mark.parametrize("threshold", [0, -1, 1.01])
def test_near_pairs_refuses_a_threshold_that_is_no_share(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold: found"):
        shingles.near_pairs(["a"], ["b"], threshold=threshold)


def test_near_pairs_is_fast_enough_to_be_asked_in_every_comparison() -> None:
    rng = random.Random(1)
    vocabulary = ["".join(rng.choices("abcdeilnorst", k=rng.randint(2, 8))) for _ in range(2_000)]
    texts = [" ".join(rng.choices(vocabulary, k=rng.randint(5, 20))) for _ in range(2_900)]
    started = time.process_time()
    found = shingles.near_pairs([*texts[:900], *texts[2_800:]], texts[900:])
    assert time.process_time() - started < 2
    assert found[900:] == list(range(1_900, 2_000))


def test_long_texts_are_hashed_without_a_loop() -> None:
    text = "".join(np.random.default_rng(1).choice(list(string.ascii_lowercase), size=300_000))
    started = time.process_time()
    assert len(shingles.shingles(text)) > 290_000
    assert time.process_time() - started < 1
