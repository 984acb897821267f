"""Bodies of the redaction API, in and out."""

from typing import Any

from rest_framework import serializers

from core.fields import Text
from core.rest import StrictSerializer
from outputs.redaction import policy as policies
from outputs.redaction.policy import Action
from outputs.services.redaction import LONGEST_ENVIRONMENT

# Bounds of what is read at all; what is taken `policy.checked` says.
_WORD = 60


class PatternShape(StrictSerializer):
    """A pattern of the project's own."""

    name = Text(max_length=_WORD)
    pattern = Text(max_length=10_000, help_text="in RE2's notation")
    action = Text(required=False, default=Action.REPLACE.value, max_length=_WORD)


class RedactionPolicyRequest(StrictSerializer):
    """What becomes of what is found; a detector that is not named does as by default."""

    detectors = serializers.DictField(
        child=Text(max_length=_WORD), required=False, default=dict, help_text="detector → keep, replace, hash or drop"
    )
    regions = serializers.ListField(
        child=Text(max_length=_WORD),
        required=False,
        default=list,
        max_length=1_000,
        help_text="countries whose national telephone numbers count, as ISO 3166 codes",
    )
    patterns = PatternShape(many=True, required=False, default=list)


class SaveRequest(RedactionPolicyRequest):
    """A policy and the environment that it is for."""

    environment = Text(
        required=False,
        default="",
        allow_blank=True,
        max_length=LONGEST_ENVIRONMENT,
        help_text='"" for every environment that has no policy of its own',
    )


class PreviewRequest(StrictSerializer):
    """A value to try, and the policy: one that is not saved yet, else the one in force for `environment`."""

    value = serializers.JSONField(help_text="text, or any JSON value")
    environment = Text(required=False, default="", allow_blank=True, max_length=LONGEST_ENVIRONMENT)
    policy = RedactionPolicyRequest(required=False, allow_null=True, default=None)


class PolicyShape(serializers.Serializer[Any]):
    """A policy."""

    detectors = serializers.DictField(child=serializers.ChoiceField(choices=[action.value for action in Action]))
    regions = serializers.ListField(child=serializers.CharField())
    patterns = PatternShape(many=True)


class SavedShape(PolicyShape):
    """A policy that is stored."""

    environment = serializers.CharField()
    saved_at = serializers.DateTimeField()
    saved_by = serializers.CharField()


class DetectorShape(serializers.Serializer[Any]):
    """A detector."""

    name = serializers.CharField()
    words = serializers.CharField()
    note = serializers.CharField()


class PoliciesShape(serializers.Serializer[Any]):
    """All policies of a project."""

    policies = SavedShape(many=True)
    default = PolicyShape(help_text="what holds where no policy is saved")
    known = DetectorShape(many=True)


class FindingShape(serializers.Serializer[Any]):
    """Something that would be redacted."""

    path = serializers.CharField(help_text='as "[0].content"; "" for the value itself')
    is_key = serializers.BooleanField(help_text="whether it stands in the last name of the path")
    start = serializers.IntegerField(help_text="in characters")
    end = serializers.IntegerField()
    detector = serializers.CharField()


class PreviewShape(serializers.Serializer[Any]):
    """What would be stored."""

    redacted = serializers.JSONField(allow_null=True)
    counts = serializers.DictField(child=serializers.IntegerField())
    findings = FindingShape(many=True)


def policy_of(asked: dict[str, Any]) -> policies.Policy:
    """The policy that a request asks for.

    Raises:
        Invalid: naming each field that is wrong.
    """
    return policies.checked(
        detectors=asked["detectors"], regions=asked["regions"], patterns=[dict(one) for one in asked["patterns"]]
    )
