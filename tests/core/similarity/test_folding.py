"""Texts that differ only in writing fold to one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.similarity.folding import fold


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where is my card?", "where is my card"),
        ("Where   is\n\tmy card", " where is my card "),
        ("Where—is… my, card!", "where is my card"),
        ("don't", "DON’T"),
        ("ﬁnal １２３", "FINAL 123"),
        ("Straße", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        ("pass\u00adword", "pass\u200bword"),
        ("caf\u00e9", "cafe\u200d\u0301"),
        ("a\u00a0b", "a b"),
    ],
)
def test_folds_case_punctuation_space_and_form(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5 €", "5 £"),
        ("great 👍", "great 👎"),
        ("card 1", "card 2"),
        ("?", "!"),
        ("resume", "résumé"),
        ("ab", "a b"),
    ],
)
def test_keeps_what_carries_meaning(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_leaves_single_spaces_and_no_edges() -> None:
    assert fold("  ¿Qué -- tal?  ") == "qué tal"
    assert fold("") == fold(" \n") == ""


@settings(deadline=None)
@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
