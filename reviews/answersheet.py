"""A rubric as a form: each question with what was typed, what is chosen, and what is wrong with it; no database."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from core.problems import Problem
from reviews.questions import MOST_TAGS, Question
from reviews.services.drafts import Typed

PREFIX = "answer-"
# More options than this stand one below the other.
MOST_IN_A_ROW = 5
LONGEST_IN_A_ROW = 34


@dataclass(frozen=True)
class Option:
    """One answer that can be chosen; `number` is its key while there is one."""

    value: str
    label: str
    is_chosen: bool
    number: int | None


@dataclass(frozen=True)
class Asked:
    """One question as it stands in the form."""

    question: Question
    options: list[Option]
    values: Sequence[str]
    error: str

    @property
    def field(self) -> str:
        return f"{PREFIX}{self.question['key']}"

    @property
    def text(self) -> str:
        """What stands in a field that is typed into."""
        return ", ".join(self.values)

    @property
    def is_row(self) -> bool:
        labels = [option.label for option in self.options]
        return (len(labels) <= MOST_IN_A_ROW and sum(map(len, labels)) <= LONGEST_IN_A_ROW) or self.is_scale_row

    @property
    def is_scale_row(self) -> bool:
        return self.question["type"] == "scale" and len(self.options) <= 11

    @property
    def condition(self) -> str:
        """When it is asked, in words; empty where it always is."""
        found = self.question.get("show_if")
        return "" if found is None else f"only if {found['question']} is {' or '.join(_wanted(found['is']))}"

    @property
    def condition_json(self) -> str:
        """When it is asked, for the script that hides it."""
        found = self.question.get("show_if")
        if found is None:
            return ""
        return json.dumps({"field": f"{PREFIX}{found['question']}", "is": _wanted(found["is"])})


@dataclass(frozen=True)
class Sheet:
    """The whole form: the questions but that of the correction, which stands beside the output."""

    asked: list[Asked]
    correction: Asked | None
    typed: Typed
    errors: Mapping[str, str]

    @property
    def correction_error(self) -> str:
        return self.errors.get("correction", "")

    @property
    def other_errors(self) -> list[str]:
        """What is wrong and stands at no question."""
        known = {"correction", *(f"answers.{asked.question['key']}" for asked in self.asked)}
        return [f"{name} {said}" for name, said in self.errors.items() if name not in known]


def sheet_of(questions: Sequence[Question], typed: Typed, problem: Problem | None = None) -> Sheet:
    """The form of these questions with what was typed into it."""
    errors = {} if problem is None else _errors(questions, problem)
    asked = [_asked(question, typed, errors) for question in questions]
    return Sheet(
        asked=[one for one in asked if one.question["type"] != "correction"],
        correction=next((one for one in asked if one.question["type"] == "correction"), None),
        typed=typed,
        errors=errors,
    )


def typed_of(questions: Sequence[Question], data: QueryDict) -> Typed:
    """What a form said, complete or not; texts keep every sign but NUL, which PostgreSQL does not take."""
    answers = {
        question["key"]: [
            text for value in data.getlist(f"{PREFIX}{question['key']}") if (text := _clean(value)).strip()
        ]
        for question in questions
    }
    return Typed(
        answers={key: values for key, values in answers.items() if values},
        correction=_clean(data.get("correction", "")),
        comment=_clean(data.get("comment", "")),
        tags=_clean(data.get("tags", "")),
    )


def tags_of(text: str) -> list[str]:
    """Tags typed with commas between them, each once."""
    return list(dict.fromkeys(tag.strip()[:100] for tag in text.split(",") if tag.strip()))[:MOST_TAGS]


def _asked(question: Question, typed: Typed, errors: Mapping[str, str]) -> Asked:
    values = typed.answers.get(question["key"], [])
    options = [
        Option(
            value=str(option),
            label=str(option).capitalize() if question["type"] == "yes_no" else str(option),
            is_chosen=str(option) in values,
            number=at if at < 10 else None,
        )
        for at, option in enumerate(question.get("options", ()), start=1)
    ]
    return Asked(question, options, values, errors.get(f"answers.{question['key']}", ""))


def _errors(questions: Sequence[Question], problem: Problem) -> dict[str, str]:
    """What is wrong, by field; an answer of the correction's question stands at the correction."""
    corrections = {f"answers.{question['key']}" for question in questions if question["type"] == "correction"}
    return {
        "correction" if flaw.field in corrections else flaw.field: flaw.message
        for flaw in reversed(list(problem.errors))
    }


def _wanted(given: Any) -> list[str]:
    words = {True: "yes", False: "no"}
    return [
        words[one] if isinstance(one, bool) else str(one) for one in (given if isinstance(given, list) else [given])
    ]


def _clean(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\x00", "")
