"""Every scorer holds the same promises; each has its own judgement."""

import dataclasses
import math

import pytest

from core.problems import Invalid
from evals import scorers
from evals.scorers import Panel, ScoreValue


@dataclasses.dataclass
class AnyCase:
    input: object = "question"
    metadata: object = dataclasses.field(default_factory=dict)
    tags: object = ()


HOSTILE = [
    "",
    " ",
    "42",
    "\x00",
    "é" * 5000,
    "{" * 5000,
    "NaN",
    "1e999",
    "9" * 400,
    "\U0001f600",
    "((((a+)+)+)+$",
]
EXPECTED = [None, "", "42", 42, 4.2, True, [], ["a", "b"], {"a": 1}, "é", "1e999", 10**18]


class TestEveryScorer:
    @pytest.fixture(params=scorers.names())
    def scorer(self, request):
        return scorers.build({"name": request.param})

    def test_is_built_again_from_what_it_recorded(self, scorer):
        spec = scorers.checked({"name": scorer.name})
        assert scorers.build(spec) == scorer
        assert scorers.key(spec) == scorer.name

    def test_declares_a_finite_range(self, scorer):
        lowest, highest = scorer.range
        assert math.isfinite(lowest)
        assert math.isfinite(highest)
        assert lowest < highest
        assert isinstance(scorer.higher_is_better, bool)
        assert isinstance(scorer.is_binary, bool)

    @pytest.mark.parametrize("output", HOSTILE)
    @pytest.mark.parametrize("expected", EXPECTED)
    def test_gives_a_value_in_range_or_a_reason_for_anything(self, scorer, output, expected):
        said = scorer.score(output, expected, AnyCase())
        assert scorer.score(output, expected, AnyCase()) == said
        if said.value is None:
            assert said.reason
        elif scorer.is_binary:
            assert said.value in scorer.range
        else:
            assert scorer.range[0] <= said.value <= scorer.range[1]

    def test_has_no_value_where_nothing_is_expected(self, scorer):
        assert scorer.score("anything", None, AnyCase()).value is None

    def test_takes_no_unknown_argument(self, scorer):
        with pytest.raises(Invalid, match=r"scorer\.args\.surprise"):
            scorers.build({"name": scorer.name, "args": {"surprise": 1}})

    def test_is_frozen(self, scorer):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(scorer, next(iter(dataclasses.fields(scorer))).name, "other")


class TestRegistry:
    @pytest.mark.parametrize(
        ("spec", "field"),
        [
            ({}, "s.name"),
            ({"name": "vibes"}, "s.name"),
            ({"name": ["exact_match"]}, "s.name"),
            ({"name": "exact_match", "args": [1]}, "s.args"),
            ({"name": "exact_match", "args": {"strip": "yes"}}, "s.args.strip"),
            ({"name": "exact_match", "args": {"strip": 1}}, "s.args.strip"),
            ({"name": "contains", "args": {"text": ""}}, "s.args.text"),
            ({"name": "contains", "args": {"text": [1]}}, "s.args.text"),
            ({"name": "contains", "args": {"text": "x" * 10_001}}, "s.args.text"),
            ({"name": "contains", "args": {"require": "most"}}, "s.args.require"),
            ({"name": "numeric", "args": {"tolerance": -1}}, "s.args.tolerance"),
            ({"name": "numeric", "args": {"tolerance": True}}, "s.args.tolerance"),
        ],
    )
    def test_names_what_is_wrong(self, spec, field):
        with pytest.raises(Invalid) as refused:
            scorers.build(spec, field="s")
        assert refused.value.errors[0].field == field

    def test_defaults_leave_no_trace_in_the_key(self):
        assert scorers.key({"name": "exact_match", "args": {"strip": True}}) == "exact_match"
        assert scorers.checked({"name": "exact_match", "args": {"strip": True}}) == {
            "name": "exact_match",
            "args": {},
        }

    def test_equal_numbers_have_one_key(self):
        keys = {scorers.key({"name": "numeric", "args": {"tolerance": one}}) for one in (1, 1.0)}
        assert keys == {"numeric(tolerance=1.0)"}

    def test_long_arguments_keep_keys_short_and_apart(self):
        keys = {scorers.key({"name": "contains", "args": {"text": "x" * 300 + end}}) for end in "ab"}
        assert len(keys) == 2
        assert all(len(key) <= 100 for key in keys)


