"""The stored index ranks as scikit-learn would, on real texts where they are at hand."""

import csv
import io
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion

from core.similarity import tfidf

OPENINGS = ("Hello,", "Good morning!", "Hi", "Excuse me,", "URGENT:", "Quick question -")
MATTERS = (
    "my card hasn't arrived yet",
    "the cash machine kept my card",
    "I was charged twice for one payment",
    "why is my transfer still pending",
    "how do I change my PIN",
    "the exchange rate on my purchase looks wrong",
    "can I get a virtual card",
    "my top-up failed again",
    "I don't recognise a direct debit of 12.50",
    "please close my account",
    "is there a fee for withdrawals abroad",
    "the app won't let me verify my identity",
)
ENDINGS = (
    "Thanks.",
    "What should I do?",
    "It's been 3 days...",
    "Can you help me with this",
    "",
    "à bientôt",
)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Support messages in one fixed, mixed order: banking77 where given, else all combinations above."""
    folder = os.environ.get("RATCHET_TEST_DATA")
    if folder:
        with (Path(folder) / "banking77" / "train.csv").open(newline="", encoding="utf-8") as file:
            every = [row["text"] for row in csv.DictReader(file)]
    else:
        every = [f"{opening} {matter} {end}" for opening in OPENINGS for matter in MATTERS for end in ENDINGS]
    return random.Random(1).sample(every, k=min(len(every), 2_200))


def _sklearn_similarities(items: list[str], queries: list[str]) -> NDArray[np.float64]:
    union = FeatureUnion(
        [
            ("word", TfidfVectorizer(sublinear_tf=True)),
            ("char", TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)),
        ],
        transformer_weights={"word": tfidf.WORD_WEIGHT, "char": tfidf.CHAR_WEIGHT},
    )
    stored = union.fit_transform(items)
    return np.asarray((union.transform(queries) @ stored.T).toarray())


def test_ranks_in_the_order_of_scikit_learn(texts: list[str]) -> None:
    items, queries = texts[200:], texts[:200]
    expected = _sklearn_similarities(items, queries)
    index = tfidf.build(items)
    for query, similarities in zip(queries, expected, strict=True):
        assert index.similarities(query) == pytest.approx(similarities, abs=1e-9)
        in_order = similarities[index.rank(query, len(items))]
        # Never rising by more than a rounding error: the same order, up to ties.
        assert np.diff(in_order).max() <= 1e-9
        assert index.rank(query, 16) == index.rank(query, len(items))[:16]


def test_order_of_scikit_learn_is_missed_without_one_family_or_sublinear_counts(texts: list[str]) -> None:
    items, queries = texts[200:], texts[:20]
    index = tfidf.build(items)
    ours = np.array([index.similarities(query) for query in queries])
    for mutant in (
        TfidfVectorizer(sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True),
        FeatureUnion([("word", TfidfVectorizer()), ("char", TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5)))]),
        FeatureUnion(
            [
                ("word", TfidfVectorizer(sublinear_tf=True)),
                ("char", TfidfVectorizer(analyzer="char", ngram_range=(3, 5), sublinear_tf=True)),
            ]
        ),
    ):
        stored = mutant.fit_transform(items)
        assert np.abs((mutant.transform(queries) @ stored.T).toarray() - ours).max() > 0.01


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a b c",
        "I",
        "x" * 40,
        "ÄÖÜ İstanbul ﬁ ½",
        "don't-stop_now",
        "card card card",
        "日本語のテキスト です",
    ],
)
def test_agrees_with_scikit_learn_on_odd_texts(text: str) -> None:
    items = [*MATTERS, "I", "a b", "card card", "ÄÖÜ istanbul", "日本語 のテキスト", ""]
    expected = _sklearn_similarities(items, [text])[0]
    assert tfidf.build(items).similarities(text) == pytest.approx(expected, abs=1e-9)


def test_breaks_ties_by_position_and_fills_up_with_the_rest() -> None:
    index = tfidf.build(["zzz", "my card", "other words", "my card", "qqq"])
    assert index.rank("my card", 5) == [1, 3, 0, 2, 4]
    assert index.rank("my card", 3) == [1, 3, 0]
    assert index.rank("123 456", 2) == [0, 1]
    assert index.rank("", 9) == [0, 1, 2, 3, 4]
    assert index.rank("my card", 0) == []


def test_an_empty_index_ranks_nothing() -> None:
    index = tfidf.Index.from_bytes(tfidf.build([]).to_bytes())
    assert (index.n, index.rank("card", 3)) == (0, [])


def test_refuses_a_negative_number_of_texts() -> None:
    with pytest.raises(ValueError, match="k: found -1"):
        tfidf.build(["a"]).rank("a", -1)


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), max_size=8), st.text(max_size=30))
def test_ranks_alike_after_a_round_trip_through_bytes(items: list[str], query: str) -> None:
    index = tfidf.build(items)
    stored = index.to_bytes()
    again = tfidf.Index.from_bytes(stored)
    assert again.rank(query, len(items)) == index.rank(query, len(items))
    assert sorted(index.rank(query, len(items))) == list(range(len(items)))
    assert again.to_bytes() == stored == tfidf.build(items).to_bytes()


def test_refuses_bytes_of_another_version() -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, version=np.array([99, 0]))
    with pytest.raises(ValueError, match="found version 99, needed 1; build it again"):
        tfidf.Index.from_bytes(stream.getvalue())


def test_refuses_bytes_that_are_no_index() -> None:
    stored = tfidf.build(["my card", "other"]).to_bytes()
    pickled = io.BytesIO()
    np.savez(pickled, version=np.array([object()]))
    half = io.BytesIO()
    np.savez(half, version=np.array([tfidf.VERSION, 2]))
    for broken in (b"", b"nonsense", stored[: len(stored) // 2], pickled.getvalue(), half.getvalue()):
        with pytest.raises(ValueError, match="build it again from its texts"):
            tfidf.Index.from_bytes(broken)


def test_is_built_and_ranked_fast_enough_for_a_request(texts: list[str]) -> None:
    items = (texts * 6)[:2_000]
    started = time.process_time()
    index = tfidf.Index.from_bytes(tfidf.build(items).to_bytes())
    assert time.process_time() - started < 1.5
    started = time.process_time()
    for query in texts[:100]:
        index.rank(query, 16)
    assert (time.process_time() - started) / 100 < 0.003
