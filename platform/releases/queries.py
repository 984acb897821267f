"""Questions about releases."""

from dataclasses import dataclass

from django.db.models import Case, Q, QuerySet, When

from evals import gate, wording
from evals.models import Run
from evals.scorers import Panel
from prompts.models import Label, Prompt, Revision
from releases.models import Release

# So many runs are looked through for evidence; older ones were made under what no longer holds.
MOST_CANDIDATES = 5


@dataclass(frozen=True)
class Offer:
    """A run of a revision under a label's policy, and why it is no evidence now; without reasons it is."""

    run: Run
    reasons: list[str]

    @property
    def is_evidence(self) -> bool:
        return not self.reasons

    @property
    def sentence(self) -> str:
        """What the gate said, in one plain sentence; empty before it did."""
        if self.run.gate is None:
            return ""
        return wording.headline(
            self.run.gate, wording.sides(self.run, self.run.baseline), Panel(self.run.scorers).scorers
        )


def releases_of(prompt: Prompt) -> QuerySet[Release]:
    """The releases of a prompt with all that a list shows, in one statement."""
    return Release.objects.filter(label__prompt=prompt).select_related("label", "revision", "rolled_back", "previous")


def active(label_id: int) -> Release | None:
    """The release that put the label where it is: the newest one."""
    return Release.objects.filter(label_id=label_id).select_related("revision").order_by("-number").first()


def active_of(prompt: Prompt) -> dict[str, Release]:
    """The active release of each label of a prompt, by the label's name; one statement."""
    newest = Release.objects.filter(label__prompt=prompt).order_by("label_id", "-number").distinct("label_id")
    found = newest.select_related("label", "revision", "run", "previous__revision", "rolled_back__previous__revision")
    return {release.label.name: release for release in found}


def reasons_against(label: Label, revision: Revision, run: Run) -> list[str]:
    """Why this run does not let the revision be released under the label as things are now; empty: it does."""
    reasons = gate.is_evidence(run, label)
    if run.revision_id != revision.pk:
        reasons.append(f"run {run.pk} tested another revision")
    rolled_back = Release.objects.filter(
        label=label, kind=Release.Kind.ROLLBACK, rolled_back__revision=revision, at__gte=run.created_at
    )
    if rolled_back.exists():
        reasons.append(f"revision {revision.number} was rolled back after run {run.pk}: it needs a new run")
    return reasons


def offers(label: Label, revision: Revision) -> list[Offer]:
    """Runs of the revision under the label's policies, each with what speaks against it.

    The newest that passed and were not spent come first, for they alone can be evidence: later runs that did not pass
    never hide one. Then the others, newest first.
    """
    runs = Run.objects.filter(revision=revision, policy__label=label).select_related(
        "policy", "revision", "baseline__revision", "golden_version__golden_set"
    )
    may_serve = Q(gate__verdict="pass", spent_at=None, state=Run.State.DONE)
    runs = runs.order_by(Case(When(may_serve, then=0), default=1), "-pk")
    return [Offer(run, reasons_against(label, revision, run)) for run in runs[:MOST_CANDIDATES]]


def restored(release: Release) -> Release:
    """The release whose revision this one serves: itself, or the one that a rollback went back to."""
    while release.rolled_back is not None and release.rolled_back.previous is not None:
        release = release.rolled_back.previous
    return release
