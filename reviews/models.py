"""The room where people judge: what is asked, of whom, about which outputs, and what was settled."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now

from outputs.models import Output
from projects.models import Project, User
from prompts.models import Prompt


class Part(models.TextChoices):
    """Where a verdict goes, once and for ever: two parts are exam, one is textbook."""

    GATE = "gate", "decides gates"
    DEV = "dev", "search and ablation"
    TEACH = "teach", "may enter a context"


class RubricQuerySet(models.QuerySet["Rubric"]):
    def of(self, project_id: int) -> "RubricQuerySet":
        return self.filter(project_id=project_id)


class Rubric(models.Model):
    """One version of what reviewers are asked; exactly one question carries the quality, mapped to 0 to 1."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rubrics")
    name = models.CharField(max_length=100)
    version = models.PositiveIntegerField()
    content_hash = models.CharField(max_length=64)
    questions = models.JSONField()
    quality = models.JSONField()
    guideline = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=300)

    objects = RubricQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name", "version"], name="rubric_version_once"),
            models.UniqueConstraint(fields=["project", "name", "content_hash"], name="rubric_content_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class QueueQuerySet(models.QuerySet["Queue"]):
    def of(self, project_id: int) -> "QueueQuerySet":
        return self.filter(project_id=project_id)


class Queue(models.Model):
    """Items that wait for `overlap` people each, under one rubric; `rubric` is always its newest version."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="queues")
    name = models.CharField(max_length=100)
    rubric = models.ForeignKey(Rubric, on_delete=models.PROTECT, related_name="queues")
    overlap = models.PositiveSmallIntegerField(default=1)
    lease_minutes = models.PositiveSmallIntegerField(default=15)
    adjudicators = models.ManyToManyField(User, blank=True, related_name="adjudicated_queues")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=300)

    objects = QueueQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="queue_name_once"),
            models.CheckConstraint(condition=models.Q(overlap__gte=1), name="queue_overlap_positive"),
            models.CheckConstraint(condition=models.Q(lease_minutes__gte=1), name="queue_lease_positive"),
        ]

    def __str__(self) -> str:
        return self.name


class SamplingRule(models.Model):
    """Sends outputs to a queue by hashed draw. Immutable: another rate or filter is a new rule and salt."""

    class Kind(models.TextChoices):
        PROBABILITY = "probability"

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="rules")
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.PROBABILITY)
    rate = models.FloatField()
    filter = models.JSONField(default=dict)
    salt = models.BinaryField(max_length=16)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=300)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(rate__gt=0, rate__lte=1), name="sampling_rule_rate_is_a_share"),
        ]

    def __str__(self) -> str:
        return f"{self.rate:.0%} into {self.queue}"


class Match(models.Model):
    """This rule covers this output with probability `p`, and drew it or not; π is made of these rows."""

    rule = models.ForeignKey(SamplingRule, on_delete=models.CASCADE, related_name="matches", db_index=False)
    output = models.ForeignKey(Output, on_delete=models.CASCADE, related_name="+")
    p = models.FloatField()
    drawn = models.BooleanField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rule", "output"], name="match_once"),
            models.CheckConstraint(condition=models.Q(p__gt=0, p__lte=1), name="match_p_is_a_probability"),
        ]

    def __str__(self) -> str:
        return f"rule {self.rule_id} on output {self.output_id}: {'drawn' if self.drawn else 'not drawn'}"


class ItemQuerySet(models.QuerySet["Item"]):
    def of(self, project_id: int) -> "ItemQuerySet":
        return self.filter(project_id=project_id)


class Item(models.Model):
    """One thing to judge in one queue; its subject is named by kind and key, its outputs hang below.

    The rubric's version and the overlap are those of the queue when the item was made; later changes leave it
    alone.
    """

    class State(models.TextChoices):
        OPEN = "open"
        DISPUTED = "disputed", "reviewers differ; waits for an adjudicator"
        SETTLED = "settled"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="items", db_index=False)
    rubric = models.ForeignKey(Rubric, on_delete=models.PROTECT, related_name="+")
    subject_kind = models.CharField(max_length=20, default="output")
    subject_key = models.CharField(max_length=200)
    round = models.PositiveSmallIntegerField(default=1)
    overlap = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    n_reviews = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())

    objects = ItemQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(n_reviews__lte=models.F("overlap")), name="item_reviews_within_overlap"
            ),
            models.UniqueConstraint(fields=["queue", "subject_kind", "subject_key", "round"], name="item_subject_once"),
        ]
        indexes = [
            models.Index(fields=["project", "id"], name="item_by_project"),
            models.Index(fields=["queue", "id"], condition=models.Q(state="open"), name="item_open_oldest_first"),
            models.Index(
                fields=["queue", "id"], condition=models.Q(state="disputed"), name="item_disputed_oldest_first"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject_kind} {self.subject_key} in {self.queue}"


class Intake(models.Model):
    """Somebody asked that all outputs which match `filter` go into the queue; a worker walks them in blocks by id.

    The walk goes from the project's first output to `last_output`, the newest when it was asked for, and has
    come as far as `cursor`: whoever goes on begins there. `n_seen` matched so far, `n_added` became items.
    """

    class State(models.TextChoices):
        WALKING = "walking"
        DONE = "done"
        STOPPED = "stopped"

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="intakes", db_index=False)
    filter = models.JSONField(default=dict)
    first_output = models.BigIntegerField()
    last_output = models.BigIntegerField()
    cursor = models.BigIntegerField()
    n_seen = models.PositiveIntegerField(default=0)
    n_added = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State, default=State.WALKING)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=300)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(n_added__lte=models.F("n_seen")), name="intake_adds_what_it_saw"),
            models.CheckConstraint(
                condition=models.Q(state="walking", ended_at=None)
                | (~models.Q(state="walking") & models.Q(ended_at__isnull=False)),
                name="intake_ended_has_moment",
            ),
        ]
        indexes = [
            models.Index(fields=["queue", "id"], name="intake_by_queue"),
            models.Index(fields=["id"], condition=models.Q(state="walking"), name="intake_walking"),
        ]

    def __str__(self) -> str:
        return f"intake {self.pk} into {self.queue}"

    @property
    def share(self) -> float:
        """How much of the way is behind it, 0 to 1, by the ids of outputs; 1 at its end alone."""
        if self.state == self.State.DONE or self.last_output <= 0:
            return 1.0
        way = self.last_output - self.first_output + 1
        return max(0, self.cursor - self.first_output + 1) / way


class ItemOutput(models.Model):
    """This output is part of this item, at this place (a pair has two)."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="item_outputs")
    output = models.ForeignKey(Output, on_delete=models.CASCADE, related_name="item_outputs")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "position"], name="item_output_place_once")]

    def __str__(self) -> str:
        return f"{self.item} [{self.position}]"


