"""What every template may use: icons, figures, moments, and the texts of others."""

import datetime as dt
import functools
from decimal import Decimal
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core import markup, plots, worddiff
from core.clock import now
from core.figures import Figure

register = template.Library()

MINUS = "\N{MINUS SIGN}"
NARROW = "\N{NARROW NO-BREAK SPACE}"


@register.simple_tag
def icon(name: str) -> SafeString:
    """The icon of this name out of our one sheet; it stands beside words and is silent itself."""
    return _drawn(name)


@functools.cache
def _drawn(name: str) -> SafeString:
    """A list of fifty rows draws a hundred of them; templates alone name icons, so there are few."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#i-{}"></use></svg>', static("icons.svg"), name
    )


@register.filter
def percent(share: float | None, digits: int = 1) -> str:
    """A share as `91.4 %`; nothing for None."""
    return "" if share is None else f"{100 * share:.{digits}f}{NARROW}%"


@register.filter
def points(share: float | None, digits: int = 1) -> str:
    """A difference of shares in points, signed: `+5.3`."""
    return "" if share is None else signed(100 * share, digits)


@register.filter
def signed(number: float | None, digits: int = 1) -> str:
    """A number with its sign, by the right characters."""
    if number is None:
        return ""
    text = f"{abs(number):.{digits}f}"
    if float(text) == 0:
        return f"±{text}"
    return f"{'+' if number > 0 else MINUS}{text}"


@register.filter
def number(value: float | None, digits: int = 0) -> str:
    """A number with thousands apart."""
    return "" if value is None else f"{value:,.{digits}f}"


@register.filter
def price(amount: Decimal | None) -> str:
    """A price to its last place, and two at least: `2.50`, `0.0375`; nothing for None."""
    if amount is None:
        return ""
    return f"{amount:.2f}" if amount == round(amount, 2) else f"{amount.normalize():f}"


@register.filter
def level(figure: Figure) -> str:
    """The figure's level: `95 %`, `99.5 %`."""
    return f"{100 * figure.level:g}{NARROW}%"


@register.filter
def ago(moment: dt.datetime | None) -> str:
    """How long ago, in one unit: `3 min ago`; the exact moment belongs into the title."""
    if moment is None:
        return ""
    seconds = (now() - moment).total_seconds()
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)}{NARROW}{unit} ago"
    return "just now"


@register.filter
def duration(milliseconds: float | None) -> str:
    """A time that something took: `0.92 s`, `35 ms`, `4 min 10 s`, `3 h 05 min`."""
    if milliseconds is None:
        return ""
    if milliseconds >= 120_000:
        minutes, seconds = divmod(round(milliseconds / 1000), 60)
        hours, rest = divmod(minutes, 60)
        if hours:
            return f"{hours:,}{NARROW}h {rest:02}{NARROW}min"
        return f"{minutes}{NARROW}min {seconds:02}{NARROW}s"
    return f"{milliseconds / 1000:.2f}{NARROW}s" if milliseconds >= 1000 else f"{milliseconds:.0f}{NARROW}ms"


@register.filter
def usd(amount: Decimal | None) -> str:
    """An amount to its last digit: `$0.0061`; nothing for None."""
    return "" if amount is None else f"${amount.normalize():f}"


@register.filter
def markdown(text: str) -> SafeString | str:
    """Somebody's text as sanitised HTML."""
    return markup.markdown(text)


@register.filter
def pretty(value: Any) -> str:
    """A JSON value in readable lines (text: the template escapes it)."""
    return markup.pretty(value)


@register.inclusion_tag("components/worddiff.html")
def worddiff_of(before: str, after: str) -> dict[str, Any]:
    """The difference of two texts, word by word."""
    return {"difference": worddiff.compare(before, after)}


@register.inclusion_tag("components/whisker.html")
def whisker(figure: Figure, low: float, high: float, width: int = 160) -> dict[str, Any]:
    """The figure as dot and whisker on a scale from `low` to `high`, in its own units."""
    scale = plots.Scale(low, high, 6, width - 6)
    return {"figure": figure, "place": plots.whisker(figure, scale), "width": width, "scale": scale}
