"""What production said, and what was said about it."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex, GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models.functions import Now

from projects.models import Project
from prompts.models import Prompt, Revision


class OutputQuerySet(models.QuerySet["Output"]):
    def of(self, project_id: int) -> "OutputQuerySet":
        return self.filter(project_id=project_id)


class Output(models.Model):
    """One answer of production: the narrow row that stays. `OutputBody` has its texts (`body_bytes` long)."""

    class Status(models.IntegerChoices):
        OK = 0
        ERROR = 1

    class CostSource(models.IntegerChoices):
        """Whose figure the cost is: the sender's, which stays as sent, or ours, from the price table."""

        SENT = 0
        COMPUTED = 1

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="outputs", db_index=False)
    external_id = models.CharField(max_length=200)
    body_hash = models.BinaryField(max_length=32)
    prompt = models.ForeignKey(Prompt, null=True, on_delete=models.SET_NULL, related_name="outputs", db_index=False)
    revision = models.ForeignKey(Revision, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    model = models.CharField(max_length=200, blank=True)
    provider = models.CharField(max_length=100, blank=True)
    status = models.SmallIntegerField(choices=Status, default=Status.OK)
    environment = models.CharField(max_length=60, blank=True)
    started_at = models.DateTimeField(null=True)
    latency_ms = models.FloatField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    cached_input_tokens = models.BigIntegerField(null=True)
    cache_write_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    cost_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True)
    # Null where there is no cost, and beside costs that were sent before this was kept.
    cost_source = models.SmallIntegerField(choices=CostSource, null=True)
    confidence = models.FloatField(null=True)
    trace_id = models.CharField(max_length=64, blank=True)
    span_id = models.CharField(max_length=64, blank=True)
    parent_span_id = models.CharField(max_length=64, blank=True)
    session_id = models.CharField(max_length=200, blank=True)
    end_user = models.CharField(max_length=200, blank=True)
    tags = ArrayField(models.CharField(max_length=100), default=list)
    received_at = models.DateTimeField(db_default=Now())
    received_on = models.DateField()
    body_bytes = models.IntegerField(default=0)

    objects = OutputQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "external_id"], name="output_external_id_once"),
            models.CheckConstraint(
                condition=models.Q(confidence=None) | models.Q(confidence__range=(0, 1)),
                name="output_confidence_is_share",
            ),
            models.CheckConstraint(
                condition=models.Q(cost_source=None) | models.Q(cost_usd__isnull=False),
                name="output_cost_source_has_cost",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "id"], name="output_newest_first"),
            models.Index(fields=["project", "prompt", "id"], name="output_by_prompt"),
            models.Index(
                fields=["project", "trace_id", "id"], condition=~models.Q(trace_id=""), name="output_by_trace"
            ),
            models.Index(
                fields=["project", "session_id", "id"], condition=~models.Q(session_id=""), name="output_by_session"
            ),
            # Rows arrive in the order of time, so a summary of block ranges is enough, and costs next to
            # nothing.
            BrinIndex(fields=["received_at"], name="output_by_arrival"),
        ]

    def __str__(self) -> str:
        return self.external_id


class OutputBody(models.Model):
    """The texts of one output, in the partition of its month of arrival; retention drops whole partitions."""

    pk = models.CompositePrimaryKey("output_id", "received_on")
    output_id = models.BigIntegerField()
    received_on = models.DateField()
    input = models.JSONField(null=True)
    output = models.JSONField(null=True)
    error = models.TextField(null=True)
    variables = models.JSONField(null=True)
    metadata = models.JSONField(null=True)
    prompt_name = models.CharField(max_length=100, blank=True)
    revision_ref = models.CharField(max_length=64, blank=True)

    class Meta:
        managed = False
        db_table = "outputs_outputbody"

    def __str__(self) -> str:
        return f"body of output {self.output_id}"


class RedactionPolicyQuerySet(models.QuerySet["RedactionPolicy"]):
    def of(self, project_id: int) -> "RedactionPolicyQuerySet":
        return self.filter(project_id=project_id)


