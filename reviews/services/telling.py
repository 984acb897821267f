"""Settled verdicts are told to the project's webhooks: announced with the verdict, written with the hand-over's end."""

import datetime as dt

from connections import webhook_queries
from connections.models import Webhook
from connections.services import webhooks
from connections.services.webhooks import News
from ledger import handovers
from ledger.handovers import Claimed
from reviews import queries
from reviews.serializers import VerdictShown

CONSUMER = "reviews.telling"
TOPIC = Webhook.Topic.VERDICT_SETTLED


def tell_waiting(*, now: dt.datetime) -> bool:
    """Up to 20 hand-overs are deliveries now, in the transaction that ends them; says whether there were any.

    What is told is the verdict that stands; one that was replaced before its turn came is not.
    """
    return handovers.fetch(CONSUMER, lambda in_hand: _tell(in_hand, now), now=now)


def _tell(in_hand: list[Claimed], now: dt.datetime) -> None:
    settled: dict[int, set[int]] = {}
    for one in in_hand:
        settled.setdefault(one.project_id, set()).update(one.ids)
    for project_id, items in settled.items():
        if webhook_queries.hearers(project_id, TOPIC).exists():
            found = queries.verdicts(project_id).filter(item__in=items).order_by("pk")
            news = [News(f"verdict {verdict.pk}", {"verdict": VerdictShown(verdict).data}) for verdict in found]
            webhooks.announce(project_id=project_id, topic=TOPIC, news=news, now=now)
