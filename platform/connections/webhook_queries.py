"""Who is told what, and how that went."""

from django.db.models import QuerySet

from connections.models import Webhook
from ledger.models import Delivery

CHANNEL = "webhook"
MOST_SHOWN = 50


def hearers(project_id: int, topic: str) -> QuerySet[Webhook]:
    """The project's webhooks that are told of this topic."""
    return Webhook.objects.of(project_id).filter(topics__contains=[topic]).select_related("project").order_by("pk")


def deliveries_of(project_id: int, state: str | None = None) -> QuerySet[Delivery]:
    """The project's deliveries to webhooks, in one state where it is given."""
    found = Delivery.objects.filter(project_id=project_id, channel=CHANNEL)
    return found if state is None else found.filter(state=state)


def newest(project_id: int) -> list[Delivery]:
    """The newest of the dead, then the newest of the others, up to `MOST_SHOWN` each; two statements."""
    known = deliveries_of(project_id).order_by("-pk")
    dead = known.filter(state=Delivery.State.DEAD)[:MOST_SHOWN]
    return [*dead, *known.exclude(state=Delivery.State.DEAD)[:MOST_SHOWN]]
