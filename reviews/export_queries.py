"""A queue's items with all that was said about them, in portions, for whoever writes them out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from outputs import queries as output_queries
from outputs.models import Output, OutputBody
from reviews import texts
from reviews.models import Item, ItemOutput, Queue, Review, Rubric, Verdict

# Items looked at in one go: four statements, and one more for each 16 MB of texts.
AT_ONCE = 200


@dataclass(frozen=True)
class Subject:
    """One output of an item: what was asked and answered; None where nothing was, or retention dropped it."""

    external_id: str
    prompt: str | None
    input: Any
    output: Any
    variables: Any

    @property
    def input_text(self) -> str:
        return texts.input_text(self.input, self.variables)

    @property
    def output_text(self) -> str:
        return texts.output_text(self.output)


@dataclass(frozen=True)
class Judged:
    """One item that something was said about: its outputs, and its reviews and verdicts, oldest first."""

    item: Item
    rubric: Rubric
    subjects: list[Subject]
    reviews: list[Review]
    verdicts: list[Verdict]

    @property
    def input_text(self) -> str:
        return self.subjects[0].input_text if self.subjects else ""

    @property
    def output_text(self) -> str:
        """The text of the output, or of all of a pair or a session, one below the other."""
        return "\n\n".join(subject.output_text for subject in self.subjects)


@dataclass(frozen=True)
class Sight:
    """What one actor may see of a queue: everything, or of items that people still judge what nobody else said here."""

    is_whole: bool
    identity: str

    def reviews(self, item: Item, found: Sequence[Review]) -> list[Review]:
        if self.is_whole or item.state == Item.State.SETTLED:
            return list(found)
        return [review for review in found if review.made_elsewhere or review.reviewer == self.identity]

    def verdicts(self, item: Item, found: Sequence[Verdict]) -> list[Verdict]:
        return list(found) if self.is_whole or item.state == Item.State.SETTLED else []


def judged(queue: Queue, sight: Sight) -> Iterator[Judged]:
    """Every item of the queue that something was said about which may be seen, in the order of its key.

    Walks the queue's items along their unique index, `AT_ONCE` at a time, so that memory and statements per portion
    stay the same however many there are. What is stored meanwhile may be in it or not.
    """
    after = ("", "", 0)
    rubrics: dict[int, Rubric] = {}
    while ids := _portion(queue.pk, after):
        items = Item.objects.in_bulk([number for number, *_ in ids])
        _, kind, key, number = ids[-1]
        after = (kind, key, number)
        rubrics |= Rubric.objects.in_bulk({item.rubric_id for item in items.values()} - rubrics.keys())
        yield from _told([items[number] for number, *_ in ids if number in items], rubrics, sight)


def question_keys(queue: Queue) -> list[str]:
    """The keys of all questions that items of the queue ask, in the order of the rubrics; two statements."""
    asked = Rubric.objects.in_bulk(set(queue.items.order_by().values_list("rubric", flat=True).distinct()))
    keys = [question["key"] for _, rubric in sorted(asked.items()) for question in rubric.questions]
    return list(dict.fromkeys(keys))


def name_of(review: Review) -> str:
    """The address of a person here; else `key:<name>`, or `elsewhere:<name>`."""
    return review.user.email if review.user is not None else review.reviewer


_PORTION = """
    SELECT id, subject_kind, subject_key, round FROM reviews_item
    WHERE queue_id = %s AND (subject_kind, subject_key, round) > (%s, %s, %s)
    ORDER BY subject_kind, subject_key, round LIMIT %s
"""


def _portion(queue_id: int, after: tuple[str, str, int]) -> list[tuple[int, str, str, int]]:
    with connection.cursor() as cursor:
        cursor.execute(_PORTION, [queue_id, *after, AT_ONCE])
        found: list[tuple[int, str, str, int]] = cursor.fetchall()
    return found


def _told(items: Sequence[Item], rubrics: dict[int, Rubric], sight: Sight) -> Iterator[Judged]:
    """The items of one portion that something may be told of; their texts are loaded as many as fit."""
    reviews: dict[int, list[Review]] = {}
    for review in Review.objects.filter(item__in=items).select_related("user").order_by("pk"):
        reviews.setdefault(review.item_id, []).append(review)
    verdicts: dict[int, list[Verdict]] = {}
    for verdict in Verdict.objects.filter(item__in=items).order_by("pk"):
        verdicts.setdefault(verdict.item_id, []).append(verdict)
    told = [
        Judged(
            item=item,
            rubric=rubrics[item.rubric_id],
            subjects=[],
            reviews=sight.reviews(item, reviews.get(item.pk, ())),
            verdicts=sight.verdicts(item, verdicts.get(item.pk, ())),
        )
        for item in items
    ]
    yield from _with_subjects([one for one in told if one.reviews or one.verdicts])


def _with_subjects(told: Sequence[Judged]) -> Iterator[Judged]:
    places = ItemOutput.objects.filter(item__in=[one.item.pk for one in told])
    outputs: dict[int, list[Output]] = {}
    for place in places.select_related("output__prompt").order_by("item", "position"):
        outputs.setdefault(place.item_id, []).append(place.output)
    for lot in _fitting(told, outputs):
        bodies = output_queries.bodies([output for one in lot for output in outputs.get(one.item.pk, ())])
        for one in lot:
            one.subjects.extend(_subject(output, bodies.get(output.pk)) for output in outputs.get(one.item.pk, ()))
            yield one


def _fitting(told: Sequence[Judged], outputs: dict[int, list[Output]]) -> Iterator[list[Judged]]:
    """The same in lots whose texts fit into memory together; a single item may be larger."""
    lot: list[Judged] = []
    n_bytes = 0
    for one in told:
        size = sum(output.body_bytes for output in outputs.get(one.item.pk, ()))
        if lot and n_bytes + size > output_queries.PAGE_BYTES:
            yield lot
            lot, n_bytes = [], 0
        lot.append(one)
        n_bytes += size
    if lot:
        yield lot


def _subject(output: Output, body: OutputBody | None) -> Subject:
    return Subject(
        external_id=output.external_id,
        prompt=None if output.prompt is None else output.prompt.name,
        input=None if body is None else body.input,
        output=None if body is None else body.output,
        variables=None if body is None else body.variables,
    )
