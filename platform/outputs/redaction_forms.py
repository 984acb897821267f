"""The form of a policy of redaction, and of a text to try it on."""

from typing import Any

from django import forms

from outputs.redaction import detector
from outputs.redaction import policy as policies
from outputs.redaction.policy import Action, Policy
from outputs.services.redaction import LONGEST_ENVIRONMENT

LONGEST_TEXT = 20_000
_EMPTY_ROWS = 2
WORDS = {
    Action.KEEP: "keep it",
    Action.REPLACE: "replace it",
    Action.HASH: "replace it, equal ones alike",
    Action.DROP: "take it out",
}
_CHOICES = [(action.value, words) for action, words in WORDS.items()]


class PolicyForm(forms.Form):
    """What becomes of what each detector finds, in one environment or in all."""

    environment = forms.CharField(
        required=False,
        max_length=LONGEST_ENVIRONMENT,
        help_text="As outputs say it. Empty: every environment that has no policy of its own.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    regions = forms.CharField(
        required=False,
        max_length=100,
        label="Countries of national telephone numbers",
        help_text=f"Codes such as DE, GB, US; at most {policies.MOST_REGIONS}. International numbers count anyway.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in detector.names():
            known = detector.named(name)
            self.fields[f"detect-{name}"] = forms.ChoiceField(choices=_CHOICES, label=known.words, help_text=known.note)

    def detectors(self) -> list[forms.BoundField]:
        """The fields of the detectors."""
        return [self[f"detect-{name}"] for name in detector.names()]


class PatternForm(forms.Form):
    """A pattern of the project's own; an empty row says nothing."""

    name = forms.CharField(
        max_length=policies.LONGEST_NAME, widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    )
    pattern = forms.CharField(
        max_length=policies.LONGEST_PATTERN,
        strip=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    action = forms.ChoiceField(choices=_CHOICES[1:], initial=Action.REPLACE.value)


class TextForm(forms.Form):
    """A text to try the policy on; it is not kept."""

    text = forms.CharField(
        required=False,
        strip=False,
        max_length=LONGEST_TEXT,
        label="Text to try",
        help_text="Nothing of it is stored or logged.",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )


PatternForms = forms.formset_factory(
    PatternForm, extra=_EMPTY_ROWS, max_num=policies.MOST_PATTERNS, absolute_max=policies.MOST_PATTERNS + _EMPTY_ROWS
)


def initial(environment: str, policy: Policy) -> dict[str, str]:
    """What `PolicyForm` shows of a policy."""
    actions = {f"detect-{name}": action.value for name, action in policy.actions}
    return {"environment": environment, "regions": ", ".join(policy.regions), **actions}


def initial_patterns(policy: Policy) -> list[dict[str, str]]:
    """What `PatternForms` shows of a policy."""
    return [{"name": one.name, "pattern": one.pattern, "action": one.action.value} for one in policy.patterns]


def policy_of(form: PolicyForm, patterns: Any) -> Policy:
    """The policy that valid forms ask for.

    Raises:
        Invalid: naming what is wrong, as `regions` or `patterns[1].pattern`.
    """
    said = form.cleaned_data
    return policies.checked(
        detectors={name: said[f"detect-{name}"] for name in detector.names()},
        regions=said["regions"].replace(",", " ").split(),
        patterns=[row.cleaned_data for row in patterns if row.has_changed()],
    )
