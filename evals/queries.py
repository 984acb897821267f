"""What is asked of golden sets and runs, each in a fixed number of statements."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, OuterRef, Q, QuerySet

from core.problems import FieldError, Invalid, Missing
from evals import comparison, hygiene
from evals.comparison import Sheet
from evals.models import GatePolicy, GoldenCase, GoldenSet, GoldenVersion, Result, Run, Score
from evals.scorers import Panel
from projects.models import Project
from prompts.models import ContextItem, Label, Prompt, RevisionContext

RESULTS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Progress:
    """How far a run is; errors are part of what is done."""

    done: int
    total: int
    errors: int


@dataclass(frozen=True)
class CaseChange:
    """A case that two versions hold with different content, and which fields differ."""

    id: str
    fields: list[str]


@dataclass(frozen=True)
class VersionDiff:
    """What became of the cases between two versions, by their ids in order."""

    added: list[str]
    removed: list[str]
    changed: list[CaseChange]


def golden_sets(project: Project) -> QuerySet[GoldenSet]:
    """The project's golden sets with their newest version's number (None: never cut) and draft cases."""
    newest = GoldenVersion.objects.filter(golden_set=OuterRef("pk")).order_by("-number").values("number")[:1]
    return (
        GoldenSet.objects.filter(project=project)
        .select_related("prompt")
        .annotate(newest=newest, n_draft=Count("cases", filter=Q(cases__last_version=None)))
    )


def golden_set(project: Project, name: str) -> GoldenSet:
    """The project's golden set of this name, or a 404."""
    found = golden_sets(project).filter(name=name).first()
    if found is None:
        raise Missing("golden set")
    return found


def version(of: GoldenSet, number: int) -> GoldenVersion:
    """This version of the set, or a 404."""
    found = of.versions.filter(number=number).first()
    if found is None:
        raise Missing("version of this golden set")
    return found


def diff(before: GoldenVersion, after: GoldenVersion) -> VersionDiff:
    """What became of the cases from one version to the other; two statements."""
    old, new = ({case.key: case for case in GoldenCase.objects.of_version(one)} for one in (before, after))
    both = sorted(old.keys() & new.keys())
    return VersionDiff(
        added=sorted(new.keys() - old.keys()),
        removed=sorted(old.keys() - new.keys()),
        changed=[CaseChange(key, _changed_fields(old[key], new[key])) for key in both if old[key].pk != new[key].pk],
    )


def policy_in_force(prompt: Prompt, label: str) -> GatePolicy:
    """What the label demands now, or a 404."""
    policies = GatePolicy.objects.in_force().select_related("golden_set", "label__prompt")
    found = policies.filter(label__prompt=prompt, label__name=label).first()
    if found is None:
        raise Missing("policy")
    return found


def runs(project: Project) -> QuerySet[Run]:
    """The project's runs with all that a list shows of them."""
    return Run.objects.filter(project=project).select_related(
        "golden_version__golden_set__prompt",
        "revision__prompt",
        "policy__label__prompt",
        "policy__golden_set",
    )


def runs_like(project: Project, conditions: Mapping[str, str]) -> QuerySet[Run]:
    """The project's runs of this `golden_set`, `prompt` and `state`, each where it is named.

    Raises:
        Invalid: there is no such state.
    """
    state = conditions.get("state")
    if state is not None and state not in Run.State.values:
        raise Invalid(FieldError("state", f"is {state[:40]!r}; send one of {', '.join(Run.State.values)}"))
    columns = {
        "golden_set": "golden_version__golden_set__name",
        "prompt": "revision__prompt__name",
        "state": "state",
    }
    return runs(project).filter(**{columns[name]: text for name, text in conditions.items() if name in columns})


def waiting_for(baseline: Run) -> list[int]:
    """The ids of live runs that are to be compared with this one."""
    live = baseline.candidates.filter(state__in=(Run.State.QUEUED, Run.State.RUNNING))
    return list(live.order_by("pk").values_list("pk", flat=True))


def case_keys(ids: Iterable[int]) -> dict[int, str]:
    """The ids that cases have in their golden set, by ours."""
    return dict(GoldenCase.objects.filter(pk__in=list(ids)).values_list("pk", "key"))


