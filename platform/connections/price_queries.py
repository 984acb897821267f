"""The price table of a project: as a book in memory, and as the rows of its pages."""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.db import connection

from connections.models import Price, PriceTable
from connections.prices import PriceBook, Rate
from connections.published import published

MOST_OWN = 2_000

# Two columns of a statement over `projects_project AS project`: the standing prices as text, and whether published ones
# fill in. As one value each they travel with whatever else is asked of the project.
COLUMNS = """
    (SELECT json_agg(json_build_array(
        id, provider, model, extract(epoch FROM valid_from)::text, input_usd::text, output_usd::text,
        cached_input_usd::text, cache_write_usd::text, reasoning_usd::text, note
     ) ORDER BY id)::text
     FROM connections_price WHERE project_id = project.id AND ended_at IS NULL),
    coalesce((SELECT uses_published FROM connections_pricetable WHERE project_id = project.id), true)"""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def book(project_id: int) -> PriceBook:
    """The project's prices as they stand, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {COLUMNS} FROM projects_project AS project WHERE id = %s", [project_id])  # noqa: S608
        row = cursor.fetchone()
    return book_of(*row) if row else PriceBook()


@lru_cache(maxsize=512)
def book_of(own: str | None, uses_published: bool) -> PriceBook:
    """The book of what `COLUMNS` gave; the same one for the same answer, with all that it has looked up."""
    rates = [_rate(*values) for values in json.loads(own or "[]")]
    return PriceBook(rates, published().rates if uses_published else ())


def _rate(
    id_: int,
    provider: str,
    model: str,
    valid_from: str,
    input_usd: str,
    output_usd: str,
    cached: str | None,
    cache_write: str | None,
    reasoning: str | None,
    note: str,
) -> Rate:
    seconds, _, fraction = valid_from.partition(".")
    moment = _EPOCH + dt.timedelta(seconds=int(seconds), microseconds=int(fraction or 0))
    return Rate(
        model=model,
        valid_from=moment,
        input=Decimal(input_usd),
        output=Decimal(output_usd),
        cached_input=_optional(cached),
        cache_write=_optional(cache_write),
        reasoning=_optional(reasoning),
        provider=provider,
        id=id_,
        note=note,
    )


def _optional(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def uses_published(project_id: int) -> bool:
    """Whether published list prices fill in; one statement."""
    found = PriceTable.objects.filter(project_id=project_id).values_list("uses_published", flat=True).first()
    return True if found is None else found


# --- pages --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One price of the table: from when to when it is valid, and whether it is now.

    Attributes:
        until: where the next price of its provider and model begins; None where none does.
        is_in_force: of its provider and model this is the one that counts now.
        is_hidden: a published one that the project's own price of the same model stands before.
    """

    rate: Rate
    until: dt.datetime | None
    is_in_force: bool
    is_hidden: bool = False

    @property
    def cached_input(self) -> Decimal:
        return self.rate.input if self.rate.cached_input is None else self.rate.cached_input

    @property
    def cache_write(self) -> Decimal:
        return self.rate.input if self.rate.cache_write is None else self.rate.cache_write

    @property
    def reasoning(self) -> Decimal:
        return self.rate.output if self.rate.reasoning is None else self.rate.reasoning


def lines(found: PriceBook, *, now: dt.datetime) -> list[Line]:
    """Every rate of a book with its validity: the project's own first, each by model, newest first."""
    own = _lines(found.own, now)
    named = {line.rate.model for line in own if line.is_in_force and not line.rate.provider}
    listed = _lines(found.published, now)
    return own + [Line(line.rate, line.until, line.is_in_force, line.rate.model in named) for line in listed]


def _lines(rates: Iterable[Rate], now: dt.datetime) -> list[Line]:
    by_series: dict[tuple[str, str], list[Rate]] = defaultdict(list)
    for rate in sorted(rates, key=lambda rate: rate.valid_from):
        by_series[rate.series].append(rate)
    found = []
    for series in sorted(by_series, key=lambda series: (series[1].lower(), series)):
        for rate, until in reversed(list(_with_end(by_series[series]))):
            found.append(Line(rate, until, rate.valid_from <= now and (until is None or now < until)))
    return found


def _with_end(rates: Sequence[Rate]) -> Iterable[tuple[Rate, dt.datetime | None]]:
    ends: list[Any] = [rate.valid_from for rate in rates[1:]]
    return zip(rates, [*ends, None], strict=True)


@dataclass(frozen=True)
class Entry:
    """One row of a name's history; `line` is None for one that was superseded or withdrawn."""

    price: Price
    line: Line | None


def history(project_id: int, lines: Iterable[Line], *, provider: str, model: str) -> list[Entry]:
    """Every row about exactly this provider and model, also those that were ended, newest first: one statement."""
    if "\x00" in provider + model:
        return []
    standing = {line.rate.id: line for line in lines}
    rows = Price.objects.of(project_id).filter(provider=provider, model=model)
    return [Entry(row, standing.get(row.pk)) for row in rows.order_by("-valid_from", "-pk")[:MOST_OWN]]
