"""What the tests of the room stand on: rubrics, queues, outputs and people, made through the services."""

import datetime as dt
import itertools
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import clock
from outputs.models import Output
from projects.access import Actor
from projects.models import Project, Role
from prompts.models import Prompt
from reviews.models import Item, Queue, Review, Rubric
from reviews.services import assignment, items, queues, rubrics
from reviews.services.assignment import Assigned, HandedIn
from reviews.services.queues import Wanted
from tests import factories

_numbers = itertools.count(1)

CORRECT = {"key": "correct", "type": "yes_no", "text": "Is the intent right?", "required": True}
QUALITY = {"question": "correct", "map": {"yes": 1, "no": 0}}
YES, NO = {"correct": "yes"}, {"correct": "no"}


def a_rubric(project: Project, name: str = "", *more: dict[str, Any]) -> Rubric:
    return rubrics.create_rubric(
        name=name or f"rubric-{next(_numbers)}",
        asked=[CORRECT, *more],
        quality=QUALITY,
        by=factories.an_actor(project),
        now=clock.now(),
    )[0]


def a_queue(project: Project, *, rubric: Rubric | None = None, **wanted: Any) -> Queue:
    wanted.setdefault("rubric", (rubric or a_rubric(project)).name)
    return queues.put_queue(
        name=f"queue-{next(_numbers)}",
        wanted=Wanted(**wanted),
        by=factories.an_actor(project),
        now=clock.now(),
    )[0]


def filled(queue: Queue, *texts: str, prompt: Prompt | None = None, said: str = "refund") -> list[Output]:
    """Outputs with these inputs, waiting in the queue in this order."""
    outputs = [factories.an_output(queue.project, prompt, text=text, said=said) for text in texts]
    items.add_outputs(queue=queue, external_ids=[output.external_id for output in outputs])
    return outputs


def a_reviewer(project: Project) -> Actor:
    return factories.an_actor(project, Role.REVIEWER)


def next_of(queue: Queue, by: Actor, *, after: dt.timedelta = dt.timedelta()) -> Assigned | None:
    return assignment.claim_next(queue_name=queue.name, by=by, now=clock.now() + after)


def hand_in(
    assigned: Assigned,
    by: Actor,
    answers: dict[str, Any] | None = None,
    *,
    lease: uuid.UUID | None = None,
    after: dt.timedelta = dt.timedelta(),
    **said: Any,
) -> Review:
    version = said.pop("rubric_version", assigned.task.rubric.version)
    return assignment.submit_review(
        item_id=assigned.task.item.pk,
        lease=lease or assigned.lease,
        handed_in=HandedIn(rubric_version=version, answers=YES if answers is None else answers, **said),
        by=by,
        now=clock.now() + after,
    )


def reviewed(queue: Queue, by: Actor, answers: dict[str, Any] | None = None, **said: Any) -> Item:
    """The next item of the queue, reviewed by this person."""
    assigned = next_of(queue, by)
    assert assigned is not None
    return Item.objects.get(pk=hand_in(assigned, by, answers, **said).item_id)


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL statements of the block, without the words that open and close transactions."""
    found: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield found
    words = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
    found += [query["sql"] for query in captured.captured_queries if not query["sql"].startswith(words)]


def in_threads(*calls: Callable[[], Any]) -> None:
    """All of these at once, each on its own connection; what one raises is raised here."""
    failures: list[BaseException] = []

    def run(call: Callable[[], Any]) -> None:
        try:
            call()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    if failures:
        raise failures[0]
