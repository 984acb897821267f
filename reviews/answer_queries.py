"""Who answered what in a queue: how far people agree, and what holds where they do not."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from django.db import connection
from django.db.models import QuerySet
from django.db.models.fields.json import KeyTransform

from core.figures import Figure
from core.problems import FieldError, Invalid, Unprocessable
from core.statistics import proportions
from reviews import agreement, dawid_skene
from reviews.agreement import Level
from reviews.models import Item, Queue, Review, Rubric, Verdict
from reviews.questions import Question

# How answers of these kinds differ; those of others are not compared.
LEVELS: Mapping[str, Level] = {
    "choice": Level.NOMINAL,
    "yes_no": Level.NOMINAL,
    "scale": Level.ORDINAL,
    "number": Level.INTERVAL,
}
WITH_OPTIONS = ("choice", "yes_no", "scale")
# Figures speak of so many items, the newest ones that two people judged: more would not change what they say.
NEWEST = 20_000
# What is fitted while somebody waits: answers, and numbers in memory.
MOST_ANSWERS = 100_000
MOST_CELLS = 20_000_000
MOST_SHOWN = 1_000_000

Method = Literal["majority", "dawid_skene"]
METHODS: tuple[Method, ...] = ("majority", "dawid_skene")

# For each question what the people who judged an item answered, in the order of their names: as often as it occurs,
# with the range of the first and of the last names. Of a person's answers about an item the last counts.
_SAID = """
    WITH judged AS (
        SELECT r.item_id FROM reviews_review r JOIN reviews_item i ON i.id = r.item_id
        WHERE i.queue_id = %(queue)s AND i.rubric_id = ANY(%(rubrics)s) AND r.withdrawn_at IS NULL
        GROUP BY r.item_id HAVING count(*) > 1
        ORDER BY r.item_id DESC LIMIT %(newest)s
    ), answered AS (
        SELECT DISTINCT ON (asked.key, r.item_id, r.reviewer)
            asked.key, r.item_id, r.reviewer, r.answers -> asked.key AS answer
        FROM judged JOIN reviews_item i ON i.id = judged.item_id
        JOIN unnest(%(rubrics)s::bigint[], %(keys)s::text[]) AS asked(rubric_id, key) ON asked.rubric_id = i.rubric_id
        JOIN reviews_review r ON r.item_id = i.id AND r.withdrawn_at IS NULL
        WHERE jsonb_typeof(r.answers -> asked.key) <> 'null'
        ORDER BY asked.key, r.item_id, r.reviewer, r.attempt DESC
    ), said AS (
        SELECT key, jsonb_agg(answer ORDER BY reviewer) AS answers, min(reviewer) AS first, max(reviewer) AS last
        FROM answered GROUP BY key, item_id HAVING count(*) > 1
    )
    SELECT key, answers, count(*), min(first), max(first), min(last), max(last)
    FROM said GROUP BY key, answers ORDER BY key, answers
"""


@dataclass(frozen=True)
class Agreement:
    """How far people agree on one question; `measured` is None where its answers are not compared."""

    question: Question
    measured: Level | None
    raw: Figure
    kappa: Figure
    alpha: Figure

    @property
    def beyond_chance(self) -> tuple[Figure, Figure]:
        return self.kappa, self.alpha


@dataclass(frozen=True)
class Settled:
    """What holds about one output; without an answer where nothing leads. A posterior is Dawid-Skene's alone."""

    output_id: str
    answer: Any
    posterior: float | None


@dataclass(frozen=True)
class Reliability:
    """How far one reviewer can be trusted: by true option what is answered how often, and the share of right answers.

    `confusion` is None for a majority, which knows none; a true option of which nothing is known has None.
    """

    reviewer: str
    confusion: Mapping[str, Mapping[str, float] | None] | None
    accuracy: Figure


@dataclass(frozen=True)
class Aggregate:
    """One question's answers brought together."""

    items: list[Settled]
    reviewers: list[Reliability]


@dataclass(frozen=True)
class Asked:
    """Which answers are brought together: to which question, about items that came in [since, until).

    Reviewing is blind: unless the asker sees the queue as a whole, only settled items count, in every figure.
    """

    is_whole: bool
    question: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None


@dataclass(frozen=True)
class _Row:
    """A pattern of answers to one question, and how many items have it."""

    answers: list[Any]
    n: int
    names: tuple[str, str, str, str]


@dataclass(frozen=True)
class _Given:
    """One answer as it is brought together."""

    item_id: int
    output_id: str
    reviewer: str
    name: str
    is_open: bool
    answer: Any


def agreement_of(queue: Queue) -> dict[str, Agreement]:
    """By key of the rubric's question how far people agree on it: two statements.

    Compared are the newest `NEWEST` items that two people or more judged, under the versions of the queue's rubric
    that ask the very same question.
    """
    versions = _versions(queue)
    found: dict[str, list[_Row]] = {}
    for key, *row in _said(queue, versions):
        found.setdefault(key, []).append(_Row(json.loads(row[0]), row[1], tuple(row[2:])))
    return {
        question["key"]: _agreement(question, found.get(question["key"], [])) for question in queue.rubric.questions
    }


