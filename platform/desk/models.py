"""The desk's one table; everything else it shows belongs to the rooms."""

from django.db import models
from django.db.models.functions import Now

from projects.models import Project, User


class SavedFilterQuerySet(models.QuerySet["SavedFilter"]):
    def seen_by(self, user: User | None, project_id: int) -> "SavedFilterQuerySet":
        """This person's filters of the project, and those that others share with it."""
        return self.filter(models.Q(user=user) | models.Q(is_shared=True), project=project_id)


class SavedFilter(models.Model):
    """This person gave a filter of the project's outputs a name; the project sees it too where it is shared."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="saved_filters", db_index=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_filters")
    name = models.CharField(max_length=80)
    query = models.TextField()
    is_shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())

    objects = SavedFilterQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user", "name"], name="saved_filter_name_once_per_person"),
        ]

    def __str__(self) -> str:
        return self.name
