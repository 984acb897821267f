"""Templates are logic-less: a name between double braces is a variable, anything else is text or refused."""

import contextlib
import time

import pytest

from prompts import templates


def filled(text: str, **values: str) -> str:
    return templates.fill(templates.parse(text), values)


def test_puts_values_where_their_names_stand() -> None:
    assert filled("{{ a }}, {{b}} and {{\ta\n}}!", a="x", b="y") == "x, y and x!"


def test_never_looks_at_a_value_again() -> None:
    assert filled("{{a}}{{b}}", a="{{b}}", b="{{a}}") == "{{b}}{{a}}"
    assert filled("{{a}}b}}", a="{{") == "{{b}}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{a}",
        "{% load x %}{% include 'settings' %}{% debug %}",
        "{m.__class__.__init__.__globals__}",
        "${a}",
        "%(a)s",
        "{{ never closed",
        "closed never }}",
        '{"a": {"b": {}}}',
        "<script>",
        "{# comment #}",
    ],
)
def test_everything_else_is_literal_text(text: str) -> None:
    assert filled(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "{{}}",
        "{{ }}",
        "{{a.b}}",
        "{{a|safe}}",
        "{{a b}}",
        "{{ ''.__class__ }}",
        "{{7*7}}",
        "{{1a}}",
        "{{a-b}}",
        "{{{a}}}",
        "{{a{{b}}}}",
        "{{ a()}}",
        "{{ä}}",
        "{{" + "a" * 101 + "}}",
        '{{"json": 1}}',
    ],
)
def test_refuses_anything_but_a_name_between_double_braces(text: str) -> None:
    with pytest.raises(templates.BadTemplate, match="is no variable"):
        templates.parse(text)


@pytest.mark.parametrize(
    "text", ["{{" * 100_000, "}}" * 100_000, "{{a}}" * 40_000, "{{" + " " * 200_000, "{" * 200_000]
)
def test_costs_no_more_than_the_text_is_long(text: str) -> None:
    started = time.process_time()
    with contextlib.suppress(templates.BadTemplate):
        templates.parse(text)
    assert time.process_time() - started < 5
