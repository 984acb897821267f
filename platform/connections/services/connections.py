"""Every write of connections."""

import datetime as dt
import re
from typing import Any

from django.db import transaction

from connections import addresses, queries
from connections.models import Connection
from core import sealing
from core.problems import FieldError, Invalid
from ledger import allowances
from projects.access import Actor
from projects.models import Project
from projects.services import audit

MOST_AT_ONCE = 1_000
LONGEST_SECRET = 4_000
_NAME = re.compile(r"[A-Za-z0-9._-]{1,80}")


def save_connection(
    *,
    name: str,
    base_url: str,
    by: Actor,
    now: dt.datetime,
    kind: str = Connection.Kind.OPENAI,
    secret: str | None = None,
    concurrency: int = queries.DEFAULT_CONCURRENCY,
) -> tuple[Connection, bool]:
    """The actor's project has a connection of this name with these values; says whether it is new.

    Without a secret the one that is there stays, unless the address now has another scheme, host or port: a
    secret goes only where it was saved for, so it is then emptied. An empty secret takes it away.

    Args:
        name: once per project; models are called `name/model`.
        base_url: to which `/chat/completions` is added; whether it may be reached is decided when it is
            called.
        secret: sent as `Authorization: Bearer`; sealed, never shown again.
        concurrency: calls at once, over all processes.

    Raises:
        Invalid: naming the field.
    """
    values = {"kind": _checked_kind(kind), "base_url": _checked_url(base_url), "concurrency": concurrency}
    _check(name, secret, concurrency)
    with transaction.atomic():
        # Two that save the same name at once come one after the other.
        Project.objects.select_for_update(no_key=True).get(pk=by.project.pk)
        found = Connection.objects.of(by.project.pk).filter(name=name).first()
        before = None if found is None else _told(found)
        connection = found or Connection(project=by.project, name=name)
        for field, value in values.items():
            setattr(connection, field, value)
        _bind(connection, secret)
        connection.save()
        allowances.open_allowance(queries.allowance_key(connection.pk), capacity=concurrency)
        _record(connection, before, new_secret=bool(secret), by=by, now=now)
    return connection, found is None


def _bind(connection: Connection, secret: str | None) -> None:
    """Seal a new secret for the connection's place; drop the old one where it was made for another."""
    place = addresses.origin(connection.base_url)
    if secret:
        connection.secret_sealed = sealing.seal(secret, bound_to=place)
    elif secret == "" or connection.secret_host != place:
        connection.secret_sealed = None
    connection.secret_host = place if connection.has_secret else ""


def _record(
    connection: Connection, before: dict[str, Any] | None, *, new_secret: bool, by: Actor, now: dt.datetime
) -> None:
    after = _told(connection)
    if before == after and not new_secret:
        return
    audit.record(
        by=by,
        verb="connection.create" if before is None else "connection.update",
        subject=f"connection {connection.name}",
        now=now,
        before=before,
        after={**after, "secret_replaced": True} if before is not None and new_secret else after,
    )


def _told(connection: Connection) -> dict[str, Any]:
    """What may be told of a connection: never its secret, nor its sealed form."""
    return {
        "kind": connection.kind,
        "base_url": connection.base_url,
        "concurrency": connection.concurrency,
        "has_secret": connection.has_secret,
    }


def _check(name: str, secret: str | None, concurrency: int) -> None:
    if _NAME.fullmatch(name) is None:
        raise Invalid(FieldError("name", f"is {name[:40]!r}; use 1 to 80 of A-Z, a-z, 0-9, full stop, _ and -"))
    if not 1 <= concurrency <= MOST_AT_ONCE:
        raise Invalid(FieldError("concurrency", f"is {concurrency}; give a number from 1 to {MOST_AT_ONCE}"))
    # Anything else could not stand in a header.
    if secret and not (len(secret) <= LONGEST_SECRET and secret.isascii() and secret.isprintable()):
        said = f"holds characters that cannot stand in a header, or more than {LONGEST_SECRET}"
        raise Invalid(FieldError("secret", said))


def _checked_kind(kind: str) -> str:
    if kind not in Connection.Kind.values:
        raise Invalid(FieldError("kind", f"is {kind[:40]!r}; choose from {', '.join(Connection.Kind.values)}"))
    return kind


def _checked_url(base_url: str) -> str:
    try:
        return addresses.checked(base_url)
    except addresses.BadAddress as error:
        raise Invalid(FieldError("base_url", str(error))) from error
