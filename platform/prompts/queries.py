"""What production and the other rooms ask of prompts."""

from prompts import retrieval
from prompts.content import ContextLine
from prompts.models import Revision
from prompts.rendering import Serving


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
