"""From inputs to variables, exactly as the contract says."""

import pytest

from prompts import variables


def test_a_string_is_the_variable_input() -> None:
    assert variables.variables_of("Where is it?") == ({"input": "Where is it?"}, [])


def test_an_object_is_the_variables_by_name() -> None:
    assert variables.variables_of({"question": "Where?", "n": 2}) == ({"question": "Where?", "n": 2}, [])


def test_of_messages_the_last_user_content_is_input_and_earlier_ones_are_history() -> None:
    messages = [
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Where is it?"},
        {"role": "assistant", "content": "There"},
    ]
    assert variables.variables_of(messages) == (
        {"input": "Where is it?"},
        [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}],
    )


def test_reads_contents_that_are_parts() -> None:
    parts = [{"type": "text", "text": "Where"}, {"type": "image_url", "image_url": {}}, {"text": "is it?"}]
    assert variables.variables_of([{"role": "user", "content": parts}]) == ({"input": "Where\nis it?"}, [])


def test_variables_that_came_along_go_first() -> None:
    assert variables.variables_of("asked", {"tone": "warm"}) == ({"input": "asked", "tone": "warm"}, [])
    assert variables.variables_of({"input": "a", "tone": "cold"}, {"tone": "warm"})[0] == {
        "input": "a",
        "tone": "warm",
    }


def test_beside_messages_variables_stand_alone() -> None:
    """Such messages were rendered from the variables: their examples are no conversation."""
    rendered = [{"role": "user", "content": "example"}, {"role": "user", "content": "Q: Where is it?"}]
    assert variables.variables_of(rendered, {"input": "Where is it?"}) == ({"input": "Where is it?"}, [])


@pytest.mark.parametrize("nothing", [[], [{"role": "system", "content": "x"}], None, 5, ["x"], True])
def test_refuses_what_no_user_said(nothing: object) -> None:
    with pytest.raises(variables.NoInput, match="role user"):
        variables.variables_of(nothing)


def test_texts_are_compared_by_input_else_by_all_values_in_the_order_of_names() -> None:
    assert variables.text_of({"tone": "warm", "input": "Where?"}) == "Where?"
    assert variables.text_of({"b": 2, "a": "x"}) == "x\n2"


@pytest.mark.parametrize(
    ("value", "text"),
    [("é", "é"), (2, "2"), (1.5, "1.5"), (True, "true"), (None, "null"), ({"a": ["é"]}, '{"a": ["é"]}')],
)
def test_values_that_are_no_text_stand_as_json(value: object, text: str) -> None:
    assert variables.as_text(value) == text
