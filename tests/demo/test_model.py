import json
import random

import httpx2
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from demo import model, traffic
from demo.model import Example
from tests.demo.conftest import KEY

PAIRS = [
    ("Where is my refund?", "refund"),
    ("The tyre of this bike is flat.", "damage"),
    ("I forgot my umbrella in the basket.", "lost"),
]


def messages(pairs: list[tuple[str, str]], question: str) -> list[dict[str, object]]:
    told: list[dict[str, object]] = [{"role": "system", "content": "Sort the message."}]
    for text, answer in pairs:
        told += [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    return [*told, {"role": "user", "content": question}]


def ask(client: httpx2.Client, **request: object) -> httpx2.Response:
    return client.post("chat/completions", json={"model": model.MODEL} | request)


def answer_of(response: httpx2.Response) -> str:
    assert response.status_code == 200, response.text
    content = response.json()["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


class TestTheProtocol:
    def test_answers_like_the_nearest_example(self, open_model):
        for question, answer in [
            ("flat tyre!", "damage"),
            ("my refund, please", "refund"),
            ("Umbrella lost", "lost"),
        ]:
            assert answer_of(ask(open_model, messages=messages(PAIRS, question))) == answer

    def test_an_answer_has_every_field_that_clients_read(self, open_model):
        completion = ask(open_model, messages=messages(PAIRS, "flat tyre")).json()
        assert completion["id"].startswith("chatcmpl-")
        assert (completion["object"], completion["model"]) == ("chat.completion", "nearest-neighbour")
        assert isinstance(completion["created"], int)
        [choice] = completion["choices"]
        assert (choice["index"], choice["finish_reason"]) == (0, "stop")
        assert choice["message"]["role"] == "assistant"
        usage = completion["usage"]
        assert usage["prompt_tokens"] > usage["completion_tokens"] > 0
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]

    def test_remembers_nothing_of_an_earlier_request(self, open_model):
        ask(open_model, messages=messages(PAIRS, "flat tyre"))
        assert answer_of(ask(open_model, messages=messages([], "flat tyre"))) == model.DONT_KNOW

    def test_takes_content_in_text_parts(self, open_model):
        told = messages(PAIRS, "")
        told[-1]["content"] = [{"type": "text", "text": "a flat "}, {"type": "text", "text": "tyre"}]
        assert answer_of(ask(open_model, messages=told)) == "damage"

    def test_answers_text_that_no_encoding_knows(self, open_model):
        pairs = [("broken \ud800 text", "odd \ud800"), *PAIRS]
        body = json.dumps({"model": model.MODEL, "messages": messages(pairs, "\x00 broken text")})
        assert answer_of(open_model.post("chat/completions", content=body)) == "odd \ud800"

    def test_ignores_what_steers_a_language_model(self, open_model):
        steered = ask(open_model, messages=messages(PAIRS, "flat tyre"), temperature=2, seed=4, max_tokens=1)
        assert answer_of(steered) == "damage"

    def test_says_what_it_is(self, open_model):
        [served] = open_model.get("models").raise_for_status().json()["data"]
        assert (served["id"], served["owned_by"]) == ("nearest-neighbour", "ratchet-demo")


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "param", "said"),
        [
            (b"", None, "not valid JSON"),
            (b"{", None, "not valid JSON"),
            (b"[" * 100_000, None, "not valid JSON"),
            (b"\xff", None, "not valid JSON"),
            (b"[]", None, "JSON array; send an object"),
            (b'{"messages": []}', "model", "expected a string, found null"),
            (b'{"model": "nearest-neighbour"}', "messages", "non-empty array, found null"),
            (b'{"model": "nearest-neighbour", "messages": []}', "messages", "found an empty array"),
            (b'{"model": "nearest-neighbour", "messages": [3]}', "messages[0]", "an object, found number"),
            (
                b'{"model": "nearest-neighbour", "messages": [{"content": "x"}]}',
                "messages[0]",
                "role: expected",
            ),
            (
                b'{"model": "nearest-neighbour", "messages": [{"role": "user"}]}',
                "messages[0]",
                "content: expected",
            ),
            (
                b'{"model": "nearest-neighbour", "messages": [{"role": "user", "content": [{"type": "x"}]}]}',
                "messages[0]",
                "array of text parts",
            ),
            (
                b'{"model": "nearest-neighbour", "messages": [{"role": "system", "content": "x"}]}',
                "messages",
                "'user'",
            ),
            (b'{"model": "nearest-neighbour", "messages": [], "stream": true}', "stream", "not streamed"),
        ],
    )
    def test_bad_input_is_answered_400_and_names_the_field(self, open_model, body, param, said):
        response = open_model.post("chat/completions", content=body)
        error = response.json()["error"]
        assert response.status_code == 400
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, None)
        assert said in error["message"]

    def test_another_model_does_not_exist_here(self, open_model):
        response = ask(open_model, model="gpt-4o", messages=messages(PAIRS, "flat"))
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "model_not_found"

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", "chat/completions"), ("POST", "models"), ("POST", "completions"), ("GET", "../")],
    )
    def test_elsewhere_is_404(self, open_model, method, path):
        response = open_model.request(method, path)
        assert response.status_code == 404
        assert "Unknown request URL" in response.json()["error"]["message"]

    def test_a_body_without_end_is_cut_off(self, open_model):
        response = open_model.post("chat/completions", content=b" " * (model.MAX_BODY + 1))
        assert response.status_code == 413
        assert str(model.MAX_BODY) in response.json()["error"]["message"]

    @pytest.mark.parametrize("header", [None, "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x"])
    def test_a_locked_model_answers_401_without_its_key(self, locked_model, header):
        response = locked_model.get("models", headers={"Authorization": header} if header else {})
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
        assert KEY not in response.text

    def test_a_locked_model_serves_the_holder_of_its_key(self, locked_model):
        assert locked_model.get("models", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


class TestTheLearner:
    def test_is_as_near_as_scikit_learn_says(self):
        """The same order as TfidfVectorizer over the same n-grams, on drawn sets of sixteen examples."""
        draw = random.Random(7)
        told = [Example(message.text, message.text) for messages in traffic.rounds(1) for message in messages]
        questions = draw.sample(traffic.golden_cases(), 40)
        for question in questions:
            examples = draw.sample(told, 16)
            vectorizer = TfidfVectorizer(analyzer=model.ngrams_in, sublinear_tf=True)
            known = vectorizer.fit_transform([example.question for example in examples])
            similarity = (vectorizer.transform([question.text]) @ known.T).toarray()[0]
            assert model.nearest_answer(examples, question.text) == examples[similarity.argmax()].answer

    def test_of_equally_near_examples_the_last_wins(self):
        examples = [Example("flat tyre", "first"), Example("flat tyre", "last"), Example("refund", "other")]
        assert model.nearest_answer(examples, "a flat tyre") == "last"

    def test_without_anything_in_common_it_says_that_it_does_not_know(self):
        assert model.nearest_answer([Example("flat tyre", "damage")], "zzzz") == model.DONT_KNOW
        assert model.nearest_answer([], "flat tyre") == model.DONT_KNOW

    def test_only_pairs_before_the_question_are_examples(self):
        told = [("user", "a"), ("user", "b"), ("assistant", "B"), ("assistant", "C"), ("system", "s")]
        assert model.examples_in(told) == [Example("b", "B")]
