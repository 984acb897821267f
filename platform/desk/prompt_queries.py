"""What the pages of prompts ask of all rooms: each answer in a fixed number of statements."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, Exists, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, JSONObject

from core.problems import Missing
from evals import queries as evals
from evals.models import GatePolicy, Run
from improvement.models import Origin, Proposal
from outputs.models import Output
from prompts import differences, names, queries
from prompts.differences import Setting, TextDifference
from prompts.models import PRODUCTION, ContextItem, Label, Prompt, Revision, RevisionContext
from releases import queries as releases
from releases.models import Release
from releases.queries import Offer
from reviews.models import ItemOutput, Review

ROWS = 50
REVISIONS = 20
ITEMS = 20
RELEASES = 50


@dataclass(frozen=True)
class PromptRow:
    """A prompt in the list: what production is told, what is newest, what waits, and when it last answered."""

    name: str
    description: str
    production: int | None
    newest: int | None
    n_waiting: int
    last_output_at: dt.datetime | None


@dataclass(frozen=True)
class Source:
    """A verdict that an item of context came from: who reviewed, and the output that caused it."""

    verdict: int
    is_replaced: bool
    settled_by: str
    by: str
    reviewers: list[str]
    output: str | None


@dataclass(frozen=True)
class First:
    """The revision that an item of context first stood in."""

    revision: int
    by: str
    proposal: int | None


@dataclass(frozen=True)
class ContextRow:
    """A line of context with its origin; `change` is `new` or `removed` against the other revision, or empty."""

    item: ContextItem
    change: str
    sources: list[Source]
    first: First | None


@dataclass(frozen=True)
class ContextPage:
    """Some lines of context, and the number to ask for the next ones with."""

    rows: list[ContextRow] = field(default_factory=list)
    after: int | None = None


@dataclass(frozen=True)
class ContextChange:
    """How many items a revision has that the other has not, and the other way round."""

    n_in: int = 0
    n_out: int = 0


@dataclass(frozen=True)
class Step:
    """A revision in the timeline: its labels, how it came, and what its newest gate run said."""

    revision: Revision
    labels: list[str]
    proposal: int | None
    run: int | None
    run_state: str
    verdict: str
    is_undone: bool


@dataclass(frozen=True)
class PromptPage:
    """A prompt with one revision against another.

    Attributes:
        standing: The active release of each label by name.
        policies: The labels that have a policy, so that a run can be evidence for them.
        text: The difference of the messages.
        context_rows: The context of the revision, or (in the view of changes) what came and went.
    """

    prompt: Prompt
    newest: int | None
    policies: list[str]
    standing: dict[str, Release]
    timeline: list[Step]
    timeline_before: int | None
    revision: Revision | None = None
    step: Step | None = None
    against: Revision | None = None
    text: TextDifference = field(default_factory=TextDifference)
    settings: list[Setting] = field(default_factory=list)
    context: ContextChange = field(default_factory=ContextChange)
    context_page: ContextPage = field(default_factory=ContextPage)


@dataclass(frozen=True)
class ReleaseChoice:
    """What a release of one revision to one label would rest on, as things are now.

    Attributes:
        standing: The active release of the label, or None where nothing was ever released to it.
        offers: The newest runs of the revision under the label's policies, with what speaks against each.
    """

    label: str
    labels: list[str]
    revision: Revision
    standing: Release | None
    has_policy: bool
    offers: list[Offer]

    @property
    def evidence(self) -> list[Offer]:
        return [offer for offer in self.offers if offer.is_evidence]

    @property
    def is_first(self) -> bool:
        """Whether this would be the label's first release, on a reason alone (a floor can be evidence even then)."""
        return self.standing is None and not self.evidence


@dataclass(frozen=True)
class WayBack:
    """A release, where its label stands now, and which revision it would go back to (None: nowhere)."""

    release: Release
    standing: Release
    back: Revision | None

    @property
    def is_stale(self) -> bool:
        return self.standing.pk != self.release.pk


def prompt_rows(project_id: int, *, before: int = 0) -> tuple[list[PromptRow], int | None]:
    """The project's prompts, newest first, from below the id `before`, and where the next page begins.

    One statement; a page costs a few index look-ups for each prompt on it, however many outputs there are.
    """
    production = Label.objects.filter(prompt=OuterRef("pk"), name=PRODUCTION).values("revision__number")
    newest = Revision.objects.filter(prompt=OuterRef("pk")).order_by("-number").values("number")
    ready = Proposal.objects.filter(prompt=OuterRef("pk"), state=Proposal.State.READY)
    waiting = ready.filter(revision__releases=None).order_by()
    last = Output.objects.filter(project=OuterRef("project"), prompt=OuterRef("pk")).order_by("-pk")
    found = Prompt.objects.of(project_id).annotate(
        production=Subquery(production[:1]),
        newest=Subquery(newest[:1]),
        n_waiting=Coalesce(Subquery(waiting.values("prompt").annotate(n=Count("pk")).values("n")), 0),
        last_output_at=Subquery(last.values("received_at")[:1]),
    )
    if before:
        found = found.filter(pk__lt=before)
    rows: list[Any] = list(found.order_by("-pk")[: ROWS + 1])  # Any: prompts with their annotations
    shown = [
        PromptRow(row.name, row.description, row.production, row.newest, row.n_waiting, row.last_output_at)
        for row in rows[:ROWS]
    ]
    return shown, rows[ROWS - 1].pk if len(rows) > ROWS else None


