"""What is sent: examples just before the last user message, notes at the end of the system message."""

import itertools
from typing import Any

import pytest

from core.similarity import tfidf
from prompts import rendering, templates
from prompts.content import ContextLine
from prompts.rendering import Line, MissingVariable, RenderingTooLarge, Serving

_ids = itertools.count(100)


def an_example(asked: str, answered: str = "an answer") -> Line:
    return Line(next(_ids), ContextLine("example", input=asked, output=answered))


def a_note(text: str) -> Line:
    return Line(next(_ids), ContextLine("lesson", text=text))


def a_serving(*messages: tuple[str, str], **options: Any) -> Serving:
    told = messages or (("system", "Sort it."), ("user", "{{input}}"))
    values: dict[str, Any] = {
        "revision_id": 1,
        "prompt_id": 1,
        "number": 1,
        "content_hash": "x",
        "model": "main/gpt-x",
        "parameters": {"temperature": 0},
        "messages": tuple((role, templates.parse(content)) for role, content in told),
        "examples": (),
        "notes": (),
        "index": None,
        "k": None,
    }
    return Serving(**{**values, **options})


def pairs(*lines: Line) -> list[dict[str, str]]:
    return [
        turn
        for line in lines
        for turn in (
            {"role": "user", "content": line.content.input},
            {"role": "assistant", "content": line.content.output},
        )
    ]


def test_puts_examples_before_the_last_user_message_and_notes_after_the_system_text() -> None:
    example, note, fact = an_example("card lost"), a_note("Be brief"), a_note("Open until six")
    rendered = a_serving(examples=(example,), notes=(note, fact)).render({"input": "card gone"})
    assert rendered.messages == [
        {"role": "system", "content": "Sort it.\n\n- Be brief\n- Open until six"},
        *pairs(example),
        {"role": "user", "content": "card gone"},
    ]
    assert rendered.context_ids == [note.id, fact.id, example.id]
    assert (rendered.model, rendered.parameters) == ("main/gpt-x", {"temperature": 0})


def test_notes_make_a_system_message_where_there_is_none() -> None:
    rendered = a_serving(("user", "{{input}}"), notes=(a_note("Be brief"),)).render({"input": "x"})
    assert rendered.messages[0] == {"role": "system", "content": "- Be brief"}


def test_history_stands_before_the_examples() -> None:
    example = an_example("a")
    history = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    rendered = a_serving(("user", "{{input}}"), examples=(example,)).render({"input": "x"}, history)
    assert rendered.messages == [*history, *pairs(example), {"role": "user", "content": "x"}]


def test_messages_after_the_last_user_message_stay_there() -> None:
    example = an_example("a")
    serving = a_serving(("user", "first"), ("user", "{{input}}"), ("assistant", "{"), examples=(example,))
    roles = [message["content"] for message in serving.render({"input": "x"}).messages]
    assert roles == ["first", "a", "an answer", "x", "{"]


def test_renders_an_input_as_production_holds_it() -> None:
    messages = [{"role": "user", "content": "Hello"}, {"role": "user", "content": "x"}]
    rendered = a_serving(("user", "Q: {{input}}")).render_input(messages)
    assert [message["content"] for message in rendered.messages] == ["Hello", "Q: x"]


class TestSimilar:
    EXAMPLES = tuple(an_example(text) for text in ("lost my card", "exchange rate", "card was lost abroad", "refund"))

    def serving(self, k: int) -> Serving:
        index = tfidf.build([line.content.input for line in self.EXAMPLES])
        return a_serving(examples=self.EXAMPLES, index=index, k=k)

    def test_chooses_the_most_similar_and_puts_the_nearest_last(self) -> None:
        rendered = self.serving(2).render({"input": "I lost my card"})
        assert rendered.messages[1:-1] == pairs(self.EXAMPLES[2], self.EXAMPLES[0])
        assert rendered.context_ids == [self.EXAMPLES[2].id, self.EXAMPLES[0].id]

    def test_takes_all_where_k_is_more_than_there_are(self) -> None:
        assert len(self.serving(50).render({"input": "refund"}).context_ids) == 4
        assert self.serving(50).render({"input": "refund"}).context_ids[-1] == self.EXAMPLES[3].id

    def test_an_input_that_is_like_nothing_still_gets_k(self) -> None:
        assert len(self.serving(2).render({"input": "zzz"}).context_ids) == 2


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(MissingVariable) as caught:
        a_serving(("system", "{{tone}}"), ("user", "{{input}} {{tone}}")).render({"input": "x"})
    assert [error.field for error in caught.value.errors] == ["variables.tone"]
    assert "{{tone}}" in caught.value.errors[0].message


def test_more_variables_than_the_template_needs_are_no_harm() -> None:
    assert a_serving().render({"input": "x", "other": "y"}).messages[-1]["content"] == "x"


def test_a_value_that_looks_like_a_template_stays_text() -> None:
    rendered = a_serving(("system", "{{a}}"), ("user", "{{input}}")).render({"a": "{{input}}", "input": "{{secret}}"})
    assert [message["content"] for message in rendered.messages] == ["{{input}}", "{{secret}}"]


def test_example_and_note_texts_are_never_templates() -> None:
    rendered = a_serving(examples=(an_example("{{input}}"),), notes=(a_note("{{input}}"),)).render({"input": "x"})
    assert "{{input}}" in rendered.messages[0]["content"]
    assert rendered.messages[1]["content"] == "{{input}}"


def test_a_value_repeated_without_end_is_refused_before_it_is_built() -> None:
    serving = a_serving(("user", "{{input}}" * 20_000))
    with pytest.raises(RenderingTooLarge, match="20000000000"):
        serving.render({"input": "x" * 1_000_000})


def test_rendering_twice_gives_the_same_and_shares_nothing() -> None:
    serving = a_serving(examples=(an_example("a"),))
    first = serving.render({"input": "x"})
    first.messages[0]["content"] = "changed"
    assert serving.render({"input": "x"}).messages[0]["content"] == "Sort it."


def test_render_takes_plain_messages() -> None:
    assert rendering.render([("user", "x")]) == [{"role": "user", "content": "x"}]
