"""Golden sets: drafts that collect, versions that never change."""

import json
from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import clock
from core.problems import FieldError
from evals import cases, queries
from evals.cases import CaseContent
from evals.models import GoldenCase
from evals.services import golden
from evals.services.golden import Taken
from tests import factories


def content(key, expected="yes", **fields):
    return CaseContent(key=key, input=f"input of {key}", expected=expected, **fields)


class TestRead:
    def test_takes_every_field(self):
        row = {
            "id": "a",
            "input": [{"role": "user", "content": "hi"}],
            "variables": {"name": "Ada"},
            "expected": {"intent": "greeting"},
            "metadata": {"source": "mail"},
            "tags": ["easy"],
            "part": "anchor",
        }
        case = cases.read(row)
        assert isinstance(case, CaseContent)
        assert (case.key, case.part, case.tags, case.expected) == (
            "a",
            "anchor",
            ["easy"],
            {"intent": "greeting"},
        )

    @pytest.mark.parametrize(
        ("row", "field"),
        [
            ("text", "case"),
            ({}, "input"),
            ({"input": None}, "input"),
            ({"input": 5}, "input"),
            ({"input": []}, "input"),
            ({"input": [{"role": "system", "content": "x"}]}, "input"),
            ({"input": "x", "id": ""}, "id"),
            ({"input": "x", "id": 7}, "id"),
            ({"input": "x", "id": "k" * 201}, "id"),
            ({"input": "x", "variables": ["a"]}, "variables"),
            ({"input": "x", "metadata": "m"}, "metadata"),
            ({"input": "x", "tags": "t"}, "tags"),
            ({"input": "x", "tags": ["t" * 101]}, "tags"),
            ({"input": "x", "tags": ["t"] * 51}, "tags"),
            ({"input": "x", "part": "train"}, "part"),
            ({"input": "x", "part": "teach"}, "part"),
            ({"input": "x", "part": ["gate"]}, "part"),
            ({"input": "x", "expcted": "y"}, "expcted"),
        ],
    )
    def test_names_what_is_wrong(self, row, field):
        errors = cases.read(row)
        assert isinstance(errors, list)
        assert [error.field for error in errors] == [field]

    def test_explains_why_teach_is_refused(self):
        errors = cases.read({"input": "x", "part": "teach"})
        assert "textbook" in errors[0].message

    def test_without_an_id_the_same_row_is_the_same_case(self):
        row = {"input": "x", "expected": "y"}
        assert cases.read(row).key == cases.read(dict(row)).key != cases.read({"input": "x", "expected": "z"}).key

    def test_deals_parts_by_halves_and_by_text_alone(self):
        dealt = Counter(cases.read({"input": f"message {n}"}).part for n in range(2000))
        assert set(dealt) == {"gate", "dev"}
        assert abs(dealt["gate"] - 1000) < 100
        for n in range(50):
            assert len({cases.dealt_part(text) for text in (f"Message {n}!", f" message  {n}", f"MESSAGE {n}")}) == 1


