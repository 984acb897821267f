"""Trends: one answer from rollups alone, in a fixed number of statements, whatever the number of outputs."""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

from django.db import connection

from core.figures import Figure
from core.problems import Missing
from core.statistics import proportions
from insights import sketch
from insights.models import Grain
from insights.sketch import Sketch
from prompts.models import PRODUCTION, Prompt, Revision
from releases.models import Release
from reviews import estimation
from reviews.models import Rubric

DAY = dt.timedelta(days=1)
COUNT = "exact count"
SUM = "exact sum of what is priced"
COVERAGE = "count of reviewed draws, by arrival of the output"


@dataclass(frozen=True)
class Choice:
    """Which outputs a trend is about; None leaves a dimension open. `model` "" is no model said."""

    project_id: int
    prompt: Prompt | None = None
    revision: Revision | None = None
    model: str | None = None


@dataclass(frozen=True)
class Volume:
    """What arrived in a span."""

    n: int = 0
    n_errors: int = 0
    n_unpriced: int = 0
    cost_usd: Decimal = Decimal(0)
    latency: Sketch = field(default_factory=dict)

    def __add__(self, other: "Volume") -> "Volume":
        return Volume(
            self.n + other.n,
            self.n_errors + other.n_errors,
            self.n_unpriced + other.n_unpriced,
            self.cost_usd + other.cost_usd,
            sketch.merged(self.latency, other.latency),
        )

    @property
    def n_ok(self) -> int:
        return self.n - self.n_errors

    @property
    def n_priced(self) -> int:
        return self.n - self.n_unpriced

    def outputs(self) -> Figure:
        return Figure(self.n, None, None, n=self.n, method=COUNT)

    def errors(self) -> Figure:
        """The share that ended in an error."""
        if not self.n:
            return Figure.undefined("no output arrived", method=proportions.WILSON)
        return proportions.wilson(self.n_errors, self.n)

    def cost(self) -> Figure:
        """What the priced outputs cost; undefined where none has a price, and it says how many have none."""
        if not self.n:
            return Figure.undefined("no output arrived", method=SUM)
        if not self.n_priced:
            return Figure.undefined(f"none of the {self.n:,} outputs has a price", method=SUM)
        remark = (
            f"{self.n_unpriced:,} of {self.n:,} outputs are unpriced and not in the sum" if self.n_unpriced else None
        )
        return Figure(float(self.cost_usd), None, None, n=self.n_priced, method=SUM, reason=remark)

    def latency_quantile(self, q: float) -> Figure:
        return sketch.quantile(self.latency, q)


@dataclass(frozen=True)
class Span:
    """One span of a series: what arrived, and what reviews say of it."""

    at: dt.datetime
    volume: Volume = field(default_factory=Volume)
    sums: estimation.Sums = field(default_factory=estimation.Sums)

    def __add__(self, other: "Span") -> "Span":
        return Span(min(self.at, other.at), self.volume + other.volume, self.sums + other.sums)

    def quality(self) -> Figure:
        return estimation.of_period(self.sums, n_population=self.volume.n_ok)

    def quality_behind(self) -> Figure:
        """For comparisons: of the revision behind the outputs."""
        return estimation.of_revision(self.sums, n_population=self.volume.n_ok)

    def reviews(self) -> Figure:
        return Figure(self.sums.n_settled, None, None, n=self.sums.n_drawn, method=COVERAGE)


@dataclass(frozen=True)
class Marker:
    """A release of the production label."""

    at: dt.datetime
    prompt: str
    revision: int
    kind: str


@dataclass(frozen=True)
class Options:
    """What there is to choose from: prompts, the revisions of the chosen prompt, models, and quality questions."""

    prompts: Sequence[str]
    revisions: Sequence[int]
    models: Sequence[str]
    rubrics: Sequence[Rubric]