class TestPanel:
    def test_scores_by_key(self):
        panel = Panel([{"name": "exact_match", "args": {}}, {"name": "contains", "args": {"text": "no"}}])
        said = panel.score("yes", "yes", AnyCase())
        assert {key: one.value for key, one in said.items()} == {
            "exact_match": 1.0,
            'contains(text="no")': 0.0,
        }

    def test_gives_a_reason_for_an_answer_that_is_no_text(self):
        panel = Panel([{"name": "exact_match", "args": {}}])
        assert panel.score({"a": 1}, "x", AnyCase()) == panel.no_answer("the answer is no text")


def exact(output, expected, **args):
    return scorers.build({"name": "exact_match", "args": args}).score(output, expected, AnyCase()).value


def contains(output, expected, **args):
    return scorers.build({"name": "contains", "args": args}).score(output, expected, AnyCase()).value


def numeric(output, expected, **args):
    return scorers.build({"name": "numeric", "args": args}).score(output, expected, AnyCase()).value


class TestExactMatch:
    @pytest.mark.parametrize(
        ("output", "expected", "args", "value"),
        [
            ("refund", "refund", {}, 1),
            (" refund\n", "refund", {}, 1),
            (" refund\n", "refund", {"strip": False}, 0),
            ("Refund", "refund", {}, 0),
            ("Refund", "refund", {"ignore_case": True}, 1),
            ("STRASSE", "straße", {"ignore_case": True}, 1),
            ("refunds", "refund", {}, 0),
            ("", "", {}, 1),
            ("5", 5, {}, 1),
            ("true", True, {}, 1),
            ("1", True, {}, 0),
            ('{"b": 2, "a": 1}', {"a": 1, "b": 2}, {}, 1),
            ("not json", {"a": 1}, {}, 0),
        ],
    )
    def test_judges(self, output, expected, args, value):
        assert exact(output, expected, **args) == value


class TestContains:
    @pytest.mark.parametrize(
        ("output", "expected", "args", "value"),
        [
            ("a refund is due", "refund", {}, 1),
            ("a Refund is due", "refund", {}, 0),
            ("a Refund is due", "refund", {"ignore_case": True}, 1),
            ("one two", ["one", "two"], {}, 1),
            ("one", ["one", "two"], {}, 0),
            ("one", ["one", "two"], {"require": "any"}, 1),
            ("none", ["one!", "two"], {"require": "any"}, 0),
            ("the id is 7", None, {"text": "7"}, 1),
            ("anything", "", {}, None),
            ("anything", ["", "a"], {}, None),
        ],
    )
    def test_judges(self, output, expected, args, value):
        assert contains(output, expected, **args) == value


class TestNumeric:
    @pytest.mark.parametrize(
        ("output", "expected", "args", "value"),
        [
            ("42", 42, {}, 1),
            ("The answer is 42.", 42, {}, 1),
            ("42 (forty-two), so 42", 42, {}, 1),
            ("between 3 and 5", 3, {}, 0),
            ("none", 3, {}, 0),
            ("-3.5", -3.5, {}, 1),
            ("\N{MINUS SIGN}4", -4, {}, 1),
            ("1,234,567.5", 1234567.5, {}, 1),
            ("3,5", 3.5, {}, 0),
            ("3,5 or 7", 7, {}, 0),
            ("60%", 60, {}, 1),
            ("60%", 0.6, {}, 0),
            ("1e999", 5, {}, 0),
            ("3.14", "3.14", {}, 1),
            ("3.1", 3.14, {"tolerance": 0.05}, 1),
            ("3.0", 3.14, {"tolerance": 0.05}, 0),
            ("101", 100, {"relative": 0.01}, 1),
            ("102", 100, {"relative": 0.01}, 0),
            ("3", "three", {}, None),
            ("1", True, {}, None),
        ],
    )
    def test_judges(self, output, expected, args, value):
        assert numeric(output, expected, **args) == value

    def test_says_why(self):
        said = scorers.build({"name": "numeric"}).score("between 3 and 5", 3, AnyCase())
        assert said == ScoreValue(0.0, "holds 2 different numbers; one must be the answer")
