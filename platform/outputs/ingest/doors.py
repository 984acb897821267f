"""Feedback from public pages: what a door lets through, and what browsers are told about other origins.

Whoever stands at a door learns nothing: what is new, known, different or about no output is answered alike.
"""

import dataclasses
import time
from collections import OrderedDict
from typing import ClassVar

import msgspec
import orjson

from core import strict_json
from core.problems import FieldError, Invalid, Problem
from outputs import records, tokens
from outputs.ingest import answers, routes
from outputs.ingest.answers import Answer
from outputs.ingest.asgi import Scope, header
from outputs.ingest.bodies import Limits
from outputs.ingest.routes import Batch, Outcome
from outputs.reception import Reception
from outputs.senders import Door, Sender
from outputs.services import doors, feedback

PATH = "/api/v1/feedback"
MOST_BYTES = 8 * 1024
LONGEST_ID = 100
# Of one process and door: so many at once, and so many a second in the long run. What a project may send in all holds
# beside it, for all processes together (`ingest.pressure`).
AT_ONCE, PER_SECOND = 60, 10.0
MOST_DOORS = 1_000
_ROW = strict_json.Limits(n_bytes=MOST_BYTES, n_values=100)


def limits(sender: Sender, usual: Limits) -> Limits:
    """How much this sender may send at once."""
    return usual if sender.door is None else dataclasses.replace(usual, body_bytes=MOST_BYTES)


def is_preflight(scope: Scope) -> bool:
    """Whether a browser asks before it sends."""
    return (
        scope["method"] == "OPTIONS" and scope["path"] == PATH and bool(header(scope, b"access-control-request-method"))
    )


def preflight(scope: Scope, *, is_welcome: bool) -> Answer:
    """What a browser is told that asks; the token comes only with the request itself, so any door will do."""
    if not is_welcome:
        return answers.of_problem(Problem(403, "No door is open for this origin."))
    told = _readable_by(header(scope, b"origin"))
    return Answer(
        200,
        b"",
        {
            **told,
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "authorization, content-type",
            "Access-Control-Max-Age": "600",
        },
    )


def readable(answer: Answer, scope: Scope, door: Door) -> Answer:
    """The answer, which a page of an origin of this door may read; no other page may."""
    origin = header(scope, b"origin")
    if origin not in door.origins:
        return answer
    return dataclasses.replace(answer, headers={**answer.headers, **_readable_by(origin)})


def _readable_by(origin: str) -> dict[str, str]:
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


class Said(records.FeedbackRecord):
    """What a visitor says; beside a feedback's own fields the token of the output, where the door asks for it."""

    what: ClassVar[str] = "feedback"
    wanted: ClassVar[dict[str, str]] = {
        **records.FeedbackRecord.wanted,
        "output_token": "what your server made of the output's id with the door's secret, 64 characters",
    }

    output_token: records.Text64 | None = None


@dataclasses.dataclass(frozen=True)
class Slot:
    """The route through one door: one JSON object, of the kinds it takes, and never a word about what became of it."""

    door: Door
    elsewhere: tuple[str, ...] = ()

    def check(self, scope: Scope) -> None:
        """Raises Problem: 403 for another path or origin, 415."""
        if scope["path"] != PATH:
            raise Problem(403, f"This token is for {PATH} alone.")
        if header(scope, b"origin") not in self.door.origins:
            raise Problem(403, "This token is not for pages of this origin.")
        routes.content_type(scope, known={"", "application/json"}, wanted="application/json, in UTF-8")

    def read(self, body: bytes, scope: Scope, reception: Reception) -> Batch:
        try:
            value, suspect = strict_json.parse_leniently(body, _ROW)
            said = records.checked(value, Said, suspect=suspect)
        except strict_json.Refused as refused:
            raise Invalid(FieldError(refused.path or "body", refused.message)) from None
        except records.Rejected as rejected:
            raise Invalid(*rejected.errors) from None
        self._refuse(said)
        arrival = feedback.arrival_of(self._kept(said), reception=reception)
        return Batch(rows={"feedback": [(0, arrival)]})

    def answer(self, outcome: Outcome, scope: Scope) -> Answer:
        return Answer(201, orjson.dumps({}))

    def refusal(self, problem: Problem, scope: Scope) -> Answer:
        """What a visitor may know: how much the project sends, and may send, is none of it."""
        return answers.of_problem(_crowded(problem.retry_after) if problem.status == 429 else problem)

    def _refuse(self, said: Said) -> None:
        if said.kind not in self.door.kinds:
            raise Invalid(FieldError("kind", f"is not taken here; send {' or '.join(self.door.kinds)}"))
        if said.id is not None and len(said.id) > LONGEST_ID:
            raise Invalid(FieldError("id", f"has {len(said.id)} characters; send 1 to {LONGEST_ID}"))
        if not self.door.needs_signature:
            return
        secret = doors.secret_of(self.door.secret, self.door.project_id)
        if not tokens.vouches(secret, said.output_id, said.output_token or ""):
            raise Problem(403, "output_token is not that of this output: let your server make it.")

    def _kept(self, said: Said) -> records.FeedbackRecord:
        """As it is stored: an id of a visitor stands in the door's own room, where it meets no other sender's."""
        return records.FeedbackRecord(
            id=None if said.id is None else f"door:{self.door.id}:{said.id}",
            source=f"door:{self.door.name}",
            **{
                field.name: getattr(said, field.name)
                for field in msgspec.structs.fields(records.FeedbackRecord)
                if field.name not in ("id", "source")
            },
        )


class Pace:
    """How fast each door lets through, in this process: a bucket that fills by the second."""

    def __init__(self, *, at_once: int = AT_ONCE, per_second: float = PER_SECOND) -> None:
        self._at_once, self._per_second = at_once, per_second
        self._buckets: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def take(self, door_id: int) -> None:
        """One more goes through.

        Raises:
            Problem: 429 with Retry-After.
        """
        now = time.monotonic()
        left, since = self._buckets.pop(door_id, (float(self._at_once), now))
        left = min(self._at_once, left + (now - since) * self._per_second)
        self._buckets[door_id] = max(0.0, left - 1), now
        while len(self._buckets) > MOST_DOORS:
            self._buckets.popitem(last=False)
        if left < 1:
            raise _crowded(1)


def _crowded(seconds: int | None) -> Problem:
    return Problem(429, "Too much comes through this door at once; send it again.", retry_after=seconds)
