"""Bodies of the price table's API, in and out."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from rest_framework import serializers

from connections.models import Price
from connections.price_queries import Line
from core.fields import Text
from core.rest import StrictSerializer


class Amount(serializers.DecimalField):
    """USD per million tokens: a number, or a decimal one in a string; shown as a number."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=13, decimal_places=6, min_value=Decimal(0), **options)

    def to_internal_value(self, data: Any) -> Decimal:
        if type(data) not in (int, float, str) or len(str(data)) > 40:
            self.fail("invalid")
        try:
            return super().to_internal_value(data)
        except InvalidOperation:
            self.fail("invalid")

    def to_representation(self, value: Decimal) -> float:  # type: ignore[override]  # DRF would give text
        return float(value)


class PriceRequest(StrictSerializer):
    model = Text(max_length=200, help_text="the name as outputs say it, or the beginning of names and *")
    provider = Text(max_length=100, required=False, default="", allow_blank=True, help_text="empty: any")
    valid_from = serializers.DateTimeField(help_text="of outputs that began at this moment or later")
    input_usd = Amount()
    output_usd = Amount()
    cached_input_usd = Amount(required=False, default=None, allow_null=True, help_text="null: as input_usd")
    cache_write_usd = Amount(required=False, default=None, allow_null=True, help_text="null: as input_usd")
    reasoning_usd = Amount(required=False, default=None, allow_null=True, help_text="null: as output_usd")
    note = Text(max_length=300, required=False, default="", allow_blank=True)


class PriceLine(serializers.Serializer[Any]):
    """A price and when it is valid, in USD per million tokens."""

    id = serializers.IntegerField(allow_null=True, help_text="null: a published list price")
    published_by = serializers.CharField(help_text="empty: the project's own")
    model = serializers.CharField()
    provider = serializers.CharField()
    valid_from = serializers.DateTimeField()
    valid_until = serializers.DateTimeField(allow_null=True)
    is_in_force = serializers.BooleanField()
    input_usd = Amount()
    output_usd = Amount()
    cached_input_usd = Amount(allow_null=True)
    cache_write_usd = Amount(allow_null=True)
    reasoning_usd = Amount(allow_null=True)
    note = serializers.CharField()


class PriceList(serializers.Serializer[Any]):
    """Every price that counts now, will or did; the project's own first."""

    uses_published = serializers.BooleanField()
    published_as_of = serializers.DateField()
    results = PriceLine(many=True)
    next = serializers.CharField(allow_null=True, help_text="always null: all stand here")


class PriceShown(serializers.ModelSerializer[Price]):
    """One row of the price table."""

    input_usd = Amount()
    output_usd = Amount()
    cached_input_usd = Amount(allow_null=True)
    cache_write_usd = Amount(allow_null=True)
    reasoning_usd = Amount(allow_null=True)

    class Meta:
        model = Price
        fields = (
            "id",
            "model",
            "provider",
            "valid_from",
            "input_usd",
            "output_usd",
            "cached_input_usd",
            "cache_write_usd",
            "reasoning_usd",
            "note",
            "created_at",
            "created_by",
            "ended_at",
            "ended_by",
        )
        read_only_fields = fields


def shown(lines: Sequence[Line], *, uses_published: bool, as_of: dt.date) -> dict[str, Any]:
    """The price table as the API gives it."""
    results = [_line(line) for line in lines]
    return {"uses_published": uses_published, "published_as_of": as_of, "results": results, "next": None}


def _line(line: Line) -> dict[str, Any]:
    rate = line.rate
    return PriceLine(
        {
            "id": rate.id,
            "published_by": rate.by,
            "model": rate.model,
            "provider": rate.provider,
            "valid_from": rate.valid_from,
            "valid_until": line.until,
            "is_in_force": line.is_in_force,
            "input_usd": rate.input,
            "output_usd": rate.output,
            "cached_input_usd": rate.cached_input,
            "cache_write_usd": rate.cache_write,
            "reasoning_usd": rate.reasoning,
            "note": rate.note,
        }
    ).data
