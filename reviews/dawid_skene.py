"""What holds about an item when reviewers differ in how far they can be trusted: arrays in, arrays out. No tables.

Beside it the plain majority, which knows no reviewers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# From so many settled items on the reviewers' own answers say it all.
ENOUGH_SETTLED = 20
# What is thought of a reviewer of whom nothing is known, and how many answers (for each true option) that is worth.
PRIOR_ACCURACY = 0.8
PRIOR_ANSWERS = 10.0
MOST_ROUNDS = 500
# A round that moves no probability of any item further than this is the last one.
STEP = 1e-3
# What never happened keeps this probability, so that a later round can find that it may.
NEVER = 1e-10
TIE = 1e-9

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """One row per answer: which item, which reviewer, which option, each as a place in its list.

    Attributes:
        item, reviewer, option: shape (answers,).
        items, reviewers, options: what the places stand for; every item and reviewer has an answer.
    """

    item: Ints
    reviewer: Ints
    option: Ints
    items: list[Any]  # ids of the caller's
    reviewers: list[Any]
    options: list[Any]

    @classmethod
    def of(
        cls, items: Sequence[Any], reviewers: Sequence[Any], answers: Sequence[Any], options: Sequence[Any]
    ) -> "Answers":
        """From three sequences of one length, in the order in which the answers were given.

        A reviewer may answer the same item again: to the model each is one more answer, while a vote is the last.

        Raises:
            ValueError: the lengths differ, or an answer is none of the options.
        """
        if len({len(items), len(reviewers), len(answers)}) > 1:
            found = f"{len(items)}, {len(reviewers)} and {len(answers)}"
            raise ValueError(f"items, reviewers, answers: found {found}; give one of each for every answer")
        if unknown := set(answers) - set(options):
            raise ValueError(f"answers: {next(iter(unknown))!r} is none of the options {list(options)[:20]}")
        known = [list(dict.fromkeys(items)), list(dict.fromkeys(reviewers)), list(options)]
        item, reviewer, option = (
            _codes(given, names) for given, names in zip((items, reviewers, answers), known, strict=True)
        )
        return cls(item, reviewer, option, *known)

    @property
    def votes(self) -> Floats:
        """How many people chose each option, shape (items, options)."""
        places = self.item * len(self.reviewers) + self.reviewer
        _, last = np.unique(places[::-1], return_index=True)
        last = len(places) - 1 - last
        shape = len(self.items), len(self.options)
        cells = np.bincount(self.item[last] * shape[1] + self.option[last], minlength=shape[0] * shape[1])
        return cells.reshape(shape).astype(np.float64)


@dataclass(frozen=True)
class Fitted:
    """What the answers say about items and reviewers.

    Attributes:
        posterior: of each option, shape (items, options); rows add up to 1.
        prior: the share of items with each true option, shape (options,).
        confusion: the probability that a reviewer gives an answer where an option is true, shape (reviewers, options
            true, options answered); a row is NaN where nothing is known of it.
        n_rounds: of the iteration.
        has_settled: whether it came to rest within `MOST_ROUNDS`.
    """

    posterior: Floats
    prior: Floats
    confusion: Floats
    n_rounds: int
    has_settled: bool


def leaders(weights: Floats) -> Bools:
    """The options that nothing beats, of votes or of a posterior, shape (items, options)."""
    return np.asarray(weights >= weights.max(axis=1, keepdims=True) - TIE)


def decided(weights: Floats) -> Ints:
    """The place of the one leading option of each item; -1 for a tie, which is not decided."""
    lead = leaders(weights)
    return np.where(lead.sum(axis=1) == 1, lead.argmax(axis=1), -1)


def fit(answers: Answers, *, n_settled: int = ENOUGH_SETTLED) -> Fitted:
    """Fit true options and reviewers' confusion matrices by expectation maximisation, from vote shares on.

    Below `ENOUGH_SETTLED` settled items every matrix is drawn to a common prior (an accuracy of 0.8, worth 10 answers
    for each true option), and the shares of the options to equal ones. The fewer are settled the stronger it draws,
    so that a first review is usable and no figure jumps where the prior ends.

    It trusts who agrees with others, so reviewers who copy each other are trusted for it: see the majority beside it.

    Args:
        answers: at least one.
        n_settled: items that have a verdict.

    Raises:
        ValueError: there is no answer, or fewer than two options.

    Source: Dawid and Skene (1979), "Maximum likelihood estimation of observer error-rates using the EM algorithm",
        Applied Statistics 28, 20-28.
    """
    if not len(answers.item) or len(answers.options) < 2:  # else nothing can be confused
        raise ValueError("answers: give at least one answer and two options")
    strength = max(0.0, 1 - n_settled / ENOUGH_SETTLED)
    model = _Model(answers, strength)
    posterior = answers.votes / answers.votes.sum(axis=1, keepdims=True)
    n_rounds, step = 0, 1.0
    while step >= STEP and n_rounds < MOST_ROUNDS:
        before, posterior = posterior, model.expect(posterior)
        step = float(np.abs(posterior - before).max())
        n_rounds += 1
    return Fitted(posterior, model.shares(posterior), model.confusion(posterior), n_rounds, step < STEP)


class _Model:
    """The two steps over answers in a fixed order, so that each is a sum over neighbours."""

    def __init__(self, answers: Answers, strength: float) -> None:
        n_options = len(answers.options)
        self.strength = strength
        self.shape = len(answers.reviewers), n_options
        self.common = np.full((n_options, n_options), (1 - PRIOR_ACCURACY) / (n_options - 1))
        np.fill_diagonal(self.common, PRIOR_ACCURACY)
        # Answers alike in reviewer and option share a row of the confusion matrices; others need none.
        self.alike, alike = np.unique(answers.reviewer * n_options + answers.option, return_inverse=True)
        by_alike = np.argsort(alike, kind="stable")
        self.items_by_alike, self.alike_begins = answers.item[by_alike], _begins(alike[by_alike])
        by_item = np.argsort(answers.item, kind="stable")
        self.alike_by_item, self.item_begins = alike[by_item], _begins(answers.item[by_item])

    def shares(self, posterior: Floats) -> Floats:
        """The share of each true option."""
        sums = posterior.sum(axis=0) + self.strength
        return np.asarray(sums / sums.sum())

    def expect(self, posterior: Floats) -> Floats:
        """The posterior under the parameters that the last one makes most likely."""
        said, told = self._said(posterior)
        reviewer, option = self.alike // self.shape[1], self.alike % self.shape[1]
        drawn = self.strength * PRIOR_ANSWERS
        likely = _log(said + drawn * self.common[:, option].T) - _log(told[reviewer] + drawn)
        logs = np.add.reduceat(likely[self.alike_by_item], self.item_begins) + _log(self.shares(posterior))
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def confusion(self, posterior: Floats) -> Floats:
        """All matrices in full."""
        n_reviewers, n_options = self.shape
        said, told = self._said(posterior)
        drawn = self.strength * PRIOR_ANSWERS
        full = np.zeros((n_reviewers * n_options, n_options))
        full[self.alike] = said
        sums = full.reshape(n_reviewers, n_options, n_options).transpose(0, 2, 1) + drawn * self.common
        totals = (told + drawn)[:, :, None]
        return np.where(totals > TIE, sums / np.where(totals > TIE, totals, 1.0), np.nan)

    def _said(self, posterior: Floats) -> tuple[Floats, Floats]:
        """Expected answers: of each reviewer and option by true option, and of each reviewer by true option."""
        said = np.add.reduceat(posterior[self.items_by_alike], self.alike_begins)
        return said, np.add.reduceat(said, _begins(self.alike // self.shape[1]))


def _begins(ordered: Ints) -> Ints:
    """Where each run of equal numbers begins."""
    return np.flatnonzero(np.diff(ordered, prepend=-1))


def _codes(found: Sequence[Any], names: Sequence[Any]) -> Ints:
    place = {name: code for code, name in enumerate(names)}
    return np.array([place[name] for name in found], dtype=np.int64)


def _log(shares: Floats) -> Floats:
    """Logarithms, with a finite one for what never happened."""
    return np.log(np.maximum(shares, NEVER))
