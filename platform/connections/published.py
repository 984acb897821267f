"""The list prices that come with the software, from `published_prices.toml` beside this file."""

import datetime as dt
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from connections.prices import Rate

FILE = Path(__file__).with_name("published_prices.toml")


@dataclass(frozen=True)
class Published:
    """List prices, and the day until which they were followed."""

    as_of: dt.date
    rates: tuple[Rate, ...]


@cache
def published() -> Published:
    """What the file says; read once."""
    told = tomllib.loads(FILE.read_text("utf-8"), parse_float=Decimal)
    return Published(told["as_of"], tuple(rate for entry in told["price"] for rate in _rates(entry)))


def _rates(entry: dict[str, Any]) -> list[Rate]:
    valid_from = dt.datetime.combine(entry["from"], dt.time(), dt.UTC)
    return [
        Rate(
            model=model,
            valid_from=valid_from,
            input=Decimal(entry["input"]),
            output=Decimal(entry["output"]),
            cached_input=_optional(entry.get("cached")),
            cache_write=_optional(entry.get("cache_write")),
            by=entry["by"],
        )
        for model in entry["models"]
    ]


def _optional(value: Decimal | int | None) -> Decimal | None:
    return None if value is None else Decimal(value)
