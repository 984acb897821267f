"""Questions about releases."""

from django.db.models import QuerySet

from prompts.models import Prompt
from releases.models import Release


def releases_of(prompt: Prompt) -> QuerySet[Release]:
    """The releases of a prompt with all that a list shows, in one statement."""
    return Release.objects.filter(label__prompt=prompt).select_related("label", "revision", "rolled_back", "previous")


def active(label_id: int) -> Release | None:
    """The release that put the label where it is: the newest one."""
    return Release.objects.filter(label_id=label_id).select_related("revision").order_by("-number").first()


def restored(release: Release) -> Release:
    """The release whose revision this one serves: itself, or the one that a rollback went back to."""
    while release.rolled_back is not None and release.rolled_back.previous is not None:
        release = release.rolled_back.previous
    return release