def aggregate(queue: Queue, *, method: Method, asked: Asked) -> Aggregate:
    """The answers to one question as one answer for each output, and how far each reviewer can be trusted.

    At most four statements.

    Raises:
        Invalid: the question is none of the rubric's, or has no options.
        Unprocessable: there are more answers than are fitted while somebody waits.
    """
    question = _question(queue, asked.question)
    options = {str(option): option for option in question["options"]}
    if question["type"] == "scale":
        options = {text: int(text) for text in options}
    rubrics = [pk for pk, keys in _versions(queue).items() if question["key"] in keys]
    visible = _visible(queue, rubrics, asked)
    given = [one for one in _given(visible, question["key"]) if str(one.answer) in options]
    if not given:
        return Aggregate([], [])
    answers = dawid_skene.Answers.of(
        [one.item_id for one in given],
        [one.reviewer for one in given],
        [str(one.answer) for one in given],
        list(options),
    )
    _refuse_too_much(answers)
    adjudicated = _adjudicated(queue, rubrics, question["key"])
    weights, confusion = answers.votes, None
    if method == "dawid_skene":
        fitted = dawid_skene.fit(answers, n_settled=_n_settled(queue, rubrics, given))
        weights, confusion = fitted.posterior, fitted.confusion
    outputs = {one.item_id: one.output_id for one in given}
    return Aggregate(
        items=[
            Settled(
                outputs[item],
                None if place < 0 else options[answers.options[place]],
                float(row.max()) if method == "dawid_skene" else None,
            )
            for item, place, row in zip(answers.items, dawid_skene.decided(weights), weights, strict=True)
        ],
        reviewers=_reliability(answers, given, confusion, adjudicated),
    )


def _agreement(question: Question, rows: Sequence[_Row]) -> Agreement:
    measured = LEVELS.get(question["type"])
    if measured is None:
        reason = f"answers of type {question['type']} are not compared"
        return Agreement(question, None, *(Figure.undefined(reason) for _ in "123"))
    order = [int(step) for step in question["options"]] if measured is Level.ORDINAL else ()
    answers = agreement.Answers.of_rows([row.answers for row in rows], [row.n for row in rows], order)
    return Agreement(
        question,
        measured,
        raw=agreement.raw_agreement(answers),
        kappa=_kappa(measured, rows, answers),
        alpha=agreement.krippendorff_alpha(answers, measured),
    )


def _kappa(measured: Level, rows: Sequence[_Row], answers: agreement.Answers) -> Figure:
    """Cohen's where the same two people judged everything, else Fleiss' where that is defined."""
    if measured is Level.INTERVAL:
        return Figure.undefined("κ is for answers of few values; see α", n=answers.n_items, method=agreement.COHEN)
    if not rows:
        return Figure.undefined(agreement.NO_PAIR, method=agreement.COHEN)
    if _is_one_pair(rows):
        pairs = np.array([row.answers for row in rows])
        weights: agreement.Weights = "quadratic" if measured is Level.ORDINAL else "none"
        return agreement.cohen_kappa(pairs[:, 0], pairs[:, 1], weights=weights, times=[row.n for row in rows])
    if measured is Level.ORDINAL:
        reason = "weighted κ compares two reviewers, and more of them judged here; see α"
        return Figure.undefined(reason, n=answers.n_items, method=agreement.COHEN)
    return agreement.fleiss_kappa(answers)


def _is_one_pair(rows: Sequence[_Row]) -> bool:
    """Whether the first and the last name are the same for all items, and nobody stands between them."""
    firsts = {name for row in rows for name in row.names[:2]}
    lasts = {name for row in rows for name in row.names[2:]}
    return len(firsts) == len(lasts) == 1 and all(len(row.answers) == agreement.PAIR for row in rows)


def _versions(queue: Queue) -> dict[int, list[str]]:
    """The versions of the queue's rubric, each with the keys of the questions that it asks just as the newest does."""
    newest = queue.rubric.questions
    versions = Rubric.objects.of(queue.project_id).filter(name=queue.rubric.name)
    return {
        pk: [question["key"] for question in newest if question in questions]
        for pk, questions in versions.order_by("pk").values_list("pk", "questions")
    }


def _said(queue: Queue, versions: Mapping[int, Sequence[str]]) -> list[tuple[Any, ...]]:
    compared = {question["key"] for question in queue.rubric.questions if question["type"] in LEVELS}
    asked = [(pk, key) for pk, keys in versions.items() for key in keys if key in compared]
    values: dict[str, Any] = {  # Any: what the driver takes
        "queue": queue.pk,
        "rubrics": [pk for pk, _ in asked],
        "keys": [key for _, key in asked],
        "newest": NEWEST,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SAID, values)
        return list(cursor.fetchall())


