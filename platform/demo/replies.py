"""Replies of Larkspoke's support desk that wait for a person: written by hand for this demo, some of them wrong.

Each ticket has what the customer wrote, the passages that were found for it, and the reply that was sent. Nobody
scripted reviews them: they are what somebody who opens the demo judges with own eyes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from demo import spans
from demo.client import Json
from demo.spans import Span

PROMPT = "support-reply"
MODEL = "written-by-hand"
# The spans that say something to the customer's wish.
INTENT, REPLY = "sort the ticket", "write the reply"
SYSTEM = "Answer the customer of Larkspoke, a bicycle rental. Use the passages alone. Say what happens next."

# When the first ticket came in; fixed, so that a repeat is a repeat.
OPENED_AT = datetime(2026, 11, 2, 9, tzinfo=UTC)

QUESTIONS: Sequence[Json] = (
    {
        "key": "correct",
        "type": "choice",
        "text": "Is the reply correct?",
        "options": ["correct", "partly", "wrong"],
        "required": True,
    },
    {
        "key": "grounded",
        "type": "choice",
        "text": "Do the passages support it?",
        "options": ["yes", "in part", "no"],
        "required": True,
    },
    {"key": "tone", "type": "scale", "text": "Tone: 1 cold, 5 warm and clear", "range": [1, 5]},
    {
        "key": "failures",
        "type": "tags",
        "text": "What went wrong?",
        "options": ["wrong policy", "missing step", "made-up fact", "wrong tone", "refused wrongly"],
        "show_if": {"question": "correct", "is": ["partly", "wrong"]},
    },
    {"key": "fix", "type": "correction", "text": "The reply as it should have been"},
)
QUALITY: Json = {"question": "correct", "map": {"correct": 1, "partly": 0.5, "wrong": 0}}


@dataclass(frozen=True)
class Ticket:
    """One conversation: what was asked, what was found, what was answered, and what the customer said to that."""

    intent: str
    messages: Sequence[tuple[str, str]]
    passages: Sequence[tuple[str, str]]
    reply: str
    thumb: int | None = None
    comment: str = ""


DAMAGE = (
    "Damage, part 1",
    "Report a damaged bike by its number. Wear is free of charge; we never bill for chains or tyres.",
)
DEPOSIT = ("Deposit", "The deposit of 20 euros returns within 7 days of the end of the last ride.")
ZONES = (
    "Parking, part 2",
    "Outside the marked zones the fee is 5 euros. The first time in a year it is waived on request.",
)
PASSES = ("Passes", "A monthly pass renews itself. It can be ended in the app until the day before it renews.")
RIDES = ("Rides", "A ride ends when the lock is closed and the app shows the bill. The first 10 minutes are free.")
STORM = (
    "Weather",
    "Above wind force 8 rides cannot be started. Rides that have begun end at the next zone, free of charge.",
)

TICKETS: Sequence[Ticket] = (
    Ticket(
        "deposit",
        [
            ("user", "Hello, my last ride was on the 3rd and my deposit is still not back. The site says it is quick."),
            ("assistant", "I can look that up. Which e-mail address did you rent with?"),
            ("user", "The one I write from. It is 20 euros, I do not want to wait for ever."),
        ],
        [DEPOSIT, RIDES],
        "Thank you for waiting. Your last ride ended on the 3rd. **Deposits return within 45 days**, so yours is due "
        "by the middle of next month. You need not do anything: the money goes back to the card that paid.",
        -1,
        "That is not what your site says.",
    ),
    Ticket(
        "parking",
        [
            (
                "user",
                "You charged me 5 euros for parking by the old mill. There was no sign. First time this happens to me!",
            )
        ],
        [ZONES],
        "I am sorry about the surprise. The old mill lies outside the marked zone, so the fee of 5 euros applies.\n\n"
        "As it is your first time this year, **I have waived it**. You will see the credit within two days. "
        "The zones are the green fields on the app's map.",
        1,
        "Thank you!",
    ),
    Ticket(
        "damage",
        [("user", "The chain of 2087 broke while I rode. Do I have to pay for it?")],
        [DAMAGE],
        "No. A chain is wear, and wear is free of charge.\n\n1. Please lock the bike where it is.\n"
        "2. Report number **2087** in the app, so that nobody else takes it.\n"
        "3. Your ride ends by itself once it is locked.",
    ),
    Ticket(
        "pass",
        [("user", "Please end my monthly pass. It renews on Friday and I am moving away.")],
        [PASSES],
        "I cannot end passes for you. Please write to our office by letter, at least one month ahead.",
        -1,
        "",
    ),
    Ticket(
        "storm",
        [("user", "It is blowing a gale and the app will not let me start. I have a pass! What am I paying for?")],
        [STORM, PASSES],
        "That is annoying when you have to be somewhere. Above wind force 8 rides cannot be started, with or without a "
        "pass; it opens again by itself when the wind drops. Days of storm are added to the end of your pass.",
    ),
    Ticket(
        "double-charge",
        [("user", "I was billed twice for one ride, 3.40 each. See ride R-5521 and R-5522, same minute.")],
        [RIDES, ("Ride R-5521", "08:12 to 08:31, 3.40 euros."), ("Ride R-5522", "08:31 to 08:31, 3.40 euros.")],
        "I found both rides:\n\n| ride | from | to | bill |\n| --- | --- | --- | --- |\n"
        "| R-5521 | 08:12 | 08:31 | 3.40 |\n"
        "| R-5522 | 08:31 | 08:31 | 3.40 |\n\nThe second one lasted less than 10 minutes and should have been free. "
        "I have asked for the 3.40 euros to be paid back to your card.",
        1,
        "",
    ),
    Ticket(
        "lost-item",
        [("user", "I left a blue rucksack in the basket of the cargo bike at the harbour, around noon.")],
        [
            (
                "Found things",
                "Found things are kept at the depot for 30 days. Ask with the bike's number or the place and time.",
            )
        ],
        "I have written it down: a blue rucksack, cargo bike at the harbour, around noon. If it was handed in, it "
        "waits for you at the depot for 30 days. I will write to you as soon as the depot answers.",
    ),
    Ticket(
        "api",
        [("user", "How do I get my rides as data? My employer wants them monthly.")],
        [("Your data", "Under Account, Export you get all rides as JSON. A month is chosen by `from` and `to`.")],
        "Under **Account, Export** choose the month. You get one file like this:\n\n```json\n"
        '{"from": "2026-10-01", "to": "2026-10-31",\n'
        ' "rides": [{"id": "R-5521", "minutes": 19, "euros": 3.40}]}\n```\n\n'
        "Your employer can read it with any spreadsheet.",
    ),
)


def traces() -> list[Json]:
    """One trace a ticket, as OpenTelemetry sends it: the desk's work, in it what was looked up, said and answered."""
    return [spans.request(_name(place), _work(ticket, place)) for place, ticket in enumerate(TICKETS)]


