"""Every write of webhooks, and what they are told."""

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from connections import addresses, webhook_queries
from connections.models import Webhook
from connections.services.connections import LONGEST_SECRET
from core import bells, sealing
from core.problems import FieldError, Invalid, Missing
from ledger import deliveries
from ledger.models import Delivery
from projects.access import Actor
from projects.models import Project
from projects.services import audit

SHORTEST_SECRET = 16
MOST_OF_A_PROJECT = 20
BELL = "connections.tasks.relay"


@dataclass(frozen=True)
class News:
    """What happened: to what, in a word that no other news of the topic has, and the content that tells of it."""

    subject: str
    content: dict[str, Any]


def save_webhook(
    *, url: str, topics: Sequence[str], by: Actor, now: dt.datetime, secret: str | None = None
) -> tuple[Webhook, bool]:
    """The actor's project tells this address of these topics; says whether that is new.

    Without a secret the one that is there stays.

    Args:
        url: posted to as it stands; whether it may be reached is decided when it is.
        topics: of `Webhook.Topic`.
        secret: signs what is sent; sealed for the address's host and port, never shown again.

    Raises:
        Invalid: naming the field.
    """
    place = _place_of(url)
    heard = _checked_topics(topics)
    _check_secret(secret)
    with transaction.atomic():
        # Two that save the same address at once come one after the other.
        Project.objects.select_for_update(no_key=True).get(pk=by.project.pk)
        own = Webhook.objects.of(by.project.pk)
        found = own.filter(url=url).first()
        before = None if found is None else _told(found)
        if found is None and secret is None:
            raise Invalid(FieldError("secret", f"is needed: send {SHORTEST_SECRET} or more characters that you keep"))
        if found is None and own.count() >= MOST_OF_A_PROJECT:
            raise Invalid(FieldError("url", f"is one too many: a project has up to {MOST_OF_A_PROJECT} webhooks"))
        webhook = found or Webhook(project=by.project, url=url, created_at=now, created_by=by.name[:300])
        webhook.topics = heard
        if secret is not None:
            webhook.secret_sealed = sealing.seal(secret, bound_to=place)
        webhook.save()
        _record(webhook, before, new_secret=secret is not None, by=by, now=now)
    return webhook, found is None


def delete_webhook(*, webhook_id: int, by: Actor, now: dt.datetime) -> None:
    """The address is told nothing any more, neither what waits; what it was told is dropped as well.

    Raises:
        Missing: no such webhook in the project.
    """
    with transaction.atomic():
        webhook = Webhook.objects.of(by.project.pk).select_for_update().filter(pk=webhook_id).first()
        if webhook is None:
            raise Missing("webhook")
        subject, before = f"webhook {webhook.url}", _told(webhook)
        deliveries.drop(webhook_queries.CHANNEL, webhook.pk)
        webhook.delete()
        audit.record(by=by, verb="webhook.delete", subject=subject, now=now, before=before)


def send_again(*, delivery_id: int, by: Actor, now: dt.datetime) -> Delivery:
    """A delivery that ended waits once more under its old id; one that waits anyway is left alone.

    Raises:
        Missing: no such delivery in the project.
    """
    with transaction.atomic():
        delivery = webhook_queries.deliveries_of(by.project.pk).filter(pk=delivery_id).first()
        if delivery is None:
            raise Missing("delivery")
        if deliveries.send_again(delivery, now=now):
            audit.record(by=by, verb="delivery.retry", subject=f"delivery {delivery.pk}", now=now)
            bells.ring(BELL)
        delivery.refresh_from_db()
    return delivery


def announce(*, project_id: int, topic: str, news: Iterable[News], now: dt.datetime) -> int:
    """In the running transaction each webhook of the topic has each of the news waiting for it; returns how many do.

    The same news again are not told twice.
    """
    hearers = list(webhook_queries.hearers(project_id, topic))
    made = [_delivery(webhook, topic, one, now) for one in news for webhook in hearers]
    if made:
        deliveries.post(made)
        bells.ring(BELL)
    return len(made)


def _delivery(webhook: Webhook, topic: str, news: News, now: dt.datetime) -> Delivery:
    content = {"topic": topic, "project": webhook.project.slug, **news.content}
    return Delivery(
        project_id=webhook.project_id,
        channel=webhook_queries.CHANNEL,
        target=webhook.pk,
        topic=topic,
        subject=news.subject,
        body=json.dumps(content, ensure_ascii=False, separators=(",", ":")),
        due_at=now,
        created_at=now,
    )


def _record(webhook: Webhook, before: dict[str, Any] | None, *, new_secret: bool, by: Actor, now: dt.datetime) -> None:
    after = _told(webhook)
    if before == after and not new_secret:
        return
    audit.record(
        by=by,
        verb="webhook.create" if before is None else "webhook.update",
        subject=f"webhook {webhook.url}",
        now=now,
        before=before,
        after={**after, "secret_replaced": True} if before is not None and new_secret else after,
    )


def _told(webhook: Webhook) -> dict[str, Any]:
    """What may be told of a webhook: never its secret, nor its sealed form."""
    return {"url": webhook.url, "topics": webhook.topics}


def _place_of(url: str) -> str:
    if "#" in url:
        raise Invalid(FieldError("url", "holds a fragment, which no server ever sees; leave it out"))
    if len(url) > addresses.LONGEST:
        raise Invalid(FieldError("url", f"has {len(url)} characters; send up to {addresses.LONGEST}"))
    try:
        # A query may stand in it: many receivers keep a token there.
        addresses.checked(url.partition("?")[0])
        return addresses.origin(url)
    except addresses.BadAddress as error:
        raise Invalid(FieldError("url", str(error))) from error


def _checked_topics(topics: Sequence[str]) -> list[str]:
    unknown = [topic for topic in topics if topic not in Webhook.Topic.values]
    if unknown or not topics:
        found = f"holds {unknown[0][:40]!r}" if unknown else "is empty"
        raise Invalid(FieldError("topics", f"{found}; choose from {', '.join(Webhook.Topic.values)}"))
    return sorted(set(topics))


def _check_secret(secret: str | None) -> None:
    if secret is None:
        return
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET or not (secret.isascii() and secret.isprintable()):
        said = f"send {SHORTEST_SECRET} to {LONGEST_SECRET} printable ASCII characters that you keep"
        raise Invalid(FieldError("secret", f"has {len(secret)} characters, or others than that; {said}"))
