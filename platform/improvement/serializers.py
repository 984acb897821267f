"""The shapes of the proposals API."""

from typing import Any

from rest_framework import serializers

from core.fields import Text
from core.rest import StrictSerializer
from improvement.models import Proposal
from improvement.services import LONGEST_REASON


class NewProposal(StrictSerializer):
    """What to propose."""

    kind = serializers.ChoiceField(choices=Proposal.Kind.choices)


class Decision(StrictSerializer):
    """Why; a rejection says it, an approval may."""

    reason = Text(max_length=LONGEST_REASON, required=False, default="", allow_blank=True)


class CauseShape(serializers.Serializer[Any]):
    """A line of context, the verdict it came from, and the output that caused it."""

    context_item = serializers.IntegerField()
    verdict = serializers.IntegerField()
    output = serializers.CharField(allow_null=True)


class ProposalShape(serializers.Serializer[Any]):
    """A proposal and what became of it; `run` is the newest run of its revision under a policy."""

    id = serializers.IntegerField()
    prompt = serializers.CharField(source="prompt.name")
    kind = serializers.CharField()
    state = serializers.CharField()
    base = serializers.IntegerField(source="base.number", default=None, allow_null=True)
    revision = serializers.IntegerField(source="revision.number", default=None, allow_null=True)
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    decided_at = serializers.DateTimeField(allow_null=True)
    decided_by = serializers.CharField()
    decided_reason = serializers.CharField()


class ProposalDetail(ProposalShape):
    """One proposal with the origins of what it adds."""

    origins = CauseShape(many=True)
    run = serializers.IntegerField(allow_null=True)