def feedback() -> list[Json]:
    """What customers said to the replies."""
    return [
        {
            "id": f"{_name(place)}-thumb",
            "output_id": spans.output_id(_name(place), REPLY),
            "kind": "thumb",
            "value": ticket.thumb,
            "comment": ticket.comment,
            "source": "customer",
        }
        for place, ticket in enumerate(TICKETS)
        if ticket.thumb is not None
    ]


def _name(place: int) -> str:
    return f"ticket-{place + 1}"


def _work(ticket: Ticket, place: int) -> list[Span]:
    """The spans of one ticket: sort it, search the handbook, write the reply."""
    came_at = OPENED_AT + timedelta(minutes=7 * (place + 1))
    session = {"session.id": _name(place)}
    n_writing = 900 + len(ticket.reply)
    at = [came_at + timedelta(milliseconds=n) for n in (0, 40, 240, 330)]
    asked = ticket.messages[-1][1]
    desk = Span("answer a ticket", at[0], 350 + n_writing, {"openinference.span.kind": "AGENT", **session})
    intent = {
        **_said([("user", asked)], ticket.intent),
        **session,
        "gen_ai.usage.input_tokens": 60,
        "gen_ai.usage.output_tokens": 3,
    }
    documents = {
        f"retrieval.documents.{n}.document.{name}": text
        for n, (title, content) in enumerate(ticket.passages)
        for name, text in (("metadata", json.dumps({"title": title})), ("content", content))
    }
    search = {"openinference.span.kind": "RETRIEVER", "input.value": asked, **documents, **session}
    reply = {
        **_said(ticket.messages, ticket.reply),
        **session,
        "gen_ai.prompt.name": PROMPT,
        "gen_ai.prompt.version": "1",
        "gen_ai.usage.input_tokens": 300 + len(str(ticket.passages)) // 4,
        "gen_ai.usage.output_tokens": len(ticket.reply) // 4,
        "tag.tags": [ticket.intent],
    }
    return [
        desk,
        Span(INTENT, at[1], 180, intent, desk.name),
        Span("search the handbook", at[2], 80, search, desk.name),
        Span(REPLY, at[3], n_writing, reply, desk.name),
    ]


def _said(asked: Sequence[tuple[str, str]], answered: str) -> Json:
    """What a model was asked and answered, by the names of OpenTelemetry's GenAI conventions."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "ratchet-demo",
        "gen_ai.request.model": MODEL,
        "gen_ai.input.messages": json.dumps([_message(role, text) for role, text in asked]),
        "gen_ai.output.messages": json.dumps([{**_message("assistant", answered), "finish_reason": "stop"}]),
    }


def _message(role: str, text: str) -> Json:
    return {"role": role, "parts": [{"type": "text", "content": text}]}
