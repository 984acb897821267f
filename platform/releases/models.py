"""Why a label points where it points."""

from django.db import models

from evals.models import Run
from prompts.models import Label, Revision


class Release(models.Model):
    """A label was moved to a revision, by somebody, on this evidence or for this reason.

    The newest release of a label is the active one. Evidence is spent: a run serves one release.
    """

    class Kind(models.TextChoices):
        INITIAL = "initial"
        EVIDENCE = "evidence"
        ROLLBACK = "rollback"

    label = models.ForeignKey(Label, on_delete=models.CASCADE, related_name="releases")
    number = models.PositiveIntegerField()
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="releases")
    previous = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind)
    run = models.OneToOneField(Run, null=True, on_delete=models.PROTECT, related_name="release")
    rolled_back = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="rollback")
    reason = models.TextField(blank=True)
    content_hash = models.CharField(max_length=64)
    at = models.DateTimeField()
    by = models.CharField(max_length=300)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["label", "number"], name="release_number_once"),
            models.UniqueConstraint(fields=["label"], condition=models.Q(kind="initial"), name="release_initial_once"),
            models.CheckConstraint(
                condition=models.Q(kind="initial", run=None, rolled_back=None)
                | models.Q(kind="evidence", run__isnull=False, rolled_back=None)
                | models.Q(kind="rollback", run=None, rolled_back__isnull=False),
                name="release_says_why",
            ),
            models.CheckConstraint(
                condition=models.Q(kind="evidence") | ~models.Q(reason=""), name="release_without_evidence_has_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label} → r{self.revision.number}"
