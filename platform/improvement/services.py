"""Every write of the loop's way back: verdicts of part `teach` become candidate revisions."""

import datetime as dt
import logging
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError, transaction

from core.problems import Conflict, FieldError, Invalid, Problem
from core.similarity import folding
from improvement.models import Origin, Proposal
from projects import access
from projects.access import Actor
from projects.services import audit
from prompts import queries as prompts
from prompts import services as prompt_services
from prompts.content import LONGEST_TEXT, ContextLine, Kind
from prompts.models import PRODUCTION, ContextItem, Prompt, Revision
from reviews import queries as reviews
from reviews.queries import TeachingVerdict

logger = logging.getLogger(__name__)


LONGEST_REASON = 2_000


class NotReady(Conflict):
    """The proposal is still being built, has failed, or was decided."""

    def __init__(self, proposal: Proposal, wanted: str) -> None:
        by = f" by {proposal.decided_by}" if proposal.decided_by else ""
        super().__init__(f"Proposal {proposal.pk} is {proposal.state}{by}; only one that is ready can be {wanted}.")


@dataclass(frozen=True)
class _Draft:
    """The context a candidate would have, and which verdict each new example comes from."""

    context: list[ContextLine]
    taught: list[TeachingVerdict]


def propose(*, prompt: Prompt, kind: str, by: Actor, now: dt.datetime) -> Proposal:
    """A proposal is being built for the prompt; one that is being built already is returned instead."""
    with transaction.atomic():
        # One asks at a time, so that what is being built stays so until it was looked at.
        Prompt.objects.select_for_update(no_key=True).get(pk=prompt.pk)
        standing = Proposal.objects.filter(prompt=prompt, kind=kind, state=Proposal.State.BUILDING).first()
        return standing or Proposal.objects.create(prompt=prompt, kind=kind, created_at=now, created_by=by.name)


def build(*, proposal_id: int, now: dt.datetime) -> None:
    """The proposal is ready, with its candidate revision and origins, or failed with the reason.

    The candidate is the revision in production (else the newest) with one example for each standing correction of
    part `teach` that it does not hold yet; a newer correction of the same input replaces the older example.
    A proposal that is no longer being built is left alone.
    """
    with transaction.atomic():
        proposal = (
            Proposal.objects.select_for_update(of=("self",))
            .select_related("prompt__project")
            .filter(pk=proposal_id, state=Proposal.State.BUILDING)
            .first()
        )
        if proposal is not None:
            _finish(proposal, now)


def approve(*, proposal: Proposal, reason: str = "", by: Actor, now: dt.datetime) -> Proposal:
    """The proposal is approved: somebody who may says that its revision is wanted. Nothing is released by it.

    Args:
        proposal: one that is ready.
        reason: what convinced; may be empty.

    Raises:
        Conflict: it is not ready. The same decision by the same person again is no conflict and changes nothing.
    """
    return _decide(proposal, Proposal.State.APPROVED, reason=reason, by=by, now=now)


def reject(*, proposal: Proposal, reason: str, by: Actor, now: dt.datetime) -> Proposal:
    """The proposal is rejected, for this reason; its revision stays, as all revisions do.

    Raises:
        Invalid: no reason is given.
        Conflict: it is not ready. The same decision by the same person again is no conflict and changes nothing.
    """
    if not reason.strip():
        raise Invalid(FieldError("reason", "is empty; say why this is not wanted, for whoever proposes next"))
    return _decide(proposal, Proposal.State.REJECTED, reason=reason, by=by, now=now)


def _decide(proposal: Proposal, state: Proposal.State, *, reason: str, by: Actor, now: dt.datetime) -> Proposal:
    if len(reason) > LONGEST_REASON:
        raise Invalid(FieldError("reason", f"has {len(reason)} characters; at most {LONGEST_REASON} are taken"))
    with transaction.atomic():
        locked = Proposal.objects.select_for_update(of=("self",)).select_related("prompt").get(pk=proposal.pk)
        if (locked.state, locked.decided_by) == (state, by.name):
            return locked
        if locked.state != Proposal.State.READY:
            raise NotReady(locked, state)
        locked.state, locked.decided_at, locked.decided_by, locked.decided_reason = state, now, by.name, reason.strip()
        locked.save(update_fields=["state", "decided_at", "decided_by", "decided_reason"])
        audit.record(
            by=by,
            verb=f"proposal.{state}",
            subject=f"{locked.prompt.name} proposal {locked.pk}",
            now=now,
            before={"state": Proposal.State.READY},
            after={"state": state, "reason": locked.decided_reason},
        )
    return locked


