"""Which outputs somebody wants, read from what was typed: query parameters, saved filters, forms."""

import datetime as dt
import math
from collections.abc import Mapping
from types import MappingProxyType

from django.utils.dateparse import parse_date, parse_datetime

from core.problems import FieldError, Invalid
from outputs import words
from outputs.models import Output
from outputs.queries import Thumb, Wanted

FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "q": "words that occur in the input, the output or the error; the start of a word with * after it",
        "prompt": "name of the prompt",
        "revision": "number or content hash of the revision",
        "model": "as the provider names it",
        "environment": "as sent",
        "session": "id of the session",
        "trace": "id of the trace",
        "user": "id of the user whom the output was for",
        "tag": "one of the output's tags",
        "since": "arrived at this moment or later: ISO 8601, a day alone begins at midnight UTC",
        "until": "arrived before this moment",
        "days": "arrived in the last so many days, 1 to 3650",
        "status": "ok or error",
        "feedback": "a thumb was given: up or down",
        "score": "name of a score that was given",
        "score_min": "with `score`: its value is at least this",
        "score_max": "with `score`: its value is at most this",
    }
)
LONGEST = 200


def read(given: Mapping[str, str], *, now: dt.datetime) -> Wanted:
    """What `given` asks for, by the names of `FIELDS`; other names are not looked at.

    Args:
        given: each field's text; one that is left out does not restrict.
        now: from when `days` are counted back.

    Raises:
        Invalid: naming each field that cannot be understood.
    """
    reading = _Reading({name: given[name] for name in FIELDS if name in given})
    wanted = Wanted(
        q=reading.words("q"),
        prompt=reading.text("prompt"),
        revision=reading.text("revision"),
        model=reading.text("model"),
        environment=reading.text("environment"),
        tag=reading.text("tag"),
        session=reading.text("session"),
        trace=reading.text("trace"),
        user=reading.text("user"),
        since=_later(reading.moment("since"), reading.days("days", now)),
        until=reading.moment("until"),
        status=reading.status("status"),
        thumb=reading.thumb("feedback"),
        score=reading.text("score"),
        score_min=reading.number("score_min"),
        score_max=reading.number("score_max"),
    )
    if wanted.score is None and (wanted.score_min, wanted.score_max) != (None, None):
        reading.refuse("score", "is missing; a least or greatest value needs the score's name")
    if reading.flaws:
        raise Invalid(*reading.flaws)
    return wanted


def _later(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    return max(moment for moment in (one, other) if moment) if one or other else None


class _Reading:
    """Reads field by field and remembers what is wrong."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given
        self.flaws: list[FieldError] = []

    def refuse(self, name: str, said: str) -> None:
        self.flaws.append(FieldError(name, said))

    def text(self, name: str) -> str | None:
        value = self.given.get(name)
        if value is None or (0 < len(value) <= LONGEST and "\x00" not in value):
            return value
        self.refuse(name, f"has {len(value)} characters; send 1 to {LONGEST}, or leave it out")
        return None

    def words(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and words.query_of(value, project_id=0) is None:
            self.refuse(name, f"is {value[:40]!r}, which holds no word; send letters or digits")
            return None
        return value

    def moment(self, name: str) -> dt.datetime | None:
        """A moment, or midnight UTC of a day; without an offset it is UTC."""
        text = self.text(name)
        if text is None:
            return None
        try:
            day = parse_date(text)
            # A space is what a forgotten encoding of `+` leaves.
            moment = parse_datetime(text.replace(" ", "+")) if day is None else dt.datetime.combine(day, dt.time())
        except ValueError:
            moment = None
        if moment is None:
            self.refuse(name, f"is {text[:40]!r}; send a moment as 2026-01-31T12:00:00Z or a day")
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)

    def days(self, name: str, now: dt.datetime) -> dt.datetime | None:
        text = self.text(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= 3650):
            self.refuse(name, f"is {text[:40]!r}; send a whole number from 1 to 3650")
            return None
        return now - dt.timedelta(days=int(text))

    def number(self, name: str) -> float | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.refuse(name, f"is {text[:40]!r}; send a number")
            return None
        return value

    def status(self, name: str) -> Output.Status | None:
        text = self._one_of(name, ("ok", "error"))
        return None if text is None else Output.Status[text.upper()]

    def thumb(self, name: str) -> Thumb | None:
        text = self._one_of(name, ("up", "down"))
        return None if text is None else Thumb(text)

    def _one_of(self, name: str, known: tuple[str, ...]) -> str | None:
        text = self.text(name)
        if text is None or text in known:
            return text
        self.refuse(name, f"is {text[:40]!r}; send {' or '.join(known)}")
        return None
