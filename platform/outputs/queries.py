"""What is asked of outputs; each in one call and a fixed number of SQL statements."""

import datetime as dt
import enum
import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection
from django.db.models import BooleanField, Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.expressions import RawSQL

from core.problems import Missing
from ledger.models import Handover
from outputs import words
from outputs.models import Feedback, Output, OutputBody, OutputQuerySet, SearchText
from outputs.redaction import rows as redaction

# Of texts on one page of a list; fewer rows than asked for stand on it when they are long.
PAGE_BYTES = 16 * 1024 * 1024


# So many outputs that an index finds are taken as a list; more are common, and the newest are walked instead.
MOST_LISTED = 2_000
# Counting ends here: nobody needs to know how many more there are.
MOST_COUNTED = 10_000
# So far back one page looks for outputs that no index finds, so that it costs the same at any size.
WINDOW = 50_000
# What is common fills a page out of this part of the window, which is looked at first.
NEAR = 5
# Ids are given out in the order of arrival, but for those that arrive at the same time: never so far apart.
LONGEST_ARRIVAL = dt.timedelta(hours=1)
SEARCH_CONSUMER = "outputs.search"


class Thumb(enum.Enum):
    """Which way a thumb shows."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True)
class Wanted:
    """Which outputs of a project; what is None does not restrict.

    Args:
        prompt: name of the prompt.
        revision: number or content hash of the revision.
        model: as the provider names it.
        environment: as sent.
        tag: one of the output's tags.
        since: arrived at this moment or later.
        until: arrived before this moment.
        status: of the output.
        q: words that all occur in its texts.
        thumb: somebody gave a thumb of this kind.
        score: name of a score that somebody gave.
        score_min: the least value of that score.
        score_max: the greatest.
        session: they say they belong to it.
        trace: likewise.
        user: whom they were for.
    """

    prompt: str | None = None
    revision: str | None = None
    model: str | None = None
    environment: str | None = None
    tag: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    status: Output.Status | None = None
    q: str | None = None
    thumb: Thumb | None = None
    score: str | None = None
    score_min: float | None = None
    score_max: float | None = None
    session: str | None = None
    trace: str | None = None
    user: str | None = None


def wanted_of(project_id: int, wanted: Wanted) -> OutputQuerySet:
    """The project's outputs that are wanted, with their prompt and revision; see `selected`."""
    return selected(project_id, wanted).rows


@dataclass(frozen=True)
class Selection:
    """Outputs that are wanted.

    Args:
        rows: all of them, with their prompt and revision, in no order.
        is_walked: to find them costs as many rows as are looked at, so a page of them stops after `WINDOW`.
        since: none of them arrived before this moment.
        is_everything: nothing restricts it yet.
        known: the ids of all of them, where an index finds these without the outputs: a list where they are few.
    """

    rows: OutputQuerySet
    is_walked: bool = False
    since: dt.datetime | None = None
    is_everything: bool = False
    known: list[int] | QuerySet[Any, int] | None = None

    def among(self, ids: QuerySet[Any, int], otherwise: Q | Exists | RawSQL | Case) -> "Selection":
        """Those that `ids` yields, too: as a list where they are few (one statement says so), else as a condition.

        The order decides the cost: a common word is soon met going back from the newest output, a rare one is
        found at once by its index, and either way taken for the other would read the whole table.
        """
        listed = list(ids[: MOST_LISTED + 1])
        is_few = len(listed) <= MOST_LISTED
        rows = self.rows.filter(pk__in=listed) if is_few else self.rows.filter(otherwise)
        known = (listed if is_few else ids) if self.is_everything else None
        return replace(self, rows=rows, is_walked=not is_few, is_everything=False, known=known)


_REDACTION = f"SELECT hash_key, {redaction.COLUMN} FROM projects_project AS project WHERE id = %s"  # noqa: S608
_IDENTITY = redaction.Said("", 200, is_identity=True)


