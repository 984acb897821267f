"""The shapes of the releases API."""

from typing import Any

from rest_framework import serializers

from core.rest import StrictSerializer


class NewRelease(StrictSerializer):
    """What to release where: on the evidence of `run`, or as the label's first with `initial` and a reason."""

    label = serializers.CharField(max_length=60)  # type: ignore[assignment]  # DRF's fields have a `label`, too
    revision = serializers.IntegerField(min_value=1)
    run = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    initial = serializers.BooleanField(default=False)
    reason = serializers.CharField(max_length=2000, default="", allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["initial"] and attrs.get("run") is not None:
            raise serializers.ValidationError({"initial": "a first release has no run; send one of the two"})
        return attrs


class Rollback(StrictSerializer):
    """Why to go back; worth saying, never required in a hurry."""

    reason = serializers.CharField(max_length=2000, default="", allow_blank=True)


class ReleaseShape(serializers.Serializer[Any]):
    """One move of a label."""

    id = serializers.IntegerField()
    number = serializers.IntegerField()
    label = serializers.CharField(source="label.name")  # type: ignore[assignment]  # as above
    revision = serializers.IntegerField(source="revision.number")
    hash = serializers.CharField(source="content_hash")
    kind = serializers.CharField()
    run = serializers.IntegerField(source="run_id", allow_null=True)
    rolled_back = serializers.IntegerField(source="rolled_back_id", allow_null=True)
    reason = serializers.CharField()
    at = serializers.DateTimeField()
    by = serializers.CharField()