class Claim(models.Model):
    """This reviewer has this item on the desk until `lease_until`; `token` fences what is handed in.

    A claim that `is_ahead` takes no place: the item was fetched before its turn, and others may have it, though
    they get another one first.
    """

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="claims")
    reviewer = models.CharField(max_length=300)
    token = models.UUIDField()
    lease_until = models.DateTimeField()
    is_ahead = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "reviewer"], name="claim_once_per_reviewer")]
        indexes = [models.Index(fields=["reviewer", "lease_until"], name="claim_held_by_reviewer")]

    def __str__(self) -> str:
        return f"{self.reviewer} holds {self.item}"


class Draft(models.Model):
    """What this reviewer has typed about this item and not handed in; kept whoever has the item by now."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="drafts", db_index=False)
    reviewer = models.CharField(max_length=300)
    answers = models.JSONField(default=dict)
    correction = models.TextField(blank=True)
    comment = models.TextField(blank=True)
    tags = models.TextField(blank=True)
    saved_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "reviewer"], name="draft_once_per_reviewer")]
        indexes = [models.Index(fields=["reviewer", "saved_at"], name="draft_by_reviewer")]

    def __str__(self) -> str:
        return f"what {self.reviewer} typed about {self.item}"


class Bookmark(models.Model):
    """Up to the item `floor` nothing open in this queue waited for this reviewer when it was last looked for.

    It spares a reviewer of thousands a walk past all of them. It is a hint with an age: after some minutes the queue
    is searched from its beginning again, and whatever opens an item a second time lowers the floors above it.
    """

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="bookmarks", db_index=False)
    reviewer = models.CharField(max_length=300)
    floor = models.BigIntegerField()
    searched_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["queue", "reviewer"], name="bookmark_once_per_reviewer")]

    def __str__(self) -> str:
        return f"{self.reviewer} in {self.queue} from {self.floor}"


class Skip(models.Model):
    """This reviewer passed over this item, and why; it is not offered to the same person again."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="skips")
    reviewer = models.CharField(max_length=300)
    reason = models.TextField()
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "reviewer"], name="skip_once_per_reviewer")]

    def __str__(self) -> str:
        return f"{self.reviewer} skipped {self.item}"


class ReviewQuerySet(models.QuerySet["Review"]):
    def standing(self) -> "ReviewQuerySet":
        """Reviews given here that their reviewers did not take back: what items are settled by."""
        return self.filter(withdrawn_at=None, made_elsewhere=False)

    def comparable(self) -> "ReviewQuerySet":
        """What people are compared by: standing reviews, and all that were made elsewhere."""
        return self.filter(withdrawn_at=None)


