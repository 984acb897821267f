"""Idempotency-Key: the first answer to a write is stored with it and repeated; another body is refused.

Draft RFC "The Idempotency-Key HTTP Header Field". The row is born in the transaction of the write, so a write
that failed leaves no answer behind and may be tried again, and two at once wait for each other on its key.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass

from django.db import connection

from core.problems import FieldError, Unprocessable
from ledger.models import IdempotentAnswer

KEPT_FOR = dt.timedelta(hours=48)


class KeyReused(Unprocessable):
    """The key was used for another request."""

    def __init__(self) -> None:
        message = "was used for another request; use a new key for new content"
        super().__init__(f"Idempotency-Key {message}.", FieldError("Idempotency-Key", message))


@dataclass(frozen=True)
class StoredAnswer:
    status: int
    headers: dict[str, str]
    body: bytes


def digest(method: str, path: str, body: bytes) -> bytes:
    """What makes two requests the same: method, path with query, and every byte of the body."""
    asked = hashlib.sha256()
    for piece in (method.encode(), path.encode(), body):
        asked.update(len(piece).to_bytes(8, "big") + piece)
    return asked.digest()


def begin(*, project_id: int, actor: str, key: str, digest: bytes) -> StoredAnswer | None:
    """Take the key in the running transaction, or return what was answered to it before.

    Waits for a concurrent first request with the same key to end. Must be called inside a transaction.

    Raises:
        KeyReused: the key belongs to another request.
    """
    if _take(project_id, actor, key, digest):
        return None
    row = IdempotentAnswer.objects.get(project_id=project_id, actor=actor, key=key)
    if bytes(row.request_digest) != digest:
        raise KeyReused
    # The answer is stored in the transaction of its key, so whoever sees the row sees both.
    return StoredAnswer(status=row.status or 0, headers=row.headers, body=bytes(row.body or b""))


def finish(*, project_id: int, actor: str, key: str, status: int, headers: dict[str, str], body: bytes) -> None:
    """Store the answer beside the key that `begin` took."""
    IdempotentAnswer.objects.filter(project_id=project_id, actor=actor, key=key).update(
        status=status, headers=headers, body=body
    )


def forget(*, now: dt.datetime) -> int:
    """Drop answers older than 48 hours; returns how many. A repeat finds nothing more to drop."""
    return IdempotentAnswer.objects.filter(created_at__lt=now - KEPT_FOR).delete()[0]


def _take(project_id: int, actor: str, key: str, digest: bytes) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_idempotentanswer (project_id, actor, key, request_digest, headers)"
            " VALUES (%s, %s, %s, %s, '{}') ON CONFLICT (project_id, actor, key) DO NOTHING",
            [project_id, actor, key, digest],
        )
        return bool(cursor.rowcount == 1)
