"""Bodies of the webhooks API, in and out."""

from typing import Any

from rest_framework import serializers

from connections import addresses
from connections.models import Webhook
from core.fields import Text
from core.rest import StrictSerializer
from ledger.models import Delivery


class WebhookRequest(StrictSerializer):
    url = Text(max_length=addresses.LONGEST)
    topics = serializers.ListField(child=Text(max_length=60), max_length=20)
    secret = Text(required=False, allow_null=True, default=None)


class WebhookShown(serializers.Serializer[Any]):
    """A webhook, never with its secret."""

    id = serializers.IntegerField()
    url = serializers.CharField()
    topics = serializers.ListField(child=serializers.ChoiceField(Webhook.Topic.choices))
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()


class WebhookPage(serializers.Serializer[Any]):
    results = WebhookShown(many=True)
    next = serializers.CharField(allow_null=True)


class DeliveryShown(serializers.Serializer[Any]):
    """How the telling of one thing to one webhook goes."""

    id = serializers.IntegerField()
    webhook = serializers.IntegerField(source="target")
    topic = serializers.CharField()
    subject = serializers.CharField()
    state = serializers.ChoiceField(Delivery.State.choices)
    attempts = serializers.IntegerField()
    reason = serializers.CharField()
    due_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)


class DeliveryPage(serializers.Serializer[Any]):
    results = DeliveryShown(many=True)
    next = serializers.CharField(allow_null=True)
