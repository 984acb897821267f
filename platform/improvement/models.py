"""The loop's way back: what verdicts propose, and which verdict every line of context came from."""

from django.db import models

from prompts.models import ContextItem, Prompt, Revision
from reviews.models import Verdict


class Proposal(models.Model):
    """A candidate revision made from verdicts of part `teach`, and what became of it.

    Somebody approves or rejects what is ready, once. That says what people think; a label moves on evidence alone.
    """

    class Kind(models.TextChoices):
        EXAMPLES = "examples"

    class State(models.TextChoices):
        BUILDING = "building"
        READY = "ready"
        FAILED = "failed"
        APPROVED = "approved"
        REJECTED = "rejected"

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="proposals")
    kind = models.CharField(max_length=12, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.BUILDING)
    base = models.ForeignKey(Revision, null=True, on_delete=models.PROTECT, related_name="+")
    revision = models.ForeignKey(Revision, null=True, on_delete=models.PROTECT, related_name="proposals")
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=300)
    built_at = models.DateTimeField(null=True)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=300, blank=True)
    decided_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prompt", "revision"], name="proposal_revision_once"),
            models.UniqueConstraint(
                fields=["prompt", "kind"], condition=models.Q(state="building"), name="proposal_one_building_per_kind"
            ),
            models.CheckConstraint(
                condition=~models.Q(state="ready") | models.Q(revision__isnull=False),
                name="proposal_ready_has_revision",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="failed") | ~models.Q(reason=""), name="proposal_failed_has_reason"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["building", "ready", "failed"], decided_at=None, decided_by="")
                | models.Q(state__in=["approved", "rejected"], decided_at__isnull=False, revision__isnull=False)
                & ~models.Q(decided_by=""),
                name="proposal_decided_says_when_and_by_whom",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="rejected") | ~models.Q(decided_reason=""),
                name="proposal_rejected_has_reason",
            ),
        ]
        indexes = [models.Index(fields=["id"], condition=models.Q(state="building"), name="proposal_building")]

    def __str__(self) -> str:
        return f"proposal {self.pk} for {self.prompt}"


class Origin(models.Model):
    """This context item came from this verdict: one click leads from any line back to its cause."""

    item = models.ForeignKey(ContextItem, on_delete=models.CASCADE, related_name="origins")
    verdict = models.ForeignKey(Verdict, on_delete=models.PROTECT, related_name="origins")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "verdict"], name="origin_once")]

    def __str__(self) -> str:
        return f"{self.item} ← verdict {self.verdict_id}"
