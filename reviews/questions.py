"""What a rubric may ask and whether answers fit it: pure, no database.

A question type is one small class in `KINDS`; a new type is a new class and nothing else.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core.problems import FieldError, Invalid

# Questions, answers and options are JSON: their values are of any JSON type until a kind has read them.
Question = dict[str, Any]
Answers = dict[str, Any]

MOST_QUESTIONS = 100
MOST_OPTIONS = 500
MOST_STEPS = 101
MOST_TAGS = 50
LONGEST_OPTION = 200
LONGEST_QUESTION = 2_000
LONGEST_TEXT = 100_000

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,59}")
_FIELDS = ("key", "type", "text", "required", "show_if")


@dataclass(frozen=True)
class Content:
    """What a rubric asks, in one canonical form: equal content is equal bytes."""

    questions: list[Question]
    quality: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        text = json.dumps([self.questions, self.quality], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Opinion:
    """What a person or a verdict says about an item: answers by question key, and the right text if any."""

    answers: Answers
    correction: str | None = None


def read_content(questions: Sequence[Any], quality: Mapping[str, Any]) -> Content:
    """The rubric's content with every default written out.

    Exactly one question carries the quality: `quality.question` names a choice, yes_no or scale question that
    is always asked and required, and `quality.map` gives each of its options a value from 0 to 1.

    Raises:
        Invalid: naming each field that is wrong.
    """
    flaws: list[FieldError] = []
    read = [_read_question(question, f"questions[{index}]", flaws) for index, question in enumerate(questions)]
    if not 1 <= len(questions) <= MOST_QUESTIONS:
        flaws.append(FieldError("questions", f"has {len(questions)}; send 1 to {MOST_QUESTIONS}"))
    if not flaws:
        flaws += _flaws_between(read)
    if not flaws:
        flaws += _flaws_of_quality(read, quality)
    if flaws:
        raise Invalid(*flaws)
    for question in read:
        if question["key"] == quality["question"]:
            question["required"] = True
    values = {option: float(value) for option, value in sorted(quality["map"].items())}
    return Content(read, {"question": quality["question"], "map": values})


def read_opinion(questions: Sequence[Question], answers: Mapping[str, Any], correction: str | None) -> Opinion:
    """The answers in canonical form; what was left empty is left out.

    A question with `show_if` is asked only where the earlier answer says so: not asked, it must not be
    answered. A correction may be sent as `correction` or as the answer to the rubric's question of that type.

    Raises:
        Invalid: naming each answer that is unknown, missing, unasked or of the wrong form.
    """
    known = {question["key"] for question in questions}
    flaws = [
        FieldError(f"answers.{key}", f"is no question of this rubric; its questions: {', '.join(sorted(known))}")
        for key in answers
        if key not in known
    ]
    read: Answers = {}
    text = _said(correction)
    for question in questions:
        key = question["key"]
        try:
            value = _read_answer(question, answers.get(key))
            if question["type"] == "correction":
                text = value = _one_correction(text, _said(value))
            if value is not None and not is_asked(question, read):
                raise UnfitError(f"is not asked where {condition_of(question)} does not hold; leave it out")
        except UnfitError as flaw:
            flaws.append(FieldError(f"answers.{key}", str(flaw)))
            continue
        if value is not None and question["type"] != "correction":
            read[key] = value
        if value is None and question["required"] and is_asked(question, read):
            place = "correction" if question["type"] == "correction" else f"answers.{key}"
            flaws.append(FieldError(place, f"is required: {question['text'][:200]}"))
    if flaws:
        raise Invalid(*flaws)
    return Opinion(read, text)


def quality_of(quality: Mapping[str, Any], answers: Mapping[str, Any]) -> float:
    """The value from 0 to 1 that the rubric's map gives the answer to its quality question."""
    return float(quality["map"][str(answers[quality["question"]])])


def in_words(questions: Sequence[Question], answers: Answers) -> list[tuple[str, str]]:
    """The given answers as texts beside their keys, in the order of the questions."""
    given = [(question["key"], answers[question["key"]]) for question in questions if question["key"] in answers]
    return [(key, ", ".join(answer) if isinstance(answer, list) else f"{answer}") for key, answer in given]


class UnfitError(ValueError):
    """This value does not fit; the message says what was found and what to send."""


