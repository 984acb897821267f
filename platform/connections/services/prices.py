"""Every write of the price table. No row is changed but to end it; what is valid follows from the rows that stand."""

import datetime as dt
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction

from connections.models import Price, PriceTable
from connections.price_queries import MOST_OWN, uses_published
from connections.prices import ANY, PLACES
from core.problems import FieldError, Invalid, Missing, Unprocessable
from projects.access import Actor
from projects.models import Project
from projects.services import audit

DEAREST = Decimal(1_000_000)
EARLIEST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
LATEST = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Amounts:
    """USD per million tokens; None is as `input_usd`, and of reasoning as `output_usd`."""

    input_usd: Decimal
    output_usd: Decimal
    cached_input_usd: Decimal | None = None
    cache_write_usd: Decimal | None = None
    reasoning_usd: Decimal | None = None


def set_price(
    *,
    model: str,
    amounts: Amounts,
    valid_from: dt.datetime,
    by: Actor,
    now: dt.datetime,
    provider: str = "",
    note: str = "",
) -> tuple[Price, bool]:
    """From this moment on the actor's project pays so much for the model; says whether the row is new.

    A price that stands for the same provider, model and moment is superseded and stays as history; the very same again
    changes nothing. Costs that were reckoned already stay until `outputs.services.repricing` is asked.

    Args:
        model: the name as outputs say it, or the beginning of names and `*`.
        amounts: what a million tokens cost.
        valid_from: valid for outputs that began at this moment or later.
        provider: only for this one, whatever its case; "" for any.
        note: where the price is from.

    Raises:
        Invalid: naming the field.
        Unprocessable: the project has as many prices as it may have.
    """
    wanted = Price(
        project=by.project,
        provider=provider.strip().lower(),
        model=model.strip(),
        valid_from=valid_from,
        note=note,
        created_at=now,
        created_by=by.name,
        **asdict(amounts),
    )
    _check(wanted)
    with transaction.atomic():
        _hold(by.project)
        standing = Price.objects.of(by.project.pk).standing()
        before = standing.filter(provider=wanted.provider, model=wanted.model, valid_from=valid_from).first()
        if before is not None and _told(before) == _told(wanted):
            return before, False
        if before is None and standing.count() >= MOST_OWN:
            raise Unprocessable(f"A project has at most {MOST_OWN} prices; withdraw some, or use names with {ANY}.")
        if before is not None:
            _end(before, by=by, now=now)
        wanted.save()
        if before is not None:
            Price.objects.filter(pk=before.pk).update(superseded_by=wanted)
        audit.record(
            by=by,
            verb="price.set" if before is None else "price.correct",
            subject=f"price of {wanted}",
            now=now,
            before=None if before is None else _told(before),
            after=_told(wanted),
        )
    return wanted, True


def withdraw_price(*, price_id: int, by: Actor, now: dt.datetime) -> Price:
    """The price stands no more; the one before it, or the next that fits, counts then. A repeat changes nothing.

    Raises:
        Missing: the project has no such price.
    """
    with transaction.atomic():
        _hold(by.project)
        price = Price.objects.of(by.project.pk).filter(pk=price_id).first()
        if price is None:
            raise Missing("price")
        if price.ended_at is None:
            _end(price, by=by, now=now)
            audit.record(by=by, verb="price.withdraw", subject=f"price of {price}", now=now, before=_told(price))
    return price


def use_published(*, wanted: bool, by: Actor, now: dt.datetime) -> None:
    """Whether published list prices fill in where the project has no price of its own. A repeat changes nothing."""
    with transaction.atomic():
        _hold(by.project)
        before = uses_published(by.project.pk)
        if before == wanted:
            return
        PriceTable.objects.update_or_create(project=by.project, defaults={"uses_published": wanted})
        audit.record(
            by=by,
            verb="price.published",
            subject="published list prices",
            now=now,
            before={"used": before},
            after={"used": wanted},
        )


def _hold(project: Project) -> None:
    """Two that change a project's prices come one after the other."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def _end(price: Price, *, by: Actor, now: dt.datetime) -> None:
    price.ended_at, price.ended_by = now, by.name
    price.save(update_fields=["ended_at", "ended_by"])


def _told(price: Price) -> dict[str, Any]:
    """A price in words for the audit trail; equal for two that say the same."""
    amounts = {name: _plain(getattr(price, name)) for name in Amounts.__dataclass_fields__}
    return {
        "provider": price.provider,
        "model": price.model,
        "valid_from": price.valid_from.astimezone(dt.UTC).isoformat(),
        **amounts,
        "note": price.note,
    }


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount.normalize():f}"


def _check(price: Price) -> None:
    flaws = [
        *_text_flaws("model", price.model, longest=200, needed=True),
        *_text_flaws("provider", price.provider, longest=100),
        *_text_flaws("note", price.note, longest=300),
        *(flaw for name in Amounts.__dataclass_fields__ for flaw in _amount_flaws(name, getattr(price, name))),
    ]
    if ANY in price.model[:-1]:
        flaws.append(FieldError("model", f"has a {ANY} before its end; write the beginning of the names and one {ANY}"))
    if not EARLIEST <= price.valid_from < LATEST:
        flaws.append(FieldError("valid_from", "is out of range; give a moment from 1970 to 2199"))
    if flaws:
        raise Invalid(*flaws)


def _text_flaws(name: str, text: str, *, longest: int, needed: bool = False) -> list[FieldError]:
    if needed and not text:
        return [FieldError(name, "is empty; give the model's name as outputs say it")]
    if len(text) > longest:
        return [FieldError(name, f"has {len(text)} characters; give at most {longest}")]
    if "\x00" in text:
        return [FieldError(name, "holds a NUL character; leave it out")]
    return []


def _amount_flaws(name: str, amount: Decimal | None) -> list[FieldError]:
    if amount is None:
        return []
    if not amount.is_finite() or not 0 <= amount <= DEAREST:
        return [FieldError(name, f"is out of range; give USD per million tokens, from 0 to {DEAREST:,}")]
    if amount != round(amount, PLACES):
        return [FieldError(name, f"has more than {PLACES} decimal places; give USD per million tokens")]
    return []
