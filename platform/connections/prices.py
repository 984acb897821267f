"""What one answer of a model costs, by a table of dated prices: in memory, exact, and saying why where it cannot tell.

Prices are USD per million tokens. Tokens of a cache are among the input tokens and tokens of reasoning among the output
tokens, as OpenAI counts them and OpenTelemetry's GenAI conventions say. Where that cannot be, because there are more of
the part than of the whole, the sender counts them beside it, as Anthropic's usage does, and so they are added.
"""

import datetime as dt
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

# A price is kept to 6 places, so a token costs whole 1e-12 USD; a cost is kept to 9 places and rounded once.
PLACES = 6
_PICO_PER_NANO = 1_000
_NANO = Decimal("1e-9")
# What the column of a cost can hold.
TOO_MUCH = 10**18
MOST_RESOLVED = 10_000
ANY = "*"


class Unpriced(StrEnum):
    """Why there is no cost."""

    NO_MODEL = "it names no model"
    NO_PRICE = "no price of its model was valid then"
    NO_TOKENS = "its tokens were not told"
    TOO_MUCH = "it would cost a thousand million dollars or more, which cannot be"


@dataclass(frozen=True, slots=True)
class Rate:
    """What a model costs from a moment on, in USD per million tokens, until another rate of the same series begins.

    Attributes:
        model: its exact name, or the beginning of one and `*`.
        provider: who is paid, in lower case; "" is anybody.
        cached_input: of input read from a cache; None as `input`.
        cache_write: of input written to a cache; None as `input`.
        reasoning: of output that was thought, not said; None as `output`.
        id: of the project's row; None for a published list price.
        by: who publishes the list price; "" for a price of the project's own.
    """

    model: str
    valid_from: dt.datetime
    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None
    provider: str = ""
    id: int | None = None
    by: str = ""
    note: str = ""
    _pico: tuple[int, int, int, int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = (
            self.input,
            self.input if self.cached_input is None else self.cached_input,
            self.input if self.cache_write is None else self.cache_write,
            self.output,
            self.output if self.reasoning is None else self.reasoning,
        )
        object.__setattr__(self, "_pico", tuple(int(part.scaleb(PLACES)) for part in parts))

    @property
    def series(self) -> tuple[str, str]:
        """What ends its validity when the next one of it begins."""
        return self.provider, self.model

    @property
    def is_published(self) -> bool:
        return self.id is None

    @property
    def is_prefix(self) -> bool:
        return self.model.endswith(ANY)

    def fits(self, model: str, provider: str) -> bool:
        """Whether it is about this model of this provider (in lower case)."""
        named = model.startswith(self.model[:-1]) if self.is_prefix else model == self.model
        return named and self.provider in ("", provider)


class Priced(NamedTuple):
    """What an answer costs, or why that cannot be told.

    Attributes:
        usd: exact to 9 places, rounded half up once.
        rate: by which; also where only tokens are missing.
        reason: None where there is a cost.
        is_beside: whether cache or reasoning tokens were counted beside input or output, not among them.
    """

    usd: Decimal | None
    rate: Rate | None = None
    reason: Unpriced | None = None
    is_beside: bool = False


_NO_MODEL = Priced(None, None, Unpriced.NO_MODEL)
_NO_PRICE = Priced(None, None, Unpriced.NO_PRICE)


class PriceBook:
    """Which rate is whose, and when. The project's own rates come before the published ones.

    Among each: the exact name, then the longest beginning of it; a rate for the provider before one for anybody. A
    rate that was not valid yet lets the next one in this order in.

    Args:
        own: the project's rates that stand.
        published: list prices that fill in.
    """

    def __init__(self, own: Iterable[Rate] = (), published: Iterable[Rate] = ()) -> None:
        self.own = tuple(own)
        self.published = tuple(published)
        self._resolved: dict[tuple[str, str], _Timeline] = {}

    def rate(self, model: str, *, provider: str = "", at: dt.datetime) -> Rate | None:
        """The rate of this model at this moment, or None."""
        return self._timeline(model, provider).at(at)

    def cost(
        self,
        model: str,
        *,
        provider: str = "",
        at: dt.datetime,
        input_tokens: int | None,
        output_tokens: int | None,
        cached: int | None = None,
        cache_write: int | None = None,
        reasoning: int | None = None,
    ) -> Priced:
        """What one answer costs that began at this moment.

        A count that was not told is no nought: without it there is no cost, unless its tokens are free (the output of
        an embedding). Parts that were not told are nought: all input is then dear.
        """
        if not model:
            return _NO_MODEL
        rate = self._timeline(model, provider).at(at)
        if rate is None:
            return _NO_PRICE
        if _is_untold(rate, input_tokens, output_tokens):
            return Priced(None, rate, Unpriced.NO_TOKENS)
        return _priced(rate, input_tokens or 0, output_tokens or 0, cached or 0, cache_write or 0, reasoning or 0)

    def _timeline(self, model: str, provider: str) -> "_Timeline":
        found = self._resolved.get((model, provider))
        if found is None:
            if len(self._resolved) >= MOST_RESOLVED:
                self._resolved.clear()
            found = self._resolved[model, provider] = self._resolve(model, provider.lower())
        return found

    def _resolve(self, model: str, provider: str) -> "_Timeline":
        series = [
            *_in_order(rate for rate in self.own if rate.fits(model, provider)),
            *_in_order(rate for rate in self.published if rate.fits(model, provider)),
        ]
        starts = sorted({rate.valid_from for one in series for rate in one})
        return _Timeline(starts, [next(_valid(series, start)) for start in starts])


def _is_untold(rate: Rate, input_tokens: int | None, output_tokens: int | None) -> bool:
    if input_tokens is None:
        return output_tokens is None or rate.input > 0
    return output_tokens is None and rate.output > 0


def _priced(rate: Rate, into: int, out: int, cached: int, cache_write: int, reasoning: int) -> Priced:
    fresh, from_cache, to_cache, said, thought = rate._pico
    is_beside = cached + cache_write > into or reasoning > out
    if cached + cache_write <= into:
        into -= cached + cache_write
    if reasoning <= out:
        out -= reasoning
    pico = into * fresh + cached * from_cache + cache_write * to_cache + out * said + reasoning * thought
    nano = (pico + _PICO_PER_NANO // 2) // _PICO_PER_NANO
    if nano >= TOO_MUCH:
        return Priced(None, rate, Unpriced.TOO_MUCH)
    return Priced(Decimal(nano) * _NANO, rate, None, is_beside)


class _Timeline:
    """The rates of one model and provider by the moment from which each is the one that counts."""

    __slots__ = ("_rates", "_starts")

    def __init__(self, starts: Sequence[dt.datetime], rates: Sequence[Rate]) -> None:
        self._starts = starts
        self._rates = rates

    def at(self, moment: dt.datetime) -> Rate | None:
        place = bisect_right(self._starts, moment)
        return self._rates[place - 1] if place else None


def _in_order(rates: Iterable[Rate]) -> list[list[Rate]]:
    """The series that rates belong to, the one that comes first first; each by time."""
    by_series: dict[tuple[str, str], list[Rate]] = defaultdict(list)
    for rate in sorted(rates, key=lambda rate: rate.valid_from):
        by_series[rate.series].append(rate)
    return sorted(by_series.values(), key=lambda rates: _rank(rates[0]))


def _rank(rate: Rate) -> tuple[bool, int, bool]:
    return rate.is_prefix, -len(rate.model), not rate.provider


def _valid(series: Sequence[Sequence[Rate]], at: dt.datetime) -> Iterator[Rate]:
    """Of each series that has begun, in order, the rate that counts at this moment."""
    for rates in series:
        begun = [rate for rate in rates if rate.valid_from <= at]
        if begun:
            yield begun[-1]
