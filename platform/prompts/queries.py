"""What production and the other rooms ask of prompts."""

from dataclasses import dataclass

from django.db.models import Max, QuerySet

from core.problems import Conflict, Missing
from prompts import names, retrieval
from prompts.content import ContextLine
from prompts.models import Label, Prompt, Revision
from prompts.rendering import Line, Serving


class PointsNowhere(Conflict):
    """The label exists and nothing was released to it yet."""

    def __init__(self, label: str) -> None:
        super().__init__(f"The label {label!r} points nowhere yet: release a revision to it.")


@dataclass(frozen=True)
class LabelShown:
    """A label and the number of the revision it points at."""

    name: str
    revision: int | None


@dataclass(frozen=True)
class PromptShown:
    """A prompt with its labels by name and the number of its newest revision."""

    prompt: Prompt
    labels: list[LabelShown]
    newest: int | None


def serving(revision: Revision) -> Serving:
    """Everything needed to render this revision any number of times without further statements.

    At most two statements the first time in a process (its context, its index), none after.

    Raises:
        IndexNotReady: 409 with `Retry-After`, while a worker builds the index of a large revision.
    """
    return retrieval.serving(revision)


def context_lines(revision: Revision) -> list[ContextLine]:
    """The revision's context in its order, as `services.create_revision` takes it; one statement."""
    return [line.content for line in retrieval.context_of(revision)]


def context_of(revision: Revision) -> list[Line]:
    """The revision's context in its order, with the ids of the items; one statement."""
    return retrieval.context_of(revision)


def prompt_named(project_id: int, name: str) -> Prompt:
    """The project's prompt of this name; one statement.

    Raises:
        Missing: there is none.
    """
    found = Prompt.objects.of(project_id).filter(name=name).first() if _is_prompt(name) else None
    if found is None:
        raise Missing("prompt")
    return found


def prompt_shown(project_id: int, name: str) -> PromptShown:
    """A prompt as its page and the API show it; three statements.

    Raises:
        Missing: there is none.
    """
    prompt = prompt_named(project_id, name)
    labels = prompt.labels.order_by("name").values_list("name", "revision__number")
    newest = prompt.revisions.aggregate(newest=Max("number"))["newest"]
    return PromptShown(prompt, [LabelShown(*label) for label in labels], newest)


def labelled(project_id: int, name: str, label: str) -> Revision:
    """The revision that a label of a prompt points at; one statement.

    Raises:
        Missing: there is no such label (or prompt).
        PointsNowhere: nothing was released to it.
    """
    if not (_is_prompt(name) and names.is_name(label, names.LONGEST_LABEL)):
        raise Missing("label")
    labels = Label.objects.select_related("revision")
    found = labels.filter(prompt__project=project_id, prompt__name=name, name=label).first()
    if found is None:
        raise Missing("label")
    if found.revision is None:
        raise PointsNowhere(label)
    return found.revision


def numbered(project_id: int, name: str, number: int) -> Revision:
    """The revision of a prompt with this number; one statement.

    Raises:
        Missing: there is none.
    """
    wanted = Revision.objects.filter(prompt__project=project_id, prompt__name=name, number=number)
    found = wanted.first() if _is_prompt(name) else None
    if found is None:
        raise Missing("revision")
    return found


def revisions_of(prompt: Prompt) -> QuerySet[Revision]:
    """The prompt's revisions with their parents, for lists."""
    return prompt.revisions.select_related("parent").defer("parent__messages", "parent__parameters")


def revisions_without_index(limit: int) -> list[int]:
    """The ids of revisions that wait for a worker to index them, oldest first."""
    waiting = Revision.objects.filter(index_state=Revision.IndexState.WAITING).order_by("pk")
    return list(waiting.values_list("pk", flat=True)[:limit])


def _is_prompt(name: str) -> bool:
    return names.is_name(name, names.LONGEST_PROMPT)
