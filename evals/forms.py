"""What people fill in on the pages of this room. Values are checked by the services; forms only read them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms

from core.problems import FieldError, Invalid, Problem
from evals import gate, run_queries, scorers
from evals.models import CasePart, GatePolicy, GoldenSet
from evals.services.planning import PromptTarget, RunRequest
from prompts.models import Prompt

NO_POLICY = ""
KINDS = (
    (gate.NON_INFERIORITY, "not worse than the active revision, by more than the margin"),
    (gate.SUPERIORITY, "better than the active revision"),
    (gate.FLOOR, "above a floor"),
)


@dataclass(frozen=True)
class ScorerRow:
    """The fields of one scorer, as a template shows them in one row."""

    name: str
    about: str
    use: forms.BoundField
    args: forms.BoundField
    margin: forms.BoundField | None


class ScorerFields(forms.Form):
    """A form in which scorers are chosen: for each a tick, its arguments as JSON, and maybe its own margin."""

    has_margins = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in scorers.names():
            self.fields[f"use_{name}"] = forms.BooleanField(required=False, label=name)
            self.fields[f"args_{name}"] = forms.CharField(
                required=False,
                label=f"Arguments of {name}",
                widget=forms.TextInput(attrs={"placeholder": "{}", "spellcheck": "false", "autocomplete": "off"}),
            )
            if self.has_margins:
                self.fields[f"margin_{name}"] = forms.FloatField(required=False, label=f"Margin of {name}")

    def scorer_rows(self) -> Iterator[ScorerRow]:
        for name in scorers.names():
            margin = self[f"margin_{name}"] if self.has_margins else None
            yield ScorerRow(name, scorers.about(name), self[f"use_{name}"], self[f"args_{name}"], margin)

    def chosen(self) -> list[dict[str, Any]]:
        """The scorers that are ticked, as a run or a policy asks for them.

        Raises:
            Invalid: arguments are no JSON object; names the field.
        """
        return [self._spec(name) for name in scorers.names() if self.cleaned_data.get(f"use_{name}")]

    def _spec(self, name: str) -> dict[str, Any]:
        spec: dict[str, Any] = {"name": name, "args": self._arguments(name)}
        margin = self.cleaned_data.get(f"margin_{name}")
        return spec if margin is None else {**spec, "margin": margin}

    def _arguments(self, name: str) -> dict[str, Any]:
        text = self.cleaned_data.get(f"args_{name}") or "{}"
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Invalid(FieldError(f"args_{name}", 'is no JSON object; write it as {"ignore_case": true}'))
        return found

    @staticmethod
    def told(specs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What the fields say for these scorers."""
        found: dict[str, Any] = {}
        for spec in specs:
            found[f"use_{spec['name']}"] = True
            found[f"args_{spec['name']}"] = json.dumps(spec.get("args") or {}, ensure_ascii=False)
            found[f"margin_{spec['name']}"] = spec.get("margin")
        return found

    def refuse(self, problem: Problem) -> None:
        """What a service found wrong stands beside its field."""
        chosen = [name for name in scorers.names() if self.cleaned_data.get(f"use_{name}")]
        for flaw in problem.errors:
            field = self._field_of(flaw.field, chosen)
            said = flaw.message if field else f"{flaw.field}: {flaw.message}"
            self.add_error(field, said)
        if not problem.errors:
            self.add_error(None, problem.detail)

    def _field_of(self, place: str, chosen: Sequence[str]) -> str | None:
        """The field that `scorers[1].args.text` or `golden_set` means."""
        if place.startswith("scorers[") and "]" in place:
            index = int(place[len("scorers[") : place.index("]")])
            name = chosen[index] if index < len(chosen) else ""
            field = f"margin_{name}" if place.endswith(".margin") else f"args_{name}"
            return field if field in self.fields else None
        name = {"target.revision": "revision", "revision": "revision"}.get(place, place.split(".")[0])
        return name if name in self.fields else None


