"""Carries deliveries to webhooks: claimed under a lease, posted outside any transaction, signed anew each time.

Whoever is killed between the claim and the answer leaves a lease that runs out; the next attempt has the same id and
body, so that a receiver can tell a repeat.
"""

import asyncio
import datetime as dt
import hashlib
import hmac
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx2

from connections import addresses, webhook_queries
from connections.models import Webhook
from core import clock, outbound, sealing
from ledger import deliveries
from ledger.deliveries import Parcel

logger = logging.getLogger(__name__)

AT_ONCE = 20
# All of one attempt ends long before its lease (`deliveries.LEASE_SECONDS`).
LIMITS = outbound.Limits(connect_s=5, read_s=10, total_s=15, n_bytes=256 * 1024, width=AT_ONCE)


@dataclass(frozen=True)
class Outcome:
    """How one attempt went: nothing to say where it arrived, else why not, and whether another one is worth it."""

    reason: str = ""
    is_final: bool = False


@dataclass(frozen=True)
class Letter:
    """One post to one webhook; its secret is in no `repr`."""

    parcel: Parcel
    webhook: Webhook


def relay_due(
    *, limits: outbound.Limits = LIMITS, now: Callable[[], dt.datetime] = clock.now, limit: int = AT_ONCE
) -> int:
    """Up to `limit` deliveries that are due were tried once, all at once; returns how many."""
    parcels = deliveries.claim(webhook_queries.CHANNEL, limit=limit, now=now())
    webhooks = Webhook.objects.in_bulk({parcel.target for parcel in parcels})
    # One whose webhook was deleted meanwhile is gone with it.
    letters = [Letter(parcel, webhooks[parcel.target]) for parcel in parcels if parcel.target in webhooks]
    outcomes = asyncio.run(_post_all(letters, limits, now)) if letters else []
    for letter, outcome in zip(letters, outcomes, strict=True):
        if outcome.reason:
            deliveries.failed(letter.parcel, reason=outcome.reason, now=now(), is_final=outcome.is_final)
        else:
            deliveries.delivered(letter.parcel, now=now())
    return len(parcels)


def signature(body: bytes, *, secret: str, at: dt.datetime) -> str:
    """`t=<seconds>,v1=<hex>`: HMAC-SHA256 under the secret of the seconds, a full stop and the body."""
    seconds = int(at.timestamp())
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


async def _post_all(
    letters: Sequence[Letter], limits: outbound.Limits, now: Callable[[], dt.datetime]
) -> list[Outcome]:
    async with outbound.client(limits) as client:
        return list(await asyncio.gather(*(_post(client, letter, limits, now) for letter in letters)))


async def _post(
    client: httpx2.AsyncClient, letter: Letter, limits: outbound.Limits, now: Callable[[], dt.datetime]
) -> Outcome:
    body = letter.parcel.body.encode()
    url = letter.webhook.url
    try:
        secret = sealing.unseal(bytes(letter.webhook.secret_sealed), bound_to=addresses.origin(url))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Ratchet",
            "Ratchet-Delivery": str(letter.parcel.id),
            "Ratchet-Signature": signature(body, secret=secret, at=now()),
        }
        answer = await client.post(url, content=body, headers=headers)
    except (sealing.SealBroken, outbound.OutboundRefused) as error:
        return Outcome(str(error), is_final=True)
    except outbound.ResponseTooLarge:
        # It had answered before it went on and on, but what, nobody waited to hear.
        return Outcome(f"The answer was cut off at {limits.n_bytes} bytes; answer briefly, with a 2xx.")
    except (outbound.TotalTimeout, httpx2.TimeoutException):
        return Outcome(f"No answer in time: it is waited for {limits.read_s:g} s, and {limits.total_s:g} s in all.")
    except (outbound.OutboundError, httpx2.HTTPError) as error:
        return Outcome(f"Could not be reached: {type(error).__name__}.")
    except Exception as error:
        # One letter that cannot be sent keeps no other back.
        logger.exception("delivery %d could not be posted", letter.parcel.id)
        return Outcome(f"Could not be posted: {type(error).__name__}.")
    return _judged(answer.status_code)


def _judged(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome()
    if 300 <= status < 400:
        return Outcome(f"Answered {status}: redirects are not followed; save the address it leads to.", is_final=True)
    if status == 410:
        return Outcome("Answered 410: it wants to hear nothing more.", is_final=True)
    return Outcome(f"Answered {status}.")
