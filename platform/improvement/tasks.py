"""Bells of the loop's way back."""

from celery import shared_task

from core import bells, clock
from improvement import services
from improvement.models import Proposal


@shared_task(name="improvement.tasks.build")
def build(proposal_id: int) -> None:
    """A proposal that is being built becomes ready or failed; a second bell finds nothing to do."""
    services.build(proposal_id=proposal_id, now=clock.now())


@shared_task(name="improvement.tasks.sweep")
def sweep() -> None:
    """Ring again for proposals whose bell was lost."""
    for proposal_id in Proposal.objects.filter(state=Proposal.State.BUILDING).values_list("pk", flat=True):
        bells.ring("improvement.tasks.build", proposal_id)
