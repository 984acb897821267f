"""When several people said the same."""

import pytest

from reviews import consensus, questions
from reviews.questions import Opinion
from tests.reviews.desk import CORRECT, QUALITY

ASKED = questions.read_content(
    [CORRECT, {"key": "why", "type": "text", "required": True}, {"key": "note", "type": "text"}], QUALITY
).questions
FIRST = Opinion({"correct": "no", "why": "Wrong intent.", "note": "a"}, "Refund!")


@pytest.mark.parametrize(
    "other",
    [
        FIRST,
        Opinion({"correct": "no", "why": "wrong  INTENT", "note": "a"}, " Refund!"),
        Opinion({"correct": "no", "why": "Wrong intent."}, "Refund!"),
    ],
)
def test_agrees_where_required_answers_and_folded_texts_are_equal(other: Opinion) -> None:
    assert consensus.agree(ASKED, [FIRST, other])


@pytest.mark.parametrize(
    "other",
    [
        Opinion({"correct": "yes", "why": "Wrong intent."}, "Refund!"),
        Opinion({"correct": "no", "why": "Too rude."}, "Refund!"),
        Opinion({"correct": "no", "why": "Wrong intent."}, "delivery"),
        Opinion({"correct": "no", "why": "Wrong intent."}, None),
    ],
)
def test_differs_where_a_required_answer_or_the_correction_differs(other: Opinion) -> None:
    assert not consensus.agree(ASKED, [FIRST, other])
    assert not consensus.agree(ASKED, [FIRST, FIRST, other])


def test_says_jointly_what_all_say_in_the_words_of_the_first() -> None:
    other = Opinion({"correct": "no", "why": "wrong intent", "note": "b"}, "refund")
    assert consensus.joint([FIRST, other]) == Opinion({"correct": "no", "why": "Wrong intent."}, "Refund!")


@pytest.mark.parametrize(("one", "other"), [("-5", "5"), ("C#", "C"), ("Paris", "paris")])
def test_corrections_that_a_scorer_tells_apart_are_in_dispute(one: str, other: str) -> None:
    opinions = [Opinion({"correct": "no"}, one), Opinion({"correct": "no"}, other)]
    assert not consensus.agree([], opinions)


def test_corrections_that_differ_in_space_alone_agree() -> None:
    assert consensus.agree([], [Opinion({}, "two  words"), Opinion({}, " two words")])