class RunForm(ScorerFields):
    """A run of a prompt: under a label's policy, which decides the rest, or freely, and then never evidence."""

    once = forms.UUIDField(widget=forms.HiddenInput)
    prompt = forms.ChoiceField(label="Prompt")
    revision = forms.CharField(
        label="Revision or label", max_length=60, help_text="A number, as 12, or a label, as production."
    )
    policy = forms.ChoiceField(label="What decides", required=False)
    golden_set = forms.ChoiceField(label="Golden set", required=False)
    version = forms.IntegerField(label="Version", required=False, min_value=1, help_text="The newest if empty.")
    part = forms.ChoiceField(label="Part", required=False, choices=[(one, one) for one in ("dev", "anchor", "gate")])
    baseline = forms.CharField(
        label="Baseline", required=False, max_length=20, help_text="production, or the number of a run."
    )
    trials = forms.IntegerField(label="Trials per case", required=False, min_value=1, max_value=100)
    budget_calls = forms.IntegerField(label="At most so many calls", required=False, min_value=1, max_value=2**62)

    def __init__(self, *args: Any, choices: run_queries.Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offer("prompt", [(one.name, one.name) for one in choices.prompts])
        self._offer("golden_set", [("", "choose one"), *((one.name, str(one.name)) for one in choices.golden_sets)])
        labels = dict.fromkeys(one.label.name for one in choices.policies)
        said = [(name, f"the policy of {name}: it may become evidence") for name in labels]
        self._offer("policy", [(NO_POLICY, "this form: it is never evidence"), *said])

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  # for mypy: declared above
        field.choices = choices

    def request(self) -> RunRequest:
        """What is asked for, as the service takes it.

        Raises:
            Invalid: a field holds what cannot be used.
        """
        said = self.cleaned_data
        target = PromptTarget(prompt=said["prompt"], **_revision_or_label(said["revision"]))
        if said["policy"]:
            return RunRequest(target=target, policy=said["policy"], budget_calls=said["budget_calls"])
        return RunRequest(
            target=target,
            golden_set=said["golden_set"] or None,
            version=said["version"],
            part=said["part"] or None,
            scorers=self.chosen(),
            trials=said["trials"],
            baseline=said["baseline"].strip() or None,
            budget_calls=said["budget_calls"],
        )


class PolicyForm(ScorerFields):
    """What a label demands of a candidate."""

    has_margins = True

    golden_set = forms.ChoiceField(label="Golden set", help_text="Its newest version when a run begins; part gate.")
    kind = forms.ChoiceField(label="A candidate must be", choices=KINDS)
    margin = forms.FloatField(
        label="Margin", help_text="By how much it may be worse and still not count as worse: 0.02 is 2 points."
    )
    floor = forms.FloatField(
        label="Floor", required=False, help_text="What its own score must lie above, as 0.8. Empty asks nothing."
    )
    max_error_share = forms.FloatField(
        label="Errors at most", help_text="The share of errors above which a run is not believed, as 0.02."
    )
    looks = forms.IntegerField(
        label="Looks", help_text="How often the same gate cases may be looked at; more looks make each interval wider."
    )

    def __init__(self, *args: Any, golden_sets: Sequence[GoldenSet], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["golden_set"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  # for mypy: declared above
        field.choices = [(one.name, one.name) for one in golden_sets]

    @classmethod
    def said_by(cls, policy: GatePolicy) -> dict[str, Any]:
        """The values of the fields for a policy in force."""
        names = ("kind", "margin", "floor", "max_error_share", "looks")
        terms = {name: getattr(policy, name) for name in names}
        return {**terms, "golden_set": policy.golden_set.name, **cls.told(policy.scorers)}

    @classmethod
    def at_first(cls) -> dict[str, Any]:
        """The values of the fields where there is no policy yet."""
        return {
            "kind": gate.NON_INFERIORITY,
            "margin": gate.DEFAULT_MARGIN,
            "max_error_share": gate.DEFAULT_ERROR_SHARE,
            "looks": gate.DEFAULT_LOOKS,
            "use_exact_match": True,
        }


class GoldenSetForm(forms.Form):
    """A new golden set."""

    name = forms.CharField(label="Name", max_length=100, help_text="Letters, digits, - and _; it stands in addresses.")
    prompt = forms.ChoiceField(label="Prompt", required=False)
    description = forms.CharField(
        label="What it examines", required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, *args: Any, prompts: Sequence[Prompt], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["prompt"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  # for mypy: declared above
        field.choices = [("", "of no prompt in particular"), *((one.name, one.name) for one in prompts)]


class CasesFileForm(forms.Form):
    """A file of cases."""

    file = forms.FileField(
        label="File of cases",
        help_text=(
            "JSON Lines, one case a line, or CSV with the columns input and expected, and if you like id, tags, part."
        ),
        widget=forms.ClearableFileInput(attrs={"accept": ".jsonl,.ndjson,.json,.csv"}),
    )


PARTS = tuple(CasePart.values)


def _revision_or_label(text: str) -> dict[str, Any]:
    text = text.strip()
    is_number = text.isascii() and text.isdigit() and 0 < len(text) < 10
    return {"revision": int(text)} if is_number else {"label": text}
