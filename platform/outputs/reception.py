"""How a project takes rows in: all that must be known of it before one of its rows is made ready to be stored."""

import functools
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg import AsyncConnection

from connections import price_queries
from connections.prices import PriceBook
from core.problems import Missing
from outputs.redaction import rows
from outputs.redaction.rows import Looks, Redaction


@dataclass(frozen=True)
class Reception:
    """What a project does with rows as they come.

    Args:
        project_id: whose rows they are.
        hash_key: keys the hashes of the project's rows.
        prices: what its outputs cost that come without a cost.
        policies: of redaction, as `rows.COLUMN` gives them.
        looks: how much of one body is looked at for redaction; None where nobody waits for the answer.
    """

    project_id: int
    hash_key: bytes
    prices: PriceBook = field(default_factory=PriceBook)
    policies: str | None = None
    looks: Looks | None = None

    @functools.cached_property
    def redaction(self) -> Redaction:
        """What is taken out of its rows before they are stored; without a policy of its own as by default."""
        return replace(rows.of_stored(self.policies, bytes(self.hash_key)), looks=self.looks)

    def of_a_body(self) -> "Reception":
        """The same for the rows of one body, of which only so much is looked at."""
        return replace(self, looks=Looks())


_LOAD = f"SELECT id, hash_key, {rows.COLUMN}, {price_queries.COLUMNS} FROM projects_project AS project WHERE id = %s"  # noqa: S608


async def load(connection: AsyncConnection[Any], project_id: int) -> Reception:
    """The project's reception as it stands.

    Raises:
        Missing: there is no such project any more.
    """
    cursor = await connection.execute(_LOAD, [project_id])
    row = await cursor.fetchone()
    if row is None:
        raise Missing("project")
    id_, hash_key, policies, own_prices, uses_published = row
    prices = price_queries.book_of(own_prices, uses_published)
    return Reception(id_, hash_key, prices=prices, policies=policies)