class RedactionPolicy(models.Model):
    """What is taken out of a project's rows before they are stored; `said` is a `redaction.policy.Policy` as a dict.

    The one of an environment holds for its rows, that of "" for all others; a project without one has the default.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="redaction_policies", db_index=False)
    environment = models.CharField(max_length=60, blank=True)
    said = models.JSONField()
    saved_at = models.DateTimeField()
    saved_by = models.CharField(max_length=300)

    objects = RedactionPolicyQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "environment"], name="redaction_policy_once")]

    def __str__(self) -> str:
        return self.environment or "every environment"


class Step(models.Model):
    """One span of a trace that is no answer of a model: what led to an output, or came of it.

    The narrow row that stays; `StepBody` has its texts.
    """

    class Kind(models.IntegerChoices):
        OTHER = 0
        AGENT = 1
        CHAIN = 2
        TOOL = 3
        RETRIEVAL = 4
        EMBEDDING = 5
        RERANKER = 6
        GUARDRAIL = 7
        EVALUATOR = 8
        PROMPT = 9
        HTTP = 10

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="steps", db_index=False)
    external_id = models.CharField(max_length=200)
    body_hash = models.BinaryField(max_length=32)
    trace_id = models.CharField(max_length=64)
    span_id = models.CharField(max_length=64)
    parent_span_id = models.CharField(max_length=64, blank=True)
    session_id = models.CharField(max_length=200, blank=True)
    name = models.CharField(max_length=200, blank=True)
    kind = models.SmallIntegerField(choices=Kind, default=Kind.OTHER)
    service = models.CharField(max_length=200, blank=True)
    status = models.SmallIntegerField(choices=Output.Status, default=Output.Status.OK)
    environment = models.CharField(max_length=60, blank=True)
    started_at = models.DateTimeField(null=True)
    latency_ms = models.FloatField(null=True)
    received_at = models.DateTimeField(db_default=Now())
    received_on = models.DateField()
    body_bytes = models.IntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "external_id"], name="step_external_id_once")]
        indexes = [models.Index(fields=["project", "trace_id", "id"], name="step_by_trace")]

    def __str__(self) -> str:
        return self.external_id


class StepBody(models.Model):
    """The texts of one step, in the partition of its month of arrival, as those of outputs."""

    pk = models.CompositePrimaryKey("step_id", "received_on")
    step_id = models.BigIntegerField()
    received_on = models.DateField()
    input = models.JSONField(null=True)
    output = models.JSONField(null=True)
    error = models.TextField(null=True)
    metadata = models.JSONField(null=True)

    class Meta:
        managed = False
        db_table = "outputs_stepbody"

    def __str__(self) -> str:
        return f"body of step {self.step_id}"


class Saying(models.Model):
    """Messages of an output's conversation that were sent apart from it, as a log record, before it or after.

    They stay here, as `content`, until the output has them, and it is null from then on.
    """

    class Side(models.IntegerChoices):
        INPUT = 0
        OUTPUT = 1

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="sayings", db_index=False)
    external_id = models.CharField(max_length=200)
    body_hash = models.BinaryField(max_length=32)
    output_external_id = models.CharField(max_length=200)
    side = models.SmallIntegerField(choices=Side)
    # Nanoseconds, because messages of one call lie nearer than a timestamp tells apart.
    said_ns = models.BigIntegerField()
    content = models.JSONField(null=True)
    n_messages = models.IntegerField()
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "external_id"], name="saying_external_id_once")]
        indexes = [models.Index(fields=["project", "output_external_id", "id"], name="saying_by_output")]

    def __str__(self) -> str:
        return self.external_id


class Repricing(models.Model):
    """Somebody asked that the costs of all outputs which arrived in [since, until) follow the price table as it is.

    A worker walks them in blocks by id, from `first_output` to `last_output`, and has come as far as `cursor`: whoever
    goes on begins there. Costs that were sent stay. `n_seen` could be reckoned anew so far, `n_changed` changed.
    """

    class State(models.TextChoices):
        WALKING = "walking"
        DONE = "done"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="repricings", db_index=False)
    since = models.DateTimeField()
    until = models.DateTimeField()
    first_output = models.BigIntegerField()
    last_output = models.BigIntegerField()
    cursor = models.BigIntegerField()
    n_seen = models.PositiveBigIntegerField(default=0)
    n_changed = models.PositiveBigIntegerField(default=0)
    n_unpriced = models.PositiveBigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State, default=State.WALKING)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=300)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "since", "until"],
                condition=models.Q(state="walking"),
                name="repricing_walks_alone",
            ),
            models.CheckConstraint(
                condition=models.Q(n_changed__lte=models.F("n_seen"), n_unpriced__lte=models.F("n_seen")),
                name="repricing_changes_what_it_saw",
            ),
            models.CheckConstraint(
                condition=models.Q(state="walking", ended_at=None) | models.Q(state="done", ended_at__isnull=False),
                name="repricing_ended_has_moment",
            ),
        ]
        indexes = [models.Index(fields=["project", "id"], name="repricing_by_project")]

    def __str__(self) -> str:
        return f"repricing {self.pk} of project {self.project_id}"

    @property
    def share(self) -> float:
        """How much of the way is behind it, 0 to 1, by the ids of outputs; 1 at its end alone."""
        if self.state == self.State.DONE or self.last_output < self.first_output:
            return 1.0
        return max(0, self.cursor - self.first_output + 1) / (self.last_output - self.first_output + 1)


class SearchText(models.Model):
    """The words that one output is found by, as keys `<project>:<word>` (`outputs.words`); filled by a worker.

    An output without a row has not been looked at yet: a search does not find it, and says how far it is behind.
    """

    output = models.OneToOneField(Output, primary_key=True, on_delete=models.CASCADE, related_name="search_text")
    words = SearchVectorField()

    class Meta:
        indexes = [GinIndex(fields=["words"], name="search_text_words")]

    def __str__(self) -> str:
        return f"words of output {self.output_id}"


class FeedbackDoor(models.Model):
    """A way in for feedback from public pages: who has its token may say something about outputs, and read nothing.

    The token is signed and stands in no row; `version` makes a new one, and with it the old one opens nothing. `secret`
    (sealed) is for the project's own server, to say which output a visitor was shown.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="feedback_doors")
    name = models.CharField(max_length=80)
    version = models.PositiveIntegerField(default=1)
    kinds = ArrayField(models.CharField(max_length=10))
    origins = ArrayField(models.CharField(max_length=300))
    secret = models.BinaryField()
    needs_signature = models.BooleanField(default=False)
    created_by = models.CharField(max_length=300)
    created_at = models.DateTimeField(db_default=Now())
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="feedback_door_name_once"),
            models.CheckConstraint(
                condition=models.Q(kinds__contained_by=["thumb", "edit", "comment", "outcome"]) & ~models.Q(kinds=[]),
                name="feedback_door_kinds_known",
            ),
            models.CheckConstraint(
                condition=models.Q(revoked_at=None, revoked_by="")
                | (~models.Q(revoked_at=None) & ~models.Q(revoked_by="")),
                name="feedback_door_revoked_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Feedback(models.Model):
    """What somebody or something said about an output; it may arrive before the output does."""

    class Kind(models.TextChoices):
        THUMB = "thumb"
        EDIT = "edit"
        COMMENT = "comment"
        OUTCOME = "outcome"
        SCORE = "score"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="feedback", db_index=False)
    external_id = models.CharField(max_length=200)
    body_hash = models.BinaryField(max_length=32)
    output_external_id = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Kind)
    name = models.CharField(max_length=100, blank=True)
    value = models.FloatField(null=True)
    label = models.CharField(max_length=200, blank=True)
    comment = models.TextField(blank=True)
    end_user = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=100, blank=True)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "external_id"], name="feedback_external_id_once"),
            models.CheckConstraint(
                condition=models.Q(kind__in=["thumb", "edit", "comment", "outcome", "score"]),
                name="feedback_kind_known",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "output_external_id"], name="feedback_by_output"),
            models.Index(fields=["project", "id"], condition=models.Q(kind="thumb"), name="feedback_thumbs"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} on {self.output_external_id}"