def prompt_page(
    prompt: Prompt,
    *,
    number: int | None = None,
    against: int | None = None,
    before: int = 0,
    shows: str = "text",
    after: int = 0,
) -> PromptPage:
    """A prompt with one revision (by default the newest) against another (by default its parent).

    Args:
        prompt: Whose page it is.
        number: The revision to show.
        against: The revision it is compared with; 0 compares with nothing.
        before: The timeline goes on below this revision number.
        shows: `text`, `whole`, `context` or `parameters`.
        after: The lines of context go on after this place (in `context`: below this item).

    Raises:
        Missing: there is no such revision.
    """
    named = _labels_by_revision(prompt)
    timeline = list(_revisions(prompt, before)[: REVISIONS + 1])
    about = PromptPage(
        prompt=prompt,
        newest=prompt.revisions.order_by("-number").values_list("number", flat=True).first(),
        policies=_labels_with_policy(prompt),
        standing=releases.active_of(prompt),
        timeline=[_step(row, named) for row in timeline[:REVISIONS]],
        timeline_before=timeline[REVISIONS - 1].number if len(timeline) > REVISIONS else None,
    )
    wanted = about.newest if number is None else number
    if wanted is None:
        return about
    chosen = _chosen(prompt, wanted)
    other = _other(prompt, chosen, against)
    is_changes = shows == "context"
    return replace(
        about,
        revision=chosen,
        step=_step(chosen, named),
        against=other,
        text=differences.texts([] if other is None else other.messages, chosen.messages, whole=shows == "whole"),
        settings=differences.settings(other, chosen),
        context=context_change(other, chosen),
        context_page=(
            changed_context(other, chosen, below=after) if is_changes else context_of(chosen, other, after=after)
        ),
    )


def release_choice(prompt: Prompt, label_name: str, number: int) -> ReleaseChoice:
    """What a release of this revision would rest on.

    Raises:
        Missing: there is no such revision, or nothing can have such a name as a label.
    """
    if not names.is_name(label_name, names.LONGEST_LABEL):
        raise Missing("label")
    revision = queries.numbered(prompt.project_id, prompt.name, number)
    labels = {label.name: label for label in Label.objects.filter(prompt=prompt).select_related("revision", "prompt")}
    label = labels.get(label_name)
    return ReleaseChoice(
        label=label_name,
        labels=sorted({PRODUCTION, label_name, *labels}),
        revision=revision,
        standing=releases.active_of(prompt).get(label_name),
        has_policy=label is not None and evals.policy_of_label(label) is not None,
        offers=[] if label is None else releases.offers(label, revision),
    )


def way_back(prompt: Prompt, release_id: int) -> WayBack:
    """Where rolling this release back would lead.

    Raises:
        Missing: there is no such release of this prompt.
    """
    release = releases.releases_of(prompt).select_related("run").filter(pk=release_id).first()
    if release is None:
        raise Missing("release")
    standing = releases.active_of(prompt)[release.label.name]
    before = releases.restored(standing).previous
    return WayBack(release, standing, None if before is None else releases.restored(before).revision)


def release_rows(prompt: Prompt, *, before: int = 0) -> tuple[list[Release], int | None]:
    """The prompt's releases, newest first, from below the id `before`, and where the next page begins."""
    found = releases.releases_of(prompt).select_related("run", "rolled_back__revision").order_by("-pk")
    rows = list((found.filter(pk__lt=before) if before else found)[: RELEASES + 1])
    return rows[:RELEASES], rows[RELEASES - 1].pk if len(rows) > RELEASES else None


def context_change(before: Revision | None, after: Revision) -> ContextChange:
    """How many items came and went; one statement."""
    if before is None:
        return ContextChange(after.n_context, 0)
    gone = before.places.exclude(item__in=after.places.values("item")).count()
    return ContextChange(after.n_context - (before.n_context - gone), gone)


def context_of(revision: Revision, against: Revision | None, *, after: int = 0) -> ContextPage:
    """The revision's context in its order, from the place `after` on; three statements."""
    places = revision.places.filter(position__gte=after).select_related("item").order_by("position")
    if against is not None:
        places = places.annotate(is_old=Exists(against.places.filter(item=OuterRef("item"))))
    found = list(places[: ITEMS + 1])
    changes = {
        place.item_id: "" if against is None or place.is_old else "new"  # type: ignore[attr-defined]  # annotated
        for place in found
    }
    rows = _rows([place.item for place in found[:ITEMS]], changes)
    return ContextPage(rows, found[ITEMS].position if len(found) > ITEMS else None)