class Kind(Protocol):
    """One type of question: which fields it has beyond the common ones, and which answers fit."""

    @property
    def fields(self) -> tuple[str, ...]: ...

    def shape(self, question: Mapping[str, Any]) -> Question:
        """The kind's own fields in canonical form."""
        ...

    def read(self, question: Mapping[str, Any], answer: Any) -> Any:
        """The answer in canonical form, or None where it is empty."""
        ...


class Choice:
    """One of the options."""

    fields = ("options",)

    def shape(self, question: Mapping[str, Any]) -> Question:
        return {"options": _texts(question.get("options"), least=2)}

    def read(self, question: Mapping[str, Any], answer: Any) -> str:
        if not isinstance(answer, str) or answer not in question["options"]:
            raise UnfitError(f"is {_shown(answer)}; choose one of {_listed(question['options'])}")
        return answer


class YesNo:
    """Yes or no; JSON's true and false are taken for them."""

    fields = ("options",)
    options = ("yes", "no")

    def shape(self, question: Mapping[str, Any]) -> Question:
        options = question.get("options")
        if options is not None and (not isinstance(options, list) or sorted(map(str, options)) != ["no", "yes"]):
            raise UnfitError(f"are {_shown(options)}; a yes_no question has yes and no, so leave options out")
        return {"options": list(self.options)}

    def read(self, question: Mapping[str, Any], answer: Any) -> str:
        word = {True: "yes", False: "no"}[answer] if isinstance(answer, bool) else answer
        if word not in self.options:
            raise UnfitError(f"is {_shown(answer)}; send yes or no")
        return str(word)


class Scale:
    """A whole number between two ends: `range: [min, max]`, or all steps in `options`."""

    fields = ("options", "range")

    def shape(self, question: Mapping[str, Any]) -> Question:
        low, high = _ends(question)
        if not low < high or high - low >= MOST_STEPS:
            raise UnfitError(f"goes from {low} to {high}; a scale rises and has at most {MOST_STEPS} steps")
        return {"options": [str(step) for step in range(low, high + 1)], "range": [low, high]}

    def read(self, question: Mapping[str, Any], answer: Any) -> int:
        low, high = question["range"]
        if not _is_whole(answer) or not low <= answer <= high:
            raise UnfitError(f"is {_shown(answer)}; send a whole number from {low} to {high}")
        return int(answer)


class Number:
    """Any number, within `range: [min, max]` where that is given."""

    fields = ("range",)

    def shape(self, question: Mapping[str, Any]) -> Question:
        given = question.get("range")
        if given is None:
            return {}
        if not _is_pair(given) or not all(_is_number(end) for end in given) or not given[0] < given[1]:
            raise UnfitError(f"is {_shown(given)}; send two rising numbers, or leave it out")
        return {"range": list(given)}

    def read(self, question: Mapping[str, Any], answer: Any) -> float:
        low, high = question.get("range", (-math.inf, math.inf))
        if not _is_number(answer) or not low <= answer <= high:
            raise UnfitError(
                f"is {_shown(answer)}; send a number" + (f" from {low} to {high}" if low > -math.inf else "")
            )
        return float(answer)


class Text:
    """Words of the reviewer's own."""

    fields: tuple[str, ...] = ()

    def shape(self, question: Mapping[str, Any]) -> Question:
        return {}

    def read(self, question: Mapping[str, Any], answer: Any) -> str | None:
        if not isinstance(answer, str) or len(answer) > LONGEST_TEXT:
            raise UnfitError(f"is {_shown(answer)}; send a text of at most {LONGEST_TEXT} characters")
        return answer if answer.strip() else None


class Tags:
    """Any number of tags, out of `options` where those are given."""

    fields = ("options",)

    def shape(self, question: Mapping[str, Any]) -> Question:
        options = question.get("options")
        return {} if options is None else {"options": _texts(options, least=1)}

    def read(self, question: Mapping[str, Any], answer: Any) -> list[str] | None:
        tags = _texts(answer, least=0, most=MOST_TAGS)
        unknown = [tag for tag in tags if tag not in question.get("options", tags)]
        if unknown:
            raise UnfitError(f"holds {_shown(unknown[0])}; choose from {_listed(question['options'])}")
        return sorted(tags) or None


