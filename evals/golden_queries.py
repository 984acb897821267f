"""What the pages of golden sets show, each in a fixed number of statements."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection
from django.db.models import Count, Q

from core.problems import FieldError, Invalid
from core.similarity.folding import fold
from evals import queries
from evals.models import CasePart, GatePolicy, GoldenCase, GoldenCaseQuerySet, GoldenSet, GoldenVersion
from evals.run_queries import Snippet
from projects.models import Project
from prompts.models import ContextItem, Prompt

ROWS = 50
VERSIONS = 50
CASES_AT_ONCE = 2_000
# Of different expectations: beyond that they are texts, not classes, and there is nothing to balance.
MOST_CLASSES = 50
CLASSES_SHOWN = 8
DRAFT = "draft"


@dataclass(frozen=True)
class SetLines:
    """A part of the list of golden sets, and the cursor of the next one."""

    sets: list[GoldenSet]
    next: int | None


def set_lines(project: Project, *, cursor: int) -> SetLines:
    """The project's golden sets, newest first; one statement."""
    rows = queries.golden_sets(project).order_by("-pk")
    found = list((rows.filter(pk__lt=cursor) if cursor else rows)[: ROWS + 1])
    return SetLines(found[:ROWS], found[ROWS - 1].pk if len(found) > ROWS else None)


@dataclass(frozen=True)
class Health:
    """What is odd about a draft.

    Attributes:
        n_twice: Cases whose text another case has too, writing aside.
        n_leaked: Cases whose text is the input of an example that a label serves now; runs leave them out.
        classes: The most frequent expectations with their counts, where there are few enough to be classes.
        n_classes: How many different expectations there are.
        n_without: Cases that do not say what is expected.
    """

    n_twice: int
    n_leaked: int
    classes: list[tuple[str, int]]
    n_classes: int
    n_without: int


@dataclass(frozen=True)
class SetShown:
    """A golden set as its page shows it; `n_new` and `n_gone` cases tell its draft from the newest version."""

    golden_set: GoldenSet
    versions: list[GoldenVersion]
    parts: list[tuple[str, int]]
    n_draft: int
    n_new: int
    n_gone: int
    health: Health
    policies: list[GatePolicy]

    @property
    def newest(self) -> GoldenVersion | None:
        return self.versions[0] if self.versions else None

    @property
    def can_cut(self) -> bool:
        return self.n_draft > 0 and (not self.versions or self.n_new + self.n_gone > 0)


def set_shown(project: Project, name: str) -> SetShown:
    """The set with all that its page says of it; a fixed number of statements.

    Raises:
        Missing: there is none.
    """
    golden_set = queries.golden_set(project, name)
    versions = list(golden_set.versions.order_by("-number")[:VERSIONS])
    newest = versions[0].number if versions else 0
    draft = Q(last_version=None)
    counts = golden_set.cases.aggregate(
        **{part: Count("pk", filter=draft & Q(part=part)) for part in CasePart.values},
        new=Count("pk", filter=draft & Q(first_version__gt=newest)),
        gone=Count("pk", filter=Q(last_version=newest)),
    )
    policies = GatePolicy.objects.in_force().filter(golden_set=golden_set).select_related("label__prompt")
    return SetShown(
        golden_set=golden_set,
        versions=versions,
        parts=[(part, counts[part]) for part in CasePart.values],
        n_draft=sum(counts[part] for part in CasePart.values),
        n_new=counts["new"],
        n_gone=counts["gone"] if newest else 0,
        health=_health(golden_set),
        policies=list(policies.order_by("pk")),
    )


@dataclass(frozen=True)
class CaseLines:
    """A part of a version's cases, or of the draft's, and the cursor of the next part."""

    cases: list[GoldenCase]
    next: int | None


def case_lines(golden_set: GoldenSet, *, version: str, part: str, cursor: int) -> CaseLines:
    """The cases of a version (its number) or of the draft, in the order they came; one or two statements.

    Raises:
        Invalid: the version is no number.
        Missing: there is no such version.
    """
    rows = cases_of(golden_set, version).filter(pk__gt=cursor)
    rows = rows.filter(part=part) if part else rows
    rows = rows.annotate(asked=Snippet("input"), wanted=Snippet("expected")).defer("input", "variables", "expected")
    found = list(rows.order_by("pk")[: ROWS + 1])
    return CaseLines(found[:ROWS], found[ROWS - 1].pk if len(found) > ROWS else None)


def cases_of(golden_set: GoldenSet, version: str) -> GoldenCaseQuerySet:
    """All cases of a version, by its number, or of the draft.

    Raises:
        Invalid: the version is no number.
        Missing: there is no such version.
    """
    if version in ("", DRAFT):
        return GoldenCase.objects.filter(golden_set=golden_set).in_draft()
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        raise Invalid(FieldError("version", f"is {version[:40]!r}; send a number, or draft"))
    return GoldenCase.objects.of_version(queries.version(golden_set, int(version)))


def cases_in_order(golden_set: GoldenSet, version: str) -> Iterator[GoldenCase]:
    """All of these cases, a few thousand at a time.

    Raises:
        Invalid, Missing: as `cases_of`.
    """
    rows = cases_of(golden_set, version).order_by("pk")

    def read() -> Iterator[GoldenCase]:
        last = 0
        while found := list(rows.filter(pk__gt=last)[:CASES_AT_ONCE]):
            yield from found
            last = found[-1].pk

    return read()


def _health(golden_set: GoldenSet) -> Health:
    with connection.cursor() as cursor:
        cursor.execute(TWICE, {"set": golden_set.pk})
        n_twice, n_without, n_classes = cursor.fetchone()
        cursor.execute(CLASSES, [golden_set.pk, CLASSES_SHOWN])
        classes = cursor.fetchall()
    leaked = golden_set.cases.in_draft().filter(text_hash__in=_served_texts(golden_set.prompt))
    return Health(
        n_twice=n_twice,
        n_leaked=leaked.count(),
        classes=[(text, n) for text, n in classes] if n_classes <= MOST_CLASSES else [],
        n_classes=n_classes,
        n_without=n_without,
    )


def _served_texts(prompt: Prompt | None) -> list[str]:
    """The hashes of the texts of all examples that a label of the prompt serves now."""
    served = ContextItem.objects.filter(prompt=prompt, kind=ContextItem.Kind.EXAMPLE)
    inputs = served.filter(places__revision__labels__prompt=prompt).values_list("input", flat=True).distinct()
    return [hashlib.sha256(fold(text).encode("utf-8", "surrogatepass")).hexdigest() for text in inputs]


TWICE = """
SELECT coalesce(sum(n) FILTER (WHERE n > 1), 0)::bigint, coalesce(sum(n_without), 0)::bigint,
    (SELECT count(DISTINCT expected #>> '{}') FROM evals_goldencase
     WHERE golden_set_id = %(set)s AND last_version IS NULL)
FROM (
    SELECT count(*) AS n, count(*) FILTER (WHERE expected IS NULL) AS n_without
    FROM evals_goldencase WHERE golden_set_id = %(set)s AND last_version IS NULL GROUP BY text_hash
) same
"""

CLASSES = """
SELECT left(expected #>> '{}', 80), count(*) FROM evals_goldencase
WHERE golden_set_id = %s AND last_version IS NULL AND expected IS NOT NULL
GROUP BY expected #>> '{}' ORDER BY count(*) DESC, 1 LIMIT %s
"""