@pytest.mark.django_db
class TestGoldenSets:
    @pytest.fixture
    def by(self):
        return factories.an_actor(factories.a_project())

    @pytest.fixture
    def exam(self, by):
        return golden.create_set(name="exam", prompt=None, description="", by=by, now=clock.now())[0]

    def add(self, exam, by, *contents):
        rows = [Taken(index, case) for index, case in enumerate(contents)]
        return golden.add_cases(golden_set=exam, rows=rows, by=by, now=clock.now())

    def cut(self, exam, by):
        return golden.cut(golden_set=exam, by=by, now=clock.now())

    def keys(self, version):
        return sorted(GoldenCase.objects.of_version(version).values_list("key", "expected"))

    def test_a_repeat_finds_the_set_and_another_content_is_refused(self, by, exam):
        again, is_new = golden.create_set(name="exam", prompt=None, description="", by=by, now=clock.now())
        assert (again, is_new) == (exam, False)
        with pytest.raises(golden.NotTheSame):
            golden.create_set(name="exam", prompt=None, description="other", by=by, now=clock.now())

    def test_counts_added_changed_and_unchanged(self, by, exam):
        assert self.add(exam, by, content("a"), content("b"))[0] == golden.Added(1, 2, 0, 0)
        assert self.add(exam, by, content("a"), content("b", "no"), content("c"))[0] == golden.Added(1, 1, 1, 1)
        assert self.add(exam, by, content("a"), content("b", "no"), content("c"))[0] == golden.Added(1, 0, 0, 3)

    def test_the_same_id_twice_with_other_content_is_refused_by_row(self, by, exam):
        done, errors = self.add(exam, by, content("a"), content("a", "no"), content("b"), content("b"))
        assert done == golden.Added(1, 2, 0, 0)
        assert [(error.field, error.index) for error in errors] == [("id", 1)]

    def test_a_part_never_moves(self, by, exam):
        self.add(exam, by, content("a", part="gate"), content("b", part="gate"))
        done, errors = self.add(exam, by, content("a", part="dev"), content("b", "no", part="gate"))
        assert done == golden.Added(1, 0, 1, 0)
        assert [(error.field, error.index) for error in errors] == [("part", 0)]

    def test_a_text_has_one_part_however_it_is_written_and_whatever_its_id(self, by, exam):
        self.add(exam, by, content("a", part="gate"))
        self.cut(exam, by)
        self.add(exam, by, CaseContent(key="a", input="another question", part="gate"))
        rewritten = CaseContent(key="b", input="Input of  A!", part="dev")
        twice = [CaseContent(key=key, input="the same", part=part) for key, part in (("c", "dev"), ("d", "gate"))]
        done, errors = self.add(exam, by, rewritten, *twice)
        assert done == golden.Added(2, 1, 0, 0)
        assert [(error.field, error.index) for error in errors] == [("part", 0), ("part", 2)]
        assert "stands in part gate" in errors[0].message

    def test_a_case_that_takes_a_text_of_another_part_is_refused(self, by, exam):
        self.add(exam, by, content("a", part="gate"), content("b", part="dev"))
        done, errors = self.add(exam, by, CaseContent(key="b", input="input of a", part="dev"))
        assert (done.changed, [error.field for error in errors]) == (0, ["part"])

    def test_a_text_that_is_dealt_goes_where_it_stands(self, by, exam):
        self.add(exam, by, *(content(f"{n}", part="anchor") for n in range(10)))
        self.add(exam, by, *(cases.read({"input": f"Input of {n}?"}) for n in range(10)))
        assert dict(Counter(exam.cases.in_draft().values_list("part", flat=True))) == {"anchor": 20}

    def test_a_known_case_without_a_part_keeps_its_own(self, by, exam):
        for n in range(20):
            row = {"id": f"case {n}", "input": f"question {n}"}
            self.add(exam, by, cases.read({**row, "part": "anchor"}))
            assert self.add(exam, by, cases.read(row))[0].unchanged == 1
            assert self.add(exam, by, cases.read({**row, "expected": "new"}))[0].changed == 1
        assert set(exam.cases.values_list("part", flat=True)) == {"anchor"}

    def test_versions_never_change(self, by, exam):
        self.add(exam, by, content("a"), content("b"))
        first, _ = self.cut(exam, by)
        self.add(exam, by, content("b", "no"), content("c"))
        second, _ = self.cut(exam, by)
        self.add(exam, by, content("b", "maybe"))
        self.add(exam, by, content("b", "never"))
        assert self.keys(first) == [("a", "yes"), ("b", "yes")]
        assert self.keys(second) == [("a", "yes"), ("b", "no"), ("c", "yes")]
        third, _ = self.cut(exam, by)
        assert self.keys(third) == [("a", "yes"), ("b", "never"), ("c", "yes")]

    def test_a_change_that_was_never_cut_leaves_no_row(self, by, exam):
        self.add(exam, by, content("a"))
        self.add(exam, by, content("a", "no"))
        assert list(exam.cases.values_list("expected", flat=True)) == ["no"]

    def test_cutting_without_a_change_gives_the_newest_version(self, by, exam):
        self.add(exam, by, content("a"))
        first, is_new = self.cut(exam, by)
        assert is_new
        assert self.cut(exam, by) == (first, False)
        self.add(exam, by, content("a", "no"))
        self.add(exam, by, content("a"))
        assert self.cut(exam, by) == (first, False)
        assert exam.versions.count() == 1

    def test_an_empty_draft_is_not_cut(self, by, exam):
        with pytest.raises(golden.NothingToCut):
            self.cut(exam, by)

    def test_counts_cases_and_gate_cases(self, by, exam):
        self.add(exam, by, content("a", part="gate"), content("b", part="dev"))
        version, _ = self.cut(exam, by)
        assert (version.n_cases, version.n_gate) == (2, 1)

    def test_equal_content_has_an_equal_hash_in_any_order(self, by, exam):
        other = golden.create_set(name="other", prompt=None, description="", by=by, now=clock.now())[0]
        self.add(exam, by, content("a"), content("b"))
        self.add(other, by, content("b"), content("a"))
        assert self.cut(exam, by)[0].content_hash == self.cut(other, by)[0].content_hash

    def test_tells_what_changed_between_versions(self, by, exam):
        self.add(exam, by, content("a"), content("b"))
        first, _ = self.cut(exam, by)
        self.add(exam, by, content("b", "no", tags=["x"]), content("c"))
        second, _ = self.cut(exam, by)
        forth, back = queries.diff(first, second), queries.diff(second, first)
        assert (forth.added, forth.removed) == (back.removed, back.added) == (["c"], [])
        assert forth.changed == back.changed == [queries.CaseChange("b", ["expected", "tags"])]

    def test_a_thousand_cases_take_a_handful_of_statements(self, by, exam):
        with CaptureQueriesContext(connection) as captured:
            self.add(exam, by, *(content(f"case {n}") for n in range(1000)))
        assert len(captured) <= 8

    def test_keeps_json_as_it_came(self, by, exam):
        odd = {"nested": [1, 1.5, None, {"é": "\U0001f600"}]}
        self.add(exam, by, CaseContent(key="a", input=odd, variables=odd, expected=odd, metadata=odd))
        case = exam.cases.get()
        assert json.dumps([case.input, case.variables, case.expected, case.metadata]) == json.dumps([odd] * 4)

    def test_an_error_carries_its_row(self, by, exam):
        _, errors = self.add(exam, by, content("a"), content("a", "no"))
        assert isinstance(errors[0], FieldError)
