import pytest

from demo import play, scenario
from demo.play import Round

ACCURACY = {
    "value": 0.742,
    "low": 0.7,
    "high": 0.78,
    "level": 0.95,
    "n": 770,
    "method": "Wilson",
    "reason": None,
}


@pytest.mark.parametrize(
    ("figure", "sign", "text"),
    [
        (ACCURACY, "", "0.742 [0.70, 0.78] n=770"),
        (ACCURACY, "+", "+0.742 [+0.70, +0.78] n=770"),
        (ACCURACY | {"level": 0.995}, "", "0.742 [0.70, 0.78] at 99.5% n=770"),
        (ACCURACY | {"low": None, "high": None}, "", "0.742 n=770"),
        (ACCURACY | {"value": None, "low": None, "high": None, "reason": "no cases"}, "", "— (no cases)"),
        (None, "", "—"),
    ],
)
def test_a_figure_is_shown_with_its_interval_and_its_n(figure, sign, text):
    assert play.shown(figure, sign) == text


def test_a_round_becomes_one_row():
    played = Round(
        "2",
        60,
        58,
        accuracy=ACCURACY,
        difference=ACCURACY,
        verdict="fail",
        revision=3,
        run=9,
        outcome="refused: worse",
    )
    assert play.cells(played) == [
        "2",
        "58",
        "0.742 [0.70, 0.78] n=770",
        "+0.742 [+0.70, +0.78] n=770",
        "fail",
        "refused: worse",
    ]


def test_a_round_without_a_proposal_says_why_and_shows_no_figure():
    assert play.cells(Round("1", 60, 60, outcome="no proposal: no corrections"))[2:5] == ["—", "—", "—"]


def test_the_two_prompts_differ_only_in_what_their_reviewer_corrects():
    honest, permuted = scenario.support_intent(), scenario.support_intent_permuted()
    assert (honest.prompt, honest.permute) == ("support-intent", False)
    assert (permuted.prompt, permuted.permute) == ("support-intent-permuted", True)
    for name in (
        "system",
        "seed_examples",
        "golden_cases",
        "parts",
        "k",
        "margin",
        "looks",
        "error_rate",
        "seed",
    ):
        assert getattr(honest, name) == getattr(permuted, name)
    assert permuted.rounds == honest.rounds[: len(permuted.rounds)]


def test_the_answer_key_knows_every_message_of_the_traffic():
    honest = scenario.support_intent()
    messages = [message for messages in honest.rounds for message in messages]
    assert honest.answer_key() == {message.text: message.intent for message in messages}
    assert len(honest.answer_key()) == len(messages)
