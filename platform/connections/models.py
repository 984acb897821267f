"""Where models live and how to reach them."""

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