class Review(models.Model):
    """What one person answered about one item; a later attempt adds a row and overwrites nothing.

    Taken back (`withdrawn_at`), it stays as history and counts for nothing. One that was `made_elsewhere` was brought
    in: its reviewer is `elsewhere:<name>`, who is nobody here and may have judged the item more than once; it takes no
    place at the item and settles nothing.
    """

    ELSEWHERE = "elsewhere:"

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="reviews")
    reviewer = models.CharField(max_length=300)
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="reviews")
    attempt = models.PositiveSmallIntegerField(default=1)
    claim_token = models.UUIDField(unique=True)
    answers = models.JSONField()
    correction = models.TextField(null=True)
    tags = ArrayField(models.CharField(max_length=100), default=list)
    comment = models.TextField(blank=True)
    at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)
    made_elsewhere = models.BooleanField(default=False, db_default=False)

    objects = ReviewQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "reviewer", "attempt"], name="review_attempt_once"),
            models.UniqueConstraint(
                fields=["item", "reviewer"],
                condition=models.Q(withdrawn_at=None, made_elsewhere=False),
                name="review_one_standing_per_reviewer",
            ),
            models.CheckConstraint(
                condition=models.Q(withdrawn_at=None) | models.Q(withdrawn_at__gte=models.F("at")),
                name="review_withdrawn_after_it_was_given",
            ),
            models.CheckConstraint(
                condition=models.Q(made_elsewhere=True, user=None, reviewer__startswith="elsewhere:")
                | (models.Q(made_elsewhere=False) & ~models.Q(reviewer__startswith="elsewhere:")),
                name="review_made_elsewhere_says_so",
            ),
        ]
        indexes = [models.Index(fields=["reviewer", "at"], name="review_by_reviewer")]

    def __str__(self) -> str:
        return f"{self.reviewer} on {self.item}"


class PartSplit(models.Model):
    """A group of near-duplicate inputs of a prompt and the part it was dealt, once. It never moves.

    `text` is the folded input of the group's earliest verdict; `bands` are its MinHash bands.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    prompt = models.ForeignKey(Prompt, null=True, on_delete=models.CASCADE, related_name="part_splits")
    text = models.TextField()
    text_hash = models.BinaryField(max_length=32)
    bands = ArrayField(models.BigIntegerField())
    part = models.CharField(max_length=10, choices=Part)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "prompt", "text_hash"], name="part_split_text_once", nulls_distinct=False
            ),
        ]
        indexes = [GinIndex(fields=["bands"], name="part_split_bands")]

    def __str__(self) -> str:
        return f"{self.part}: {self.text[:40]}"


class VerdictQuerySet(models.QuerySet["Verdict"]):
    def of(self, project_id: int) -> "VerdictQuerySet":
        return self.filter(project_id=project_id)

    def standing(self) -> "VerdictQuerySet":
        """Verdicts that no later one replaced."""
        return self.filter(replaced_at=None)

    def teaching(self) -> "VerdictQuerySet":
        """The only verdicts that may enter a context."""
        return self.standing().filter(part=Part.TEACH)


class Verdict(models.Model):
    """What holds about an item: answers, quality from 0 to 1, a correction if it was wrong, and its part."""

    class SettledBy(models.TextChoices):
        AGREEMENT = "agreement"
        ADJUDICATOR = "adjudicator"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="verdicts", db_index=False)
    prompt = models.ForeignKey(Prompt, null=True, on_delete=models.SET_NULL, related_name="verdicts", db_index=False)
    answers = models.JSONField()
    quality = models.FloatField()
    correction = models.TextField(null=True)
    rationale = models.TextField(blank=True)
    part = models.CharField(max_length=10, choices=Part)
    split = models.ForeignKey(PartSplit, on_delete=models.PROTECT, related_name="verdicts")
    settled_by = models.CharField(max_length=12, choices=SettledBy)
    settled_at = models.DateTimeField()
    by = models.CharField(max_length=300)
    replaced_at = models.DateTimeField(null=True)

    objects = VerdictQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item"], condition=models.Q(replaced_at=None), name="verdict_one_standing_per_item"
            ),
            models.CheckConstraint(condition=models.Q(quality__gte=0, quality__lte=1), name="verdict_quality_0_to_1"),
        ]
        indexes = [
            models.Index(fields=["project", "id"], name="verdict_by_project"),
            models.Index(fields=["prompt", "part", "id"], name="verdict_by_prompt_and_part"),
        ]

    def __str__(self) -> str:
        return f"verdict on {self.item}"
