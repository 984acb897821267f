"""A partition of the bodies for each month, made before its first day."""

import datetime as dt

from django.db import connection, transaction

# Each has a default partition, `<parent>_rest`.
PARENTS = ("outputs_outputbody", "outputs_stepbody")
# Whoever makes partitions waits for whoever does so at the moment; the number means nothing else.
LOCK = 0x6F75747075747301


def make_partitions(*, now: dt.datetime, months_ahead: int = 2) -> list[str]:
    """There is a partition for the month of `now` and for those that follow; returns the names of new ones.

    Rows that came into the default partition for lack of one are moved. A repeat makes nothing.
    """
    return [name for parent in PARENTS for name in _make_partitions(parent, now, months_ahead)]


def _make_partitions(parent: str, now: dt.datetime, months_ahead: int) -> list[str]:
    first = now.astimezone(dt.UTC).date().replace(day=1)
    made = []
    for _ in range(months_ahead + 1):
        following = (first + dt.timedelta(days=32)).replace(day=1)
        if _make(parent, first, following):
            made.append(_name(parent, first))
        first = following
    return made


def _name(parent: str, first: dt.date) -> str:
    return f"{parent}_{first:%Y%m}"


def _make(parent: str, first: dt.date, following: dt.date) -> bool:
    """Made beside the table and then attached; whether it was new."""
    name = connection.ops.quote_name(_name(parent, first))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute("SELECT to_regclass(%s)", [_name(parent, first)])
        if cursor.fetchone()[0] is not None:
            return False
        # Rather try again at the next call than hold up ingest behind a lock that is not granted.
        cursor.execute("SET LOCAL lock_timeout = '3s'")
        cursor.execute(f"LOCK TABLE {parent} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(f"CREATE TABLE {name} (LIKE {parent} INCLUDING ALL)")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {parent}_rest WHERE received_on >= %s AND received_on < %s RETURNING *)"  # noqa: S608
            f" INSERT INTO {name} SELECT * FROM moved",
            [first, following],
        )
        cursor.execute(f"ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{following}')")
    return True
