"""What each model cost, and which outputs have no cost and why: from rollups alone, whatever the number of outputs."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from connections.prices import PriceBook
from core.figures import Figure
from insights import units
from insights.queries import SUM

MOST_MODELS = 500

# Of one statement, whose cost is that of the days, models, prompts and environments there are.
_BY_MODEL = """
    SELECT model, sum(n)::bigint, sum(n_unpriced)::bigint, sum(n_uncounted)::bigint, sum(cost_usd),
           sum(input_tokens)::bigint, sum(output_tokens)::bigint, sum(cached_input_tokens)::bigint,
           sum(unpriced_input_tokens)::bigint, sum(unpriced_output_tokens)::bigint,
           min(starts_at) FILTER (WHERE n_unpriced > 0), max(starts_at) FILTER (WHERE n_unpriced > 0)
    FROM insights_rollup
    WHERE project_id = %s AND grain = 'day' AND starts_at >= %s AND starts_at < %s
    GROUP BY model ORDER BY sum(n_unpriced) > 0 DESC, sum(cost_usd) DESC, sum(n) DESC, model LIMIT %s
"""


@dataclass(frozen=True)
class ModelCost:
    """What the outputs of one model cost in a period; `model` "" is no model said.

    Attributes:
        n_uncounted: unpriced ones that did not tell all their tokens.
        cached_input_tokens: of the input tokens those read from a cache.
        unpriced_input_tokens: of the unpriced ones.
        first_on: the first and the last day with an unpriced one.
    """

    model: str
    n: int
    n_unpriced: int
    n_uncounted: int
    cost_usd: Decimal
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    unpriced_input_tokens: int
    unpriced_output_tokens: int
    first_on: dt.datetime | None
    last_on: dt.datetime | None
    has_price: bool

    @property
    def cost(self) -> Figure:
        """What the priced ones cost together."""
        if self.n == self.n_unpriced:
            return Figure.undefined("unpriced", n=self.n, method=SUM)
        return Figure(float(self.cost_usd), None, None, n=self.n - self.n_unpriced, method=SUM)

    @property
    def said(self) -> str:
        """The cost in words."""
        found = self.cost
        return units.shown(units.Unit.USD, found.value) if found.value is not None else "unpriced"

    @property
    def cached_share(self) -> float | None:
        """Of the input tokens the share that was read from a cache; None where nothing was told."""
        return min(1.0, self.cached_input_tokens / self.input_tokens) if self.input_tokens else None

    @property
    def n_to_apply(self) -> int:
        """Unpriced ones that told their tokens, so that a price is all they need."""
        return self.n_unpriced - self.n_uncounted

    @property
    def why(self) -> str:
        """Why some have no cost, and so what would help."""
        if not self.model:
            return "they name no model"
        if not self.n_to_apply:
            return "they do not tell their tokens"
        return "there is a price now: apply it to past outputs" if self.has_price else "there is no price"


def by_model(
    project_id: int, book: PriceBook, *, since: dt.datetime, until: dt.datetime, now: dt.datetime
) -> list[ModelCost]:
    """The models of [since, until), those with unpriced outputs first, then the dearest; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_MODEL, [project_id, since, until, MOST_MODELS])
        return [ModelCost(*[*row, _has_price(book, row[0], now)]) for row in cursor.fetchall()]


def total(costs: Sequence[ModelCost]) -> str:
    """What all the priced ones cost together, in words."""
    return units.shown(units.Unit.USD, float(sum((one.cost_usd for one in costs), start=Decimal(0))))


def unpriced(costs: Sequence[ModelCost]) -> list[ModelCost]:
    """Those of which some have no cost, the most first."""
    return sorted((one for one in costs if one.n_unpriced), key=lambda one: (-one.n_unpriced, one.model))


def _has_price(book: PriceBook, model: str, now: dt.datetime) -> bool:
    """Whether any price of this model stands now, be it of one provider alone."""
    providers = {"", *(rate.provider for rate in book.own if rate.provider)}
    return any(book.rate(model, provider=provider, at=now) is not None for provider in providers)
