"""What a rubric may ask, and which answers fit."""

from typing import Any

import pytest

from core.problems import Invalid
from reviews import questions
from tests.reviews.desk import CORRECT, QUALITY

TOPIC = {"key": "topic", "type": "choice", "options": ["refund", "delivery"]}
STARS = {"key": "stars", "type": "scale", "range": [1, 5]}
WEIGHT = {"key": "weight", "type": "number", "range": [0, 10]}
WHY = {"key": "why", "type": "text"}
KINDS = {"key": "kinds", "type": "tags", "options": ["rude", "wrong"]}
RIGHT = {
    "key": "right",
    "type": "correction",
    "required": True,
    "show_if": {"question": "correct", "is": "no"},
}


def read(*more: dict[str, Any], quality: dict[str, Any] = QUALITY) -> questions.Content:
    return questions.read_content([CORRECT, *more], quality)


def refused(*more: dict[str, Any], quality: dict[str, Any] = QUALITY) -> dict[str, str]:
    """Field → message of what is refused."""
    with pytest.raises(Invalid) as caught:
        read(*more, quality=quality)
    return {error.field: error.message for error in caught.value.errors}


def refused_answers(answers: dict[str, Any], correction: str | None, *more: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        questions.read_opinion(read(*more).questions, answers, correction)
    return {error.field: error.message for error in caught.value.errors}


def test_writes_every_default_out() -> None:
    content = questions.read_content([{"key": "correct", "type": "yes_no"}], QUALITY)
    assert content.questions == [
        {"key": "correct", "type": "yes_no", "text": "correct", "required": True, "options": ["yes", "no"]}
    ]
    assert content.quality == {"question": "correct", "map": {"no": 0.0, "yes": 1.0}}


def test_gives_equal_content_the_same_digest_and_other_content_another() -> None:
    spelt_out = {**CORRECT, "options": ["yes", "no"], "show_if": None}
    assert questions.read_content([spelt_out], QUALITY).digest == read().digest
    assert read(TOPIC).digest != read().digest
    assert read(quality={"question": "correct", "map": {"yes": 1, "no": 0.5}}).digest != read().digest


@pytest.mark.parametrize("kind", ["choices", "spans", "pairwise", "essay", None, 3, ["choice"]])
def test_refuses_a_type_that_is_not_available_and_says_which_are(kind: Any) -> None:
    said = refused({"key": "other", "type": kind})["questions[1].type"]
    assert "choice, yes_no, scale, number, text, tags, correction" in said


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ("not an object", "questions[1]"),
        ({**TOPIC, "key": "correct"}, "questions[1].key"),
        ({**TOPIC, "key": ""}, "questions[1].key"),
        ({**TOPIC, "key": "a b"}, "questions[1].key"),
        ({**TOPIC, "key": 1}, "questions[1].key"),
        ({**TOPIC, "text": 1}, "questions[1].text"),
        ({**TOPIC, "required": "yes"}, "questions[1].required"),
        ({**TOPIC, "colour": "red"}, "questions[1].colour"),
        ({**TOPIC, "options": ["one"]}, "questions[1].options"),
        ({**TOPIC, "options": ["one", "one"]}, "questions[1].options"),
        ({**TOPIC, "options": ["one", " "]}, "questions[1].options"),
        ({**TOPIC, "options": ["one", 2]}, "questions[1].options"),
        ({**TOPIC, "options": None}, "questions[1].options"),
        ({**WHY, "options": ["a", "b"]}, "questions[1].options"),
        ({"key": "sure", "type": "yes_no", "options": ["yes", "maybe"]}, "questions[1].options"),
        ({"key": "stars", "type": "scale"}, "questions[1].options"),
        ({**STARS, "range": [5, 1]}, "questions[1].range"),
        ({**STARS, "range": [1, 500]}, "questions[1].range"),
        ({**STARS, "range": [1.5, 2]}, "questions[1].range"),
        ({**STARS, "range": [1]}, "questions[1].range"),
        ({**STARS, "options": [1, 2]}, "questions[1].range"),
        ({"key": "stars", "type": "scale", "options": [1, 3, 5]}, "questions[1].options"),
        ({**WEIGHT, "range": [3, 3]}, "questions[1].range"),
        ({**WEIGHT, "range": "wide"}, "questions[1].range"),
        ({**WHY, "show_if": {"question": "later", "is": "yes"}}, "questions[1].show_if.question"),
        ({**WHY, "show_if": {"question": "correct", "is": "maybe"}}, "questions[1].show_if.is"),
        ({**WHY, "show_if": {"question": "correct"}}, "questions[1].show_if"),
        ({**WHY, "show_if": "no"}, "questions[1].show_if"),
    ],
)
def test_refuses_a_question_and_names_the_field(question: Any, field: str) -> None:
    assert field in refused(question)