# A span of rollups that the choice picks, and the dimension that it is grouped by.
_CHOSEN = """
    project_id = %(project)s AND grain = %(grain)s AND starts_at >= %(since)s AND starts_at < %(until)s
    AND (%(prompt)s::bigint IS NULL OR prompt_id = %(prompt)s)
    AND (%(revision)s::bigint IS NULL OR revision_id = %(revision)s)
    AND (%(model)s::text IS NULL OR model = %(model)s)
"""
_VOLUMES = """
    WITH chosen AS MATERIALIZED (
        SELECT date_trunc(%(by)s, starts_at, 'UTC') AS at, {group} AS named,
               n, n_errors, n_unpriced, cost_usd, latency
        FROM insights_rollup WHERE {chosen}
    ), buckets AS (
        SELECT at, named, bucket.key AS bucket, sum(bucket.value::bigint) AS n
        FROM chosen CROSS JOIN jsonb_each_text(latency) AS bucket GROUP BY at, named, bucket.key
    ), sketches AS (
        SELECT at, named, jsonb_object_agg(bucket, n) AS latency FROM buckets GROUP BY at, named
    ), sums AS (
        SELECT at, named, sum(n) AS n, sum(n_errors) AS n_errors, sum(n_unpriced) AS n_unpriced,
               sum(cost_usd) AS cost_usd
        FROM chosen GROUP BY at, named
    )
    SELECT s.at, s.named, s.n, s.n_errors, s.n_unpriced, s.cost_usd, k.latency
    FROM sums s LEFT JOIN sketches k ON k.at = s.at AND k.named = s.named ORDER BY s.at, s.named
"""
_SUMS = [one.name for one in fields(estimation.Sums)]
_AGGREGATES = {"lowest": "min", "highest": "max"}
_QUALITY = """
    SELECT date_trunc(%(by)s, starts_at, 'UTC') AS at, {group} AS named, rubric_id, {sums}
    FROM insights_qualityrollup WHERE {chosen} GROUP BY at, named, rubric_id ORDER BY at, named, rubric_id
"""
# Text, and never null, so that both tables join by it.
_GROUPS = {
    "": "''",
    "prompt": "coalesce(prompt_id::text, '')",
    "revision": "coalesce(revision_id::text, '')",
    "model": "model",
}


@dataclass(frozen=True)
class Series:
    """Spans by moment for one value of the grouping, and for each quality question its sums."""

    volumes: Mapping[dt.datetime, Volume]
    sums: Mapping[int, Mapping[dt.datetime, estimation.Sums]]

    def spans(self, rubric_id: int | None) -> dict[dt.datetime, Span]:
        """The spans under one quality question."""
        sums = self.sums.get(rubric_id, {}) if rubric_id is not None else {}
        return {
            at: Span(at, self.volumes.get(at, Volume()), sums.get(at, estimation.Sums()))
            for at in sorted(self.volumes.keys() | sums.keys())
        }


def series(choice: Choice, *, since: dt.datetime, until: dt.datetime, by: str, group: str = "") -> dict[str, Series]:
    """The rollups in [since, until) by `hour`, `day` or `week`, grouped by "", prompt, revision or model.

    The keys are ids as text (of prompts and revisions), or names of models; "" where there is none. Two statements.
    """
    volumes: dict[str, dict[dt.datetime, Volume]] = defaultdict(dict)
    for at, key, n, n_errors, n_unpriced, cost, latency in _rows(_VOLUMES, choice, since, until, by, group):
        buckets = {int(bucket): count for bucket, count in json.loads(latency or "{}").items()}
        volumes[key][at.astimezone(dt.UTC)] = Volume(int(n), int(n_errors), int(n_unpriced), cost, buckets)
    sums: dict[str, dict[int, dict[dt.datetime, estimation.Sums]]] = defaultdict(lambda: defaultdict(dict))
    for at, key, rubric_id, *numbers in _rows(_QUALITY, choice, since, until, by, group):
        sums[key][rubric_id][at.astimezone(dt.UTC)] = _sums(numbers)
    return {key: Series(volumes[key], sums[key]) for key in sorted(volumes.keys() | sums.keys())}


def markers(choice: Choice, *, since: dt.datetime, until: dt.datetime) -> list[Marker]:
    """The releases of production in [since, until), oldest first; one statement."""
    found = Release.objects.filter(
        label__prompt__project_id=choice.project_id, label__name=PRODUCTION, at__gte=since, at__lt=until
    )
    if choice.prompt is not None:
        found = found.filter(label__prompt=choice.prompt)
    rows = found.order_by("at", "pk").values_list("at", "label__prompt__name", "revision__number", "kind")
    return [Marker(*row) for row in rows]


