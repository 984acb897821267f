"""How figures of each unit are said: shares, counts, money, milliseconds."""

import datetime as dt
from enum import StrEnum

from core import tags
from core.figures import Figure

DASH = "\N{EN DASH}"
NARROW = tags.NARROW
SMALL_SUM = 1


class Unit(StrEnum):
    """What a number counts."""

    SHARE = "share"
    COUNT = "count"
    USD = "usd"
    MS = "ms"


def shown(unit: Unit, value: float | None) -> str:
    """The value with its unit: `91.4 %`, `1,204`, `$0.0081`, `2.81 s`."""
    if value is None:
        return ""
    match unit:
        case Unit.SHARE:
            return tags.percent(value)
        case Unit.USD:
            return _dollars(value)
        case Unit.MS:
            return tags.duration(value)
        case _:
            return tags.number(value)


def interval(unit: Unit, figure: Figure) -> str:
    """The figure's interval, the unit said once; nothing where there is none."""
    if figure.low is None or figure.high is None:
        return ""
    match unit:
        case Unit.SHARE:
            return f"{100 * figure.low:.1f}{DASH}{tags.percent(figure.high)}"
        case Unit.USD:
            return f"{_dollars(figure.low)}{DASH}{_dollars(figure.high).removeprefix('$')}"
        case _:
            return f"{shown(unit, figure.low)}{DASH}{shown(unit, figure.high)}"


def tick(unit: Unit, value: float, *, is_top: bool) -> str:
    """An axis label; the unit stands on the top one alone."""
    match unit:
        case Unit.SHARE:
            digits = 0 if round(100 * value, 6) == round(100 * value) else 1
            return f"{100 * value:.{digits}f}" + (f"{NARROW}%" if is_top else "")
        case Unit.USD:
            return (f"${value:,.4g}" if value < SMALL_SUM else f"${value:,.10g}") if is_top else f"{value:,.10g}"
        case Unit.MS:
            return f"{value / 1000:.10g}" + (f"{NARROW}s" if is_top else "")
        case _:
            return f"{value:,.10g}"


def change(unit: Unit, value: float) -> str:
    """A difference, signed: `+3.1 points`, `+0.35 s`."""
    match unit:
        case Unit.SHARE:
            return f"{tags.points(value)} points"
        case Unit.MS:
            return f"{tags.signed(value / 1000, 2)}{NARROW}s"
        case Unit.USD:
            return f"{tags.MINUS if value < 0 else '+'}{_dollars(abs(value))}"
        case _:
            return f"{tags.MINUS if value < 0 else '+'}{abs(value):,.0f}"


def day(at: dt.date) -> str:
    """`9 Nov`."""
    return f"{at.day} {at:%b}"


def relative(after: float, before: float) -> str:
    """A relative change, signed: `+6 %`."""
    return f"{tags.signed(100 * (after - before) / before, 0)}{NARROW}%"


def _dollars(value: float) -> str:
    return (
        f"${value:,.2f}" if value >= SMALL_SUM or value == 0 else f"${value:.2g}" if value >= 1e-4 else f"${value:.1e}"
    )