def selected(project_id: int, wanted: Wanted) -> Selection:
    """The project's outputs that are wanted.

    Words cost a statement, at once, whatever the size, a user and a session one each, and thumbs two at most.
    """
    conditions = {
        "prompt__name": wanted.prompt,
        "model": wanted.model,
        "environment": wanted.environment,
        "tags__contains": None if wanted.tag is None else [wanted.tag],
        "received_at__gte": wanted.since,
        "received_at__lt": wanted.until,
        "status": wanted.status,
        "end_user__in": _stored_as(project_id, wanted.user),
    }
    known = {name: value for name, value in conditions.items() if value is not None}
    rows = Output.objects.of(project_id).select_related("prompt", "revision").filter(**known)
    if wanted.revision is not None:
        rows = rows.filter(_is_revision(wanted.revision))
    if wanted.score is not None:
        rows = rows.filter(Exists(_scores(project_id, wanted)))
    together = {"session_id__in": _stored_as(project_id, wanted.session), "trace_id": wanted.trace}
    rows = rows.filter(**{name: value for name, value in together.items() if value})
    is_walked = bool(known) or wanted.revision is not None or wanted.score is not None
    # The outputs of a session or of a trace are found by an index, and are few.
    is_together = any(together.values())
    found = Selection(
        rows,
        is_walked=is_walked and not is_together,
        since=wanted.since,
        is_everything=not is_walked and not is_together,
    )
    if wanted.thumb is not None:
        found = _with_thumbs(found, project_id, wanted.thumb)
    return found if wanted.q is None else _with_words(found, project_id, wanted.q)


def _stored_as(project_id: int, said: str | None) -> list[str] | None:
    """What somebody's id may stand as: as it was sent, or as the project's redaction marks it; None for none.

    Marks are keyed and equal ids have equal ones, so who knows an id finds its outputs.
    """
    if not said:
        return None
    with connection.cursor() as cursor:
        cursor.execute(_REDACTION, [project_id])
        (hash_key, policies), *_ = cursor.fetchall() or [(b"", None)]
    redactors = redaction.of_stored(policies, bytes(hash_key)).by_environment.values()
    marked = (redaction.redacted(said, _IDENTITY, redactor, Counter()) for redactor in redactors)
    return list(dict.fromkeys([said, *marked]))


def _with_thumbs(found: Selection, project_id: int, thumb: Thumb) -> Selection:
    thumbs = Feedback.objects.filter(_shows(thumb), project_id=project_id, kind=Feedback.Kind.THUMB)
    few = list(thumbs.values_list("output_external_id", flat=True)[: MOST_LISTED + 1])
    if len(few) <= MOST_LISTED:
        return replace(found, rows=found.rows.filter(external_id__in=few), is_walked=False, is_everything=False)
    # As a case it stays a condition of the walk (a set made once); as a join it might begin with all thumbs.
    shown = Exists(thumbs.filter(output_external_id=OuterRef("external_id")))
    condition = Case(When(shown, then=Value(True)), default=Value(False), output_field=BooleanField())
    return replace(found, rows=found.rows.filter(condition), is_walked=True, is_everything=False)


def _with_words(found: Selection, project_id: int, asked: str) -> Selection:
    query = words.query_of(asked, project_id=project_id)
    if query is None:
        return Selection(found.rows.none())
    match = RawSQL("outputs_searchtext.words @@ %s::tsquery", [query], BooleanField())
    # A scalar sub-select stays what it is: one look-up by key for each output that is walked over.
    holds = RawSQL(
        "(SELECT text.words @@ %s::tsquery FROM outputs_searchtext AS text WHERE text.output_id = outputs_output.id)",
        [query],
        BooleanField(),
    )
    return found.among(SearchText.objects.filter(match).values_list("pk", flat=True), holds)


def _shows(thumb: Thumb) -> Q:
    """A thumb is up above 0 and down at 0 (false) or below; one without a value says so by its label."""
    by_label = Q(value=None, label__iexact=thumb.value)
    return by_label | (Q(value__gt=0) if thumb is Thumb.UP else Q(value__lte=0))


def _scores(project_id: int, wanted: Wanted) -> QuerySet[Feedback]:
    given = {"value__gte": wanted.score_min, "value__lte": wanted.score_max}
    return Feedback.objects.filter(
        project_id=project_id,
        output_external_id=OuterRef("external_id"),
        kind=Feedback.Kind.SCORE,
        name=wanted.score,
        **{name: value for name, value in given.items() if value is not None},
    )


