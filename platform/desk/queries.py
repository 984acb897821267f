"""What the home page asks of all rooms."""

from dataclasses import dataclass

from evals.models import GoldenSet
from outputs.models import Output
from prompts.models import Prompt
from reviews.models import Queue


@dataclass(frozen=True)
class Stock:
    """What a project holds; only small tables are counted, so the page costs the same at any size."""

    has_outputs: bool
    n_queues: int
    n_prompts: int
    n_golden_sets: int


def stock(project_id: int) -> Stock:
    """The stock of one project, in four statements."""
    return Stock(
        has_outputs=Output.objects.of(project_id).exists(),
        n_queues=Queue.objects.filter(project_id=project_id).count(),
        n_prompts=Prompt.objects.of(project_id).count(),
        n_golden_sets=GoldenSet.objects.filter(project_id=project_id).count(),
    )
