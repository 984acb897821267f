"""Bodies of the evals API, in and out."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.fields import Number, Text, Whole
from core.problems import FieldError, Invalid
from core.rest import FigureShown, StrictSerializer
from evals import gate
from evals.models import CasePart, Errand, Result, Run
from evals.services.planning import PromptTarget, RecordedTarget, RunRequest

LARGEST_NUMBER = 2**31 - 1
LARGEST_SEED = 2**63 - 1
LONGEST_NAME = 100
MOST_TRIALS = 100


class AnyValue(serializers.JSONField):
    """Any JSON value, as it is stored."""


# --- in ------------------------------------------------------------------------------------------------


class GoldenSetRequest(StrictSerializer):
    name = Text(max_length=LONGEST_NAME)
    prompt = Text(required=False, allow_null=True, default=None)
    description = Text(required=False, default="", allow_blank=True, max_length=20_000)


class VerdictsRequest(StrictSerializer):
    """Which settled verdicts become cases; all of the set's prompt by default."""

    queue = Text(required=False, default=None, allow_null=True)
    since = serializers.DateTimeField(required=False, default=None, allow_null=True)


class ScorerRequest(StrictSerializer):
    name = Text(max_length=60)
    args = serializers.DictField(required=False, default=dict)


class PolicyScorerRequest(ScorerRequest):
    margin = Number(required=False)


class PolicyRequest(StrictSerializer):
    golden_set = Text(max_length=LONGEST_NAME)
    part = serializers.ChoiceField(choices=CasePart.choices, default=CasePart.GATE)
    scorers = PolicyScorerRequest(many=True, allow_empty=False)
    kind = serializers.ChoiceField(choices=gate.KINDS, default=gate.NON_INFERIORITY)
    margin = Number(default=gate.DEFAULT_MARGIN)
    floor = Number(required=False, allow_null=True, default=None)
    max_error_share = Number(default=gate.DEFAULT_ERROR_SHARE)
    looks = Whole(default=gate.DEFAULT_LOOKS)


class GateRequest(StrictSerializer):
    kind = serializers.ChoiceField(choices=gate.KINDS, default=gate.NON_INFERIORITY)
    margin = Number(default=gate.DEFAULT_MARGIN)
    floor = Number(required=False)


class RecordedRequest(StrictSerializer):
    case = Text()
    output = Text(allow_null=True, allow_blank=True)