class Tally(models.Model):
    """What one source sent in a span of time, and what became of it: rows sent = accepted + duplicates + rejected.

    A source is a sender by one route with one instrument. Where rows are stored, the transaction that stores them
    adds a row of grain `MOMENT`; a worker sums these up to minutes, hours, days and at last to all time.
    `refused` counts requests of which nothing was looked at row by row.
    """

    class Grain(models.IntegerChoices):
        MOMENT = 0
        MINUTE = 1
        HOUR = 2
        DAY = 3
        EVER = 4

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tallies", db_index=False)
    grain = models.SmallIntegerField(choices=Grain, default=Grain.MOMENT)
    starts_at = models.DateTimeField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    sender = models.CharField(max_length=300)
    route = models.CharField(max_length=60)
    instrument = models.CharField(max_length=60, blank=True)
    n_requests = models.BigIntegerField(default=0)
    accepted = models.BigIntegerField(default=0)
    duplicates = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)
    refused = models.BigIntegerField(default=0)
    n_bytes = models.BigIntegerField(default=0)
    # New rows of each kind; rejected rows for each reason, refused requests likewise; places redacted by each detector.
    stored = models.JSONField(default=dict)
    reasons = models.JSONField(default=dict)
    refusals = models.JSONField(default=dict)
    redacted = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [
            models.UniqueConstraint(
                fields=["project", "grain", "starts_at", "sender", "route", "instrument"],
                condition=models.Q(grain__gt=0),
                name="tally_once",
            ),
        ]
        indexes = [models.Index(fields=["project", "id"], condition=models.Q(grain=0), name="tally_moments")]

    def __str__(self) -> str:
        return f"{self.sender} by {self.route} at {self.starts_at:%Y-%m-%d %H:%M}"


