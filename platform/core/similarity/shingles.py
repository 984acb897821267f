"""Nearly equal texts: those that share most of their character 5-grams."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.similarity import mixing
from core.similarity.folding import fold
from core.similarity.mixing import Hashes

# The share of common 5-grams from which two texts count as nearly equal.
NEAR = 0.8

_WIDTH = 5
# Odd factors, so that a window's hash depends on every character and its place.
_FACTORS = mixing.constants(_WIDTH, start=5) | np.uint64(1)
# No code point, so that padding a short text never makes it equal to another.
_PADDING = 0x110000

Positions = NDArray[np.int64]


def shingles(text: str) -> Hashes:
    """Return the set of the folded text's character 5-grams as sorted 64-bit hashes, shape (n,).

    A text of fewer than five characters has one shingle, itself; so no text has none. The hashes are the
    same in every process and version.
    """
    code_points = np.frombuffer(fold(text).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    if len(code_points) < _WIDTH:
        code_points = np.pad(code_points, (0, _WIDTH - len(code_points)), constant_values=_PADDING)
    windows = np.lib.stride_tricks.sliding_window_view(code_points, _WIDTH)
    return np.unique(mixing.mix((windows * _FACTORS).sum(axis=1, dtype=np.uint64)))


def jaccard(one: Hashes, other: Hashes) -> float:
    """Return the share of shingles that two sets have in common, 0 to 1.

    Source: Broder (1997), "On the resemblance and containment of documents": resemblance.
    """
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)


def is_near(one: str, other: str, *, threshold: float = NEAR) -> bool:
    """Return whether two texts are equal after folding or share this much of their 5-grams."""
    return fold(one) == fold(other) or jaccard(shingles(one), shingles(other)) >= threshold


def near_pairs(queries: Sequence[str], references: Sequence[str], *, threshold: float = NEAR) -> list[int | None]:
    """Return for each query the position of a reference that equals or nearly equals it, else None.

    Exact: a position is returned if and only if some reference is near (`is_near`). A reference that is
    equal after folding goes before nearly equal ones, earlier ones before later ones. 1,000 short queries
    against 2,000 short references take well under a second.

    Args:
        queries: Texts to look up.
        references: Texts to find them in; none gives None for every query.
        threshold: Share of common 5-grams from which texts are near, above 0 and at most 1.

    Raises:
        ValueError: The threshold lies outside its range.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold: found {threshold}; give a share above 0 and at most 1")
    if not references:
        return [None] * len(queries)
    equal: dict[str, int] = {}
    for position, reference in enumerate(references):
        equal.setdefault(fold(reference), position)
    postings = _Postings.of([shingles(reference) for reference in references])
    return [_near(query, equal, postings, threshold) for query in queries]


def _near(query: str, equal: dict[str, int], postings: _Postings, threshold: float) -> int | None:
    position = equal.get(fold(query))
    return position if position is not None else postings.first_near(shingles(query), threshold)


@dataclass(frozen=True, slots=True)
class _Postings:
    """Which texts hold which shingle: `texts[starts[i]:starts[i + 1]]` hold `vocabulary[i]`."""

    vocabulary: Hashes
    starts: Positions
    texts: Positions
    sets: list[Hashes]
    sizes: Positions

    @classmethod
    def of(cls, sets: list[Hashes]) -> Self:
        sizes = np.array([len(one) for one in sets], dtype=np.int64)
        every = np.concatenate(sets)
        texts = np.repeat(np.arange(len(sets)), sizes)
        order = np.argsort(every, kind="stable")
        vocabulary, starts = np.unique(every[order], return_index=True)
        return cls(vocabulary, np.append(starts, len(every)), texts[order], sets, sizes)

    def first_near(self, query: Hashes, threshold: float) -> int | None:
        """Return the first text that shares this much with the query's shingles."""
        for candidate in self._candidates(query, threshold):
            if jaccard(query, self.sets[candidate]) >= threshold:
                return int(candidate)
        return None

    def _candidates(self, query: Hashes, threshold: float) -> Positions:
        """Return, in order, every text that can be near: it has the size and shares a rare shingle.

        A near text shares at least threshold * |query| shingles, so of any |query| - that + 1 of them it
        holds one; the rarest make the shortest list.
        Source: Chaudhuri, Ganti & Kaushik (2006), "A primitive operator for similarity joins": prefix filter.
        """
        at = np.searchsorted(self.vocabulary, query)
        at_known = np.minimum(at, len(self.vocabulary) - 1)
        known = self.vocabulary[at_known] == query
        lengths = np.where(known, self.starts[at_known + 1] - self.starts[at_known], 0)
        # The tolerance keeps 0.8 * 5 at 4, so that rounding never drops a text on the threshold.
        shared_at_least = math.ceil(threshold * len(query) - 1e-9)
        rarest = np.argsort(lengths, kind="stable")[: len(query) - shared_at_least + 1]
        spans = [slice(self.starts[i], self.starts[i + 1]) for i in at_known[rarest[known[rarest]]]]
        if not spans:
            return np.empty(0, dtype=np.int64)
        texts = np.unique(np.concatenate([self.texts[span] for span in spans]))
        sizes = self.sizes[texts]
        fits = (sizes >= threshold * len(query) - 1e-9) & (sizes * threshold <= len(query) + 1e-9)
        return np.asarray(texts[fits])
