"""What the trends come to, in one sentence with the figure in it, and what is behind it in a second one."""

from dataclasses import dataclass

from core.figures import Figure
from core.tags import NARROW
from insights import units
from insights.report import Compared, Period, Report
from insights.units import Unit

MOST_PROMPTS = 3


@dataclass(frozen=True)
class Way:
    """A way on: what it does, and which page, period or prompt it leads to."""

    words: str
    page: str = ""
    period: Period | None = None
    prompt: str = ""


@dataclass(frozen=True)
class Headline:
    """The sentence, its reason, and the ways on where something is missing."""

    sentence: str
    lede: str
    ways: tuple[Way, ...] = ()


def of(report: Report) -> Headline:
    """The headline of these trends."""
    compared = report.compared
    if not report.whole.volume.n:
        return Headline(
            f"Nothing arrived {said_of(report.period)}.",
            "Trends fill as soon as outputs arrive: send them to /api/v1/outputs, or choose another period.",
            (Way("Which outputs there are", page="desk:output-list"),),
        )
    quality = compared.now.quality()
    if quality.value is None:
        return _undefined(report, quality)
    return Headline(_sentence(report, quality), _lede(report, quality))


def said_of(period: Period) -> str:
    """`from 24 Oct to 22 Nov`."""
    first, last = units.day(period.since), units.day(period.until)
    return f"on {first}" if first == last else f"from {first} to {last}"


def _undefined(report: Report, quality: Figure) -> Headline:
    sums, volume = report.compared.now.sums, report.compared.now.volume
    sentence = f"Quality is undefined {said_of(report.compared.now_period)}: {quality.reason}."
    if sums.n_covered < volume.n_ok:
        lede = "A rule covers what arrives after it was made. Add one that covers everything"
        ways = [Way("See the queues and their rules", page="reviews:queue-list")]
        if report.covered is not None and report.covered != report.period:
            lede += ", or look at the days in which every output could be drawn"
            ways.insert(0, Way(f"Show {said_of(report.covered)}", period=report.covered))
        if report.choice.prompt is None:
            alone = report.options.prompts[:MOST_PROMPTS]
            ways = [*(Way(f"Show {name} alone", prompt=name) for name in alone), *ways]
        return Headline(sentence, f"{lede}.", tuple(ways))
    if sums.n_waiting:
        lede = f"{sums.n_waiting:,} drawn outputs wait for a verdict; the figure fills as they are settled."
        return Headline(sentence, lede, (Way("See what waits", page="reviews:queue-list"),))
    lede = "Choose a longer period, or a rule with a higher rate."
    return Headline(sentence, lede, (Way("See the queues and their rules", page="reviews:queue-list"),))


def _sentence(report: Report, quality: Figure) -> str:
    compared = report.compared
    share = units.shown(Unit.SHARE, quality.value)
    good = f"{share} of answers are good" if is_share(report) else f"Answers have a quality of {share}"
    gain = compared.gain
    if gain.value is None or gain.low is None or gain.high is None:
        return f"{good} {said_of(compared.now_period)}."
    than = _than(compared)
    if gain.low <= 0 <= gain.high:
        return f"{good}: no clear change from {than}."
    word = "more" if gain.value > 0 else "fewer"
    if not is_share(report):
        word = "higher" if gain.value > 0 else "lower"
    return f"{good}: {abs(100 * gain.value):.1f} points {word} than {than}."


def is_share(report: Report) -> bool:
    """Whether the quality is good or not good, so that its mean is a share of answers."""
    return report.rubric is None or set(report.rubric.quality["map"].values()) <= {0, 1}


def _than(compared: Compared) -> str:
    if compared.release is None:
        n = compared.before_period.n_days
        return "the day before" if n == 1 else f"the {n} days before"
    return f"before {_release(compared)}"


def _release(compared: Compared) -> str:
    marker = compared.release
    if marker is None:
        return ""
    back = "the rollback to " if marker.kind == "rollback" else ""
    return f"{back}revision {marker.revision}"


def _lede(report: Report, quality: Figure) -> str:
    compared = report.compared
    interval = units.interval(Unit.SHARE, quality)
    sums = compared.now.sums
    said = [f"The share lies between {interval.replace(units.DASH, ' and ')} (95{NARROW}%, {sums.n_settled:,} reviews)"]
    if not is_share(report):
        said[0] = said[0].replace("The share", "It")
    if quality.low == quality.high:
        said = [_of_all(sums.n_settled, compared.now.volume.n_ok)]
    gain = compared.gain
    if gain.value is not None and gain.low is not None and gain.high is not None:
        said.append(
            f"the change between {100 * gain.low:+.1f} and {100 * gain.high:+.1f} points".replace("-", "\u2212")
        )
    else:
        said.append(f"a change cannot be told ({gain.reason})")
    if sums.n_waiting:
        said.append(f"{sums.n_waiting:,} drawn outputs are not settled yet")
    return f"{'; '.join(said)}."


def _of_all(n_settled: int, n: int) -> str:
    """In place of an interval without a width: nothing was left to chance."""
    if n_settled < n:
        return f"{n_settled:,} of the {n:,} outputs were reviewed, and none was left out by chance"
    return f"Every one of the {n:,} outputs was reviewed"
