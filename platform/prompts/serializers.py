"""Bodies of the prompts API, in and out."""

from typing import Any

from rest_framework import serializers

from core.fields import Text, Whole
from core.rest import StrictSerializer
from prompts import names
from prompts.content import LARGEST_K, ContextLine, Kind, Strategy
from prompts.models import Revision

LARGEST_NUMBER = 2**31 - 1
LONGEST_UNIT = 200


# --- in -----------------------------------------------------------------------------------------------------


class PromptRequest(StrictSerializer):
    name = Text(max_length=names.LONGEST_PROMPT)
    description = Text(required=False, default="", allow_blank=True)


class MessageRequest(StrictSerializer):
    role = Text()
    content = Text(allow_blank=True)


class ContextItemRequest(StrictSerializer):
    """An example has `input` and `output`; a lesson or a fact has `text`."""

    kind = serializers.ChoiceField(choices=Kind.choices)
    input = Text(required=False, default="", allow_blank=True)
    output = Text(required=False, default="", allow_blank=True)
    text = Text(required=False, default="", allow_blank=True)
    tags = serializers.ListField(child=Text(), required=False, default=list)


class SelectionRequest(StrictSerializer):
    strategy = serializers.ChoiceField(choices=Strategy.choices, default=Strategy.ALL)
    k = Whole(required=False, allow_null=True, default=None, min_value=1, max_value=LARGEST_K)


class RevisionRequest(StrictSerializer):
    messages = MessageRequest(many=True)
    model = Text()
    parameters = serializers.DictField(required=False, default=dict)
    context = ContextItemRequest(many=True, required=False, default=list)  # type: ignore[assignment]  # DRF takes declared fields off the class
    selection = SelectionRequest(required=False, default=dict)
    note = Text(required=False, default="", allow_blank=True)


class PartsRequest(StrictSerializer):
    gate = Whole()
    dev = Whole()
    teach = Whole()


class RenderRequest(StrictSerializer):
    """Exactly one of `label` and `revision`."""

    label = Text(required=False)  # type: ignore[assignment]  # DRF takes declared fields off the class
    revision = Whole(required=False, min_value=1, max_value=LARGEST_NUMBER)
    variables = serializers.DictField(required=False, default=dict)
    unit = Text(required=False, max_length=LONGEST_UNIT, help_text="picks the arm of a rollout, always the same")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("label" in attrs) == ("revision" in attrs):
            raise serializers.ValidationError({"label": ["send either label or revision"]})
        return attrs


# --- out ----------------------------------------------------------------------------------------------------


class PartsShown(serializers.Serializer[Any]):
    gate = serializers.IntegerField(source="gate_share")
    dev = serializers.IntegerField(source="dev_share")
    teach = serializers.IntegerField(source="teach_share")


class PromptListed(serializers.Serializer[Any]):
    name = serializers.CharField()
    description = serializers.CharField()
    parts = PartsShown(source="*")
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()


class LabelShown(serializers.Serializer[Any]):
    name = serializers.CharField()
    revision = serializers.IntegerField(allow_null=True)


class PromptShown(PromptListed):
    labels = LabelShown(many=True)
    newest = serializers.IntegerField(allow_null=True)


class MessageShown(serializers.Serializer[Any]):
    role = serializers.CharField()
    content = serializers.CharField()


class SelectionShown(serializers.Serializer[Any]):
    strategy = serializers.CharField()
    k = serializers.IntegerField(allow_null=True)


class RevisionSaved(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    hash = serializers.CharField(source="content_hash")
    parent = serializers.IntegerField(source="parent.number", allow_null=True, default=None)  # type: ignore[assignment]  # DRF takes declared fields off the class
    index_state = serializers.ChoiceField(choices=Revision.IndexState.choices)


class RevisionListed(RevisionSaved):
    messages = MessageShown(many=True)
    model = serializers.CharField()
    parameters = serializers.DictField()
    selection = SelectionShown(source="*")
    n_context = serializers.IntegerField()
    note = serializers.CharField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()


class ContextItemShown(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.CharField()
    input = serializers.CharField()
    output = serializers.CharField()
    text = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())


class RevisionShown(RevisionListed):
    prompt = serializers.CharField(source="prompt.name")
    context = ContextItemShown(many=True)  # type: ignore[assignment]  # DRF takes declared fields off the class


class RenderedShown(serializers.Serializer[Any]):
    revision = serializers.IntegerField()
    messages = MessageShown(many=True)
    model = serializers.CharField()
    parameters = serializers.DictField()
    context_ids = serializers.ListField(child=serializers.IntegerField())


def context_lines(items: list[dict[str, Any]]) -> list[ContextLine]:
    """Validated items as the service takes them."""
    return [ContextLine(**{**item, "tags": tuple(item["tags"])}) for item in items]
