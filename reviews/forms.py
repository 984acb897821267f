"""What people type about queues, rules and rubrics, and what answers they give: forms in, services' words out."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast

from django import forms
from django.http import QueryDict

from core.problems import FieldError, Problem
from projects.models import Membership, Project
from prompts import names
from reviews.models import Queue, Rubric
from reviews.questions import KINDS, MOST_QUESTIONS, Question, condition_of, is_asked
from reviews.services.queues import REVIEWING_ROLES, Wanted

LONGEST_NAME = 100
LONGEST_LEASE_MINUTES = 7 * 24 * 60
MOST_PEOPLE = 50


class QueueForm(forms.Form):
    """A queue: who judges what under which rubric, and for how long an item is somebody's."""

    name = forms.CharField(
        max_length=LONGEST_NAME, help_text="It stands in addresses: letters, digits, full stop, _ and -."
    )
    rubric = forms.ChoiceField(help_text="Reviewers are asked its newest version.")
    overlap = forms.IntegerField(
        min_value=1,
        max_value=MOST_PEOPLE,
        initial=1,
        label="People per item",
        help_text="With two or more, items on which they differ go to the adjudicators.",
    )
    lease_minutes = forms.IntegerField(
        min_value=1,
        max_value=LONGEST_LEASE_MINUTES,
        initial=15,
        label="Minutes an item is held",
        help_text="After so long without a sign of life the item is offered to others.",
    )
    adjudicators = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="They settle disputes; admins always may.",
    )

    def __init__(self, *args: Any, project: Project, queue: Queue | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        rubrics = Rubric.objects.of(project.pk).order_by("name").values_list("name", flat=True).distinct()
        people = Membership.objects.filter(project=project, user__is_active=True, role__in=REVIEWING_ROLES)
        emails = people.order_by("user__email").values_list("user__email", "role")
        _choose(self, "rubric", [(name, name) for name in rubrics])
        _choose(self, "adjudicators", [(email, f"{email}, {role}") for email, role in emails])
        if queue is not None:
            del self.fields["name"]  # a queue keeps its name: addresses and keys know it

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if not names.is_name(name, LONGEST_NAME):
            raise forms.ValidationError(f"is {name[:40]!r}; use letters, digits, full stop, _ and -")
        return name

    def wanted(self) -> Wanted:
        """The queue as the service takes it; only after `is_valid`."""
        given = self.cleaned_data
        return Wanted(given["rubric"], given["overlap"], given["lease_minutes"], given["adjudicators"])


class RuleForm(forms.Form):
    """A sampling rule: a share of the outputs that a filter covers."""

    percent = forms.FloatField(
        min_value=0,
        max_value=100,
        initial=10,
        label="Share to draw, in percent",
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text="Each output is drawn with this probability, which is kept with it: figures weigh by it.",
    )
    prompt = forms.ChoiceField(required=False)
    environment = forms.CharField(required=False, max_length=60, help_text="As sent, such as production.")
    model = forms.CharField(required=False, max_length=200, help_text="As the provider names it.")
    tag = forms.CharField(required=False, max_length=100, help_text="One of the output's tags.")

    def __init__(self, *args: Any, prompts: Sequence[str], **options: Any) -> None:
        super().__init__(*args, **options)
        _choose(self, "prompt", [("", "any prompt"), *((name, name) for name in prompts)])

    def clean_percent(self) -> float:
        percent = float(self.cleaned_data["percent"])
        if not percent > 0:
            raise forms.ValidationError("A rule draws more than nothing; send a share above 0.")
        return percent

    @property
    def rate(self) -> float:
        """The probability, from above 0 to 1."""
        return float(self.cleaned_data["percent"]) / 100

    @property
    def given(self) -> dict[str, str]:
        """The filter, as `reviews.coverage` takes it."""
        keys = ("prompt", "environment", "model", "tag")
        return {key: self.cleaned_data[key] for key in keys if self.cleaned_data[key]}


def _choose(form: forms.Form, name: str, choices: list[tuple[str, str]]) -> None:
    """The field offers these."""
    cast(forms.ChoiceField, form.fields[name]).choices = choices


@dataclass(frozen=True)
class Row:
    """One question while it is written: everything as it was typed."""

    key: str = ""
    kind: str = "choice"
    text: str = ""
    options: str = ""
    low: str = ""
    high: str = ""
    is_required: bool = False
    show_question: str = ""
    show_is: str = ""
    values: str = ""
    errors: tuple[str, ...] = ()

    @property
    def option_lines(self) -> list[str]:
        return _lines(self.options)

    @property
    def name(self) -> str:
        """The key, or the one that the words of the question make."""
        return self.key.strip() or _key_of(self.text)


# The typed fields of a row, as they are called in the form.
_TYPED = ("key", "kind", "text", "options", "low", "high", "show_question", "show_is", "values")


@dataclass
class RubricForm:
    """A rubric while it is written. Buttons change its rows; nothing is stored until `content` is taken.

    Attributes:
        name: what the rubric is called.
        rows: the questions in their order.
        quality: the place, from 0, of the question that carries the quality.
        guideline: how to judge, in Markdown.
        errors: what is wrong that stands at no question.
    """

    name: str = ""
    rows: list[Row] = field(default_factory=list)
    quality: int = 0
    guideline: str = ""
    errors: list[str] = field(default_factory=list)

    @classmethod
    def empty(cls) -> Self:
        """A beginning that works: one question with yes and no, and one for what would have been right."""
        return cls(
            rows=[
                Row(key="correct", kind="yes_no", text="Is the answer correct?", is_required=True, values="1\n0"),
                Row(
                    key="correction",
                    kind="correction",
                    text="What would have been right?",
                    show_question="correct",
                    show_is="no",
                ),
            ]
        )

    @classmethod
    def of(cls, rubric: Rubric) -> Self:
        """The rubric's content, to be changed."""
        rows = [_row_of(question, rubric.quality) for question in rubric.questions]
        keys = [question["key"] for question in rubric.questions]
        return cls(rubric.name, rows, keys.index(rubric.quality["question"]), rubric.guideline)

    @classmethod
    def typed(cls, data: QueryDict) -> Self:
        """What a form said, row by row, complete or not."""
        n_rows = min(_number(data.get("n_rows", ""), 0), MOST_QUESTIONS)
        rows = [_typed_row(data, f"q{at}-") for at in range(n_rows)]
        quality = _number(data.get("quality", ""), 0)
        return cls(data.get("name", "").strip(), rows, quality, data.get("guideline", ""))

    def press(self, button: str) -> None:
        """Do what a button says: `add`, `remove-2`, `up-2`, `down-2`; any other changes nothing."""
        verb, _, said = button.partition("-")
        at = _number(said, -1)
        if verb == "add" and len(self.rows) < MOST_QUESTIONS:
            self.rows.append(Row())
        elif verb == "remove" and 0 <= at < len(self.rows):
            del self.rows[at]
            if self.quality > at or self.quality >= len(self.rows):
                self.quality = max(0, self.quality - 1)
        elif verb in ("up", "down"):
            self._swap(at, at - 1 if verb == "up" else at + 1)

    def _swap(self, at: int, to: int) -> None:
        """Two rows change their places, where both exist; the quality goes with its question."""
        if 0 <= at < len(self.rows) and 0 <= to < len(self.rows):
            self.rows[at], self.rows[to] = self.rows[to], self.rows[at]
            self.quality = {at: to, to: at}.get(self.quality, self.quality)

    @property
    def content(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The questions and the quality as `reviews.questions.read_content` takes them."""
        kinds = {row.name: row.kind for row in self.rows}
        asked = [_question_of(row, kinds) for row in self.rows]
        if not self.rows:
            return [], {}
        carrier = self.rows[min(self.quality, len(self.rows) - 1)]
        return asked, {"question": carrier.name, "map": _values_of(carrier)}

    def refuse(self, problem: Problem) -> None:
        """What is wrong stands at its question, in words that name it; the rest above all."""
        for flaw in problem.errors:
            at, said = self._place_of(flaw)
            if at is None:
                self.errors.append(said)
            else:
                self.rows[at] = replace(self.rows[at], errors=(*self.rows[at].errors, said))
        if not problem.errors:
            self.errors.append(problem.detail)

    def _place_of(self, flaw: FieldError) -> tuple[int | None, str]:
        found = re.fullmatch(r"questions\[(\d+)\]\.?(.*)", flaw.field)
        if found is not None and int(found[1]) < len(self.rows):
            return int(found[1]), f"{_SPOKEN.get(found[2], found[2])} {flaw.message}".strip()
        if flaw.field.startswith("quality") and self.rows:
            return min(
                self.quality, len(self.rows) - 1
            ), f"Quality: {flaw.field.removeprefix('quality.')} {flaw.message}"
        return None, f"{flaw.field} {flaw.message}"


_SPOKEN = {
    "key": "Key",
    "type": "Type",
    "text": "Words",
    "options": "Options",
    "range": "From and to",
    "show_if": "Asked only if",
    "show_if.question": "Asked only if:",
    "show_if.is": "Asked only if: the answer",
}


def shown(questions: Sequence[Question]) -> list[Question]:
    """The questions for a page: those with a condition say it in words, as `asked_if`."""
    return [
        {**question, "asked_if": condition_of(question)} if "show_if" in question else question
        for question in questions
    ]


def quality_of(questions: Sequence[Question], quality: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each option of the question that carries the quality, in its order, with its value."""
    carrier = next(question for question in questions if question["key"] == quality["question"])
    return [(option, f"{quality['map'][option]:g}") for option in carrier["options"]]


def answers_of(questions: Sequence[Question], data: QueryDict) -> dict[str, Any]:
    """The answers of a form whose fields are called `answer-<key>`, as `reviews.questions.read_opinion` takes them.

    What was left empty is left out, as is what is not asked where its `show_if` does not hold: without JavaScript such
    questions stand there for everybody. What does not fit its question comes through as it was typed, to be refused.
    """
    read: dict[str, Any] = {}
    for question in questions:
        typed = [text for text in data.getlist(f"answer-{question['key']}") if text.strip()]
        if typed and is_asked(question, read):
            read[question["key"]] = _answer_of(question, typed)
    return read


def _answer_of(question: Question, typed: list[str]) -> Any:
    match question["type"]:
        case "tags":
            return typed if "options" in question else [tag.strip() for tag in typed[0].split(",") if tag.strip()]
        case "scale":
            return int(typed[0]) if re.fullmatch(r"-?\d{1,9}", typed[0].strip()) else typed[0]
        case "number":
            return _float(typed[0])
    return typed[0]


def _typed_row(data: QueryDict, prefix: str) -> Row:
    typed = {name: str(data.get(prefix + name, "")) for name in _TYPED}
    return replace(Row(is_required=f"{prefix}required" in data), **typed)  # type: ignore[arg-type]  # all are texts


def _question_of(row: Row, kinds: Mapping[str, str]) -> dict[str, Any]:
    asked: dict[str, Any] = {"key": row.name, "type": row.kind, "text": row.text.strip(), "required": row.is_required}
    if row.kind == "choice" or (row.kind == "tags" and row.option_lines):
        asked["options"] = row.option_lines
    if row.kind == "scale" or (row.kind == "number" and (row.low.strip() or row.high.strip())):
        asked["range"] = [_typed_number(row.low, row.kind), _typed_number(row.high, row.kind)]
    if row.show_question.strip():
        name = row.show_question.strip()
        answers = [_typed_number(line, "scale") if kinds.get(name) == "scale" else line for line in _lines(row.show_is)]
        asked["show_if"] = {"question": name, "is": answers[0] if len(answers) == 1 else answers}
    return asked


def _values_of(row: Row) -> dict[str, Any]:
    """The quality of each option: line by line beside the options, else what the kind suggests."""
    options = {"yes_no": ["yes", "no"], "scale": _steps(row)}.get(row.kind, row.option_lines)
    lines = _lines(row.values)
    if not lines and row.kind == "yes_no":
        lines = ["1", "0"]
    if not lines and row.kind == "scale" and len(options) > 1:
        lines = [str(round(at / (len(options) - 1), 4)) for at in range(len(options))]
    return {option: _float(line) for option, line in zip(options, lines, strict=False)}


def _steps(row: Row) -> list[str]:
    low, high = _typed_number(row.low, "scale"), _typed_number(row.high, "scale")
    is_scale = isinstance(low, int) and isinstance(high, int) and 0 < high - low < 101
    return [str(step) for step in range(low, high + 1)] if is_scale else []


def _row_of(question: Question, quality: Mapping[str, Any]) -> Row:
    low, high = question.get("range", ("", ""))
    condition = question.get("show_if", {})
    wanted = condition.get("is", [])
    is_carrier = question["key"] == quality["question"]
    return Row(
        key=question["key"],
        kind=question["type"],
        text=question["text"],
        options="\n".join(question.get("options", [])) if question["type"] in ("choice", "tags") else "",
        low=str(low),
        high=str(high),
        is_required=question["required"],
        show_question=condition.get("question", ""),
        show_is="\n".join(str(one) for one in (wanted if isinstance(wanted, list) else [wanted])),
        values="\n".join(f"{quality['map'][option]:g}" for option in question["options"]) if is_carrier else "",
    )


def _key_of(text: str) -> str:
    """A key made of the words of a question: `is_the_answer_correct`."""
    words = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return words.lstrip("0123456789_")[:60].strip("_")


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else otherwise


def _typed_number(text: str, kind: str) -> Any:
    """A number where one was typed, else the text itself, to be refused in its own words."""
    text = text.strip()
    if re.fullmatch(r"-?\d{1,9}", text):
        return int(text)
    return (_float(text) if kind == "number" else text) if text else None


def _float(text: str) -> Any:
    try:
        value = float(text.strip())
    except ValueError:
        return text
    return value if math.isfinite(value) else text


KIND_WORDS = {
    "choice": "one of several options",
    "yes_no": "yes or no",
    "scale": "a whole number on a scale",
    "number": "a number",
    "text": "words of their own",
    "tags": "any number of tags",
    "correction": "the text that would have been right",
}
if set(KIND_WORDS) != set(KINDS):  # a new kind of question needs its words here
    raise RuntimeError("KIND_WORDS and reviews.questions.KINDS name different kinds")
