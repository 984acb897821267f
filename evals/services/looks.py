"""Looks: each sight of gate cases through a revision that is not the active one is counted, and they run out.

Looked at often enough, any candidate passes by chance; the gate's level is set for so many looks and no more.
"""

import datetime as dt
from dataclasses import dataclass

from django.db import connection
from django.db.models import Min, Q

from evals import gate
from evals.models import CasePart, GatePolicy, GoldenSet, GoldenVersion, Look, Run
from prompts.models import Prompt


@dataclass(frozen=True)
class Standing:
    """How many looks at one set's gate cases are taken, of how many, counted since the version `epoch`."""

    epoch: int
    taken: int
    limit: int

    @property
    def left(self) -> int:
        return max(0, self.limit - self.taken)


def lock(golden_set_id: int) -> None:
    """Nobody else reserves a look at this set until the transaction ends."""
    GoldenSet.objects.select_for_update(no_key=True).get(pk=golden_set_id)


def standing(*, version: GoldenVersion, prompt: Prompt | None, limit: int | None = None) -> Standing:
    """The looks at the gate cases of this version for this prompt; exact while the set is locked.

    Recorded answers name no prompt (None): they count against every prompt, and their set's prompt against
    them.

    Args:
        version: What would be looked at.
        prompt: Whose revision would be shown; None for recorded answers.
        limit: How many looks there are; by default the smallest number in the policies in force.
    """
    prompt_id = None if prompt is None else prompt.pk
    epoch = _epoch(version, prompt_id)
    mine = Q(prompt=prompt_id, epoch=epoch)
    recorded = Q(prompt=None, run__golden_version__number__gte=epoch)
    found = Look.objects.filter(golden_set=version.golden_set_id, returned_at=None)
    if prompt_id is None and version.golden_set.prompt_id is not None:
        mine |= Q(prompt=version.golden_set.prompt_id, run__golden_version__number__gte=epoch)
    return Standing(epoch, found.filter(mine | recorded).count(), limit or limit_of(version.golden_set_id, prompt_id))


def left_for(run: Run) -> int | None:
    """How many looks are left at the run's gate cases for its prompt; None for runs on another part."""
    if run.part != CasePart.GATE:
        return None
    prompt = None if run.revision is None else run.revision.prompt
    limit = None if run.policy is None else run.policy.looks
    return standing(version=run.golden_version, prompt=prompt, limit=limit).left


def record(*, run: Run, prompt: Prompt | None, epoch: int, now: dt.datetime) -> Look:
    """The run has taken its look; one per run."""
    return Look.objects.create(
        run=run, golden_set_id=run.golden_version.golden_set_id, prompt=prompt, epoch=epoch, reserved_at=now
    )


def give_back(*, run: Run, now: dt.datetime) -> bool:
    """A run that scored no answer has shown nothing: its look is free again. Says whether it was.

    The run must be at rest: nobody may store a score of it any more. Scores without a value, of answers that
    errored, show nothing either.
    """
    if run.results.filter(scores__value__isnull=False).exists():
        return False
    return Look.objects.filter(run=run, returned_at=None).update(returned_at=now) == 1


def limit_of(golden_set_id: int, prompt_id: int | None) -> int:
    """The smallest number of looks among the policies in force on this set, or 10 where there is none."""
    policies = GatePolicy.objects.in_force().filter(golden_set=golden_set_id)
    if prompt_id is not None:
        policies = policies.filter(label__prompt=prompt_id)
    smallest: int | None = policies.aggregate(smallest=Min("looks"))["smallest"]
    return smallest or gate.DEFAULT_LOOKS


def _epoch(version: GoldenVersion, prompt_id: int | None) -> int:
    """The version from which looks are counted: it restarts where at least half of the gate cases are new."""
    earlier = Look.objects.filter(golden_set=version.golden_set_id, prompt=prompt_id)
    latest = earlier.order_by("-id").values_list("epoch", flat=True).first()
    if latest is None:
        return version.number
    is_fresh = version.number > latest and _n_new(version, latest) * 2 >= version.n_gate
    return version.number if is_fresh else latest


def _n_new(version: GoldenVersion, since: int) -> int:
    """How many different questions the gate cases of the version ask that those of `since` did not."""
    with connection.cursor() as cursor:
        cursor.execute(NEW_CASES, {"set": version.golden_set_id, "number": version.number, "since": since})
        return int(cursor.fetchone()[0])


# What is expected, or how a text is written, may be corrected without making a case new: what was looked at is
# the question.
# EXCEPT hashes both sides once, whatever the planner knows of the tables.
NEW_CASES = """
SELECT count(*) FROM (
    SELECT text_hash FROM evals_goldencase
    WHERE golden_set_id = %(set)s AND part = 'gate' AND first_version <= %(number)s
      AND (last_version IS NULL OR last_version >= %(number)s)
    EXCEPT
    SELECT text_hash FROM evals_goldencase
    WHERE golden_set_id = %(set)s AND part = 'gate' AND first_version <= %(since)s
      AND (last_version IS NULL OR last_version >= %(since)s)
) AS fresh
"""