def changed_context(before: Revision | None, after: Revision, *, below: int = 0) -> ContextPage:
    """What came and what went between two revisions, newest items first; three statements."""
    items = ContextItem.objects.filter(prompt=after.prompt_id).annotate(
        was=Exists(_place(before)), stands=Exists(_place(after))
    )
    items = items.exclude(was=F("stands")).order_by("-pk")
    found: list[Any] = list((items.filter(pk__lt=below) if below else items)[: ITEMS + 1])  # Any: annotated
    changes = {item.pk: "new" if item.stands else "removed" for item in found}
    rows = _rows(found[:ITEMS], changes)
    return ContextPage(rows, found[ITEMS - 1].pk if len(found) > ITEMS else None)


def _place(revision: Revision | None) -> QuerySet[RevisionContext]:
    places = RevisionContext.objects.filter(item=OuterRef("pk"))
    return places.none() if revision is None else places.filter(revision=revision)


def _rows(items: Sequence[ContextItem], changes: dict[int, str]) -> list[ContextRow]:
    """The items with their origins and first revisions; two statements."""
    ids = [item.pk for item in items]
    sources, firsts = _sources(ids), _firsts(ids)
    return [ContextRow(item, changes[item.pk], sources.get(item.pk, []), firsts.get(item.pk)) for item in items]


def _sources(item_ids: Sequence[int]) -> dict[int, list[Source]]:
    output = ItemOutput.objects.filter(item=OuterRef("verdict__item")).order_by("position")
    reviews = Review.objects.standing().filter(item=OuterRef("verdict__item")).order_by("pk")
    origins = (
        Origin.objects.filter(item__in=item_ids)
        .select_related("verdict")
        .defer("verdict__answers", "verdict__rationale")
        .annotate(
            output=Subquery(output.values("output__external_id")[:1]),
            reviewers=ArraySubquery(reviews.values(name=Coalesce("user__email", "reviewer"))),
        )
    )
    found: dict[int, list[Source]] = {}
    for origin in origins.order_by("item_id", "verdict_id"):
        found.setdefault(origin.item_id, []).append(_source(origin))
    return found


def _source(origin: Any) -> Source:  # Any: an Origin with its annotations
    verdict = origin.verdict
    return Source(
        verdict=verdict.pk,
        is_replaced=verdict.replaced_at is not None,
        settled_by=verdict.settled_by,
        by=verdict.by,
        reviewers=list(dict.fromkeys(origin.reviewers)),
        output=origin.output,
    )


def _firsts(item_ids: Sequence[int]) -> dict[int, First]:
    proposal = Proposal.objects.filter(revision=OuterRef("revision")).values("pk")
    places = (
        RevisionContext.objects.filter(item__in=item_ids)
        .order_by("item_id", "revision__number")
        .distinct("item_id")
        .values_list("item_id", "revision__number", "revision__created_by", Subquery(proposal[:1]))
    )
    return {item: First(number, by, made) for item, number, by, made in places}


def _labels_by_revision(prompt: Prompt) -> dict[int, list[str]]:
    named: dict[int, list[str]] = {}
    labels = Label.objects.filter(prompt=prompt, revision__isnull=False).order_by("name")
    for revision_id, name in labels.values_list("revision_id", "name"):
        named.setdefault(revision_id, []).append(name)
    return named


def _labels_with_policy(prompt: Prompt) -> list[str]:
    policies = GatePolicy.objects.filter(label__prompt=prompt).order_by("label__name")
    return list(policies.values_list("label__name", flat=True).distinct())


def _told(revisions: QuerySet[Revision]) -> QuerySet[Revision]:
    """Revisions with how they came and what their newest gate run said."""
    run = Run.objects.filter(revision=OuterRef("pk"), policy__isnull=False).order_by("-pk")
    told = JSONObject(id="pk", state="state", verdict="gate__verdict")
    undone = Release.objects.filter(kind=Release.Kind.ROLLBACK, rolled_back__revision=OuterRef("pk"))
    return revisions.annotate(
        proposal_id=Subquery(Proposal.objects.filter(revision=OuterRef("pk")).values("pk")[:1]),
        gate_run=Subquery(run.values(told=told)[:1]),
        is_undone=Exists(undone),
    )


def _revisions(prompt: Prompt, before: int) -> QuerySet[Revision]:
    """The timeline: texts are not read, they may be long."""
    found = _told(prompt.revisions.defer("messages", "parameters"))
    return (found.filter(number__lt=before) if before else found).order_by("-number")


def _step(row: Any, named: dict[int, list[str]]) -> Step:  # Any: a Revision with its annotations
    run = row.gate_run or {}
    return Step(
        revision=row,
        labels=named.get(row.pk, []),
        proposal=row.proposal_id,
        run=run.get("id"),
        run_state=run.get("state") or "",
        verdict=run.get("verdict") or "",
        is_undone=row.is_undone and row.pk not in named,
    )


def _chosen(prompt: Prompt, number: int) -> Revision:
    found = _told(prompt.revisions.select_related("parent")).filter(number=number).first()
    if found is None:
        raise Missing("revision")
    return found


def _other(prompt: Prompt, chosen: Revision, against: int | None) -> Revision | None:
    if against is None:
        return chosen.parent
    if against == 0:
        return None
    return queries.numbered(prompt.project_id, prompt.name, against)
