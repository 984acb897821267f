"""Files of cases, row by row, into the draft of a golden set."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from core import strict_json
from core.problems import FieldError, Invalid, Missing, Problem
from evals import cases
from evals.models import GoldenSet
from evals.serializers import VerdictsRequest
from evals.services import golden
from evals.services.golden import Taken
from projects.access import Actor
from reviews import queries as reviews
from reviews.models import Queue

FORMATS = ("jsonl", "verdicts")
Rejected = dict[int, list[FieldError]]


def into_draft(golden_set: GoldenSet, body: Any, *, form: str, by: Actor, now: dt.datetime) -> dict[str, Any]:
    """The body's cases are in the draft; the answer counts them and names each row that was refused.

    Args:
        golden_set: Where to.
        body: The raw bytes of JSON Lines, or a decoded JSON value; a row of it may be the list of what is wrong
            with it, as `files.csv_rows` gives them.
        form: One of `FORMATS`.
        by: Who imports.
        now: When.

    Raises:
        Invalid: the format is unknown, or the body is of another kind.
        Problem: 400 with `rejected`, where there were rows and none of them could be taken.
    """
    if form == "verdicts":
        return _answer(*_add_verdicts(golden_set, body, by, now), {})
    if form != "jsonl":
        raise Invalid(FieldError("format", f"is {form[:40]!r}; formats taken: {', '.join(FORMATS)}"))
    taken: list[Taken] = []
    rejected: Rejected = {}
    for index, row in enumerate(_rows(body)):
        case = row if isinstance(row, list) else cases.read(row)
        if isinstance(case, list):
            rejected[index] = case
        else:
            taken.append(Taken(index, case))
    if not rejected and not taken:
        raise Invalid(FieldError("body", "holds no case; send JSON Lines (application/x-ndjson) or a JSON array"))
    if not taken:
        errors = [replace(error, index=index) for index, found in rejected.items() for error in found]
        raise Problem(400, "None of the rows could be taken.", errors, extra={"rejected": _listed(rejected)})
    done, refused = golden.add_cases(golden_set=golden_set, rows=taken, by=by, now=now)
    return _answer(done, refused, rejected)


def _rows(body: Any) -> Iterator[Any]:
    """Each row as a JSON value, or as the list of what is wrong with it."""
    if not isinstance(body, bytes):
        yield from _decoded_rows(body)
        return
    for line in body.split(b"\n"):
        if line.strip():
            yield _parsed(line)


def _decoded_rows(body: Any) -> Iterator[Any]:
    rows = body if isinstance(body, list) else [body] if body else []
    yield from ([FieldError("case", "is a list; send an object")] if _is_plain_list(row) else row for row in rows)


def _is_plain_list(row: Any) -> bool:
    """A list that somebody sent, rather than the errors that another reader found in a row; no case is one."""
    return isinstance(row, list) and not any(isinstance(one, FieldError) for one in row)


def _parsed(line: bytes) -> Any:
    try:
        row = strict_json.parse(line)
    except strict_json.Refused as refused:
        return [FieldError(refused.path or "case", refused.message)]
    return [FieldError("case", "is a list; send an object")] if isinstance(row, list) else row


def _add_verdicts(
    golden_set: GoldenSet, body: Any, by: Actor, now: dt.datetime
) -> tuple[golden.Added, list[FieldError]]:
    if isinstance(body, bytes):
        raise Invalid(FieldError("body", "is JSON Lines; with format=verdicts send a JSON object, or nothing"))
    asked = VerdictsRequest.read(body)
    prompt = golden_set.prompt
    if prompt is None:
        raise Invalid(FieldError("format", f"is verdicts, but {golden_set.name!r} belongs to no prompt"))
    wanted = reviews.verdicts(
        by.project.pk, since=asked["since"], queue=_queue(by, asked["queue"]), prompt=prompt
    ).values_list("pk", flat=True)
    chosen = set(wanted)
    found = [verdict for verdict in reviews.exam_verdicts(prompt) if verdict.verdict_id in chosen]
    return golden.add_verdicts(golden_set=golden_set, verdicts=found, by=by, now=now)


def _queue(by: Actor, name: str | None) -> Queue | None:
    if name is None:
        return None
    found = Queue.objects.filter(project=by.project, name=name).first()
    if found is None:
        raise Missing("queue")
    return found


def _answer(done: golden.Added, refused: list[FieldError], rejected: Rejected) -> dict[str, Any]:
    """What was done; the rows refused while reading and while adding together."""
    for error in refused:
        rejected.setdefault(error.index or 0, []).append(error)
    return {
        "draft": done.draft,
        "added": done.added,
        "changed": done.changed,
        "unchanged": done.unchanged,
        "rejected": _listed(rejected),
    }


def _listed(rejected: Rejected) -> list[dict[str, Any]]:
    return [
        {"index": index, "errors": [{"field": error.field, "message": error.message} for error in errors]}
        for index, errors in sorted(rejected.items())
    ]
