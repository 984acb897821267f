"""The form of a price."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms

from connections.services.prices import DEAREST, Amounts

MINUTES = "%Y-%m-%dT%H:%M"


def _dollars(label: str, *, help_text: str = "", required: bool = False) -> forms.DecimalField:
    widget = forms.NumberInput(attrs={"step": "any", "min": "0", "inputmode": "decimal", "autocomplete": "off"})
    return forms.DecimalField(
        label=label,
        help_text=help_text,
        required=required,
        min_value=Decimal(0),
        max_value=DEAREST,
        max_digits=13,
        decimal_places=6,
        widget=widget,
    )


class PriceForm(forms.Form):
    """What a million tokens of a model cost, in USD, from a moment on."""

    model = forms.CharField(
        max_length=200,
        help_text="As outputs say it, or the beginning of names and *: gpt-4o-2024*.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    provider = forms.CharField(
        max_length=100,
        required=False,
        help_text="Only where outputs name this one; empty is any.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    valid_from = forms.DateTimeField(
        label="Valid from",
        help_text="For outputs that began at this moment or later, until the next price of the same name begins.",
        input_formats=[MINUTES, "%Y-%m-%dT%H:%M:%S"],
        widget=forms.DateTimeInput(format=MINUTES, attrs={"type": "datetime-local"}),
    )
    input_usd = _dollars("Input", required=True)
    output_usd = _dollars("Output", required=True)
    cached_input_usd = _dollars("Input from a cache", help_text="Empty: as input.")
    cache_write_usd = _dollars("Input written to a cache", help_text="Empty: as input.")
    reasoning_usd = _dollars("Reasoning", help_text="Empty: as output.")
    note = forms.CharField(
        max_length=300,
        required=False,
        help_text="Where the price is from: a contract, a page.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    @classmethod
    def suggesting(cls, query: Mapping[str, str], *, now: dt.datetime) -> "PriceForm":
        """An empty form with what a link says of a price already in it."""
        said = {name: query[name] for name in cls.base_fields if query.get(name)}
        return cls(initial={"valid_from": now.replace(hour=0, minute=0, second=0, microsecond=0), **said})

    @property
    def amounts(self) -> Amounts:
        return Amounts(**{name: self.cleaned_data[name] for name in Amounts.__dataclass_fields__})

    @property
    def rest(self) -> dict[str, Any]:
        """What is not an amount."""
        return {name: value for name, value in self.cleaned_data.items() if name not in Amounts.__dataclass_fields__}
