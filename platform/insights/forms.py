"""What is asked of the trends page, read from its query."""

import datetime as dt
from typing import Any

from django import forms

from insights.report import LONGEST_DAYS, Period, last_days

DEFAULT_DAYS = 30


class TrendsForm(forms.Form):
    """The filter; every field may be left out."""

    days = forms.IntegerField(required=False, min_value=1, max_value=LONGEST_DAYS)
    since = forms.DateField(required=False, label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, label="To", widget=forms.DateInput(attrs={"type": "date"}))
    prompt = forms.CharField(required=False, max_length=100)
    revision = forms.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    model = forms.CharField(required=False, max_length=200)
    rubric = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)

    def __init__(self, *args: Any, today: dt.date, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.today = today

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until") or self.today
        if cleaned.get("until") and not since:
            self.add_error("since", "Give the first day, too.")
        elif since and since > until:
            self.add_error("since", f"The first day lies after the last one, {until}.")
        elif since and (until - since).days >= LONGEST_DAYS:
            self.add_error("since", f"A period has at most {LONGEST_DAYS} days.")
        elif since and since.year < 2000:
            self.add_error("since", "Nothing is that old here.")
        if cleaned.get("revision") and not cleaned.get("prompt"):
            self.add_error("revision", "A revision is a number within its prompt; choose the prompt first.")
        return cleaned

    @property
    def period(self) -> Period:
        """The days asked for; the last 30 where they are not said, or wrong."""
        found = self.cleaned_data if self.is_bound and hasattr(self, "cleaned_data") else {}
        if found.get("since") and not self.errors:
            return Period(found["since"], found.get("until") or self.today)
        return last_days(found.get("days") or DEFAULT_DAYS, self.today)


class ApplyForm(forms.Form):
    """The days of arrival (UTC), both included, whose costs are to follow the price table."""

    since = forms.DateField(label="From", widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}))
    until = forms.DateField(label="To", widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}))

    def __init__(self, *args: Any, today: dt.date, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        month = last_days(DEFAULT_DAYS, today)
        self.initial = {"since": month.since, "until": month.until}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since > until:
            self.add_error("since", f"The first day lies after the last one, {until}.")
        elif since and until and not 1970 <= since.year <= until.year < 2200:
            self.add_error("since", "No output can be of then.")
        return cleaned

    @property
    def period(self) -> Period:
        """The days asked for."""
        return Period(self.cleaned_data["since"], self.cleaned_data["until"])
