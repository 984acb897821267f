"""Paces that all processes share: each takes tokens in blocks, so a busy one asks a few times a second, no more."""

import datetime as dt
from dataclasses import dataclass

from django.db import connection
from django.db.models import F
from django.db.models.functions import Least

from ledger.models import RateBucket

# What came in since the last look is added, what is owed is paid from it, and only then is something granted.
TAKE = """
    WITH filled AS (
        SELECT id, LEAST(
            burst, tokens + rate * GREATEST(0, EXTRACT(EPOCH FROM %(now)s::timestamptz - filled_at)) - %(owed)s
        ) AS tokens
        FROM ledger_ratebucket WHERE key = %(key)s FOR UPDATE
    )
    UPDATE ledger_ratebucket AS bucket SET
        tokens = filled.tokens - CASE WHEN filled.tokens >= 1 THEN LEAST(%(want)s, filled.tokens) ELSE 0 END,
        filled_at = GREATEST(bucket.filled_at, %(now)s)
    FROM filled WHERE bucket.id = filled.id
    RETURNING filled.tokens - bucket.tokens, GREATEST(0, (1 - bucket.tokens) / bucket.rate)"""


@dataclass(frozen=True)
class Taken:
    """What was granted.

    Args:
        tokens: how many, from 1 to what was wanted; 0 where there is not even one.
        wait_seconds: until there is one again, if nobody else takes it.
    """

    tokens: float
    wait_seconds: float


def open_rate(key: str, *, rate: float, burst: float, now: dt.datetime) -> None:
    """There is a bucket under this key, full if it is new. A repeat changes the pace and forgives nothing owed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_ratebucket (key, rate, burst, tokens, filled_at) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (key) DO UPDATE SET rate = excluded.rate, burst = excluded.burst,"
            " tokens = LEAST(excluded.burst, ledger_ratebucket.tokens)",
            [key, rate, burst, burst, now],
        )


def take(key: str, want: float, *, now: dt.datetime, owed: float = 0) -> Taken | None:
    """Up to `want` tokens, at least one; None where there is no such bucket.

    Args:
        key: of the bucket.
        want: at least 1.
        now: the moment; an earlier one than the last adds nothing.
        owed: tokens used since the last time without having been granted, or, below zero, granted and not used.
    """
    with connection.cursor() as cursor:
        cursor.execute(TAKE, {"key": key, "want": want, "owed": owed, "now": now})
        row = cursor.fetchone()
    return None if row is None else Taken(float(row[0]), float(row[1]))


def owe(key: str, n: float) -> None:
    """So many were used without having been granted; they are paid before anything more is."""
    RateBucket.objects.filter(key=key).update(tokens=Least(F("burst"), F("tokens") - n))


def wait_of(key: str, *, now: dt.datetime) -> float:
    """Seconds until there is a token, as far as the row says; 0 where there is one, or no such bucket."""
    bucket = RateBucket.objects.filter(key=key).first()
    if bucket is None:
        return 0.0
    tokens = bucket.tokens + bucket.rate * max(0.0, (now - bucket.filled_at).total_seconds())
    return max(0.0, (1 - tokens) / bucket.rate)


def close_rate(key: str) -> None:
    """There is no bucket under this key any more."""
    RateBucket.objects.filter(key=key).delete()
