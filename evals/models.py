"""The room where machines judge: exams, what a label demands, and what runs found."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from connections.models import Connection
from projects.models import Project
from prompts.models import Label, Prompt, Revision
from reviews.models import Verdict


class CasePart(models.TextChoices):
    """Parts an exam case can have; `teach` is never one of them."""

    GATE = "gate"
    DEV = "dev"
    ANCHOR = "anchor"


class GoldenSet(models.Model):
    """A named exam with history. Versions are immutable; changes collect in the draft after the newest."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="golden_sets")
    name = models.CharField(max_length=100)
    prompt = models.ForeignKey(Prompt, null=True, on_delete=models.SET_NULL, related_name="golden_sets")
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=300)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="golden_set_name_once")]

    def __str__(self) -> str:
        return self.name


class GoldenVersion(models.Model):
    """A cut of a golden set: the cases with `first_version` ≤ number ≤ `last_version`, for ever."""

    golden_set = models.ForeignKey(GoldenSet, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    content_hash = models.CharField(max_length=64)
    n_cases = models.PositiveIntegerField()
    n_gate = models.PositiveIntegerField()
    cut_at = models.DateTimeField()
    cut_by = models.CharField(max_length=300)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["golden_set", "number"], name="golden_version_once")]

    def __str__(self) -> str:
        return f"{self.golden_set}@{self.number}"


class GoldenCaseQuerySet(models.QuerySet["GoldenCase"]):
    def of_version(self, version: GoldenVersion) -> "GoldenCaseQuerySet":
        """The cases of one version, in the order they came."""
        return (
            self.filter(golden_set_id=version.golden_set_id, first_version__lte=version.number)
            .filter(models.Q(last_version=None) | models.Q(last_version__gte=version.number))
            .order_by("id")
        )

    def in_draft(self) -> "GoldenCaseQuerySet":
        """The cases the next cut would hold."""
        return self.filter(last_version=None)


class GoldenCase(models.Model):
    """One question of an exam and what is expected. Content never changes: another content is another row.

    `text_hash` is equal for texts that differ in writing alone: they are one question, in one part.
    """

    golden_set = models.ForeignKey(GoldenSet, on_delete=models.CASCADE, related_name="cases")
    key = models.CharField(max_length=200)
    content_hash = models.CharField(max_length=64)
    text_hash = models.CharField(max_length=64)
    input = models.JSONField()
    variables = models.JSONField(null=True)
    expected = models.JSONField(null=True)
    metadata = models.JSONField(default=dict)
    tags = ArrayField(models.CharField(max_length=100), default=list)
    part = models.CharField(max_length=10, choices=CasePart)
    verdict = models.ForeignKey(Verdict, null=True, on_delete=models.PROTECT, related_name="golden_cases")
    first_version = models.PositiveIntegerField()
    last_version = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=300)

    objects = GoldenCaseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["golden_set", "key"],
                condition=models.Q(last_version=None),
                name="golden_case_key_once_in_draft",
            ),
            models.UniqueConstraint(
                fields=["golden_set", "verdict"],
                condition=models.Q(last_version=None, verdict__isnull=False),
                name="golden_case_verdict_once_in_draft",
            ),
            models.CheckConstraint(condition=models.Q(part__in=CasePart.values), name="golden_case_part_is_exam"),
            models.CheckConstraint(
                condition=models.Q(last_version=None) | models.Q(last_version__gte=models.F("first_version")),
                name="golden_case_versions_in_order",
            ),
        ]
        indexes = [models.Index(fields=["golden_set", "text_hash"], name="golden_case_by_text")]

    def __str__(self) -> str:
        return f"{self.golden_set}/{self.key}"


class GatePolicyQuerySet(models.QuerySet["GatePolicy"]):
    def in_force(self) -> "GatePolicyQuerySet":
        """The newest policy of each label."""
        newer = GatePolicy.objects.filter(label=models.OuterRef("label"), version__gt=models.OuterRef("version"))
        return self.filter(~models.Exists(newer))