def test_refuses_a_condition_on_a_question_without_options() -> None:
    later = {**STARS, "show_if": {"question": "why", "is": "x"}}
    assert "questions[2].show_if.question" in refused(WHY, later)


def test_asks_for_one_correction_alone() -> None:
    assert "questions[2].type" in refused({"key": "a", "type": "correction"}, {"key": "b", "type": "correction"})


@pytest.mark.parametrize(
    ("quality", "field"),
    [
        ({"question": "nobody", "map": {}}, "quality.question"),
        ({"question": "why", "map": {}}, "quality.question"),
        ({"question": "shown", "map": {"yes": 1, "no": 0}}, "quality.question"),
        ({"question": "correct", "map": {"yes": 1}}, "quality.map"),
        ({"question": "correct", "map": None}, "quality.map"),
        ({"question": "correct", "map": {"yes": 1, "no": 0, "maybe": 0.5}}, "quality.map.maybe"),
        ({"question": "correct", "map": {"yes": 1.01, "no": 0}}, "quality.map.yes"),
        ({"question": "correct", "map": {"yes": 1, "no": -0.1}}, "quality.map.no"),
        ({"question": "correct", "map": {"yes": True, "no": 0}}, "quality.map.yes"),
        ({"question": "correct", "map": {"yes": "1", "no": 0}}, "quality.map.yes"),
    ],
)
def test_refuses_a_quality_that_is_not_exactly_one_mapped_question(quality: Any, field: str) -> None:
    shown = {"key": "shown", "type": "yes_no", "show_if": {"question": "correct", "is": "yes"}}
    assert field in refused(WHY, shown, quality=quality)


def test_refuses_a_rubric_without_questions() -> None:
    with pytest.raises(Invalid) as caught:
        questions.read_content([], QUALITY)
    assert caught.value.errors[0].field == "questions"


def test_maps_the_steps_of_a_scale_by_their_digits() -> None:
    quality = {"question": "stars", "map": {"1": 0, "2": 0.25, "3": 0.5, "4": 0.75, "5": 1}}
    content = questions.read_content([STARS], quality)
    assert content.questions[0]["options"] == ["1", "2", "3", "4", "5"]
    assert questions.quality_of(content.quality, {"stars": 4}) == 0.75


def test_takes_a_scale_by_its_steps_as_by_its_ends() -> None:
    by_steps = {"key": "stars", "type": "scale", "options": [1, 2, 3, 4, 5]}
    assert read(by_steps).digest == read(STARS).digest


