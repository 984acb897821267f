"""Shapes of the room's API."""

from typing import Any

from rest_framework import serializers

METRICS = ("quality", "outputs", "errors", "cost_usd", "latency_p50", "latency_p95", "reviews")
SPANS = ("hour", "day", "week")
GROUPS = ("prompt", "revision", "model")
MOMENTS = ["iso-8601", "%Y-%m-%d"]


class TrendFilter(serializers.Serializer[Any]):
    """The query of a trend; `core.paging` refuses what is not named here."""

    metric = serializers.ChoiceField(METRICS)
    by = serializers.ChoiceField(SPANS, required=False, default="day")
    group = serializers.ChoiceField(GROUPS, required=False)
    prompt = serializers.CharField(required=False, max_length=100)
    revision = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    model = serializers.CharField(required=False, max_length=200)
    rubric = serializers.CharField(required=False, max_length=100, help_text="The rubric whose question is meant.")
    since = serializers.DateTimeField(required=False, input_formats=MOMENTS)
    until = serializers.DateTimeField(required=False, input_formats=MOMENTS)


class TrendPoint(serializers.Serializer[Any]):
    """One figure of one span; `value` is null where it is undefined, and `reason` says why."""

    at = serializers.DateTimeField()
    group = serializers.CharField(allow_null=True)
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    level = serializers.FloatField()
    n = serializers.IntegerField()
    method = serializers.CharField()
    reason = serializers.CharField(allow_null=True)


class AskedQuestion(serializers.Serializer[Any]):
    name = serializers.CharField()
    version = serializers.IntegerField()
    question = serializers.CharField()


class Trend(serializers.Serializer[Any]):
    metric = serializers.ChoiceField(METRICS)
    by = serializers.ChoiceField(SPANS)
    group = serializers.ChoiceField(GROUPS, allow_null=True)
    rubric = AskedQuestion(allow_null=True)
    points = TrendPoint(many=True)


class UnpricedModel(serializers.Serializer[Any]):
    """A model of which some outputs have no cost."""

    model = serializers.CharField(help_text="empty: they name none")
    n = serializers.IntegerField(help_text="outputs of the model")
    n_unpriced = serializers.IntegerField()
    n_uncounted = serializers.IntegerField(help_text="of the unpriced those that do not tell their tokens")
    input_tokens = serializers.IntegerField(source="unpriced_input_tokens", help_text="of the unpriced")
    output_tokens = serializers.IntegerField(source="unpriced_output_tokens", help_text="of the unpriced")
    first_on = serializers.DateTimeField(help_text="the first day with an unpriced one")
    last_on = serializers.DateTimeField(help_text="the last day with one")
    has_price = serializers.BooleanField(help_text="a price stands now: apply it to past outputs")
    why = serializers.CharField()


class UnpricedList(serializers.Serializer[Any]):
    results = UnpricedModel(many=True)
    next = serializers.CharField(allow_null=True, help_text="always null: all stand here")
