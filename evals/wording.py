"""Verdicts as people say them: one plain sentence, points where a score runs from 0 to 1. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.figures import Figure
from evals import gate
from evals.gate import Demand
from evals.models import Run
from evals.scorers import Scorer

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Sides:
    """What the two runs are called beside each other."""

    candidate: str
    baseline: str


def sides(candidate: Run, baseline: Run | None) -> Sides:
    """Revisions of one prompt by their numbers, everything else by the run."""
    ours, theirs = candidate.revision, None if baseline is None else baseline.revision
    if ours is None or theirs is None or baseline is None:
        return Sides(_alone(candidate), "nothing" if baseline is None else _alone(baseline))
    if ours.prompt_id == theirs.prompt_id and ours.number != theirs.number:
        return Sides(f"revision {ours.number}", f"revision {theirs.number}")
    return Sides(f"run {candidate.pk}", f"run {baseline.pk}")


def headline(found: Mapping[str, Any], names: Sides, scorers: Mapping[str, Scorer]) -> str:
    """The verdict of a stored judgement in one plain sentence.

    Args:
        found: as `gate.Judgement.as_dict` gives it.
        names: of the two runs.
        scorers: by key, those of the judgement among them.
    """
    judged = deciding(found)
    if judged is None:
        return _plain(found["sentence"])
    difference = Figure.from_dict(judged["difference"])
    demand = demand_in(found)
    threshold = demand.threshold(judged["scorer"])
    if difference.value is None or gate.side(difference, threshold) != found["verdict"]:
        return _plain(found["sentence"])
    unit = unit_of(scorers.get(judged["scorer"]))
    said = _SAYINGS[found["verdict"]](difference, threshold, judged["scorer"], unit, names)
    return said[0].upper() + said[1:]


def deciding(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The scorer that decided a stored judgement; None where none could be asked."""
    scorers = found["scorers"]
    return next((one for one in scorers if one["verdict"] == found["verdict"]), scorers[0] if scorers else None)


def demand_in(found: Mapping[str, Any]) -> Demand:
    """What a stored judgement was asked."""
    return Demand(**{name: value for name, value in found["asked"].items() if name != "level"})


def unit_of(scorer: Scorer | None) -> str:
    """`points` for a scorer whose values run from 0 to 1, else `score`."""
    return "points" if scorer is None or tuple(scorer.range) == (0.0, 1.0) else "score"


def amount(number: float, unit: str) -> str:
    """The size of a number without its sign: `5.3 points`, or `0.05` for scores of another range."""
    return f"{100 * abs(number):.1f} points" if unit == "points" else f"{abs(number):.3g}"


def signed(number: float, unit: str) -> str:
    """The same with its sign."""
    sign = "±" if float(f"{number:.3f}") == 0 else "+" if number > 0 else MINUS
    return sign + amount(number, unit)


def _bare(number: float, unit: str) -> str:
    """The size alone, where the unit was just said."""
    return amount(number, unit).removesuffix(" points")


def _passed(figure: Figure, threshold: float, scorer: str, unit: str, names: Sides) -> str:
    value, low = figure.value or 0.0, figure.low or 0.0
    if low > 0:
        better = f"{names.candidate} does better than {names.baseline} by {scorer}"
        return f"{better}: {amount(value, unit)} more, {_bare(low, unit)} at the least."
    margin = amount(threshold, unit)
    return (
        f"{names.candidate} is not worse than {names.baseline} by {scorer}: {signed(value, unit)},"
        f" at the worst {signed(low, unit)}, inside the margin of {margin}."
    )


def _failed(figure: Figure, threshold: float, scorer: str, unit: str, names: Sides) -> str:
    value, high = figure.value or 0.0, figure.high or 0.0
    worse = f"{names.candidate} does worse than {names.baseline} by {scorer}"
    if high < 0:
        return f"{worse}: {amount(value, unit)} fewer, {_bare(high, unit)} at the least."
    return f"{worse} than was asked: {signed(value, unit)}, at the best {signed(high, unit)}."


def _open(figure: Figure, threshold: float, scorer: str, unit: str, names: Sides) -> str:
    span = f"from {signed(figure.low or 0.0, unit)} to {signed(figure.high or 0.0, unit)}"
    asked = f"does better than {names.baseline}" if threshold >= 0 else f"is no worse than {names.baseline}"
    return (
        f"it is open whether {names.candidate} {asked} by {scorer}: the difference is"
        f" {signed(figure.value or 0.0, unit)} and may be anything {span}."
    )


_SAYINGS = {"pass": _passed, "fail": _failed, "inconclusive": _open}


def _plain(sentence: str) -> str:
    """A stored sentence without the verdict's word before it, which stands beside it as a badge."""
    for word in ("Pass: ", "Fail: ", "Inconclusive: "):
        sentence = sentence.removeprefix(word)
    return sentence[:1].upper() + sentence[1:]


def _alone(run: Run) -> str:
    return f"run {run.pk}" if run.revision is None else f"revision {run.revision.number}"
