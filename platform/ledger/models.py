"""The plumbing that needs tables: hand-overs, deliveries, stored answers, shared limits, signs of life."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Handover(models.Model):
    """These rows were stored and this consumer has not looked at them yet; the consumer deletes the row."""

    consumer = models.CharField(max_length=60)
    topic = models.CharField(max_length=60)
    project_id = models.BigIntegerField()
    ids = ArrayField(models.BigIntegerField())
    created_at = models.DateTimeField(db_default=Now())
    # Set aside: what this consumer could not do anything with, and why; it keeps nobody else waiting.
    parked_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True, db_default="")

    class Meta:
        indexes = [
            models.Index(fields=["consumer", "id"], condition=models.Q(parked_at=None), name="handover_oldest_first")
        ]

    def __str__(self) -> str:
        return f"{self.topic} of {len(self.ids)} for {self.consumer}"


class Delivery(models.Model):
    """Something that must leave the house: `body` for `target` of `channel`, told at least once under this row's id.

    It waits until `due_at`; whoever claims it has it until `lease_until`, fenced by `token`. After the last attempt it
    is dead, with the reason of the last failure.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        DELIVERED = "delivered"
        DEAD = "dead"

    project_id = models.BigIntegerField()
    channel = models.CharField(max_length=20)
    target = models.BigIntegerField()
    topic = models.CharField(max_length=60)
    # What it tells of; the same is told to a target once.
    subject = models.CharField(max_length=100)
    body = models.TextField()
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    token = models.PositiveIntegerField(default=0)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "target", "topic", "subject"], name="delivery_once"),
            models.CheckConstraint(
                condition=models.Q(state="waiting", ended_at=None)
                | (~models.Q(state="waiting") & models.Q(ended_at__isnull=False, lease_until=None)),
                name="delivery_ended_has_moment",
            ),
            models.CheckConstraint(condition=~models.Q(state="dead", reason=""), name="delivery_dead_has_reason"),
        ]
        indexes = [
            models.Index(fields=["channel", "due_at"], condition=models.Q(state="waiting"), name="delivery_waiting"),
            models.Index(fields=["project_id", "id"], name="delivery_by_project"),
            models.Index(fields=["project_id", "id"], condition=models.Q(state="dead"), name="delivery_dead"),
            models.Index(fields=["ended_at"], condition=~models.Q(state="waiting"), name="delivery_ended"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} of {self.subject}: {self.state}"


class IdempotentAnswer(models.Model):
    """What was answered to a write that carried an Idempotency-Key; kept 48 hours, repeated byte for byte."""

    project_id = models.BigIntegerField()
    actor = models.CharField(max_length=300)
    key = models.CharField(max_length=200)
    request_digest = models.BinaryField(max_length=32)
    status = models.SmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project_id", "actor", "key"], name="idempotent_answer_once"),
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotent_answer_age")]

    def __str__(self) -> str:
        return f"{self.key} → {self.status}"


class Allowance(models.Model):
    """A limit that all processes share: `taken` never exceeds `capacity`."""

    key = models.CharField(max_length=200, unique=True)
    capacity = models.BigIntegerField()
    taken = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(taken__gte=0, taken__lte=models.F("capacity")), name="allowance_within_capacity"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.taken} of {self.capacity}"


class AllowanceHold(models.Model):
    """This holder may use `n` of an allowance until `lease_until`; after that anybody may take it back."""

    allowance = models.ForeignKey(Allowance, on_delete=models.CASCADE, related_name="holds")
    holder = models.CharField(max_length=200)
    n = models.BigIntegerField()
    lease_until = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["allowance", "holder"], name="allowance_hold_once"),
            models.CheckConstraint(condition=models.Q(n__gte=0), name="allowance_hold_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.holder} holds {self.n}"


class RateBucket(models.Model):
    """A pace that all processes share: `rate` tokens come every second, up to `burst`.

    `tokens` are those there were at `filled_at`; below zero they are owed, and come in first.
    """

    key = models.CharField(max_length=200, unique=True)
    rate = models.FloatField()
    burst = models.FloatField()
    tokens = models.FloatField()
    filled_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(rate__gt=0, burst__gte=1, tokens__lte=models.F("burst")),
                name="rate_bucket_within_burst",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.rate:g} a second"


class Heartbeat(models.Model):
    """The last sign of life of one process."""

    name = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=30)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["kind", "at"], name="heartbeat_by_kind")]

    def __str__(self) -> str:
        return f"{self.name} at {self.at:%H:%M:%S}"
