"""Which stored texts are most like a new one: TF-IDF postings, built once, stored, ranked with numpy."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# A change of features, weights or layout is a new version: an index of another one has to be built again.
VERSION = 1

# Share of the two families in a similarity. Each family has length 1 on its own, so equal weights let a
# misspelt or inflected word count through its characters as much as the exact word counts.
WORD_WEIGHT = 1.0
CHAR_WEIGHT = 1.0

_WORD = re.compile(r"\b\w\w+\b")
_SHORTEST_GRAM, _LONGEST_GRAM = 3, 5
# Similarities that differ by less are ties: sums of the same terms in another order differ by rounding.
_DECIMALS = 12

Floats = NDArray[np.float64]


def build(texts: Sequence[str]) -> Index:
    """Return an index that ranks these texts; position i of a ranking is `texts[i]`.

    Features are lower-case words of two characters and more, and the runs of 3 to 5 characters inside
    words (padded with one space on either side). Per family: sublinear term frequency 1 + ln tf, smooth
    inverse document frequency ln((1 + n) / (1 + df)) + 1, Euclidean length 1. Same texts, same index.

    Source: the definitions of scikit-learn's `TfidfVectorizer` for `analyzer="word"` and `"char_wb"`, joined
        by a `FeatureUnion` with these weights; a test holds the order against it.
    """
    words = _Family.of(_words(text) for text in texts)
    characters = _Family.of(_character_grams(text) for text in texts)
    return Index(len(texts), words, characters)


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """Stored postings of a list of texts.

    Attributes:
        n: Number of texts.
    """

    n: int
    _words: _Family
    _characters: _Family

    def rank(self, text: str, k: int) -> list[int]:
        """Return the positions of the k texts most like this one, best first; all of them if k exceeds n.

        Ties go to the lower position; texts without any similarity follow at the end by position, so that
        k are returned whenever there are k.

        Raises:
            ValueError: k is negative.
        """
        if k < 0:
            raise ValueError(f"k: found {k}; give the number of texts wanted, 0 or more")
        scores = self.similarities(text)
        if 0 < k < self.n:
            worst = np.partition(scores, self.n - k)[self.n - k]
            candidates = np.flatnonzero(scores >= worst)
        else:
            candidates = np.arange(self.n)
        best_first = candidates[np.argsort(-scores[candidates], kind="stable")]
        return [int(position) for position in best_first[:k]]

    def similarities(self, text: str) -> Floats:
        """Return each text's similarity to this one, shape (n,), from 0 to the sum of squared weights."""
        words = self._words.cosines(_words(text))
        characters = self._characters.cosines(_character_grams(text))
        return np.round(WORD_WEIGHT**2 * words + CHAR_WEIGHT**2 * characters, _DECIMALS)

    def to_bytes(self) -> bytes:
        """Return the index as a compressed archive of arrays; the same index gives the same bytes."""
        stream = io.BytesIO()
        families = {"word": self._words, "char": self._characters}
        arrays = {f"{name}_{key}": array for name, one in families.items() for key, array in one.arrays().items()}
        np.savez_compressed(stream, allow_pickle=False, version=np.array([VERSION, self.n]), **arrays)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """Return the index that `to_bytes` stored; it ranks alike. Nothing in the bytes is ever executed.

        Raises:
            ValueError: The bytes are no index, or one of another version, to be built again from its texts.
        """
        try:
            with np.load(io.BytesIO(stored), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            version, n = (int(number) for number in arrays["version"])
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError("index: these bytes hold no index; build it again from its texts") from error
        if version != VERSION:
            raise ValueError(f"index: found version {version}, needed {VERSION}; build it again from its texts")
        return cls(n, _Family.stored("word", arrays), _Family.stored("char", arrays))


@dataclass(frozen=True, slots=True, eq=False)
class _Family:
    """Postings of one kind of feature: `items[starts[i]:starts[i + 1]]` hold the feature `hashes[i]`.

    Counts instead of weights are stored: they are small integers, and weights follow from them exactly.
    """

    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    items: NDArray[np.unsignedinteger]
    counts: NDArray[np.uint16]
    lengths: Floats

    @classmethod
    def of(cls, features_by_item: Iterable[Iterable[str]]) -> Self:
        vocabulary: dict[str, int] = {}
        features: list[int] = []
        counts: list[int] = []
        sizes: list[int] = []
        for one in features_by_item:
            counted = Counter(one)
            features += [vocabulary.setdefault(feature, len(vocabulary)) for feature in counted]
            counts += counted.values()
            sizes.append(len(counted))
        hashes = _hashes(vocabulary)
        order = np.argsort(hashes)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        feature_ranks = rank[np.array(features, dtype=np.int64)]
        return cls._of_postings(hashes[order], feature_ranks, np.array(counts, dtype=np.int64), sizes)

    @classmethod
    def _of_postings(
        cls,
        hashes: NDArray[np.uint64],
        features: NDArray[np.int64],
        counts: NDArray[np.int64],
        sizes: list[int],
    ) -> Self:
        n = len(sizes)
        items = np.repeat(np.arange(n), sizes)
        frequencies = np.bincount(features, minlength=len(hashes))
        weights = _inverse_frequency(frequencies, n)[features] * (1 + np.log(counts))
        lengths = np.sqrt(np.bincount(items, weights=weights**2, minlength=n))
        by_feature = np.argsort(features, kind="stable")
        return cls(
            hashes=hashes,
            starts=np.concatenate(([0], np.cumsum(frequencies))),
            items=items[by_feature].astype(np.min_scalar_type(max(n - 1, 0))),
            counts=np.minimum(counts[by_feature], np.iinfo(np.uint16).max).astype(np.uint16),
            lengths=lengths,
        )

    @classmethod
    def stored(cls, name: str, arrays: dict[str, NDArray[Any]]) -> Self:
        try:
            return cls(**{key: arrays[f"{name}_{key}"] for key in cls.__dataclass_fields__})
        except KeyError as error:
            raise ValueError(f"index: {error} is missing; build it again from its texts") from error

    def arrays(self) -> dict[str, NDArray[Any]]:  # Any: five number types, one per field
        return {key: getattr(self, key) for key in self.__dataclass_fields__}

    def cosines(self, features: Iterable[str]) -> Floats:
        """Return the cosine between these features and each item, 0 where either has none known."""
        counted = Counter(features)
        n = len(self.lengths)
        at, counts = self._known(counted)
        if not len(at):
            return np.zeros(n)
        starts, ends = self.starts[at], self.starts[at + 1]
        inverse = _inverse_frequency(ends - starts, n)
        query = (1 + np.log(counts)) * inverse
        spans = _spans(starts, ends)
        # Of 16-bit counts numpy takes a 32-bit logarithm unless told otherwise.
        weights = 1 + np.log(self.counts[spans], dtype=np.float64)
        terms = np.repeat(query * inverse, ends - starts) * weights
        products = np.bincount(self.items[spans], weights=terms, minlength=n)
        lengths = self.lengths * np.sqrt((query**2).sum())
        return np.asarray(np.divide(products, lengths, out=np.zeros(n), where=lengths > 0))

    def _known(self, counted: Counter[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the place and the count of each feature that some item has."""
        wanted = _hashes(counted)
        at = np.searchsorted(self.hashes, wanted)
        known = at < len(self.hashes)
        known[known] = self.hashes[at[known]] == wanted[known]
        return at[known], np.fromiter(counted.values(), dtype=np.int64, count=len(counted))[known]


def _inverse_frequency(frequencies: NDArray[np.int64], n: int) -> Floats:
    return np.asarray(np.log((1 + n) / (1 + frequencies)) + 1)


def _spans(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return every position of every span, one span after the other."""
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(lengths.sum()) + np.repeat(starts - before, lengths))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _character_grams(text: str) -> list[str]:
    return [gram for word in text.lower().split() for gram in _grams_of_word(f" {word} ")]


def _grams_of_word(padded: str) -> list[str]:
    """Return the runs of 3 to 5 characters; a word shorter than a run stands once, as it is."""
    grams: list[str] = []
    for width in range(_SHORTEST_GRAM, _LONGEST_GRAM + 1):
        if len(padded) <= width:
            return [*grams, padded]
        grams += [padded[start : start + width] for start in range(len(padded) - width + 1)]
    return grams


def _hashes(features: Iterable[str]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each feature, the same in every process and version."""
    digests = b"".join(
        blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest() for feature in features
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)
