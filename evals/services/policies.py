"""What a label demands of a candidate: set by admins, kept in versions, audited."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from core.problems import FieldError, Invalid
from evals import gate, scorers
from evals.models import CasePart, GatePolicy, GoldenSet
from projects.access import Actor
from projects.services import audit
from prompts import services as prompts
from prompts.content import digest
from prompts.models import Label, Prompt

MOST_LOOKS = 1_000
MOST_SCORERS = 20


@dataclass(frozen=True)
class Terms:
    """What a policy says, as somebody asks for it; a scorer may bring its own `margin`."""

    golden_set: GoldenSet
    scorers: Sequence[Mapping[str, Any]]
    part: str = CasePart.GATE
    kind: str = gate.NON_INFERIORITY
    margin: float = gate.DEFAULT_MARGIN
    floor: float | None = None
    max_error_share: float = gate.DEFAULT_ERROR_SHARE
    looks: int = gate.DEFAULT_LOOKS


def put_policy(
    *, prompt: Prompt, label_name: str, terms: Terms, by: Actor, now: dt.datetime
) -> tuple[GatePolicy, bool]:
    """These terms are in force for the label; says whether that changed anything. A new label is made.

    Raises:
        Invalid: a term is outside what a gate can hold.
    """
    stored = _stored(prompt, terms)
    with transaction.atomic():
        label = prompts.label_named(prompt=prompt, name=label_name)
        Label.objects.select_for_update(of=("self",)).get(pk=label.pk)
        before = label.policies.order_by("-version").first()
        content_hash = digest(stored)
        if before is not None and before.content_hash == content_hash:
            return before, False
        made = _insert(label, terms, stored, content_hash, before, by, now)
        audit.record(
            by=by,
            verb="policy.put",
            subject=f"policy of {prompt.name}@{label.name}",
            now=now,
            before=None if before is None else stored_terms(before),
            after=stored,
        )
    return made, True


def stored_terms(policy: GatePolicy) -> dict[str, Any]:
    """The terms of a policy by name, as they are hashed, audited and shown."""
    return {
        "golden_set": policy.golden_set.name,
        "part": policy.part,
        "scorers": policy.scorers,
        "kind": policy.kind,
        "margin": policy.margin,
        "floor": policy.floor,
        "max_error_share": policy.max_error_share,
        "looks": policy.looks,
    }


def demand_of(policy: GatePolicy) -> gate.Demand:
    """What the policy asks of the gate."""
    return gate.Demand(
        kind=policy.kind,
        margin=policy.margin,
        margins={scorers.key(spec): spec["margin"] for spec in policy.scorers if "margin" in spec},
        floor=policy.floor,
        max_error_share=policy.max_error_share,
        looks=policy.looks,
    )


def checked_scorers(specs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The scorers as they are stored, each once, with the margin where one brings its own.

    Raises:
        Invalid: none, an unknown one, wrong arguments, or the same one twice.
    """
    if not specs:
        raise Invalid(FieldError("scorers", "is empty; send at least one scorer"))
    if len(specs) > MOST_SCORERS:
        raise Invalid(FieldError("scorers", f"has {len(specs)} scorers; send at most {MOST_SCORERS}"))
    found: dict[str, dict[str, Any]] = {}
    for index, spec in enumerate(specs):
        place = f"scorers[{index}]"
        stored = scorers.checked(spec, field=place)
        if scorers.key(stored) in found:
            raise Invalid(FieldError(place, "stands earlier in the list; send each scorer once"))
        if "margin" in spec:
            stored["margin"] = check_share(f"{place}.margin", spec["margin"])
        found[scorers.key(stored)] = stored
    return list(found.values())


def check_share(field: str, value: float) -> float:
    """The value, which a margin or a share of errors may have.

    Raises:
        Invalid: naming the field; it is not from 0 up to but without 1.
    """
    if not (math.isfinite(value) and 0 <= value < 1):
        raise Invalid(FieldError(field, f"is {value}; send a share from 0 up to but without 1"))
    return float(value)


def check_floor(field: str, value: float) -> float:
    """The value, which a floor may have.

    Raises:
        Invalid: naming the field; it is not above 0 and below 1.
    """
    if not (math.isfinite(value) and 0 < value < 1):
        raise Invalid(FieldError(field, f"is {value}; send a share above 0 and below 1"))
    return float(value)


def _stored(prompt: Prompt, terms: Terms) -> dict[str, Any]:
    """The checked terms by name."""
    _check_set(prompt, terms)
    floor = None if terms.floor is None else check_floor("floor", terms.floor)
    if terms.kind == gate.FLOOR and floor is None:
        raise Invalid(FieldError("floor", "is missing; a policy of kind floor needs one, as 0.8"))
    return {
        "golden_set": terms.golden_set.name,
        "part": terms.part,
        "scorers": checked_scorers(terms.scorers),
        "kind": terms.kind,
        "margin": check_share("margin", terms.margin),
        "floor": floor,
        "max_error_share": check_share("max_error_share", terms.max_error_share),
        "looks": terms.looks,
    }


def _check_set(prompt: Prompt, terms: Terms) -> None:
    if terms.part != CasePart.GATE:
        raise Invalid(FieldError("part", f"is {terms.part!r}; labels are decided on part gate alone"))
    if terms.golden_set.prompt_id not in (None, prompt.pk):
        said = f"{terms.golden_set.name!r} belongs to another prompt; send one of this prompt, or of none"
        raise Invalid(FieldError("golden_set", said))
    if terms.kind not in gate.KINDS:
        raise Invalid(FieldError("kind", f"is {terms.kind!r}; send one of {', '.join(gate.KINDS)}"))
    if not 1 <= terms.looks <= MOST_LOOKS:
        raise Invalid(FieldError("looks", f"is {terms.looks}; send 1 to {MOST_LOOKS}"))


def _insert(
    label: Label,
    terms: Terms,
    stored: dict[str, Any],
    content_hash: str,
    before: GatePolicy | None,
    by: Actor,
    now: dt.datetime,
) -> GatePolicy:
    return GatePolicy.objects.create(
        **{**stored, "golden_set": terms.golden_set},
        label=label,
        version=1 if before is None else before.version + 1,
        content_hash=content_hash,
        created_at=now,
        created_by=by.name,
    )
