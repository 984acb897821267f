"""What is kept so that a trend costs the same over a thousand outputs and over a million."""

from django.db import models

from projects.models import Project
from prompts.models import Prompt, Revision
from reviews.models import Rubric


class Grain(models.TextChoices):
    """How long the span of a rollup is; a day is the sum of its hours (UTC)."""

    HOUR = "hour"
    DAY = "day"


class Span(models.Model):
    """The outputs of one project, span of arrival, prompt, revision, model and environment."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    grain = models.CharField(max_length=4, choices=Grain)
    starts_at = models.DateTimeField()
    prompt = models.ForeignKey(Prompt, null=True, on_delete=models.CASCADE, related_name="+", db_index=False)
    revision = models.ForeignKey(Revision, null=True, on_delete=models.CASCADE, related_name="+", db_index=False)
    model = models.CharField(max_length=200, blank=True)
    environment = models.CharField(max_length=60, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.grain} {self.starts_at:%Y-%m-%d %H:%M} of project {self.project_id}"


SPAN = ["project", "grain", "starts_at", "prompt", "revision", "model", "environment"]


class Rollup(Span):
    """What production said in a span: counts, sums, and the sketch of its latency (see `insights.sketch`)."""

    n = models.BigIntegerField()
    n_errors = models.BigIntegerField()
    n_unpriced = models.BigIntegerField()
    cost_usd = models.DecimalField(max_digits=30, decimal_places=9)
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    # Of the input tokens those from a cache; of the unpriced outputs those that did not tell their tokens, and the
    # tokens of the others.
    cached_input_tokens = models.BigIntegerField(db_default=0)
    n_uncounted = models.BigIntegerField(db_default=0)
    unpriced_input_tokens = models.BigIntegerField(db_default=0)
    unpriced_output_tokens = models.BigIntegerField(db_default=0)
    latency = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=SPAN, name="rollup_once", nulls_distinct=False),
            models.CheckConstraint(
                condition=models.Q(n__gte=models.F("n_errors"), n_errors__gte=0), name="rollup_errors_within_n"
            ),
            models.CheckConstraint(
                condition=models.Q(n__gte=models.F("n_unpriced"), n_unpriced__gte=0), name="rollup_unpriced_within_n"
            ),
            models.CheckConstraint(
                condition=models.Q(n_unpriced__gte=models.F("n_uncounted"), n_uncounted__gte=0),
                name="rollup_uncounted_within_unpriced",
            ),
        ]


class QualityRollup(Span):
    """What reviews of probability draws say about a span under one quality question (`reviews.estimation.Sums`).

    `rubric` is the first version that asked the question so: a version whose question differs starts another series.
    """

    rubric = models.ForeignKey(Rubric, on_delete=models.CASCADE, related_name="+", db_index=False)
    n_covered = models.BigIntegerField()
    n_drawn = models.BigIntegerField()
    n_settled = models.BigIntegerField()
    y = models.FloatField()
    w = models.FloatField()
    wy = models.FloatField()
    wyy = models.FloatField()
    ww = models.FloatField()
    wwy = models.FloatField()
    wwyy = models.FloatField()
    a = models.FloatField()
    ay = models.FloatField()
    ayy = models.FloatField()
    lowest = models.FloatField(null=True)
    highest = models.FloatField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=[*SPAN, "rubric"], name="quality_rollup_once", nulls_distinct=False),
            models.CheckConstraint(
                condition=models.Q(n_covered__gte=models.F("n_drawn"), n_drawn__gte=models.F("n_settled")),
                name="quality_rollup_settled_were_drawn",
            ),
        ]


class StaleHour(models.Model):
    """Something about outputs of this hour changed after it was rolled up; the same hour may stand here often."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    hour = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["project", "hour"], name="stale_hour_by_project")]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:%M} of project {self.project_id}"
