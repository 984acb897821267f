"""Golden sets: cases collect in a draft, a cut makes an immutable version of it.

A case row holds for the versions from `first_version` to `last_version` (open: still in the draft). Changing
a case ends its row with the newest version and begins another with the next.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.db import IntegrityError, connection, transaction

from core.problems import Conflict, FieldError, Unprocessable
from evals.cases import CaseContent
from evals.models import GoldenCase, GoldenSet, GoldenVersion
from projects.access import Actor
from prompts.models import Prompt
from reviews import queries as reviews
from reviews.queries import ExamVerdict

ROWS_PER_STATEMENT = 2_000


@dataclass(frozen=True)
class Added:
    """What an import did; `draft` is the number that the next cut will have."""

    draft: int
    added: int
    changed: int
    unchanged: int


@dataclass(frozen=True)
class Taken:
    """A row of an import and its place in it, from 0."""

    index: int
    case: CaseContent


class NotTheSame(Conflict):
    """A golden set of this name exists with another prompt or description."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The golden set {name!r} exists with another prompt or description; choose another name.")


class NothingToCut(Unprocessable):
    """The draft holds no case."""

    def __init__(self, golden_set: GoldenSet) -> None:
        said = f"The draft of {golden_set.name!r} holds no case; add cases before cutting a version."
        super().__init__(said, FieldError("golden_set", "its draft holds no case"))


def create_set(
    *, name: str, prompt: Prompt | None, description: str, by: Actor, now: dt.datetime
) -> tuple[GoldenSet, bool]:
    """There is a golden set of this name; says whether it is new. A repeat finds it.

    Raises:
        NotTheSame: it exists, but differs.
    """
    try:
        with transaction.atomic():
            made = GoldenSet.objects.create(
                project=by.project, name=name, prompt=prompt, description=description, created_by=by.name
            )
            return made, True
    except IntegrityError as error:
        found = GoldenSet.objects.get(project=by.project, name=name)
        if found.prompt_id != (prompt.pk if prompt else None) or found.description != description:
            raise NotTheSame(name) from error
        return found, False


def add_cases(
    *, golden_set: GoldenSet, rows: Iterable[Taken], by: Actor, now: dt.datetime
) -> tuple[Added, list[FieldError]]:
    """The draft holds these cases, in a handful of statements; a repeat leaves all of them unchanged.

    A case whose key the draft knows replaces it where its content differs, but never its part: cases that
    decide gates must not be tried out as `dev` first. For the same reason a text has one part in its set, through
    all versions and whatever its key. Returns what was done, and an error for each row that would move a part, whose
    text stands under another part, or whose key stood earlier in the same import with other content.
    """
    with transaction.atomic():
        newest = _locked_newest(golden_set)
        once, twice = _once_each(rows)
        kept = _draft_rows(golden_set, [row.case.key for row in once])
        cases, moved = _with_their_parts(once, kept, _parts_of_texts(golden_set, once))
        new = [case for case in cases if case.key not in kept]
        changed = [case for case in cases if case.key in kept and kept[case.key].content_hash != case.hash]
        _end([kept[case.key] for case in changed], newest)
        _insert(golden_set, [*new, *changed], first_version=newest + 1, by=by)
    unchanged = len(cases) - len(new) - len(changed)
    return Added(newest + 1, len(new), len(changed), unchanged), [*twice, *moved]


def add_verdicts(
    *, golden_set: GoldenSet, verdicts: Sequence[ExamVerdict], by: Actor, now: dt.datetime
) -> tuple[Added, list[FieldError]]:
    """The draft holds one case for each output that these verdicts settled, in the verdict's own part.

    Of several verdicts on one output the one settled last counts; a later one replaces the case. Returns what
    `add_cases` does; the index of an error counts the outputs in the order of their verdicts. A verdict that does not
    stand any more makes no case, and one that makes a case stands until the case does.
    """
    with transaction.atomic():
        held = reviews.held(verdict.verdict_id for verdict in verdicts)
        standing = [verdict for verdict in verdicts if verdict.verdict_id in held]
        latest = {verdict.output_id: verdict for verdict in sorted(standing, key=lambda verdict: verdict.settled_at)}
        rows = (Taken(index, _case_of(verdict)) for index, verdict in enumerate(latest.values()))
        return add_cases(golden_set=golden_set, rows=rows, by=by, now=now)


def cut(*, golden_set: GoldenSet, by: Actor, now: dt.datetime) -> tuple[GoldenVersion, bool]:
    """The draft as it is now is a version for ever; says whether it is new.

    Where nothing has changed since the newest version, that one is returned.

    Raises:
        NothingToCut: the draft is empty.
    """
    with transaction.atomic():
        newest = _locked_newest(golden_set)
        content_hash, n_cases, n_gate = _draft_totals(golden_set)
        if not n_cases:
            raise NothingToCut(golden_set)
        latest = golden_set.versions.filter(number=newest).first()
        if latest is not None and latest.content_hash == content_hash:
            return latest, False
        made = golden_set.versions.create(
            number=newest + 1,
            content_hash=content_hash,
            n_cases=n_cases,
            n_gate=n_gate,
            cut_at=now,
            cut_by=by.name,
        )
        return made, True


