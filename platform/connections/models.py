"""Where models live and how to reach them, what they cost, and who is told what happens."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from projects.models import Project


class ConnectionQuerySet(models.QuerySet["Connection"]):
    def of(self, project_id: int) -> "ConnectionQuerySet":
        return self.filter(project_id=project_id)


class Connection(models.Model):
    """A model endpoint of a project. Its secret is sealed and bound to `secret_host`: it goes only there."""

    class Kind(models.TextChoices):
        OPENAI = "openai"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="connections")
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.OPENAI)
    base_url = models.CharField(max_length=500)
    secret_sealed = models.BinaryField(null=True)
    secret_host = models.CharField(max_length=300, blank=True)
    concurrency = models.PositiveIntegerField(default=20)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="connection_name_once"),
            models.CheckConstraint(condition=models.Q(concurrency__gte=1), name="connection_concurrency_positive"),
            models.CheckConstraint(
                condition=models.Q(secret_sealed=None) | ~models.Q(secret_host=""),
                name="connection_secret_has_host",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def has_secret(self) -> bool:
        """Whether there is a secret; what it is, nobody is told."""
        return self.secret_sealed is not None


class WebhookQuerySet(models.QuerySet["Webhook"]):
    def of(self, project_id: int) -> "WebhookQuerySet":
        return self.filter(project_id=project_id)


class Webhook(models.Model):
    """An address that is told what happens in a project. Its secret signs what is sent, and is sealed for its place."""

    class Topic(models.TextChoices):
        VERDICT_SETTLED = "verdict.settled"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="webhooks", db_index=False)
    url = models.CharField(max_length=500)
    topics = ArrayField(models.CharField(max_length=60))
    secret_sealed = models.BinaryField()
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=300)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "url"], name="webhook_url_once"),
            models.CheckConstraint(condition=~models.Q(topics=[]), name="webhook_hears_something"),
        ]

    def __str__(self) -> str:
        return self.url


class PriceQuerySet(models.QuerySet["Price"]):
    def of(self, project_id: int) -> "PriceQuerySet":
        return self.filter(project_id=project_id)

    def standing(self) -> "PriceQuerySet":
        """Those that are neither superseded nor withdrawn."""
        return self.filter(ended_at=None)


class Price(models.Model):
    """What the project pays for a model from `valid_from` on, in USD per million tokens.

    It is valid until another price of the same provider and model begins. A row is never changed: what corrects it is a
    row that supersedes it (`superseded_by`), and one that was withdrawn stays as history.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prices", db_index=False)
    # Lower case; "" is whoever provides it.
    provider = models.CharField(max_length=100, blank=True)
    # A name, or the beginning of names and `*`.
    model = models.CharField(max_length=200)
    valid_from = models.DateTimeField()
    input_usd = models.DecimalField(max_digits=13, decimal_places=6)
    output_usd = models.DecimalField(max_digits=13, decimal_places=6)
    cached_input_usd = models.DecimalField(max_digits=13, decimal_places=6, null=True)
    cache_write_usd = models.DecimalField(max_digits=13, decimal_places=6, null=True)
    reasoning_usd = models.DecimalField(max_digits=13, decimal_places=6, null=True)
    note = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=300)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=300, blank=True)
    superseded_by = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="+")

    objects = PriceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "provider", "model", "valid_from"],
                condition=models.Q(ended_at=None),
                name="price_stands_once",
            ),
            models.CheckConstraint(
                condition=models.Q(input_usd__gte=0, output_usd__gte=0)
                & (models.Q(cached_input_usd=None) | models.Q(cached_input_usd__gte=0))
                & (models.Q(cache_write_usd=None) | models.Q(cache_write_usd__gte=0))
                & (models.Q(reasoning_usd=None) | models.Q(reasoning_usd__gte=0)),
                name="price_not_negative",
            ),
            models.CheckConstraint(condition=~models.Q(model=""), name="price_has_model"),
            models.CheckConstraint(
                condition=models.Q(ended_at=None, ended_by="", superseded_by=None)
                | (models.Q(ended_at__isnull=False) & ~models.Q(ended_by="")),
                name="price_ended_by_somebody",
            ),
        ]
        indexes = [models.Index(fields=["project", "model", "valid_from"], name="price_by_model")]

    def __str__(self) -> str:
        named = f"{self.provider}/{self.model}" if self.provider else self.model
        return f"{named} from {self.valid_from:%Y-%m-%d %H:%M}"


class PriceTable(models.Model):
    """How a project reckons costs; without a row published list prices fill in where it has no price of its own."""

    project = models.OneToOneField(Project, primary_key=True, on_delete=models.CASCADE, related_name="price_table")
    uses_published = models.BooleanField(default=True)

    def __str__(self) -> str:
        return f"prices of project {self.project_id}"