class GatePolicy(models.Model):
    """What a label demands of a candidate. A change is a new version; the newest version is in force."""

    class Kind(models.TextChoices):
        NON_INFERIORITY = "non_inferiority"
        SUPERIORITY = "superiority"
        FLOOR = "floor"

    label = models.ForeignKey(Label, on_delete=models.CASCADE, related_name="policies")
    version = models.PositiveIntegerField()
    content_hash = models.CharField(max_length=64)
    golden_set = models.ForeignKey(GoldenSet, on_delete=models.PROTECT, related_name="policies")
    part = models.CharField(max_length=10, choices=CasePart, default=CasePart.GATE)
    scorers = models.JSONField()
    kind = models.CharField(max_length=20, choices=Kind)
    margin = models.FloatField(default=0.02)
    floor = models.FloatField(null=True)
    max_error_share = models.FloatField(default=0.02)
    looks = models.PositiveSmallIntegerField(default=10)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=300)

    objects = GatePolicyQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["label", "version"], name="gate_policy_version_once"),
            models.CheckConstraint(
                condition=models.Q(margin__gte=0, margin__lt=1), name="gate_policy_margin_is_a_share"
            ),
            models.CheckConstraint(
                condition=models.Q(floor=None) | models.Q(floor__gte=0, floor__lte=1),
                name="gate_policy_floor_is_a_share",
            ),
            models.CheckConstraint(
                condition=~models.Q(kind="floor") | models.Q(floor__isnull=False),
                name="gate_policy_floor_kind_has_floor",
            ),
            models.CheckConstraint(
                condition=models.Q(max_error_share__gte=0, max_error_share__lte=1),
                name="gate_policy_error_share",
            ),
            models.CheckConstraint(condition=models.Q(looks__gte=1), name="gate_policy_looks_positive"),
        ]

    def __str__(self) -> str:
        return f"policy v{self.version} of {self.label}"


class Run(models.Model):
    """One target answered the cases of one golden version and was scored. Its work rows are its results.

    `recipe_hash` names everything that decides its scores, so that an equal run can be the baseline. `endpoint` is
    the identity of the model's endpoint when the run was made: answers of another one are none of this run.
    `spent_at` is when it served a release as evidence; it serves one.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        PAUSED = "paused"
        DONE = "done"
        CANCELLED = "cancelled"
        FAILED = "failed"
        INVALID = "invalid", "too many errors to be believed"

    class TargetKind(models.TextChoices):
        PROMPT = "prompt"
        RECORDED = "recorded"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="runs", db_index=False)
    golden_version = models.ForeignKey(GoldenVersion, on_delete=models.PROTECT, related_name="runs")
    part = models.CharField(max_length=10, choices=CasePart)
    target_kind = models.CharField(max_length=10, choices=TargetKind)
    revision = models.ForeignKey(Revision, null=True, on_delete=models.PROTECT, related_name="runs")
    connection = models.ForeignKey(Connection, null=True, on_delete=models.PROTECT, related_name="runs")
    model = models.CharField(max_length=200, blank=True)
    scorers = models.JSONField()
    trials = models.PositiveSmallIntegerField(default=1)
    concurrency = models.PositiveIntegerField(null=True)
    seed = models.BigIntegerField(default=0)
    budget_calls = models.BigIntegerField(null=True)
    reuses_results = models.BooleanField(default=False)
    recipe_hash = models.CharField(max_length=64, blank=True)
    endpoint = models.TextField(blank=True)
    policy = models.ForeignKey(GatePolicy, null=True, on_delete=models.PROTECT, related_name="runs")
    baseline = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="candidates")
    gate_asked = models.JSONField(null=True)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    n_results = models.PositiveIntegerField()
    scores = models.JSONField(default=dict)
    gate = models.JSONField(null=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=300)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    spent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(trials__gte=1), name="run_trials_positive"),
            models.CheckConstraint(
                condition=models.Q(target_kind="prompt", revision__isnull=False) | models.Q(target_kind="recorded"),
                name="run_prompt_target_has_revision",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "-id"], name="run_newest_first"),
            models.Index(fields=["project", "recipe_hash"], name="run_by_recipe"),
            models.Index(fields=["id"], condition=models.Q(state__in=["queued", "running"]), name="run_with_work_left"),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} on {self.golden_version}"


class Look(models.Model):
    """Somebody looked at gate cases through a revision that is not the active one. Looks are counted.

    `epoch` is the golden version from which looks are counted: it restarts when half of the gate cases are
    new. Recorded answers are of no prompt and count for all of them.
    """

    prompt = models.ForeignKey(Prompt, null=True, on_delete=models.CASCADE, related_name="looks")
    golden_set = models.ForeignKey(GoldenSet, on_delete=models.CASCADE, related_name="looks")
    epoch = models.PositiveIntegerField()
    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="look")
    reserved_at = models.DateTimeField()
    returned_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["golden_set", "prompt", "epoch"], name="look_by_epoch")]

    def __str__(self) -> str:
        return f"look of {self.run}"


class Result(models.Model):
    """One answer of a run's target to one case: the work row itself, from waiting to finished.

    `lease_token` only grows: who finishes with an older one has lost the lease, and the answer is dropped.
    `work_hash` names everything that decides the answer, so that an equal piece of work can be reused.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        LEASED = "leased"
        DONE = "done"
        FAILED = "failed"
        DROPPED = "dropped", "cancelled before it was called"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="results", db_index=False)
    case = models.ForeignKey(GoldenCase, on_delete=models.PROTECT, related_name="results")
    trial = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    n_calls = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    lease_token = models.BigIntegerField(default=0)
    call_started_at = models.DateTimeField(null=True)
    worker = models.CharField(max_length=200, blank=True)
    work_hash = models.BinaryField(max_length=32, null=True)
    output = models.JSONField(null=True)
    error = models.TextField(blank=True)
    context_ids = ArrayField(models.BigIntegerField(), default=list)
    latency_ms = models.FloatField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    reused_from = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "case", "trial"], name="result_once"),
            models.CheckConstraint(
                condition=~models.Q(state="leased") | models.Q(lease_until__isnull=False),
                name="result_leased_has_end",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["done", "failed"]) | models.Q(finished_at__isnull=False),
                name="result_finished_has_moment",
            ),
        ]
        indexes = [
            models.Index(
                fields=["run", "id"],
                condition=models.Q(state__in=["waiting", "leased"]),
                name="result_unfinished",
            ),
            models.Index(
                fields=["project", "work_hash"],
                condition=models.Q(state="done"),
                name="result_reusable_by_work",
            ),
        ]

    def __str__(self) -> str:
        return f"result {self.pk} of run {self.run_id}"