class TargetRequest(StrictSerializer):
    """Exactly one of a prompt (with `revision` or `label`), an endpoint, or recorded answers."""

    prompt = Text(required=False)
    revision = Whole(required=False, min_value=1, max_value=LARGEST_NUMBER)
    label = Text(required=False)  # type: ignore[assignment]  # DRF takes fields off
    model = Text(required=False, max_length=200)
    recorded = RecordedRequest(many=True, required=False)
    endpoint = AnyValue(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "endpoint" in attrs:
            raise serializers.ValidationError({"endpoint": ["cannot be tested yet; send a prompt or recorded answers"]})
        if ("prompt" in attrs) == ("recorded" in attrs):
            raise serializers.ValidationError({"prompt": ["send either a prompt or recorded answers"]})
        of_prompt = [name for name in ("revision", "label", "model") if name in attrs]
        if "recorded" in attrs and of_prompt:
            raise serializers.ValidationError({of_prompt[0]: ["belongs to a prompt; leave it out"]})
        if "prompt" in attrs and ("revision" in attrs) == ("label" in attrs):
            raise serializers.ValidationError({"revision": ["send either revision or label"]})
        return attrs


class RunRequestBody(StrictSerializer):
    """With `policy` the label's policy decides set, version, part, scorers, trials, seed, gate and baseline."""

    target = TargetRequest()
    golden_set = Text(required=False, max_length=LONGEST_NAME)
    version = Whole(required=False, min_value=1, max_value=LARGEST_NUMBER)
    part = serializers.ChoiceField(choices=CasePart.choices, required=False)
    scorers = ScorerRequest(many=True, required=False)
    trials = Whole(required=False, min_value=1, max_value=MOST_TRIALS)
    concurrency = Whole(required=False, min_value=1, max_value=1_000)
    baseline = AnyValue(required=False, help_text="production, or the id of a run")
    gate = GateRequest(required=False)
    policy = Text(required=False)
    budget_calls = Whole(required=False, min_value=1, max_value=LARGEST_SEED)
    budget_usd = AnyValue(required=False, allow_null=True)
    seed = Whole(required=False, min_value=0, max_value=LARGEST_SEED)

    def validate_baseline(self, baseline: Any) -> str:
        if type(baseline) is int or (isinstance(baseline, str) and baseline):
            return str(baseline)
        raise serializers.ValidationError("send 'production' or the id of a run")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.pop("budget_usd", None) is not None:
            said = "needs prices, which do not exist yet; send budget_calls"
            raise serializers.ValidationError({"budget_usd": [said]})
        return attrs

    @classmethod
    def request_of(cls, data: Any) -> RunRequest:
        """What is asked for, as the service takes it.

        Raises:
            Invalid: naming each field that is wrong.
        """
        asked = cls.read(data)
        return RunRequest(target=_target(asked.pop("target")), **asked)


def _target(asked: dict[str, Any]) -> PromptTarget | RecordedTarget:
    if "recorded" not in asked:
        return PromptTarget(**asked)
    outputs: dict[str, str | None] = {}
    for index, answer in enumerate(asked["recorded"]):
        if answer["case"] in outputs:
            place = f"target.recorded[{index}].case"
            raise Invalid(FieldError(place, "stands earlier in the list; send each case once"))
        outputs[answer["case"]] = answer["output"]
    return RecordedTarget(outputs)


# --- out -----------------------------------------------------------------------------------------------


class GoldenSetShown(serializers.Serializer[Any]):
    name = serializers.CharField()
    prompt = serializers.CharField(source="prompt.name", allow_null=True, default=None)
    description = serializers.CharField()
    version = serializers.IntegerField(source="newest", allow_null=True, help_text="newest; null: never cut")
    draft_cases = serializers.IntegerField(source="n_draft")
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()


class GoldenSetPage(serializers.Serializer[Any]):
    results = GoldenSetShown(many=True)
    next = serializers.CharField(allow_null=True)


class RejectedErrorShown(serializers.Serializer[Any]):
    field = serializers.CharField()
    message = serializers.CharField()


class RejectedShown(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    errors = RejectedErrorShown(many=True)  # type: ignore[assignment]  # DRF takes fields off


class CasesAdded(serializers.Serializer[Any]):
    draft = serializers.IntegerField(help_text="the number that the next cut will have")
    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    rejected = RejectedShown(many=True)
    version = serializers.IntegerField(required=False, help_text="with cut=true: the version that was cut")


class VersionCut(serializers.Serializer[Any]):
    version = serializers.IntegerField(source="number")
    hash = serializers.CharField(source="content_hash")
    cases = serializers.IntegerField(source="n_cases")


class CaseShown(serializers.Serializer[Any]):
    id = serializers.CharField(source="key")
    input = AnyValue()
    variables = AnyValue(allow_null=True)
    expected = AnyValue(allow_null=True)
    metadata = AnyValue()
    tags = serializers.ListField(child=serializers.CharField())
    part = serializers.ChoiceField(choices=CasePart.choices)
    verdict = serializers.IntegerField(source="verdict_id", allow_null=True)


class VersionShown(VersionCut):
    cut_at = serializers.DateTimeField()
    cut_by = serializers.CharField()
    results = CaseShown(many=True, help_text="its cases, newest first, in pages")
    next = serializers.CharField(allow_null=True)


class CaseChangeShown(serializers.Serializer[Any]):
    id = serializers.CharField()
    fields = serializers.ListField(child=serializers.CharField())  # type: ignore[assignment]  # DRF takes fields off


class DiffShown(serializers.Serializer[Any]):
    added = serializers.ListField(child=serializers.CharField())
    removed = serializers.ListField(child=serializers.CharField())
    changed = CaseChangeShown(many=True)


class ScorerShown(serializers.Serializer[Any]):
    name = serializers.CharField()
    args = serializers.DictField()
    margin = serializers.FloatField(required=False)


class PolicyShown(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    hash = serializers.CharField(source="content_hash")
    golden_set = serializers.CharField(source="golden_set.name")
    part = serializers.CharField()
    scorers = ScorerShown(many=True)
    kind = serializers.CharField()
    margin = serializers.FloatField()
    floor = serializers.FloatField(allow_null=True)
    max_error_share = serializers.FloatField()
    looks = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()


class RunStarted(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    url = serializers.CharField()


class ProgressShown(serializers.Serializer[Any]):
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]  # DRF takes fields off


class PValueShown(serializers.Serializer[Any]):
    value = serializers.FloatField(allow_null=True)
    method = serializers.CharField()
    reason = serializers.CharField(allow_null=True)


class JudgedShown(serializers.Serializer[Any]):
    """What the gate says by one scorer; cases by their ids in the golden set."""

    scorer = serializers.CharField()
    verdict = serializers.CharField()
    sentence = serializers.CharField()
    difference = FigureShown()
    p = PValueShown()
    floor = FigureShown(allow_null=True)
    better = serializers.ListField(child=serializers.CharField())
    worse = serializers.ListField(child=serializers.CharField())
    smallest_detectable = FigureShown(allow_null=True)
    more_cases = FigureShown(allow_null=True)


class GateShown(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(choices=["pass", "fail", "inconclusive"])
    sentence = serializers.CharField()
    difference = FigureShown()
    left_out = serializers.IntegerField()
    looks_left = serializers.IntegerField(allow_null=True)
    evidence = serializers.BooleanField()
    asked = serializers.DictField()
    scorers = JudgedShown(many=True)


class RunListed(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=Run.State.choices)
    reason = serializers.CharField()
    golden_set = serializers.CharField(source="golden_version.golden_set.name")
    version = serializers.IntegerField(source="golden_version.number")
    part = serializers.CharField()
    prompt = serializers.CharField(source="revision.prompt.name", allow_null=True, default=None)
    revision = serializers.IntegerField(source="revision.number", allow_null=True, default=None)
    target = serializers.ChoiceField(source="target_kind", choices=Run.TargetKind.choices)
    model = serializers.CharField()
    policy = serializers.CharField(source="policy.label.name", allow_null=True, default=None)
    baseline = serializers.IntegerField(source="baseline_id", allow_null=True)
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    scores = serializers.DictField(child=FigureShown())


class RunPage(serializers.Serializer[Any]):
    results = RunListed(many=True)
    next = serializers.CharField(allow_null=True)


class RunShown(RunListed):
    scorers = ScorerShown(many=True)
    trials = serializers.IntegerField()
    concurrency = serializers.IntegerField(allow_null=True)
    seed = serializers.IntegerField()
    budget_calls = serializers.IntegerField(allow_null=True)
    progress = ProgressShown()
    cost_usd = serializers.FloatField(allow_null=True)
    gate = GateShown(allow_null=True)


class ScoreShown(serializers.Serializer[Any]):
    value = serializers.FloatField(allow_null=True)
    reason = serializers.CharField()


class ResultShown(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    case = serializers.CharField(source="case.key")
    trial = serializers.IntegerField()
    state = serializers.ChoiceField(choices=Result.State.choices)
    output = AnyValue(allow_null=True)
    error = serializers.CharField()
    scores = serializers.SerializerMethodField()
    context_ids = serializers.ListField(child=serializers.IntegerField())
    attempts = serializers.IntegerField()
    latency_ms = serializers.FloatField(allow_null=True)
    input_tokens = serializers.IntegerField(allow_null=True)
    output_tokens = serializers.IntegerField(allow_null=True)
    reused_from = serializers.IntegerField(source="reused_from_id", allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(serializers.DictField(child=ScoreShown()))
    def get_scores(self, result: Result) -> dict[str, Any]:
        return {score.scorer: ScoreShown(score).data for score in result.scores.all()}


class ResultPage(serializers.Serializer[Any]):
    results = ResultShown(many=True)
    next = serializers.CharField(allow_null=True)


# What a finished comparison says besides its figures; null while it is worked out.
COMPARED = ("verdict", "sentence", "is_gate", "paired", "compared", "left_out", "cases", "errors", "asked")


class BothSides(serializers.Serializer[Any]):
    candidate = serializers.IntegerField()
    baseline = serializers.IntegerField()


class ComparedScorer(serializers.Serializer[Any]):
    """Candidate minus baseline by one scorer, p adjusted over all of them; cases by their ids in the golden set."""

    scorer = serializers.CharField()
    verdict = serializers.CharField(allow_null=True)
    sentence = serializers.CharField()
    candidate = FigureShown()
    baseline = FigureShown()
    difference = FigureShown()
    p = PValueShown()
    smallest_detectable = FigureShown(allow_null=True)
    better = serializers.ListField(child=serializers.CharField())
    worse = serializers.ListField(child=serializers.CharField())


class ComparedSlice(serializers.Serializer[Any]):
    """The deciding scorer on the cases of one tag; to explore, it decides nothing."""

    name = serializers.CharField()
    candidate = FigureShown()
    baseline = FigureShown()
    difference = FigureShown()
    p = PValueShown()
    better = serializers.IntegerField()
    worse = serializers.IntegerField()


class FlippedShown(serializers.Serializer[Any]):
    better = serializers.ListField(child=serializers.CharField())
    worse = serializers.ListField(child=serializers.CharField())


class ComparisonShown(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=Errand.State.choices)
    reason = serializers.CharField(help_text="why it failed; else empty")
    candidate = serializers.IntegerField()
    baseline = serializers.IntegerField()
    verdict = serializers.CharField(allow_null=True)
    sentence = serializers.CharField(allow_null=True)
    is_gate = serializers.BooleanField(allow_null=True, help_text="the candidate's own gate, as it was stored")
    paired = serializers.IntegerField(allow_null=True, help_text="cases that both runs hold with equal content")
    compared = serializers.IntegerField(allow_null=True, help_text="those of them that no context holds")
    left_out = serializers.IntegerField(allow_null=True)
    cases = BothSides(allow_null=True)
    errors = BothSides(allow_null=True)  # type: ignore[assignment]  # DRF takes fields off
    asked = serializers.DictField(allow_null=True)
    scorers = ComparedScorer(many=True)
    flipped = FlippedShown(help_text="on the scorer that decides")
    slices = ComparedSlice(many=True)
