"""All reviews and verdicts of a queue as a file: JSON Lines, CSV, or tasks for Label Studio; streamed."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from django.http import HttpResponse, StreamingHttpResponse

from core.problems import FieldError, Invalid
from outputs.importers.comma import FORMULA
from projects.access import Actor, Scope
from reviews import export_queries, label_studio
from reviews.export_queries import Judged, Sight
from reviews.models import Queue, Review, Verdict
from reviews.services import adjudication

# What each line has, a review and a verdict alike; what does not apply to one of them is null.
COLUMNS = (
    "kind id item state output_id prompt rubric rubric_version input output reviewer attempt made_elsewhere answers"
    " quality correction tags comment rationale part settled_by at ended_at"
).split()
ANSWER = "answers."


def answer(queue: Queue, form: str, *, by: Actor) -> HttpResponse:
    """The file, in portions as they are read.

    Raises:
        Invalid: a format that there is not.
    """
    if form not in FORMS:
        raise Invalid(FieldError("format", f"is {form[:40]!r}; send {', '.join(FORMS)}"))
    found = FORMS[form]
    headers = {"Content-Disposition": f'attachment; filename="{queue.name}-{found.ending}"'}
    lines = found.write(queue, export_queries.judged(queue, sight_of(queue, by)))
    return StreamingHttpResponse(lines, content_type=found.content_type, headers=headers)  # type: ignore[return-value]  # one all the same


def sight_of(queue: Queue, by: Actor) -> Sight:
    """Reviewing is blind: who may review finds out what others said here once an item is settled, not before.

    What was said elsewhere was no secret of this house when it was brought in, and is none afterwards. Admins and the
    queue's adjudicators see everything, and so does who cannot review: a manager, or a key that is nobody's and has no
    such scope. A person's key sees no more than the person. At most one statement.
    """
    is_outside = not by.may(Scope.REVIEW) and (by.user is None or by.key is None)
    return Sight(is_outside or adjudication.may_adjudicate(queue, by), by.identity)


def _as_jsonl(queue: Queue, found: Iterator[Judged]) -> Iterator[bytes]:
    return (orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for one in found for record in _records(one))


def _as_csv(queue: Queue, found: Iterator[Judged]) -> Iterator[str]:
    """A line for each review and each verdict, with a column for each question; no cell is a formula."""
    keys = export_queries.question_keys(queue)
    plain = [name for name in COLUMNS if name != "answers"]
    yield _line([*plain, *(f"{ANSWER}{key}" for key in keys)])
    for one in found:
        told = {"input": one.input_text, "output": one.output_text}
        for record in _records(one):
            cells = {**record, **told}
            yield _line([*(cells[name] for name in plain), *(record["answers"].get(key) for key in keys)])


def _as_tasks(queue: Queue, found: Iterator[Judged]) -> Iterator[bytes]:
    yield b"["
    for place, one in enumerate(found):
        yield (b",\n" if place else b"\n") + orjson.dumps(label_studio.task(queue.name, one))
    yield b"\n]\n"


@dataclass(frozen=True)
class _Form:
    ending: str
    content_type: str
    write: Callable[[Queue, Iterator[Judged]], Iterator[bytes] | Iterator[str]]


FORMS = {
    "jsonl": _Form("reviews.jsonl", "application/jsonl", _as_jsonl),
    "csv": _Form("reviews.csv", "text/csv; charset=utf-8", _as_csv),
    "label-studio": _Form("label-studio.json", "application/json", _as_tasks),
}


def _records(one: Judged) -> Iterator[dict[str, Any]]:
    """The reviews, then the verdicts of an item, each with all of `COLUMNS`."""
    first = one.subjects[0] if one.subjects else None
    about = dict.fromkeys(COLUMNS) | {
        "item": one.item.pk,
        "state": one.item.state,
        "output_id": None if first is None else first.external_id,
        "prompt": None if first is None else first.prompt,
        "rubric": one.rubric.name,
        "rubric_version": one.rubric.version,
        "input": None if first is None else first.input,
        "output": None if first is None else first.output,
    }
    yield from (about | _of_review(review) for review in one.reviews)
    yield from (about | _of_verdict(verdict) for verdict in one.verdicts)


def _of_review(review: Review) -> dict[str, Any]:
    return {
        "kind": "review",
        "id": review.pk,
        "reviewer": export_queries.name_of(review),
        "attempt": review.attempt,
        "made_elsewhere": review.made_elsewhere,
        "answers": review.answers,
        "correction": review.correction,
        "tags": review.tags,
        "comment": review.comment,
        "at": review.at,
        "ended_at": review.withdrawn_at,
    }


def _of_verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "kind": "verdict",
        "id": verdict.pk,
        "reviewer": verdict.by,
        "answers": verdict.answers,
        "quality": verdict.quality,
        "correction": verdict.correction,
        "rationale": verdict.rationale,
        "part": verdict.part,
        "settled_by": verdict.settled_by,
        "at": verdict.settled_at,
        "ended_at": verdict.replaced_at,
    }


def _line(cells: list[Any]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerow([_cell(cell) for cell in cells])
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A value as a cell that no spreadsheet takes for a formula."""
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else orjson.dumps(value).decode().strip('"')
    return f"'{text}" if text.startswith(FORMULA) else text
