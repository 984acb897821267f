"""What outputs cost, whose figure that is, and how far it is that costs follow the price table."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Q

from connections import price_queries
from connections.prices import PriceBook, Priced
from core.problems import Missing
from outputs.models import Output, Repricing

# Costs that we reckoned, or could not.
OURS = Q(cost_source=Output.CostSource.COMPUTED) | Q(cost_usd=None)
PRICED_BY = (
    "model",
    "provider",
    "started_at",
    "received_at",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_usd",
    "cost_source",
)


def began_at(output: Output) -> dt.datetime:
    """The moment whose price counts: when it began, where that was said, else when it arrived."""
    return output.started_at or output.received_at


def priced(output: Output, book: PriceBook) -> Priced:
    """What a stored output costs by this book, or why nothing."""
    return book.cost(
        output.model,
        provider=output.provider,
        at=began_at(output),
        input_tokens=output.input_tokens,
        output_tokens=output.output_tokens,
        cached=output.cached_input_tokens,
        cache_write=output.cache_write_tokens,
        reasoning=output.reasoning_tokens,
    )


def source_of(output: Output) -> str | None:
    """Whose figure the cost is: `sent` or `computed`; None where there is none."""
    if output.cost_usd is None:
        return None
    return "computed" if output.cost_source == Output.CostSource.COMPUTED else "sent"


@dataclass(frozen=True)
class Explained:
    """Where an output's cost is from.

    Attributes:
        source: `sent`, `computed`, or None where there is no cost.
        by_table: what the price table says now, or why it says nothing.
        is_behind: the price table says something else than what stands; repricing brings them together.
    """

    source: str | None
    by_table: Priced
    is_behind: bool = False

    @property
    def usd_by_table(self) -> Decimal | None:
        return self.by_table.usd


def explained(output: Output) -> Explained:
    """Where this output's cost is from; at most one statement."""
    source = source_of(output)
    if source == "sent":
        return Explained(source, Priced(None))
    now = priced(output, price_queries.book(output.project_id))
    return Explained(source, now, is_behind=now.usd != output.cost_usd)


def newest_repricings(project_id: int, *, limit: int = 5) -> list[Repricing]:
    """The last times that costs were to follow the price table; one statement."""
    return list(Repricing.objects.filter(project_id=project_id).order_by("-pk")[:limit])


def repricing_of(project_id: int, repricing_id: int) -> Repricing:
    """The project's repricing of this id.

    Raises:
        Missing: it has none.
    """
    found = Repricing.objects.filter(project_id=project_id, pk=repricing_id).first()
    if found is None:
        raise Missing("repricing")
    return found


def walking(limit: int) -> Sequence[int]:
    """Ids of repricings that still walk, oldest first."""
    found = Repricing.objects.filter(state=Repricing.State.WALKING).order_by("pk")
    return list(found.values_list("pk", flat=True)[:limit])
