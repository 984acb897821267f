"""Questions about proposals."""

from dataclasses import dataclass

from django.db.models import QuerySet

from core.problems import Missing
from evals.models import Run
from improvement.models import Origin, Proposal


@dataclass(frozen=True)
class Cause:
    """Why one line of context is there."""

    context_item: int
    verdict: int
    output: str | None


def proposals_of(project_id: int) -> QuerySet[Proposal]:
    """The proposals of a project with all that a list shows, in one statement."""
    return Proposal.objects.filter(prompt__project_id=project_id).select_related("prompt", "revision", "base")


def proposal(project_id: int, proposal_id: int) -> Proposal:
    """The project's proposal of this id; one statement.

    Raises:
        Missing: there is none.
    """
    found = proposals_of(project_id).filter(pk=proposal_id).first()
    if found is None:
        raise Missing("proposal")
    return found


def causes(proposal: Proposal) -> list[Cause]:
    """The origins of the lines that a proposal adds to its base, in one statement."""
    if proposal.revision_id is None:
        return []
    added = Origin.objects.filter(item__places__revision_id=proposal.revision_id)
    if proposal.base_id is not None:
        added = added.exclude(item__places__revision_id=proposal.base_id)
    rows = added.order_by("item_id", "verdict_id").values_list(
        "item_id", "verdict_id", "verdict__item__item_outputs__output__external_id"
    )
    return [Cause(*row) for row in rows]


def newest_run(proposal: Proposal) -> Run | None:
    """The newest run under a policy of what is proposed, or None."""
    if proposal.revision_id is None:
        return None
    return Run.objects.filter(revision_id=proposal.revision_id, policy__isnull=False).order_by("-id").first()
