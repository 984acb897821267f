"""What production is told to say: prompts, their immutable revisions, and the labels that point at them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from projects.models import Project

# The label of what is served, where nothing else is named.
PRODUCTION = "production"


class PromptQuerySet(models.QuerySet["Prompt"]):
    def of(self, project_id: int) -> "PromptQuerySet":
        return self.filter(project_id=project_id)


class Prompt(models.Model):
    """One task that production asks a model to do. The shares say how new verdicts are split (percent)."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts")
    name = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    gate_share = models.PositiveSmallIntegerField(default=20)
    dev_share = models.PositiveSmallIntegerField(default=20)
    teach_share = models.PositiveSmallIntegerField(default=60)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=300)

    objects = PromptQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="prompt_name_once"),
            models.CheckConstraint(
                condition=models.Q(gate_share=100 - models.F("dev_share") - models.F("teach_share")),
                name="prompt_shares_make_100",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Revision(models.Model):
    """One immutable state of a prompt: messages, model, parameters, context. Same content, same revision."""

    class Strategy(models.TextChoices):
        ALL = "all"
        SIMILAR = "similar"

    class IndexState(models.TextChoices):
        NONE = "none", "needs no index"
        WAITING = "waiting", "waits for a worker"
        READY = "ready"

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    content_hash = models.CharField(max_length=64)
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="children")
    messages = models.JSONField()
    model = models.CharField(max_length=200)
    parameters = models.JSONField(default=dict)
    strategy = models.CharField(max_length=20, choices=Strategy, default=Strategy.ALL)
    k = models.PositiveIntegerField(null=True)
    n_context = models.PositiveIntegerField(default=0)
    index_state = models.CharField(max_length=10, choices=IndexState, default=IndexState.NONE)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=300)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prompt", "number"], name="revision_number_once"),
            models.UniqueConstraint(fields=["prompt", "content_hash"], name="revision_content_once"),
            models.CheckConstraint(
                condition=models.Q(strategy="all", k=None) | models.Q(strategy="similar", k__gte=1),
                name="revision_similar_has_k",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=models.Q(index_state="waiting"), name="revision_waits_for_index"),
        ]

    def __str__(self) -> str:
        return f"{self.prompt} r{self.number}"


class ContextItem(models.Model):
    """One line of context of a prompt; the revisions that hold it share the row: its origin is told once."""

    class Kind(models.TextChoices):
        EXAMPLE = "example"
        LESSON = "lesson"
        FACT = "fact"

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="context_items")
    content_hash = models.CharField(max_length=64)
    kind = models.CharField(max_length=10, choices=Kind)
    input = models.TextField(blank=True)
    output = models.TextField(blank=True)
    text = models.TextField(blank=True)
    tags = ArrayField(models.CharField(max_length=100), default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prompt", "content_hash"], name="context_item_content_once"),
        ]

    def __str__(self) -> str:
        return (self.text or self.input)[:60]


class RevisionContext(models.Model):
    """This revision holds this context item at this place (from 0)."""

    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="places")
    item = models.ForeignKey(ContextItem, on_delete=models.PROTECT, related_name="places")
    position = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["revision", "position"], name="revision_context_place_once"),
            models.UniqueConstraint(fields=["revision", "item"], name="revision_context_item_once"),
        ]

    def __str__(self) -> str:
        return f"{self.revision} [{self.position}]"


class RevisionIndex(models.Model):
    """The TF-IDF postings of a revision's examples in their order, from which similar ones are ranked."""

    revision = models.OneToOneField(Revision, on_delete=models.CASCADE, related_name="index", primary_key=True)
    postings = models.BinaryField()
    built_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"index of {self.revision}"


class Label(models.Model):
    """A name that production asks for (`production`), the revision it gets, and the arms of a rollout."""

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="labels")
    name = models.CharField(max_length=60)
    revision = models.ForeignKey(Revision, null=True, on_delete=models.PROTECT, related_name="labels")
    rollout_revision = models.ForeignKey(Revision, null=True, on_delete=models.PROTECT, related_name="rollout_labels")
    rollout_percent = models.PositiveSmallIntegerField(default=0)
    pointed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prompt", "name"], name="label_name_once"),
            models.CheckConstraint(
                condition=models.Q(rollout_revision=None, rollout_percent=0)
                | models.Q(rollout_revision__isnull=False, rollout_percent__range=(1, 99)),
                name="label_rollout_has_share",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prompt}@{self.name}"
