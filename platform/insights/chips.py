"""The filter as links: every choice is an address, so it can be sent, kept and opened without script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from insights import units
from insights.report import Period, Report


@dataclass(frozen=True)
class Option:
    words: str
    url: str
    is_on: bool


@dataclass(frozen=True)
class Chip:
    """One filter: what it is set to, and what it could be set to."""

    name: str
    value: str
    options: Sequence[Option]
    is_on: bool = False


def of(report: Report, said: Mapping[str, str]) -> list[Chip]:
    """The chips of the page; `said` is its query as it stands."""
    prompt = report.choice.prompt
    found = [_prompts(report, said)]
    if prompt is not None:
        numbers = {str(number): f"r{number}" for number in report.options.revisions}
        found.append(_chip("Revision", "revision", numbers, said))
    models = {model: model for model in report.options.models if model}
    if models or said.get("model"):
        found.append(_chip("Model", "model", models, said))
    if len(report.rubrics) > 1:
        chosen = {**said, "rubric": str(report.rubric.pk) if report.rubric else ""}
        named = {str(rubric.pk): f"{rubric.name} v{rubric.version}" for rubric in report.rubrics}
        found.append(_chip("Question", "rubric", named, chosen, leave_open=False))
    return found


def url(said: Mapping[str, str], **changed: str) -> str:
    """The address of this page with the query changed; what is empty is left out."""
    query = {name: value for name, value in {**said, **changed}.items() if value}
    return f"?{urlencode(query)}" if query else "?"


def of_period(period: Period) -> dict[str, str]:
    return {"since": period.since.isoformat(), "until": period.until.isoformat(), "days": ""}


def period_words(period: Period) -> str:
    return f"{units.day(period.since)} to {units.day(period.until)}"


def _prompts(report: Report, said: Mapping[str, str]) -> Chip:
    without_revision = {name: value for name, value in said.items() if name != "revision"}
    return _chip("Prompt", "prompt", {name: name for name in report.options.prompts}, without_revision)


def _chip(
    name: str, field: str, choices: Mapping[str, str], said: Mapping[str, str], *, leave_open: bool = True
) -> Chip:
    chosen = said.get(field, "")
    listed = [Option("all", url(said, **{field: ""}), not chosen)] if leave_open else []
    listed += [Option(words, url(said, **{field: value}), value == chosen) for value, words in choices.items()]
    return Chip(name, choices.get(chosen, chosen) or "all", listed, is_on=bool(chosen) and leave_open)