def options(choice: Choice, *, since: dt.datetime, until: dt.datetime) -> Options:
    """What the outputs of [since, until) can be filtered by; three statements."""
    values = _values(choice, since, until, Grain.DAY)
    with connection.cursor() as cursor:
        cursor.execute(_OPTIONS, values)
        rows = cursor.fetchall()
    asked = Prompt.objects.of(choice.project_id).order_by("name").values_list("name", flat=True)
    return Options(
        prompts=list(asked),
        revisions=sorted({number for number, _ in rows if number is not None}),
        models=sorted({model for _, model in rows}),
        rubrics=list(Rubric.objects.of(choice.project_id).defer("questions").order_by("pk")),
    )


_OPTIONS = """
    SELECT DISTINCT r.number, t.model FROM insights_rollup t
    LEFT JOIN prompts_revision r ON r.id = t.revision_id AND r.prompt_id = %(prompt)s
    WHERE t.project_id = %(project)s AND t.grain = 'day' AND t.starts_at >= %(since)s AND t.starts_at < %(until)s
      AND (%(prompt)s::bigint IS NULL OR t.prompt_id = %(prompt)s)
"""


def choice(project_id: int, *, prompt: str = "", revision: int | None = None, model: str | None = None) -> Choice:
    """The choice in words, resolved; at most two statements.

    Raises:
        Missing: there is no such prompt here, or no such revision of it.
    """
    if not prompt:
        return Choice(project_id, model=model)
    found = None if "\x00" in prompt else Prompt.objects.of(project_id).filter(name=prompt).first()
    if found is None:
        raise Missing("prompt")
    if revision is None:
        return Choice(project_id, found, model=model)
    wanted = found.revisions.filter(number=revision).first()
    if wanted is None:
        raise Missing("revision")
    return Choice(project_id, found, wanted, model)


def names(group: str, keys: Sequence[str], project_id: int) -> dict[str, str]:
    """What the keys of a grouping are called; at most one statement."""
    ids = [int(key) for key in keys if key] if group in ("prompt", "revision") else []
    match group:
        case "prompt":
            found = Prompt.objects.of(project_id).filter(pk__in=ids).values_list("pk", "name")
            return {"": "none", **{str(key): name for key, name in found}}
        case "revision":
            rows = Revision.objects.filter(prompt__project_id=project_id, pk__in=ids)
            numbered = rows.values_list("pk", "prompt__name", "number")
            return {"": "none", **{str(key): f"{name} r{number}" for key, name, number in numbered}}
        case _:
            return {key: key or "none" for key in keys}


def _rows(  # Any: what columns hold
    statement: str, choice: Choice, since: dt.datetime, until: dt.datetime, by: str, group: str
) -> list[tuple[Any, ...]]:
    summed = ", ".join(f"{_AGGREGATES.get(name, 'sum')}({name})" for name in _SUMS)
    text = statement.format(chosen=_CHOSEN, group=_GROUPS[group], sums=summed)
    values = _values(choice, since, until, Grain.HOUR if by == "hour" else Grain.DAY)
    with connection.cursor() as cursor:
        cursor.execute(text, {**values, "by": by})
        return list(cursor.fetchall())


def _values(
    choice: Choice, since: dt.datetime, until: dt.datetime, grain: str
) -> dict[str, Any]:  # Any: what the driver takes
    return {
        "project": choice.project_id,
        "grain": grain,
        "since": since,
        "until": until,
        "prompt": choice.prompt and choice.prompt.pk,
        "revision": choice.revision and choice.revision.pk,
        "model": choice.model,
    }


def _sums(numbers: Sequence[Any]) -> estimation.Sums:
    values = dict(zip(_SUMS, numbers, strict=True))
    counts = {name: int(values[name]) for name in ("n_covered", "n_drawn", "n_settled")}
    return estimation.Sums(**{**values, **counts})
