"""Every move of a label, and why: evidence asked again under the label's lock, or the way back."""

import datetime as dt

from django.db import transaction

from core.problems import Conflict, FieldError, Invalid
from evals import queries as evals
from evals.models import Run
from evals.services import runs
from evals.services.planning import PromptTarget, RunRequest
from projects.access import Actor
from projects.services import audit
from prompts import services as prompts
from prompts.models import Label, Prompt, Revision
from releases import queries
from releases.models import Release

UNDER_WAY = (Run.State.QUEUED, Run.State.RUNNING, Run.State.PAUSED)
# Going back must never wait for words.
NO_REASON = "no reason was given"


def release(
    *, prompt: Prompt, label_name: str, revision: Revision, run: Run | None, by: Actor, now: dt.datetime, note: str = ""
) -> Release:
    """The label points at the revision, and the run that is its evidence is spent.

    Args:
        run: a run that must be evidence under the label's policy at this very moment.
        note: said beside the evidence; may be empty.

    Raises:
        Conflict: with every reason why the run is no evidence; nothing has changed.
    """
    with transaction.atomic():
        label = _locked(prompt, label_name)
        reasons = _reasons_against(label, revision, run)
        if reasons:
            raise Conflict(f"{revision} is not released to {label_name}: {reasons[0]}", reasons=reasons)
        return _move(label, revision, kind=Release.Kind.EVIDENCE, run=run, reason=note, by=by, now=now)


def release_initially(
    *, prompt: Prompt, label_name: str, revision: Revision, reason: str, by: Actor, now: dt.datetime
) -> Release:
    """A label that never had a release points at its first revision, for this reason. Once.

    Raises:
        Invalid: no reason is given.
        Conflict: the label has had a release.
    """
    if not reason.strip():
        raise Invalid(FieldError("reason", "is empty; say why this revision may be the first without evidence"))
    with transaction.atomic():
        label = _locked(prompt, label_name)
        if label.releases.exists():
            raise Conflict(
                f"{label_name} has had a release: only the first is initial. Send the run that is evidence instead."
            )
        return _move(label, revision, kind=Release.Kind.INITIAL, reason=reason, by=by, now=now)


def roll_back(*, release: Release, reason: str, by: Actor, now: dt.datetime) -> Release:
    """The label points again at what it pointed at before this release.

    Raises:
        Conflict: the release is not the active one, or nothing was released before it.
    """
    with transaction.atomic():
        label = _locked(release.label.prompt, release.label.name)
        active = queries.active(label.pk)
        if active is None or active.pk != release.pk:
            raise Conflict(f"release {release.pk} is not the active one; only the active one is rolled back")
        before = queries.restored(active).previous
        if before is None:
            raise Conflict("nothing was released before; release another revision on evidence instead")
        back = queries.restored(before).revision
        said = reason.strip() or NO_REASON
        return _move(label, back, kind=Release.Kind.ROLLBACK, rolled_back=active, reason=said, by=by, now=now)


def seek_evidence(*, prompt: Prompt, label_name: str, revision: Revision, by: Actor, now: dt.datetime) -> Run:
    """There is a live run of the revision under the label's policy: the one that is under way, else a new one.

    Two at once get the same run, so that a second press of a button costs no look. Ring `evals.tasks.drain` for the
    run and its baseline afterwards.

    Raises:
        Unprocessable: the label has no policy.
        Missing, Invalid: see `runs.create_run`.
    """
    with transaction.atomic():
        label = _locked(prompt, label_name)
        standing = _under_way(label, revision)
        if standing is not None:
            return standing
        target = PromptTarget(prompt=prompt.name, revision=revision.number)
        return runs.create_run(request=RunRequest(target=target, policy=label_name), by=by, now=now)


def _under_way(label: Label, revision: Revision) -> Run | None:
    """The newest live run that can become evidence: under the policy in force, against what is active."""
    policy = evals.policy_of_label(label)
    if policy is None:
        return None
    live = Run.objects.filter(revision=revision, policy=policy, state__in=UNDER_WAY)
    return live.filter(baseline__revision=label.revision).order_by("-pk").first()


def _locked(prompt: Prompt, label_name: str) -> Label:
    """The label's row, ours alone until the transaction ends: exactly one release at a time."""
    label = prompts.label_named(prompt=prompt, name=label_name)
    Label.objects.select_for_update().get(pk=label.pk)
    # Read after the lock was had: a joined row could be as old as the wait.
    return Label.objects.select_related("prompt__project", "revision").get(pk=label.pk)


def _reasons_against(label: Label, revision: Revision, run: Run | None) -> list[str]:
    if run is None:
        return ["no run was sent as evidence: send the id of a run under this label's policy that passed"]
    return queries.reasons_against(label, revision, run)


def _move(
    label: Label,
    revision: Revision,
    *,
    kind: Release.Kind,
    reason: str,
    by: Actor,
    now: dt.datetime,
    run: Run | None = None,
    rolled_back: Release | None = None,
) -> Release:
    previous = queries.active(label.pk)
    made = Release.objects.create(
        label=label,
        number=1 if previous is None else previous.number + 1,
        revision=revision,
        previous=previous,
        kind=kind,
        run=run,
        rolled_back=rolled_back,
        reason=reason,
        content_hash=revision.content_hash,
        at=now,
        by=by.name,
    )
    if run is not None:
        runs.spend(run=run, now=now)
    before = None if label.revision is None else {"revision": label.revision.number}
    prompts.point_label(label=label, revision=revision, now=now)
    audit.record(
        by=by,
        verb=f"label.{kind}",
        subject=f"{label.prompt.name}@{label.name}",
        now=now,
        before=before,
        after={"revision": revision.number, "run": run.pk if run else None, "reason": reason},
    )
    return made