class Correction(Text):
    """The text that the output should have been."""


KINDS: Mapping[str, Kind] = {
    "choice": Choice(),
    "yes_no": YesNo(),
    "scale": Scale(),
    "number": Number(),
    "text": Text(),
    "tags": Tags(),
    "correction": Correction(),
}
# Kinds whose options are few and known, so that they can carry the quality or a condition.
_WITH_OPTIONS = ("choice", "yes_no", "scale")


def _read_question(question: Any, place: str, flaws: list[FieldError]) -> Question:
    """The question in canonical form; what is wrong with it is added to `flaws`."""
    if not isinstance(question, dict):
        flaws.append(FieldError(place, f"is {_shown(question)}; send an object with key and type"))
        return {}
    kind = KINDS.get(question["type"]) if isinstance(question.get("type"), str) else None
    if kind is None:
        found = _shown(question.get("type"))
        flaws.append(FieldError(f"{place}.type", f"{found} is not available; available are {', '.join(KINDS)}"))
        return {}
    flaws += _flaws_of_fields(question, kind, place)
    try:
        shaped = kind.shape(question)
    except UnfitError as flaw:
        flaws.append(FieldError(f"{place}.{'range' if question.get('range') is not None else 'options'}", str(flaw)))
        shaped = {}
    return {
        "key": question.get("key"),
        "type": question["type"],
        "text": question.get("text") or question.get("key"),
        "required": question.get("required", False),
        **shaped,
        **({"show_if": question["show_if"]} if question.get("show_if") is not None else {}),
    }


def _flaws_of_fields(question: Mapping[str, Any], kind: Kind, place: str) -> Iterator[FieldError]:
    known = (*_FIELDS, *kind.fields)
    for name in question:
        if name not in known:
            said = f"is no field of a {question['type']} question; known: {', '.join(known)}"
            yield FieldError(f"{place}.{name}", said)
    key = question.get("key")
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        said = f"is {_shown(key)}; send a letter and up to 59 more letters, digits, - and _"
        yield FieldError(f"{place}.key", said)
    text = question.get("text", "")
    if not isinstance(text, str) or len(text) > LONGEST_QUESTION:
        yield FieldError(f"{place}.text", f"is {_shown(text)}; send at most {LONGEST_QUESTION} characters")
    if not isinstance(question.get("required", False), bool):
        yield FieldError(f"{place}.required", f"is {_shown(question['required'])}; send true or false")


def _flaws_between(questions: Sequence[Question]) -> Iterator[FieldError]:
    """Keys once, at most one correction, and conditions that look back at a question with options."""
    earlier: dict[str, Question] = {}
    for index, question in enumerate(questions):
        place = f"questions[{index}]"
        if question["key"] in earlier:
            yield FieldError(f"{place}.key", f"{question['key']!r} is the key of an earlier question; choose another")
        if question["type"] == "correction" and any(one["type"] == "correction" for one in earlier.values()):
            yield FieldError(f"{place}.type", "is the second correction; an item has one right text, so ask once")
        if "show_if" in question:
            yield from _flaws_of_condition(question["show_if"], earlier, f"{place}.show_if")
        earlier[question["key"]] = question


def _flaws_of_condition(condition: Any, earlier: Mapping[str, Question], place: str) -> Iterator[FieldError]:
    if not isinstance(condition, dict) or set(condition) != {"question", "is"}:
        yield FieldError(place, 'send {"question": an earlier key, "is": the answer, or a list of answers}')
        return
    asked = earlier.get(condition["question"]) if isinstance(condition["question"], str) else None
    if asked is None or asked["type"] not in _WITH_OPTIONS:
        said = f"{_shown(condition['question'])} is no earlier question of type {', '.join(_WITH_OPTIONS)}"
        yield FieldError(f"{place}.question", said)
        return
    for answer in _as_list(condition["is"]):
        try:
            _read_answer(asked, answer)
        except UnfitError as flaw:
            yield FieldError(f"{place}.is", str(flaw))


