"""An item with its reviews as a task of Label Studio, as its import takes it; no database.

Source: Label Studio's documentation, "Import pre-annotated data", and its `tasks/serializers.py`: a task has `data` and
`annotations`, each of which has a `result` of regions with `id`, `from_name`, `to_name`, `type` and `value`. Here
`from_name` is the question's key and `to_name` is `output`: a labelling configuration names its tags so.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from reviews import export_queries
from reviews.export_queries import Judged
from reviews.models import Review, Verdict
from reviews.questions import Question

Region = dict[str, Any]

# Keys of questions begin with a letter, so these meet none.
CORRECTION, COMMENT, TAGS, RATIONALE = "_correction", "_comment", "_tags", "_rationale"
CHOSEN = ("choice", "choices", "yes_no", "tags")


def task(queue_name: str, one: Judged) -> dict[str, Any]:
    """The task: standing reviews are its annotations, the standing verdict one that is `ground_truth`.

    Nobody is named in `completed_by`, for Label Studio refuses a file that names somebody it does not know: who
    annotated stands in `meta.annotators`, in the order of the annotations, and beside each in `reviewer`.
    """
    asked = {question["key"]: question for question in one.rubric.questions}
    annotations = [_of_review(review, asked) for review in one.reviews if review.withdrawn_at is None]
    standing = [verdict for verdict in one.verdicts if verdict.replaced_at is None]
    annotations += [_of_verdict(verdict, asked) for verdict in standing]
    return {
        "id": one.item.pk,
        "data": {
            "output_id": one.subjects[0].external_id if one.subjects else None,
            "prompt": one.subjects[0].prompt if one.subjects else None,
            "input": one.input_text,
            "output": one.output_text,
        },
        "meta": {
            "queue": queue_name,
            "state": one.item.state,
            "rubric": one.rubric.name,
            "rubric_version": one.rubric.version,
            "part": standing[0].part if standing else None,
            "annotators": [annotation["reviewer"] for annotation in annotations],
        },
        "annotations": annotations,
        "predictions": [],
    }


def _of_review(review: Review, asked: Mapping[str, Question]) -> dict[str, Any]:
    notes = {CORRECTION: review.correction, COMMENT: review.comment, TAGS: review.tags}
    return {
        "id": review.pk,
        "reviewer": export_queries.name_of(review),
        "created_at": review.at,
        "ground_truth": False,
        "was_cancelled": False,
        "result": list(_regions(f"review-{review.pk}", review.answers, notes, asked)),
    }


def _of_verdict(verdict: Verdict, asked: Mapping[str, Question]) -> dict[str, Any]:
    notes = {CORRECTION: verdict.correction, RATIONALE: verdict.rationale}
    return {
        "reviewer": verdict.by,
        "created_at": verdict.settled_at,
        "ground_truth": True,
        "was_cancelled": False,
        "result": list(_regions(f"verdict-{verdict.pk}", verdict.answers, notes, asked)),
    }


def _regions(
    name: str, answers: Mapping[str, Any], notes: Mapping[str, Any], asked: Mapping[str, Question]
) -> Iterator[Region]:
    for key, said in answers.items():
        yield _region(name, key, *_value(asked.get(key, {}).get("type", ""), said))
    for key, said in notes.items():
        if said:
            yield _region(name, key, *_value("tags" if key == TAGS else "text", said))


def _region(name: str, key: str, kind: str, value: dict[str, Any]) -> Region:
    return {"id": f"{name}-{key}", "from_name": key, "to_name": "output", "type": kind, "value": value}


def _value(kind: str, said: Any) -> tuple[str, dict[str, Any]]:
    """The type of the region and its value: Choices, Number or TextArea."""
    if kind in CHOSEN:
        return "choices", {"choices": said if isinstance(said, list) else [said]}
    if isinstance(said, int | float):
        return "number", {"number": said}
    return "textarea", {"text": [said if isinstance(said, str) else orjson.dumps(said).decode()]}
