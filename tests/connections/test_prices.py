"""The price book: which price is whose and when, and what an answer costs by it, to the last place."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connections.prices import PriceBook, Priced, Rate, Unpriced
from connections.published import published

JUNE = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
JULY = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
TICK = dt.timedelta(microseconds=1)


def rate(model: str = "m", *, at: dt.datetime = JUNE, dollars: str = "1", out: str = "2", **others: Any) -> Rate:
    given_ids = {"id": 1, **others}
    return Rate(model=model, valid_from=at, input=Decimal(dollars), output=Decimal(out), **given_ids)


def by(found: Rate | None) -> str | None:
    return None if found is None else f"{found.input}"


class TestWhichPriceCounts:
    def test_begins_at_its_moment_and_ends_where_the_next_begins(self) -> None:
        book = PriceBook([rate(dollars="1"), rate(at=JULY, dollars="2")])
        moments = [JUNE - TICK, JUNE, JULY - TICK, JULY, JULY + dt.timedelta(days=900)]
        assert [by(book.rate("m", at=at)) for at in moments] == [None, "1", "1", "2", "2"]

    def test_is_the_same_moment_in_every_time_zone(self) -> None:
        book = PriceBook([rate(dollars="1"), rate(at=JULY, dollars="2")])
        in_auckland = JULY.astimezone(dt.timezone(dt.timedelta(hours=12)))
        assert by(book.rate("m", at=in_auckland)) == "2"

    def test_is_the_exact_name_before_the_longest_beginning_before_a_shorter_one(self) -> None:
        rates = [rate("gpt-4o*", dollars="3"), rate("*", dollars="4"), rate("gpt-4o-mini", dollars="1")]
        book = PriceBook([*rates, rate("gpt-4o-mini*", dollars="2")])
        names = ["gpt-4o-mini", "gpt-4o-mini-2024-07-18", "gpt-4o", "another"]
        assert [by(book.rate(name, at=JULY)) for name in names] == ["1", "2", "3", "4"]

    def test_is_that_of_the_provider_before_that_of_anybody(self) -> None:
        book = PriceBook([rate(dollars="1"), rate(dollars="2", provider="azure")])
        assert [by(book.rate("m", provider=name, at=JULY)) for name in ("azure", "Azure", "", "openai")] == list("2211")

    def test_is_a_name_of_anybody_before_a_beginning_of_the_provider(self) -> None:
        book = PriceBook([rate(dollars="1"), rate("*", dollars="2", provider="azure")])
        assert by(book.rate("m", provider="azure", at=JULY)) == "1"

    def test_is_another_one_as_long_as_the_better_one_has_not_begun(self) -> None:
        book = PriceBook([rate("m*", dollars="1"), rate("m", at=JULY, dollars="2")])
        assert [by(book.rate("m", at=at)) for at in (JUNE - TICK, JUNE, JULY)] == [None, "1", "2"]

    def test_is_the_projects_own_before_any_published_one(self) -> None:
        listed = [rate("m", at=JUNE, dollars="9", id=None, by="Maker")]
        book = PriceBook([rate("*", at=JULY, dollars="1")], listed)
        assert [by(book.rate("m", at=at)) for at in (JUNE, JULY - TICK, JULY)] == ["9", "9", "1"]

    def test_stays_the_same_however_often_it_is_asked_and_however_many_names_there_are(self) -> None:
        book = PriceBook([rate("a*"), rate("b*", dollars="5")])
        names = [f"{letter}{number}" for number in range(6_000) for letter in "ab"]
        for _ in range(2):
            assert {by(book.rate(name, at=JULY)) for name in names if name.startswith("b")} == {"5"}
        assert len(book._resolved) <= 10_000


def cost(of: Rate | None, **tokens: int | None) -> Priced:
    book = PriceBook([] if of is None else [of])
    asked: dict[str, Any] = {"input_tokens": None, "output_tokens": None, **tokens}
    return book.cost("m", at=JULY, **asked)


PARTS = rate(dollars="3", out="15", cached_input=Decimal("0.30"), cache_write=Decimal("3.75"), reasoning=Decimal(20))


class TestCost:
    def test_prices_every_part_of_the_tokens_apart(self) -> None:
        found = cost(PARTS, input_tokens=1000, output_tokens=500, cached=600, cache_write=100, reasoning=200)
        expected = 300 * Decimal(3) + 600 * Decimal("0.3") + 100 * Decimal("3.75") + 300 * Decimal(15) + 200 * 20
        assert found == Priced(expected / 1_000_000, PARTS, None, is_beside=False)

    def test_takes_parts_without_a_price_of_their_own_as_the_whole(self) -> None:
        plain = rate(dollars="3", out="15")
        parts = cost(plain, input_tokens=1000, output_tokens=500, cached=600, cache_write=100, reasoning=200)
        assert parts.usd == cost(plain, input_tokens=1000, output_tokens=500).usd == Decimal("0.0105")

    def test_adds_the_cache_where_it_is_more_than_the_input_and_says_so(self) -> None:
        found = cost(PARTS, input_tokens=50, output_tokens=0, cached=10_000, cache_write=2_000)
        expected = (50 * Decimal(3) + 10_000 * Decimal("0.3") + 2_000 * Decimal("3.75")) / 1_000_000
        assert (found.usd, found.is_beside) == (expected, True)

    def test_adds_the_reasoning_where_it_is_more_than_the_output_and_says_so(self) -> None:
        found = cost(PARTS, input_tokens=0, output_tokens=10, reasoning=300)
        assert (found.usd, found.is_beside) == (Decimal(10 * 15 + 300 * 20) / 1_000_000, True)

    @pytest.mark.parametrize(
        ("of", "tokens", "reason"),
        [
            (None, {"input_tokens": 1, "output_tokens": 1}, Unpriced.NO_PRICE),
            (PARTS, {}, Unpriced.NO_TOKENS),
            (PARTS, {"input_tokens": 5}, Unpriced.NO_TOKENS),
            (PARTS, {"output_tokens": 5}, Unpriced.NO_TOKENS),
            (rate(dollars="0", out="0"), {}, Unpriced.NO_TOKENS),
            (rate(dollars="1000000"), {"input_tokens": 10**15, "output_tokens": 0}, Unpriced.TOO_MUCH),
        ],
    )
    def test_says_why_there_is_none(self, of: Rate | None, tokens: dict[str, int], reason: Unpriced) -> None:
        assert cost(of, **tokens) == Priced(None, of, reason)

    def test_of_no_model_is_none(self) -> None:
        found = PriceBook([rate("*")]).cost("", at=JULY, input_tokens=1, output_tokens=1)
        assert found.reason == Unpriced.NO_MODEL

    def test_needs_no_count_of_what_is_free(self) -> None:
        assert cost(rate(dollars="0.02", out="0"), input_tokens=8).usd == Decimal("0.000000160")

    def test_of_nothing_is_nothing_and_not_unknown(self) -> None:
        assert cost(PARTS, input_tokens=0, output_tokens=0).usd == 0

    def test_is_rounded_once_at_the_ninth_place(self) -> None:
        assert cost(rate(dollars="0.0005", out="0"), input_tokens=1).usd == Decimal("0.000000001")
        assert cost(rate(dollars="0.000499", out="0"), input_tokens=1).usd == Decimal(0)

    def test_just_fits_the_column(self) -> None:
        found = cost(rate(dollars="1000000", out="0"), input_tokens=999_999_999, output_tokens=0)
        assert found.usd == Decimal("999999999.000000000")


amounts = st.decimals(min_value=0, max_value=200, places=3)
fine_amounts = st.decimals(min_value=0, max_value=200, places=6)
counts = st.integers(min_value=0, max_value=10**9)


@st.composite
def usages(draw: st.DrawFn) -> dict[str, int]:
    """Tokens in which the parts are within the whole."""
    cached, cache_write, fresh, reasoning, said = (draw(counts) for _ in range(5))
    return {
        "input_tokens": cached + cache_write + fresh,
        "output_tokens": reasoning + said,
        "cached": cached,
        "cache_write": cache_write,
        "reasoning": reasoning,
    }


def rates_of(amount: st.SearchStrategy[Decimal]) -> st.SearchStrategy[Rate]:
    optional = st.none() | amount
    return st.builds(
        Rate,
        model=st.just("m"),
        valid_from=st.just(JUNE),
        input=amount,
        output=amount,
        cached_input=optional,
        cache_write=optional,
        reasoning=optional,
    )


def usd(of: Rate, usage: dict[str, Any]) -> Decimal:
    found = cost(of, **usage).usd
    assert found is not None
    return found


def both(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one[name] + other[name] for name in one}


@settings(deadline=None)
@given(rates_of(amounts), usages(), usages())
def test_two_answers_cost_exactly_what_both_together_cost(of: Rate, one: dict[str, int], other: dict[str, int]) -> None:
    assert usd(of, one) + usd(of, other) == usd(of, both(one, other))


@settings(deadline=None)
@given(rates_of(fine_amounts), usages(), usages())
def test_finer_prices_part_the_sum_by_no_more_than_the_rounding(
    of: Rate, one: dict[str, int], other: dict[str, int]
) -> None:
    assert abs(usd(of, one) + usd(of, other) - usd(of, both(one, other))) <= Decimal("1e-9")


@settings(deadline=None)
@given(
    rates_of(fine_amounts),
    st.fixed_dictionaries(
        dict.fromkeys(("input_tokens", "output_tokens", "cached", "cache_write", "reasoning"), counts)
    ),
)
def test_a_cost_is_never_negative_nor_below_what_is_surely_owed(of: Rate, usage: dict[str, int]) -> None:
    parts = [of.input, of.cached_input, of.cache_write]
    cheapest_in = min(part for part in parts if part is not None)
    cheapest_out = min(part for part in (of.output, of.reasoning) if part is not None)
    least = (usage["input_tokens"] * cheapest_in + usage["output_tokens"] * cheapest_out) / 1_000_000
    assert usd(of, usage) >= max(Decimal(0), least - Decimal("1e-9"))


@settings(deadline=None)
@given(rates_of(fine_amounts), usages())
def test_a_cost_is_the_formula_of_the_documentation(of: Rate, usage: dict[str, int]) -> None:
    cached, write, reasoning = usage["cached"], usage["cache_write"], usage["reasoning"]
    exact = (
        (usage["input_tokens"] - cached - write) * of.input
        + cached * (of.input if of.cached_input is None else of.cached_input)
        + write * (of.input if of.cache_write is None else of.cache_write)
        + (usage["output_tokens"] - reasoning) * of.output
        + reasoning * (of.output if of.reasoning is None else of.reasoning)
    ) / 1_000_000
    assert abs(usd(of, usage) - exact) <= Decimal("0.5e-9")


class TestPublishedPrices:
    """Examples worked by hand from the makers' pages."""

    book = PriceBook((), published().rates)

    @pytest.mark.parametrize(
        ("model", "day", "tokens", "dollars"),
        [
            # 1,000 in at 2.50 of which 400 cached at 1.25, and 200 out at 10.
            ("gpt-4o", "2025-03-01", (1000, 200, 400, None), "0.0040"),
            # Before the price fell: 5 and 15.
            ("gpt-4o", "2024-09-01", (1000, 200, None, None), "0.0080"),
            ("o3", "2025-05-01", (1000, 1000, None, None), "0.050"),
            ("o3", "2025-07-01", (1000, 1000, None, None), "0.010"),
            ("text-embedding-3-small", "2025-01-01", (8000, None, None, None), "0.00016"),
            # Anthropic counts beside: 3 in at 3, 2,000 read at 0.30, 1,000 written at 3.75, 500 out at 15.
            ("claude-sonnet-4-20250514", "2025-08-01", (3, 500, 2000, 1000), "0.011859"),
            ("claude-3-haiku-20240307", "2025-01-01", (1_000_000, 1_000_000, None, None), "1.50"),
            ("gemini-1.5-flash-8b", "2025-01-01", (1, 0, None, None), "0.000000038"),
        ],
    )
    def test_come_to_what_the_makers_ask(
        self, model: str, day: str, tokens: tuple[int | None, ...], dollars: str
    ) -> None:
        at = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
        into, out, cached, write = tokens
        found = self.book.cost(model, at=at, input_tokens=into, output_tokens=out, cached=cached, cache_write=write)
        assert found.usd == Decimal(dollars)

    def test_of_a_model_nobody_named_are_none(self) -> None:
        assert (
            self.book.cost("gpt-4o-audio-preview", at=JULY, input_tokens=1, output_tokens=1).reason == Unpriced.NO_PRICE
        )

    def test_are_named_dated_and_sane(self) -> None:
        rates = published().rates
        assert len({(rate.series, rate.valid_from) for rate in rates}) == len(rates) > 60
        for one in rates:
            assert one.by
            assert one.is_published
            assert not one.is_prefix
            assert one.valid_from.date() <= published().as_of
            assert one.output == 0 or one.input <= one.output <= 20 * one.input
            assert one.cached_input is None or one.cached_input < one.input
            assert one.cache_write is None or one.cache_write > one.input