class IngestLimit(models.Model):
    """How much a project may send; what is null, and a project without a row, is not limited."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="ingest_limit")
    rows_per_second = models.IntegerField(null=True)
    burst_rows = models.IntegerField(null=True)
    bytes_per_second = models.BigIntegerField(null=True)
    rows_per_month = models.BigIntegerField(null=True)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=300)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(rows_per_second=None) | models.Q(rows_per_second__gte=1),
                name="ingest_limit_rows_positive",
            ),
            models.CheckConstraint(
                condition=models.Q(bytes_per_second=None) | models.Q(bytes_per_second__gte=1),
                name="ingest_limit_bytes_positive",
            ),
            models.CheckConstraint(
                condition=models.Q(rows_per_month=None) | models.Q(rows_per_month__gte=0),
                name="ingest_limit_month_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(burst_rows=None) | models.Q(burst_rows__gte=1, rows_per_second__isnull=False),
                name="ingest_limit_burst_of_a_rate",
            ),
        ]

    def __str__(self) -> str:
        return f"limits of project {self.project_id}"


class Import(models.Model):
    """A file that somebody sent: its rows are read by one worker after another, each under a lease, and stored.

    `cursor` says where reading goes on, and moves in the transaction that stores the rows before it, as the counts
    do; so whoever goes on leaves nothing out and counts nothing twice. `lease_token` only grows: who writes with an
    older one has lost the import; until `lease_until` nobody else takes it, nor anybody where it waits for the
    project's pace. Of a format with columns, `mapping` gives them meaning (null: as guessed). `sample` holds the first
    rows to look at, without what the project takes out of its rows.
    """

    class Kind(models.TextChoices):
        OUTPUTS = "outputs"
        FEEDBACK = "feedback"

    class State(models.TextChoices):
        UPLOADING = "uploading"
        ARRIVED = "arrived"
        READY = "ready"
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    OVER = (State.DONE, State.FAILED, State.CANCELLED)

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="imports", db_index=False)
    format = models.CharField(max_length=20)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.OUTPUTS)
    name = models.CharField(max_length=200, blank=True)
    size = models.BigIntegerField(null=True)
    received_bytes = models.BigIntegerField(default=0)
    mapping = models.JSONField(null=True)
    sample = models.JSONField(null=True)
    state = models.CharField(max_length=10, choices=State, default=State.UPLOADING)
    error = models.TextField(blank=True)
    cursor = models.JSONField(default=dict)
    n_rows = models.BigIntegerField(default=0)
    n_stored = models.BigIntegerField(default=0)
    n_duplicates = models.BigIntegerField(default=0)
    n_rejected = models.BigIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    lease_token = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=300)
    touched_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(n_rows=models.F("n_stored") + models.F("n_duplicates") + models.F("n_rejected")),
                name="import_counts_every_row",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["done", "failed", "cancelled"], ended_at__isnull=False)
                | (~models.Q(state__in=["done", "failed", "cancelled"]) & models.Q(ended_at=None)),
                name="import_ended_has_moment",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="running") | models.Q(lease_until__isnull=False),
                name="import_running_has_end",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "id"], name="import_by_project"),
            models.Index(
                fields=["id"],
                condition=models.Q(state__in=["uploading", "arrived", "ready", "waiting", "running"]),
                name="import_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return f"import {self.pk}"

    @property
    def is_over(self) -> bool:
        return self.state in self.OVER


class ImportPiece(models.Model):
    """Some bytes of an import's file, which begin at `offset`; dropped when the import is over."""

    of = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="pieces", db_index=False)
    offset = models.BigIntegerField()
    body = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["of", "offset"], name="import_piece_once")]

    def __str__(self) -> str:
        return f"{self.of} from byte {self.offset}"


class ImportFlaw(models.Model):
    """The rows of one batch that were refused: `[{"index", "line", "errors"}]`, in the order of the file."""

    of = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="flaws", db_index=False)
    rows = models.JSONField()

    class Meta:
        indexes = [models.Index(fields=["of", "id"], name="import_flaw_in_order")]

    def __str__(self) -> str:
        return f"flaws of {self.of}"
