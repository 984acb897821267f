"""Bodies of the connections API, in and out."""

from typing import Any

from rest_framework import serializers

from connections import addresses, queries
from connections.models import Connection
from connections.services.connections import LONGEST_SECRET, MOST_AT_ONCE
from core.fields import Text, Whole
from core.rest import StrictSerializer


class ConnectionRequest(StrictSerializer):
    name = Text(max_length=80)
    kind = serializers.ChoiceField(choices=Connection.Kind.choices, default=Connection.Kind.OPENAI)
    base_url = Text(max_length=addresses.LONGEST)
    secret = Text(required=False, allow_null=True, allow_blank=True, default=None, max_length=LONGEST_SECRET)
    concurrency = Whole(default=queries.DEFAULT_CONCURRENCY, min_value=1, max_value=MOST_AT_ONCE)


class ConnectionShown(serializers.Serializer[Any]):
    name = serializers.CharField()
    kind = serializers.CharField()
    base_url = serializers.CharField()
    has_secret = serializers.BooleanField()
    concurrency = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