def _locked_newest(golden_set: GoldenSet) -> int:
    """The number of the newest version (0: none); the draft is ours alone until the transaction ends."""
    GoldenSet.objects.select_for_update(no_key=True).get(pk=golden_set.pk)
    newest = golden_set.versions.order_by("-number").values_list("number", flat=True).first()
    return newest or 0


def _once_each(rows: Iterable[Taken]) -> tuple[list[Taken], list[FieldError]]:
    first: dict[str, Taken] = {}
    errors = []
    for row in rows:
        known = first.setdefault(row.case.key, row)
        if known.case.hash != row.case.hash:
            said = f"{row.case.key[:60]!r} stands earlier in this import with other content; send each id once"
            errors.append(FieldError("id", said, index=row.index))
    return list(first.values()), errors


def _draft_rows(golden_set: GoldenSet, keys: list[str]) -> dict[str, GoldenCase]:
    rows = golden_set.cases.in_draft().filter(key__in=keys)
    return {row.key: row for row in rows.only("key", "content_hash", "first_version", "part")}


def _parts_of_texts(golden_set: GoldenSet, rows: list[Taken]) -> dict[str, str]:
    """The part in which each of these texts stands, in the draft or any version, by its hash."""
    found = golden_set.cases.filter(text_hash__in={row.case.text_hash for row in rows})
    return dict(found.order_by("id").values_list("text_hash", "part"))


def _with_their_parts(
    rows: list[Taken], kept: dict[str, GoldenCase], parts: dict[str, str]
) -> tuple[list[CaseContent], list[FieldError]]:
    """The cases, known ones and known texts with the part they have; an error for each that names another."""
    cases, errors = [], []
    for row in rows:
        known, case = kept.get(row.case.key), row.case
        of_key = case.part if known is None else known.part
        if case.is_dealt:
            case = replace(case, part=parts.get(case.text_hash, case.part) if known is None else of_key)
        elif case.part != of_key:
            said = f"is {case.part}, but this case is {of_key}; a part never moves, send a new id"
            errors.append(FieldError("part", said, index=row.index))
            continue
        of_text = parts.setdefault(case.text_hash, case.part)
        if case.part == of_text:
            cases.append(case)
        else:
            said = f"is {case.part}, but the text of {case.key[:60]!r} stands in part {of_text}; send it there"
            errors.append(FieldError("part", said, index=row.index))
    return cases, errors


def _end(rows: list[GoldenCase], newest: int) -> None:
    """These rows leave the draft; those that no version ever held vanish."""
    in_versions = [row.pk for row in rows if row.first_version <= newest]
    drafted = [row.pk for row in rows if row.first_version > newest]
    GoldenCase.objects.filter(pk__in=in_versions).update(last_version=newest)
    GoldenCase.objects.filter(pk__in=drafted).delete()


def _insert(golden_set: GoldenSet, cases: list[CaseContent], *, first_version: int, by: Actor) -> None:
    GoldenCase.objects.bulk_create(
        (
            GoldenCase(
                golden_set=golden_set,
                key=case.key,
                content_hash=case.hash,
                text_hash=case.text_hash,
                input=case.input,
                variables=case.variables,
                expected=case.expected,
                metadata=case.metadata,
                tags=case.tags,
                part=case.part,
                verdict_id=case.verdict_id,
                first_version=first_version,
                created_by=by.name,
            )
            for case in cases
        ),
        batch_size=ROWS_PER_STATEMENT,
    )


def _draft_totals(golden_set: GoldenSet) -> tuple[str, int, int]:
    """The draft's content hash, its number of cases, those of part gate; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(DRAFT_TOTALS, [golden_set.pk])
        content_hash, n_cases, n_gate = cursor.fetchone()
    return content_hash, n_cases, n_gate


def _case_of(verdict: ExamVerdict) -> CaseContent:
    return CaseContent(
        key=f"output:{verdict.output_id}",
        input=verdict.input,
        variables=verdict.variables,
        expected=verdict.expected,
        metadata={"output": verdict.output_external_id, "verdict": verdict.verdict_id},
        part=verdict.part,
        verdict_id=verdict.verdict_id,
    )


DRAFT_TOTALS = """
SELECT encode(sha256(convert_to(coalesce(
        string_agg(key || chr(31) || content_hash, chr(30) ORDER BY key COLLATE "C"), ''), 'UTF8')), 'hex'),
    count(*), count(*) FILTER (WHERE part = 'gate')
FROM evals_goldencase WHERE golden_set_id = %s AND last_version IS NULL
"""