def _question(queue: Queue, key: str | None) -> Question:
    """The rubric's question of this key; the one that carries the quality where none is named."""
    wanted = queue.rubric.quality["question"] if key is None else key
    with_options: list[Question] = [question for question in queue.rubric.questions if question["type"] in WITH_OPTIONS]
    for question in with_options:
        if question["key"] == wanted:
            return question
    known = ", ".join(question["key"] for question in with_options)
    raise Invalid(FieldError("question", f"is {str(wanted)[:60]!r}; send one that has options: {known}"))


def _visible(queue: Queue, rubrics: Sequence[int], asked: Asked) -> QuerySet[Review]:
    """What people said about items of which the asker may know it."""
    found = Review.objects.comparable().filter(item__queue=queue, item__rubric__in=rubrics)
    if asked.since is not None:
        found = found.filter(item__created_at__gte=asked.since)
    if asked.until is not None:
        found = found.filter(item__created_at__lt=asked.until)
    return found if asked.is_whole else found.filter(item__state=Item.State.SETTLED)


def _given(visible: QuerySet[Review], key: str) -> list[_Given]:
    """The answers by item and attempt; one statement.

    Raises:
        Unprocessable: there are too many.
    """
    rows = list(
        visible.filter(answers__has_key=key, item__item_outputs__position=0)
        .annotate(answer=KeyTransform(key, "answers"))
        .order_by("item", "reviewer", "attempt")
        .values_list(
            "item", "item__item_outputs__output__external_id", "reviewer", "user__email", "item__state", "answer"
        )[: MOST_ANSWERS + 1]
    )
    if len(rows) > MOST_ANSWERS:
        raise Unprocessable(
            f"There are more than {MOST_ANSWERS:,} answers, too many to wait for: narrow them by since and until.",
            FieldError("since", "send the moment from which items came in, and until"),
        )
    return [
        _Given(item, output, by, email or by, state == Item.State.OPEN, answer)
        for item, output, by, email, state, answer in rows
    ]


def _refuse_too_much(answers: dawid_skene.Answers) -> None:
    """Raises Unprocessable where the question has too many options for so many answers or reviewers."""
    n_options, n_reviewers = len(answers.options), len(answers.reviewers)
    if len(answers.item) * n_options > MOST_CELLS or n_reviewers * n_options**2 > MOST_SHOWN:
        raise Unprocessable(
            f"{len(answers.item):,} answers of {n_reviewers:,} reviewers with {n_options:,} options are too many to "
            "wait for: narrow them by since and until.",
            FieldError("since", "send the moment from which items came in, and until"),
        )


def _adjudicated(queue: Queue, rubrics: Sequence[int], key: str) -> dict[int, str]:
    """By item what an adjudicator decided; one statement."""
    standing = Verdict.objects.of(queue.project_id).standing().filter(item__queue=queue, item__rubric__in=rubrics)
    decided = standing.filter(settled_by=Verdict.SettledBy.ADJUDICATOR, answers__has_key=key)
    rows = decided.annotate(answer=KeyTransform(key, "answers")).values_list("item", "answer")
    return {item: str(answer) for item, answer in rows}


def _n_settled(queue: Queue, rubrics: Sequence[int], given: Sequence[_Given]) -> int:
    """The settled items, and those that as many people judged elsewhere as would settle them here; one statement."""
    elsewhere = {
        (one.item_id, one.reviewer) for one in given if one.is_open and one.reviewer.startswith(Review.ELSEWHERE)
    }
    people = Counter(item for item, _ in elsewhere)
    settled = queue.items.filter(state=Item.State.SETTLED, rubric__in=rubrics).count()
    return settled + sum(n >= queue.overlap for n in people.values())


def _reliability(
    answers: dawid_skene.Answers,
    given: Sequence[_Given],
    confusion: dawid_skene.Floats | None,
    adjudicated: Mapping[int, str],
) -> list[Reliability]:
    """The reviewers by name; of several answers about an item the last is held against the adjudicator's."""
    names = {one.reviewer: one.name for one in given}
    last = {(one.reviewer, one.item_id): str(one.answer) for one in given if one.item_id in adjudicated}
    right: dict[str, list[bool]] = {}
    for (reviewer, item), answer in last.items():
        right.setdefault(reviewer, []).append(answer == adjudicated[item])
    found = [
        Reliability(
            names[reviewer],
            None if confusion is None else _in_words(confusion[place], answers.options),
            _accuracy(right.get(reviewer, [])),
        )
        for place, reviewer in enumerate(answers.reviewers)
    ]
    return sorted(found, key=lambda one: one.reviewer)


def _accuracy(right: Sequence[bool]) -> Figure:
    if not right:
        reason = "no adjudicator decided about an item that this reviewer judged"
        return Figure.undefined(reason, method=proportions.WILSON)
    return proportions.wilson(sum(right), len(right))


def _in_words(matrix: dawid_skene.Floats, options: Sequence[str]) -> dict[str, Mapping[str, float] | None]:
    return {
        true: None if np.isnan(row).any() else dict(zip(options, map(float, row), strict=True))
        for true, row in zip(options, matrix, strict=True)
    }