@dataclass(frozen=True)
class Page:
    """Outputs, newest first.

    Args:
        outputs: those of this page.
        next: the page after begins below this id; None where nothing is left.
        looked_back_to: where the page ended early, after `WINDOW` outputs: the arrival of the last one it looked at.
    """

    outputs: list[Output]
    next: int | None = None
    looked_back_to: dt.datetime | None = None


def newest(project_id: int, selection: Selection, *, below: int | None, limit: int) -> Page:
    """A page of the selection, from the newest or below an id: five statements at most, one where nothing is walked."""
    rows = (selection.rows if below is None else selection.rows.filter(pk__lt=below)).order_by("-pk")
    if isinstance(selection.known, list):
        older = (pk for pk in selection.known if below is None or pk < below)
        rows = rows.filter(pk__in=heapq.nlargest(limit + 1, older))
    if not selection.is_walked:
        return _page(list(rows[: limit + 1]), limit)
    floor: int | None = None
    for width in (max(1, WINDOW // NEAR), WINDOW):
        floor = _floor(project_id, below, width)
        found = list((rows if floor is None else rows.filter(pk__gte=floor))[: limit + 1])
        if floor is None or len(found) > limit:
            return _page(found, limit)
    behind = Output.objects.of(project_id).filter(pk__lte=floor).order_by("-pk")
    looked_back_to = behind.values_list("received_at", flat=True).first()
    if looked_back_to is None or (selection.since and looked_back_to < selection.since - LONGEST_ARRIVAL):
        return Page(found)
    return Page(found, next=floor, looked_back_to=looked_back_to)


def _page(found: list[Output], limit: int) -> Page:
    return Page(found[:limit], next=found[limit - 1].pk if len(found) > limit else None)


def _floor(project_id: int, below: int | None, width: int) -> int | None:
    """The id so many places further back; None where fewer are left. An index alone knows it."""
    rows = Output.objects.of(project_id) if below is None else Output.objects.of(project_id).filter(pk__lt=below)
    return rows.order_by("-pk").values_list("pk", flat=True)[width : width + 1].first()


@dataclass(frozen=True)
class Count:
    """How many: exactly `n`, or at least `n` where counting stopped."""

    n: int
    is_exact: bool


def counted(project_id: int, selection: Selection) -> Count:
    """How many are selected, exact up to `MOST_COUNTED`; what is walked for is counted among the newest alone."""
    if isinstance(selection.known, list):
        return Count(len(selection.known), is_exact=True)
    ids, floor = selection.known, None
    if ids is None:
        rows = selection.rows
        floor = _floor(project_id, None, 2 * WINDOW // NEAR) if selection.is_walked else None
        ids = (rows if floor is None else rows.filter(pk__gte=floor)).order_by().values_list("pk", flat=True)
    n = ids[: MOST_COUNTED + 1].count()
    return Count(min(n, MOST_COUNTED), is_exact=n <= MOST_COUNTED and floor is None)


@dataclass(frozen=True)
class Line:
    """The beginnings of an output's texts, as a list shows them."""

    input: str
    output: str
    error: str


_LINE = """
    SELECT output_id, {input}, {output}, coalesce(left(error, 300), '')
    FROM outputs_outputbody WHERE output_id = ANY(%s) AND received_on = ANY(%s)"""
_BEGINNING = """
    left(coalesce(CASE jsonb_typeof({name})
        WHEN 'string' THEN {name} #>> '{{}}'
        WHEN 'array' THEN coalesce({name} #>> '{{-1,content,0,text}}', {name} #>> '{{-1,content}}', {name}::text)
        WHEN 'object' THEN coalesce({name} ->> 'content', {name} ->> 'input', {name}::text)
        ELSE {name}::text END, ''), 300)"""
_LINES = _LINE.format(input=_BEGINNING.format(name="input"), output=_BEGINNING.format(name="output"))


def lines(outputs: Sequence[Output]) -> dict[int, Line]:
    """The beginnings of these outputs' texts by output id, in one statement: long texts stay where they are."""
    if not outputs:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_LINES, [[output.pk for output in outputs], list({output.received_on for output in outputs})])
        return {output_id: Line(*texts) for output_id, *texts in cursor.fetchall()}


@dataclass(frozen=True)
class Opinion:
    """What was said last about an output: a thumb, and a score by its name."""

    thumb: Thumb | None = None
    score: float | None = None
    score_name: str = ""


def opinions(project_id: int, outputs: Iterable[Output], *, score: str | None = None) -> dict[str, Opinion]:
    """The newest thumb and the newest score of each of these outputs, by external id, in one statement.

    Args:
        project_id: whose outputs.
        outputs: the outputs.
        score: only scores of this name.
    """
    kinds = Q(kind=Feedback.Kind.THUMB) | Q(kind=Feedback.Kind.SCORE, value__isnull=False)
    said = Feedback.objects.filter(
        kinds, project_id=project_id, output_external_id__in=[output.external_id for output in outputs]
    )
    if score is not None:
        said = said.filter(Q(kind=Feedback.Kind.THUMB) | Q(name=score))
    newest_first = said.order_by("output_external_id", "kind", "-pk").distinct("output_external_id", "kind")
    found: dict[str, Opinion] = {}
    for one in newest_first:
        before = found.get(one.output_external_id, Opinion())
        found[one.output_external_id] = _and(before, one)
    return found


def _and(before: Opinion, one: Feedback) -> Opinion:
    if one.kind == Feedback.Kind.THUMB:
        return Opinion(thumb_of(one), before.score, before.score_name)
    return Opinion(before.thumb, one.value, one.name)


def thumb_of(feedback: Feedback) -> Thumb | None:
    """Which way a thumb shows; None where it says neither."""
    if feedback.value is not None:
        return Thumb.UP if feedback.value > 0 else Thumb.DOWN
    said = feedback.label.lower()
    return Thumb(said) if said in ("up", "down") else None


def search_lag(*, now: dt.datetime) -> dt.timedelta:
    """How far the search is behind: the age of the oldest outputs that wait to be looked at; zero where none do."""
    oldest = Handover.objects.filter(consumer=SEARCH_CONSUMER, parked_at=None).order_by("pk")
    waiting_since = oldest.values_list("created_at", flat=True).first()
    return dt.timedelta() if waiting_since is None else max(dt.timedelta(), now - waiting_since)


def bodies(outputs: Iterable[Output]) -> dict[int, OutputBody]:
    """The texts of these outputs by output id, in one statement, without those that retention dropped."""
    ids = {output.pk: output.received_on for output in outputs}
    found = OutputBody.objects.filter(output_id__in=ids, received_on__in=set(ids.values()))
    return {body.output_id: body for body in found}


def fitting(outputs: Sequence[Output]) -> int:
    """How many of these, from the first, go on one page; at least one."""
    n_bytes = 0
    for place, output in enumerate(outputs):
        n_bytes += output.body_bytes
        if n_bytes > PAGE_BYTES:
            return max(1, place)
    return len(outputs)


@dataclass(frozen=True)
class Whole:
    """An output with its texts (None once retention dropped them) and all feedback on it, oldest first."""

    output: Output
    body: OutputBody | None
    feedback: list[Feedback]


def whole(project_id: int, external_id: str) -> Whole:
    """The project's output of this id.

    Raises:
        Missing: it has none.
    """
    # PostgreSQL has no NUL in texts, and so no such id.
    known = Output.objects.of(project_id).select_related("prompt", "revision")
    output = None if "\x00" in external_id else known.filter(external_id=external_id).first()
    if output is None:
        raise Missing("output")
    feedback = Feedback.objects.filter(project_id=project_id, output_external_id=external_id).order_by("pk")
    return Whole(output=output, body=bodies([output]).get(output.pk), feedback=list(feedback))


def _is_revision(reference: str) -> Q:
    by_hash = Q(revision__content_hash=reference)
    is_number = reference.isascii() and reference.isdigit() and len(reference) < 10
    return by_hash | Q(revision__number=int(reference)) if is_number else by_hash