def run(project: Project, run_id: int) -> Run:
    """The project's run of this id, or a 404."""
    found = runs(project).filter(pk=run_id).first()
    if found is None:
        raise Missing("run")
    return found


def progress(of: Run) -> Progress:
    """How far the run is; one statement."""
    finished = Q(state__in=(Result.State.DONE, Result.State.FAILED))
    counts = of.results.aggregate(done=Count("pk", filter=finished), errors=Count("pk", filter=Q(state="failed")))
    return Progress(done=counts["done"], total=of.n_results, errors=counts["errors"])


def results(of: Run) -> QuerySet[Result]:
    """The run's results with their cases and scores."""
    return of.results.select_related("case").prefetch_related("scores")


def results_in_order(of: Run) -> Iterator[Result]:
    """All results of the run, oldest first, a thousand at a time."""
    last = 0
    while True:
        found = list(results(of).filter(pk__gt=last).order_by("pk")[:RESULTS_AT_ONCE])
        yield from found
        if len(found) < RESULTS_AT_ONCE:
            return
        last = found[-1].pk


def results_missing_scores(of: Run, n_scorers: int) -> list[int]:
    """The ids of finished results with fewer scores than the run has scorers."""
    finished = of.results.filter(state__in=(Result.State.DONE, Result.State.FAILED))
    counted = finished.annotate(n_scores=Count("scores")).filter(n_scores__lt=n_scorers)
    return list(counted.order_by("pk").values_list("pk", flat=True))


def sheet(of: Run, *, keys: Sequence[str] | None = None) -> Sheet:
    """What the scorers said of the run, case by case; two statements.

    Args:
        of: The run.
        keys: The scorers to take; by default the run's own.
    """
    wanted = Panel(of.scorers).keys if keys is None else list(keys)
    blank = [(case_id, trial, None, None) for case_id, trial in of.results.values_list("case_id", "trial")]
    said = Score.objects.filter(result__run=of, result__state=Result.State.DONE, scorer__in=wanted)
    found = said.values_list("result__case_id", "result__trial", "scorer", "value")
    return comparison.sheet_of([*blank, *found], keys=wanted, trials=of.trials)


@dataclass(frozen=True)
class CaseOfRun:
    """A case that a run asked; `key` and `content_hash` name it in other versions and sets."""

    id: int
    key: str
    content_hash: str
    tags: list[str]


def cases_of_run(of: Run) -> list[CaseOfRun]:
    """The cases that the run asked, in the order of their ids; one statement."""
    asked = GoldenCase.objects.filter(pk__in=of.results.values("case_id")).order_by("pk")
    return [CaseOfRun(*row) for row in asked.values_list("pk", "key", "content_hash", "tags")]


def case_texts(ids: Iterable[int]) -> dict[int, str]:
    """The text of each of these cases, by which contexts are compared with it."""
    rows = GoldenCase.objects.filter(pk__in=[int(pk) for pk in ids]).values_list("pk", "input", "variables")
    return {pk: hygiene.case_text(asked, given) for pk, asked, given in rows}


def context_inputs(*sides: Run | None) -> list[str]:
    """The inputs of all examples in the contexts of these runs' revisions."""
    revisions = {side.revision_id for side in sides if side is not None and side.revision_id is not None}
    places = RevisionContext.objects.filter(revision__in=revisions, item__kind=ContextItem.Kind.EXAMPLE)
    return list(places.order_by("item_id").values_list("item__input", flat=True).distinct())


def newest_number(of: GoldenSet, *, at: Any) -> int | None:
    """The number of the newest version at a moment."""
    return of.versions.filter(cut_at__lte=at).order_by("-number").values_list("number", flat=True).first()


def policy_of_label(label: Label) -> GatePolicy | None:
    """The policy in force for a label, if it has one."""
    return label.policies.order_by("-version").first()


def _changed_fields(old: GoldenCase, new: GoldenCase) -> list[str]:
    fields = ("input", "variables", "expected", "metadata", "tags", "part")
    return [name for name in fields if getattr(old, name) != getattr(new, name)]