@pytest.mark.parametrize(
    ("question", "answer", "kept"),
    [
        (TOPIC, "refund", "refund"),
        (STARS, 5, 5),
        (WEIGHT, 2.5, 2.5),
        (WEIGHT, 10, 10.0),
        (WHY, " because ", " because "),
        (KINDS, ["wrong", "rude"], ["rude", "wrong"]),
    ],
)
def test_keeps_an_answer_that_fits(question: dict[str, Any], answer: Any, kept: Any) -> None:
    opinion = questions.read_opinion(read(question).questions, {"correct": "yes", question["key"]: answer}, None)
    assert opinion.answers == {"correct": "yes", question["key"]: kept}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (TOPIC, "weather"),
        (TOPIC, 1),
        (TOPIC, ["refund"]),
        (STARS, 6),
        (STARS, "5"),
        (STARS, 4.5),
        (STARS, True),
        (WEIGHT, 11),
        (WEIGHT, "2"),
        (WEIGHT, False),
        (WHY, 7),
        (WHY, "x" * 100_001),
        (KINDS, "rude"),
        (KINDS, ["kind"]),
        (KINDS, ["rude", "rude"]),
    ],
)
def test_refuses_an_answer_that_does_not_fit(question: dict[str, Any], answer: Any) -> None:
    assert f"answers.{question['key']}" in refused_answers({"correct": "yes", question["key"]: answer}, None, question)


@pytest.mark.parametrize("answer", ["maybe", 1, "Yes", [], {}])
def test_refuses_what_is_neither_yes_nor_no(answer: Any) -> None:
    assert "answers.correct" in refused_answers({"correct": answer}, None)


def test_takes_true_and_false_for_yes_and_no() -> None:
    assert questions.read_opinion(read().questions, {"correct": True}, None).answers == {"correct": "yes"}
    assert questions.read_opinion(read().questions, {"correct": False}, None).answers == {"correct": "no"}


@pytest.mark.parametrize("empty", [{}, {"correct": None}])
def test_asks_for_what_is_required(empty: dict[str, Any]) -> None:
    assert "is required" in refused_answers(empty, None)["answers.correct"]


def test_names_an_answer_to_an_unknown_question() -> None:
    assert "its questions: correct" in refused_answers({"correct": "yes", "colour": "red"}, None)["answers.colour"]


@pytest.mark.parametrize("empty", [None, "", "  ", []])
def test_leaves_empty_answers_out(empty: Any) -> None:
    question = KINDS if isinstance(empty, list) else WHY
    opinion = questions.read_opinion(read(question).questions, {"correct": "yes", question["key"]: empty}, "")
    assert opinion == questions.Opinion({"correct": "yes"}, None)


class TestCorrection:
    def test_is_taken_from_its_field_or_from_its_question(self) -> None:
        asked = read(RIGHT).questions
        by_field = questions.read_opinion(asked, {"correct": "no"}, "delivery")
        by_answer = questions.read_opinion(asked, {"correct": "no", "right": "delivery"}, None)
        assert by_field == by_answer == questions.Opinion({"correct": "no"}, "delivery")

    def test_is_asked_for_where_its_condition_holds(self) -> None:
        assert "is required" in refused_answers({"correct": "no"}, None, RIGHT)["correction"]

    def test_is_not_asked_for_elsewhere(self) -> None:
        assert questions.read_opinion(read(RIGHT).questions, {"correct": "yes"}, None).correction is None

    def test_is_refused_where_it_is_not_asked(self) -> None:
        assert "correct = no" in refused_answers({"correct": "yes"}, "delivery", RIGHT)["answers.right"]

    def test_is_refused_when_it_is_sent_twice_and_differs(self) -> None:
        said = refused_answers({"correct": "no", "right": "refund"}, "delivery", RIGHT)
        assert "differs" in said["answers.right"]

    def test_needs_no_question(self) -> None:
        assert questions.read_opinion(read().questions, {"correct": "no"}, "delivery").correction == "delivery"


def test_refuses_the_answer_to_a_question_that_was_not_asked() -> None:
    why_not = {**WHY, "show_if": {"question": "correct", "is": ["no"]}}
    assert "leave it out" in refused_answers({"correct": "yes", "why": "so"}, None, why_not)["answers.why"]


def test_a_correction_of_blanks_says_nothing() -> None:
    asked = questions.read_content([CORRECT], QUALITY).questions
    assert questions.read_opinion(asked, {"correct": "no"}, "  ").correction is None
