"""Exam or textbook: each group of near-duplicate inputs is dealt to one part, once, and never moves."""

import hashlib
from dataclasses import dataclass

from django.db.models import BigIntegerField, F
from django.db.models.functions import Coalesce

from core.problems import Conflict
from core.similarity import folding, minhash, shingles
from outputs.models import Output
from prompts.models import Prompt
from reviews import locks, queries, texts
from reviews.models import Item, ItemOutput, Part, PartSplit

_SEED = locks.key("reviews.splitting")


class TextsGone(Conflict):
    """Retention dropped the texts before the item was settled."""

    def __init__(self) -> None:
        super().__init__("The texts of this output are no longer kept, so it cannot be told exam from textbook.")


def assign_part(*, item: Item) -> PartSplit:
    """The group to which the item's input belongs; from here on the transaction holds the prompt's groups.

    That is the earliest group of the prompt whose text equals or nearly equals the input's (numbers.md:
    folded, or Jaccard of character 5-grams at least 0.8). Where there is none, the input founds one: its part
    follows from a hash of the folded text under the project's key and the prompt's shares. Groups that exist
    follow no change of the shares, and texts that later link two groups move nothing. Outputs without a
    prompt share the project's groups and the default shares.

    Raises:
        TextsGone: the output's texts were dropped.
    """
    subject = _under_lock(item)
    bands = minhash.bands(subject.text)
    return _earliest_near(subject, bands) or _found(subject, bands)


def part_of(text: str, *, hash_key: bytes, shares: Prompt) -> Part:
    """The part that a folded text is dealt: a uniform number in [0, 100) laid along gate, dev and teach."""
    number = int.from_bytes(_digest(text, hash_key)[:8], "big") * 100 / 2**64
    if number < shares.gate_share:
        return Part.GATE
    return Part.DEV if number < shares.gate_share + shares.dev_share else Part.TEACH


@dataclass(frozen=True)
class _Subject:
    """An item's output and the folded text of its input."""

    output: Output
    text: str


def _under_lock(item: Item) -> _Subject:
    groups = Coalesce("output__prompt_id", -F("output__project_id"), output_field=BigIntegerField())
    place = (
        ItemOutput.objects.filter(item=item)
        .select_related("output__prompt", "output__project")
        .annotate(body=queries.BODY, lock=locks.held_for(groups, seed=_SEED))
        .order_by("position")[0]
    )
    if place.body is None:
        raise TextsGone
    return _Subject(place.output, folding.fold(texts.input_text(place.body["input"], place.body["variables"])))


def _earliest_near(subject: _Subject, bands: list[int]) -> PartSplit | None:
    candidates = PartSplit.objects.filter(
        project=subject.output.project_id, prompt=subject.output.prompt_id, bands__overlap=bands
    ).order_by("pk")
    return next((group for group in candidates if shingles.is_near(subject.text, group.text)), None)


def _found(subject: _Subject, bands: list[int]) -> PartSplit:
    output = subject.output
    hash_key = bytes(output.project.hash_key)
    return PartSplit.objects.create(
        project=output.project,
        prompt=output.prompt,
        text=subject.text,
        text_hash=_digest(subject.text, hash_key),
        bands=bands,
        part=part_of(subject.text, hash_key=hash_key, shares=output.prompt or Prompt()),
    )


def _digest(text: str, hash_key: bytes) -> bytes:
    return hashlib.blake2b(text.encode(), key=hash_key, digest_size=32).digest()