def _finish(proposal: Proposal, now: dt.datetime) -> None:
    try:
        with transaction.atomic():
            made = _make(proposal, now)
    except Problem as problem:
        made = {"state": Proposal.State.FAILED, "reason": str(problem)}
    except (OperationalError, InterfaceError):
        raise  # the database is away: the sweep comes back
    except Exception as fault:
        logger.exception("proposal %d could not be built", proposal.pk)
        made = {
            "state": Proposal.State.FAILED,
            "reason": f"a fault of this server ({type(fault).__name__}); see its log",
        }
    Proposal.objects.filter(pk=proposal.pk).update(built_at=now, **made)


def _make(proposal: Proposal, now: dt.datetime) -> dict[str, Any]:
    """The fields of the finished proposal.

    Raises:
        Problem: nothing can be proposed, and why.
    """
    base = _base_of(proposal.prompt)
    if base is None:
        raise Conflict("the prompt has no revision to start from: create one first")
    draft = _draft(base, _standing(reviews.teaching(proposal.prompt)))
    if not draft.taught:
        raise Conflict(f"no standing correction of part teach is missing from revision {base.number}")
    revision = _candidate(proposal, base, draft, now)
    earlier = Proposal.objects.filter(prompt=proposal.prompt, revision=revision).first()
    if earlier is not None:
        raise Conflict(f"proposal {earlier.pk} is this very revision ({revision.number}), and is {earlier.state}")
    _keep_origins(revision, draft.taught)
    n = len(draft.taught)
    said = f"{n} correction{'s' * (n != 1)} of part teach {'join' if n != 1 else 'joins'} revision {base.number}"
    return {"state": Proposal.State.READY, "base": base, "revision": revision, "reason": said}


def _standing(taught: list[TeachingVerdict]) -> list[TeachingVerdict]:
    """Those that stand still, and will until what is built on them is stored."""
    held = reviews.held(verdict.verdict_id for verdict in taught)
    return [verdict for verdict in taught if verdict.verdict_id in held]


def _base_of(prompt: Prompt) -> Revision | None:
    """What production is told now, else the newest revision."""
    label = prompt.labels.filter(name=PRODUCTION, revision__isnull=False).select_related("revision").first()
    return label.revision if label is not None else prompt.revisions.order_by("-number").first()


def _draft(base: Revision, verdicts: list[TeachingVerdict]) -> _Draft:
    """The base's context with the corrections in it; `taught` holds those that are new."""
    newest = {folding.fold(verdict.input_text): verdict for verdict in verdicts if _fits(verdict)}
    kept, known = [], set()
    for line in prompts.context_lines(base):
        folded = folding.fold(line.input) if line.kind == Kind.EXAMPLE else ""
        verdict = newest.get(folded)
        if verdict is None or verdict.correction == line.output:
            kept.append(line)
            known.add(folded)
    taught = [verdict for folded, verdict in newest.items() if folded not in known]
    added = [ContextLine(kind=Kind.EXAMPLE, input=verdict.input_text, output=verdict.correction) for verdict in taught]
    return _Draft(context=kept + added, taught=taught)


def _fits(verdict: TeachingVerdict) -> bool:
    """Whether a context can hold it; one that is empty or too long must not keep the others out."""
    texts = (verdict.input_text, verdict.correction)
    return all(text.strip() and len(text) <= LONGEST_TEXT for text in texts)


def _candidate(proposal: Proposal, base: Revision, draft: _Draft, now: dt.datetime) -> Revision:
    n = len(draft.taught)
    return prompt_services.create_revision(
        prompt=proposal.prompt,
        messages=base.messages,
        model=base.model,
        parameters=base.parameters,
        context=draft.context,
        strategy=base.strategy,
        k=base.k,
        note=f"proposal {proposal.pk}: {n} correction{'s' * (n != 1)}",
        parent=base,
        by=access.system(proposal.prompt.project),
        now=now,
    )[0]


def _keep_origins(revision: Revision, taught: list[TeachingVerdict]) -> None:
    """Each new line of the revision names its verdict."""
    items = {
        (item.input, item.output): item.pk
        for item in ContextItem.objects.filter(places__revision=revision, kind=Kind.EXAMPLE)
    }
    Origin.objects.bulk_create(
        (
            Origin(item_id=items[verdict.input_text, verdict.correction], verdict_id=verdict.verdict_id)
            for verdict in taught
        ),
        ignore_conflicts=True,
    )
