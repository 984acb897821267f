"""Precedents: cases like this one that people have decided, with what they said why.

Only verdicts of part `teach` are found. A precedent may end up in a context, and an exam must never: verdicts of the
parts `gate` and `dev` are neither shown nor compared with, so nothing here tells what they say or that they exist.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models.functions import Left

from core.similarity import folding, minhash, tfidf
from reviews import queries
from reviews.models import ItemOutput, Part, PartSplit, Verdict

# What a search costs at most, however many verdicts there are: so many of the newest are looked at, of any part, and so
# many of any age in groups that nearly equal the case; of each input so many characters are compared, and of all
# together so many, which takes less than half a second.
MOST_LOOKED_AT = 4_000
MOST_NEAR_GROUPS = 50
MOST_NEAR = 200
LONGEST_COMPARED = 1_000
MOST_COMPARED = 400_000
_LARGEST = tfidf.WORD_WEIGHT**2 + tfidf.CHAR_WEIGHT**2


@dataclass(frozen=True)
class Precedent:
    """A standing verdict of part `teach`, as `queries.verdicts` gives it, and how like its input is, 0 to 1.

    Its texts are None where retention dropped them.
    """

    verdict: Verdict
    similarity: float
    input: Any
    output: Any


def like(project_id: int, text: str, *, k: int) -> list[Precedent]:
    """The k decided cases of the project most like this text, best first; fewer where no others are like it at all.

    Of equally like ones the newest verdict comes first. Compared is the folded input of the earliest case of each
    near-duplicate group, by words and runs of characters (`core.similarity.tfidf`). Looked at are the newest
    `MOST_LOOKED_AT` verdicts, and of any age those whose input nearly equals the text. Five statements.
    """
    folded = folding.fold(text)
    by_group = _candidates(project_id, folded)
    compared = list(_affordable(by_group))
    if not compared:
        return []
    index = tfidf.build([text for _, text in compared])
    similarities = index.similarities(folded[:LONGEST_COMPARED]) / _LARGEST
    found = [
        (float(similarity), verdict_id)
        for (group_id, _), similarity in zip(compared, similarities, strict=True)
        if similarity > 0
        for verdict_id in by_group[group_id]
    ]
    return _shown(project_id, sorted(found, reverse=True)[:k])


def _candidates(project_id: int, folded: str) -> dict[int, list[int]]:
    """Group → its standing verdicts of part `teach`: groups that nearly equal the text, then the newest."""
    groups = PartSplit.objects.filter(project=project_id, part=Part.TEACH, bands__overlap=minhash.bands(folded))
    near = Verdict.objects.of(project_id).teaching().filter(split__in=groups.values("pk")[:MOST_NEAR_GROUPS])
    newest = Verdict.objects.of(project_id).order_by("-pk").values_list("split", "pk", "part", "replaced_at")
    by_group: dict[int, dict[int, None]] = {}
    for group_id, verdict_id in near.order_by().values_list("split", "pk")[:MOST_NEAR]:
        by_group.setdefault(group_id, {})[verdict_id] = None
    for group_id, verdict_id, part, replaced_at in newest[:MOST_LOOKED_AT]:
        if part == Part.TEACH and replaced_at is None:
            by_group.setdefault(group_id, {})[verdict_id] = None
    return {group_id: list(verdict_ids) for group_id, verdict_ids in by_group.items()}


def _affordable(by_group: Mapping[int, list[int]]) -> Iterator[tuple[int, str]]:
    """The groups' texts, each as much of it as is compared, as long as there is room for all; one statement."""
    cut = PartSplit.objects.filter(pk__in=by_group).values_list("pk", Left("text", LONGEST_COMPARED))
    texts = dict(cut)
    left = MOST_COMPARED
    for group_id in by_group:
        left -= len(texts[group_id])
        if left < 0:
            return
        yield group_id, texts[group_id]


def _shown(project_id: int, found: list[tuple[float, int]]) -> list[Precedent]:
    """The verdicts with their texts; two statements."""
    known = queries.verdicts(project_id).in_bulk([pk for _, pk in found])
    places = ItemOutput.objects.filter(item__in=[verdict.item_id for verdict in known.values()], position=0)
    by_item = {place.item_id: place for place in places.select_related("output").annotate(body=queries.BODY)}
    return [
        _precedent(known[pk], similarity, by_item[known[pk].item_id])
        for similarity, pk in found
        if pk in known and known[pk].item_id in by_item
    ]


def _precedent(verdict: Verdict, similarity: float, place: Any) -> Precedent:  # Any: an ItemOutput with its `body`
    body = place.body or {}
    return Precedent(verdict, round(similarity, 6), body.get("input"), body.get("output"))