def _flaws_of_quality(questions: Sequence[Question], quality: Mapping[str, Any]) -> Iterator[FieldError]:
    name, values = quality.get("question"), quality.get("map")
    question = next((one for one in questions if one["key"] == name), None)
    if question is None or question["type"] not in _WITH_OPTIONS:
        said = f"{_shown(name)} is no question of type {', '.join(_WITH_OPTIONS)}; one carries the quality"
        yield FieldError("quality.question", said)
        return
    if "show_if" in question:
        yield FieldError("quality.question", f"{name!r} has show_if; the quality question is always asked")
    if not isinstance(values, dict):
        yield FieldError("quality.map", "send an object that gives each option a value from 0 to 1")
        return
    missing = [option for option in question["options"] if option not in values]
    if missing:
        yield FieldError("quality.map", f"gives no value for {_listed(missing)}; give each option one from 0 to 1")
    for option, value in values.items():
        if option not in question["options"]:
            said = f"is no option of {name!r}; its options: {_listed(question['options'])}"
            yield FieldError(f"quality.map.{option}", said)
        elif not _is_number(value) or not 0 <= value <= 1:
            yield FieldError(f"quality.map.{option}", f"is {_shown(value)}; send a number from 0 to 1")


def _read_answer(question: Question, answer: Any) -> Any:
    return None if answer is None else KINDS[question["type"]].read(question, answer)


def _said(text: str | None) -> str | None:
    """A correction of nothing but space says nothing."""
    return text if text is not None and text.strip() else None


def _one_correction(sent: str | None, answered: str | None) -> str | None:
    if sent is not None and answered is not None and sent != answered:
        raise UnfitError("differs from `correction`; send the right text once")
    return sent if sent is not None else answered


def is_asked(question: Question, answers: Answers) -> bool:
    """Whether the answers so far make the question one that is asked."""
    condition = question.get("show_if")
    if condition is None:
        return True
    given = answers.get(condition["question"])
    return any(_same(given, answer) for answer in _as_list(condition["is"]))


def _same(given: Any, wanted: Any) -> bool:
    word = {True: "yes", False: "no"}[wanted] if isinstance(wanted, bool) else wanted
    return given is not None and str(given) == str(word)


def condition_of(question: Question) -> str:
    """When a question with `show_if` is asked, in words."""
    return f"{question['show_if']['question']} = {_listed(_as_list(question['show_if']['is']))}"


def _ends(question: Mapping[str, Any]) -> tuple[int, int]:
    given, steps = question.get("range"), question.get("options")
    if given is not None:
        if not _is_pair(given) or not all(_is_whole(end) for end in given):
            raise UnfitError(f"is {_shown(given)}; send two whole numbers [min, max]")
        if steps is not None and [str(step) for step in _as_list(steps)] != [
            str(s) for s in range(given[0], given[1] + 1)
        ]:
            raise UnfitError("and options differ; send one of them")
        return given[0], given[1]
    if not isinstance(steps, list) or not steps or not all(_is_step(step) for step in steps):
        raise UnfitError("are missing; send range: [min, max], or every step in options")
    numbers = [int(step) for step in steps]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise UnfitError(f"are {_listed(steps)}; the steps of a scale rise by one, else use choice")
    return numbers[0], numbers[-1]


def _texts(given: Any, *, least: int, most: int = MOST_OPTIONS) -> list[str]:
    if not isinstance(given, list) or not least <= len(given) <= most:
        raise UnfitError(f"is {_shown(given)}; send a list of {least} to {most} texts")
    for text in given:
        if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_OPTION:
            raise UnfitError(f"holds {_shown(text)}; each is a text of 1 to {LONGEST_OPTION} characters")
    if len(set(given)) < len(given):
        raise UnfitError("names something twice; name each once")
    return list(given)


def _is_pair(given: Any) -> bool:
    return isinstance(given, list) and len(given) == 2


def _is_whole(given: Any) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and abs(given) <= 10**9


def _is_step(given: Any) -> bool:
    return _is_whole(given) or (isinstance(given, str) and re.fullmatch(r"0|-?[1-9][0-9]{0,8}", given) is not None)


def _is_number(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)


def _as_list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def _shown(found: Any) -> str:
    text = "missing" if found is None else json.dumps(found, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _listed(options: Sequence[Any]) -> str:
    shown = ", ".join(str(option) for option in options[:20])
    return shown if len(options) <= 20 else f"{shown} and {len(options) - 20} more"
