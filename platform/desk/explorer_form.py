"""The form outputs are filtered by. It checks nothing: `outputs.filters` says what is understood."""

from collections.abc import Iterable, Mapping

from django import forms

from desk.explorer_queries import Choices
from reviews import findings

DAYS = (("1", "the last day"), ("7", "the last 7 days"), ("30", "the last 30 days"), ("90", "the last 90 days"))
STATUSES = (("ok", "answered"), ("error", "failed with an error"))
THUMBS = (("down", "thumb down"), ("up", "thumb up"))


class OutputFilterForm(forms.Form):
    """One field for each filter, filled with what is asked for now."""

    prompt = forms.ChoiceField(required=False)
    revision = forms.CharField(required=False, max_length=200, label="Revision")
    model = forms.CharField(required=False, max_length=200)
    environment = forms.CharField(required=False, max_length=200)
    tag = forms.CharField(required=False, max_length=200)
    session = forms.CharField(required=False, max_length=200, label="Session")
    trace = forms.CharField(required=False, max_length=200, label="Trace")
    user = forms.CharField(required=False, max_length=200, label="User")
    status = forms.ChoiceField(required=False)
    feedback = forms.ChoiceField(required=False, label="Feedback")
    verdict = forms.ChoiceField(required=False)
    days = forms.ChoiceField(required=False, label="Arrived in")
    since = forms.CharField(required=False, max_length=200, label="Since")
    until = forms.CharField(required=False, max_length=200, label="Before")
    score = forms.CharField(required=False, max_length=200, label="Score")
    score_min = forms.CharField(required=False, max_length=200, label="Score from")
    score_max = forms.CharField(required=False, max_length=200, label="Score to")

    def __init__(self, given: Mapping[str, str], choices: Choices) -> None:
        super().__init__(initial=dict(given), auto_id="filter-%s")
        # Beside the marks that say what is wrong, which the page shows above the list.
        self.use_required_attribute = False
        for name, offered in (
            ("prompt", [(name, name) for name in choices.prompts]),
            ("status", STATUSES),
            ("feedback", THUMBS),
            ("verdict", tuple(findings.KNOWN.items())),
            ("days", DAYS),
        ):
            self.fields[name].widget = forms.Select(choices=_with(offered, given.get(name, "")))
        for name, hint in (
            ("revision", "number or hash"),
            ("session", "id as sent"),
            ("trace", "id as sent"),
            ("user", "id as sent"),
            ("since", "2026-01-31"),
            ("until", "2026-02-01"),
            ("score", "name of a score"),
            ("score_min", "0"),
            ("score_max", "1"),
        ):
            self.fields[name].widget.attrs["placeholder"] = hint
        self.fields["model"].widget.attrs["list"] = "known-models"
        self.fields["environment"].widget.attrs["list"] = "known-environments"
        for bound in self.fields.values():
            bound.widget.attrs.setdefault("class", "input")
            bound.widget.attrs["autocomplete"] = "off"


def _with(offered: Iterable[tuple[str, str]], present: str) -> list[tuple[str, str]]:
    """What is offered, "any" before it, and what is asked for now even where it is not offered."""
    known = [("", "any"), *offered]
    return known if present in dict(known) else [*known, (present, present)]
