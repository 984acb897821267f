"""A difference tells both texts, shows the words that changed, and never takes long."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.worddiff import Difference, Piece, compare

TEXTS = st.text(alphabet="ab,. \n\N{GREEK SMALL LETTER ALPHA}\N{RIGHT-TO-LEFT OVERRIDE}", max_size=60)


def without(difference: Difference, kind: str) -> str:
    return "".join(piece.text for piece in difference.pieces if piece.kind != kind)


class TestCompare:
    @given(TEXTS, TEXTS)
    def test_gives_the_first_text_without_what_came_and_the_second_without_what_went(self, a: str, b: str) -> None:
        difference = compare(a, b)
        assert without(difference, "in") == a
        assert without(difference, "out") == b

    @given(TEXTS)
    def test_finds_nothing_between_a_text_and_itself(self, text: str) -> None:
        assert compare(text, text) == Difference([Piece("same", text)] if text else [], 0, 0)

    @given(TEXTS, TEXTS)
    def test_never_gives_two_neighbours_of_one_kind(self, a: str, b: str) -> None:
        kinds = [piece.kind for piece in compare(a, b).pieces]
        assert all(one != other for one, other in pairwise(kinds))

    def test_marks_the_words_that_changed(self) -> None:
        assert compare("paid within 45 days of arrival", "paid within 14 days of arrival").pieces == [
            Piece("same", "paid within "),
            Piece("out", "45"),
            Piece("in", "14"),
            Piece("same", " days of arrival"),
        ]

    def test_keeps_a_changed_phrase_together(self) -> None:
        pieces = compare("We say no thanks today", "We say yes please today").pieces
        assert [piece.text for piece in pieces] == ["We say ", "no thanks", "yes please", " today"]

    def test_counts_the_words_that_came_and_went(self) -> None:
        difference = compare("Postage is not refunded.", "Postage up to 12 dollars is refunded, too.")
        assert (difference.n_in, difference.n_out) == (5, 1)

    def test_compares_with_nothing(self) -> None:
        assert compare("", "a b") == Difference([Piece("in", "a b")], n_in=2, n_out=0)
        assert compare("a b", "") == Difference([Piece("out", "a b")], n_in=0, n_out=2)

    def test_finds_one_word_in_a_very_long_text(self) -> None:
        text = " ".join(f"w{number % 977}" for number in range(40_000))
        changed = text.replace("w500 ", "new ", 1)
        assert [piece for piece in compare(text, changed).pieces if piece.kind != "same"] == [
            Piece("out", "w500"),
            Piece("in", "new"),
        ]

    def test_goes_by_lines_where_words_would_take_too_long(self) -> None:
        before = "".join(f"line {number} {'x' * (number % 9)} end\n" for number in range(20_000))
        after = before.replace(" end\n", " stop\n", 2_000).replace("line 15000 ", "line ")
        difference = compare("kept\n" + before, "kept\n" + after)
        assert difference.pieces[0] == Piece("same", "kept\n")
        assert without(difference, "in") == "kept\n" + before
        assert without(difference, "out") == "kept\n" + after

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("a b " * 50_000, "b a a " * 33_000),
            ("a\nb\n" * 50_000, "b\na\na\n" * 33_000),
            ("a " * 100_000, "b " * 100_000),
            ("a" + " x" * 100_000, "x " * 100_000),
            ("x" * 200_000, "y" * 200_000),
            (" ".join(map(str, range(40_000))), " ".join(map(str, range(40_000, 0, -1)))),
        ],
        ids=["two words", "two lines", "nothing in common", "shifted", "one word", "backwards"],
    )
    def test_takes_a_bounded_time_over_200_kilobytes(self, before: str, after: str) -> None:
        began = time.process_time()
        difference = compare(before, after)
        assert time.process_time() - began < 10
        assert without(difference, "in") == before
        assert without(difference, "out") == after
