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
    cost_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True)
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
        ]
        indexes = [
            models.Index(fields=["project", "id"], name="output_newest_first"),
            models.Index(fields=["project", "prompt", "id"], name="output_by_prompt"),
            models.Index(
                fields=["project", "trace_id", "id"], condition=~models.Q(trace_id=""), name="output_by_trace"
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