class Score(models.Model):
    """What one scorer said of one result; `value` is null where it could not say, with the reason."""

    result = models.ForeignKey(Result, on_delete=models.CASCADE, related_name="scores", db_index=False)
    scorer = models.CharField(max_length=100)
    value = models.FloatField(null=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["result", "scorer"], name="score_once")]

    def __str__(self) -> str:
        return f"{self.scorer}: {self.value}"


class Errand(models.Model):
    """Something that one worker does once: waiting, in somebody's hands under a lease, then done or failed.

    `lease_token` only grows: who finishes with an older one has lost the lease, and the outcome is dropped.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        LEASED = "leased"
        DONE = "done"
        FAILED = "failed"

    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    lease_token = models.BigIntegerField(default=0)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=300)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(state="leased") | models.Q(lease_until__isnull=False),
                name="%(class)s_leased_has_end",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["done", "failed"]) | models.Q(finished_at__isnull=False),
                name="%(class)s_finished_has_moment",
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"], condition=models.Q(state__in=["waiting", "leased"]), name="%(class)s_unfinished"
            )
        ]

    @property
    def is_finished(self) -> bool:
        return self.state in (Errand.State.DONE, Errand.State.FAILED)


class Comparison(Errand):
    """Two finished runs beside each other, worked out once by a worker: never evidence, and no look.

    `result` is what the page and the API show; `error` says why there is none. Runs that are over do not
    change, so neither does this.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    candidate = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="comparisons", db_index=False)
    baseline = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+")
    result = models.JSONField(null=True)

    class Meta(Errand.Meta):
        constraints = [
            *Errand.Meta.constraints,
            models.UniqueConstraint(fields=["candidate", "baseline"], name="comparison_once"),
        ]

    def __str__(self) -> str:
        return f"run {self.candidate_id} against run {self.baseline_id}"


class Tryout(Errand):
    """One question of a person to one revision: a run of one unsaved case. Never evidence, no look, soon forgotten.

    `input` is a text, or null where `variables` were given by name.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="tryouts")
    input = models.TextField(null=True)
    variables = models.JSONField(null=True)
    output = models.TextField(null=True)
    context_ids = ArrayField(models.BigIntegerField(), default=list)
    latency_ms = models.FloatField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)

    class Meta(Errand.Meta):
        constraints = [
            *Errand.Meta.constraints,
            models.CheckConstraint(
                condition=models.Q(input__isnull=False) | models.Q(variables__isnull=False),
                name="tryout_asks_something",
            ),
        ]
        indexes = [*Errand.Meta.indexes, models.Index(fields=["created_at"], name="tryout_age")]

    def __str__(self) -> str:
        return f"try-out {self.pk} of {self.revision}"
