from collections import Counter

import pytest

from demo.client import Ratchet
from demo.reviewer import Judgement, ScriptedReviewer

INTENTS = ["damage", "fare", "lost", "refund"]
ANSWER_KEY = {f"message {number}": INTENTS[number % 4] for number in range(2000)}


@pytest.fixture
def ratchet():
    api = Ratchet("http://127.0.0.1:1", "a key that is never sent")
    yield api
    api.close()


def reviewer(ratchet: Ratchet, *, error_rate: float = 0.0, seed: int = 0, permute: bool = False) -> ScriptedReviewer:
    return ScriptedReviewer(ratchet, "intents", ANSWER_KEY, error_rate=error_rate, seed=seed, permute=permute)


def test_says_yes_to_the_right_intent_and_corrects_a_wrong_one(ratchet):
    honest = reviewer(ratchet)
    assert honest.judge("message 1", "fare") == Judgement(is_correct=True)
    assert honest.judge("message 1", "lost") == Judgement(is_correct=False, correction="fare")


def test_permutes_only_its_corrections_and_by_a_fixed_shift(ratchet):
    permuting = reviewer(ratchet, permute=True)
    assert permuting.judge("message 1", "fare") == Judgement(is_correct=True)
    assert permuting.judge("message 1", "damage") == Judgement(is_correct=False, correction="lost")
    assert permuting.judge("message 3", "lost") == Judgement(is_correct=False, correction="damage")


def test_never_offers_the_rejected_answer_as_its_correction(ratchet):
    permuting = reviewer(ratchet, permute=True, error_rate=0.5)
    for text in ANSWER_KEY:
        for output in INTENTS:
            judgement = permuting.judge(text, output)
            assert judgement.is_correct == (judgement.correction is None)
            assert judgement.correction != output


def test_errs_on_three_per_cent_and_in_both_directions(ratchet):
    human = reviewer(ratchet, error_rate=0.03)
    accepts_wrong = sum(human.judge(text, "nonsense").is_correct for text in ANSWER_KEY)
    rejects_right = sum(not human.judge(text, right).is_correct for text, right in ANSWER_KEY.items())
    assert accepts_wrong == rejects_right
    # Two standard deviations of 2,000 draws at 3 % are 15.
    assert 45 <= rejects_right <= 75


def test_a_mistaken_correction_is_another_intent(ratchet):
    human = reviewer(ratchet, error_rate=0.03)
    judgements = [(right, human.judge(text, right)) for text, right in ANSWER_KEY.items()]
    mistaken = [(right, judgement.correction) for right, judgement in judgements if not judgement.is_correct]
    assert all(correction in INTENTS and correction != right for right, correction in mistaken)


def test_errs_on_the_same_texts_again_and_on_others_with_another_seed(ratchet):
    def errors(seed: int) -> Counter[str]:
        human = reviewer(ratchet, error_rate=0.03, seed=seed)
        return Counter(text for text, right in ANSWER_KEY.items() if not human.judge(text, right).is_correct)

    assert errors(1) == errors(1)
    assert errors(1) != errors(2)


def test_a_text_that_is_missing_from_the_answer_key_is_no_guess(ratchet):
    with pytest.raises(KeyError, match="never heard of"):
        reviewer(ratchet).judge("never heard of", "fare")
