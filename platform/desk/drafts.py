"""A revision while it is being written: what was typed, shown again as it is, and what it would change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import QueryDict

from core import flaws, markup, strict_json
from core.problems import Problem
from prompts import differences, names
from prompts.content import LARGEST_K, LONGEST_MODEL, LONGEST_TEXT, ROLES, Content, digest
from prompts.differences import Setting, TextDifference
from prompts.models import Revision
from prompts.services import LONGEST_NOTE

Strategy = Revision.Strategy
STRATEGIES = ((Strategy.ALL, "all of it, every time"), (Strategy.SIMILAR, "the examples most similar to each input"))
NEW_MESSAGES = ({"role": "system", "content": ""}, {"role": "user", "content": "{{input}}"})


class PromptForm(forms.Form):
    """A new prompt."""

    name = forms.CharField(
        max_length=names.LONGEST_PROMPT,
        help_text="Letters, digits, full stop, _ and -. It stands in addresses and stays.",
    )
    description = forms.CharField(
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What production asks it.",
    )


class RevisionForm(forms.Form):
    """Everything of a revision but its messages and its context."""

    model = forms.CharField(
        max_length=LONGEST_MODEL, strip=False, help_text="connection/model, or a model of the default connection."
    )
    parameters = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false"}),
        help_text='A JSON object that goes with every call, as {"temperature": 0}.',
    )
    strategy = forms.ChoiceField(choices=STRATEGIES, label="Context used")
    k = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=LARGEST_K,
        label="How many examples",
        help_text="Only with the most similar.",
    )
    note = forms.CharField(
        required=False,
        max_length=LONGEST_NOTE,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What changes and why, for the timeline.",
    )

    def clean_parameters(self) -> dict[str, Any]:
        """The object that was typed."""
        text = self.cleaned_data["parameters"].strip()
        if not text:
            return {}
        try:
            found = strict_json.parse(text.encode())
        except strict_json.Refused as refused:
            raise forms.ValidationError(f"{refused.path} {refused.message}".strip()) from refused
        if not isinstance(found, dict):
            raise forms.ValidationError('is no JSON object; write {"name": value}')
        return found


class MessageForm(forms.Form):
    """One message; several stand on the page under the same names."""

    role = forms.ChoiceField(choices=[(role, role) for role in ROLES])
    content = forms.CharField(
        required=False,
        strip=False,
        max_length=LONGEST_TEXT,
        widget=forms.Textarea(attrs={"class": "mono", "spellcheck": "false"}),
    )


@dataclass
class Draft:
    """What stands in the form; `parent` is what it is made from, None for the first revision."""

    parent: Revision | None
    form: RevisionForm
    messages: list[MessageForm]

    def is_valid(self) -> bool:
        """Whether it could be saved; what could not is marked where it stands."""
        all_clean = all([self.form.is_valid(), *(message.is_valid() for message in self.messages)])
        if not all_clean:
            return False
        try:
            Content(self.said, self.settings["model"], self.settings["parameters"], (), **self.selection).check()
        except Problem as problem:
            self.blame(problem)
        return not (self.form.errors or any(message.errors for message in self.messages))

    def blame(self, problem: Problem) -> None:
        """Each error of the service stands where its text was typed."""
        rest = []
        for flaw in problem.errors:
            place, _, name = flaw.field.removeprefix("messages[").partition("].")
            if flaw.field.startswith("messages[") and name in ("role", "content"):
                self.messages[int(place)].add_error(name, flaw.message)
            elif flaw.field.startswith("selection."):
                self.form.add_error(flaw.field.removeprefix("selection."), flaw.message)
            else:
                rest.append(flaw)
        if rest or not problem.errors:
            flaws.add_to(self.form, Problem(problem.status, problem.detail, tuple(rest)))

    @property
    def settings(self) -> dict[str, Any]:
        return self.form.cleaned_data

    @property
    def said(self) -> list[dict[str, str]]:
        """The messages; a browser sends line ends of two characters, which nobody typed."""
        cleaned = [message.cleaned_data for message in self.messages]
        return [{"role": one["role"], "content": one["content"].replace("\r\n", "\n")} for one in cleaned]

    @property
    def selection(self) -> dict[str, Any]:
        return {"strategy": self.settings["strategy"], "k": self.settings["k"]}

    @property
    def note(self) -> str:
        return str(self.settings["note"]).replace("\r\n", "\n")

    @property
    def fingerprint(self) -> str:
        """One word for what would be saved, so that nothing is saved that was not looked at."""
        return digest([self.said, self.settings["model"], self.settings["parameters"], self.selection])

    def text_difference(self) -> TextDifference:
        """What the messages would change."""
        return differences.texts([] if self.parent is None else self.parent.messages, self.said)

    def setting_difference(self) -> list[Setting]:
        """What model, selection and parameters would change."""
        typed = Revision(model=self.settings["model"], parameters=self.settings["parameters"], **self.selection)
        return [one for one in differences.settings(self.parent, typed) if one.kind != "same"]


def begun(parent: Revision | None) -> Draft:
    """The form as it is opened: the parent's own content."""
    if parent is None:
        return Draft(None, RevisionForm(initial={"strategy": Strategy.ALL}), _message_forms(NEW_MESSAGES))
    initial = {
        "model": parent.model,
        "parameters": _json(parent.parameters),
        "strategy": parent.strategy,
        "k": parent.k,
    }
    return Draft(parent, RevisionForm(initial=initial), _message_forms(parent.messages))


def typed(sent: QueryDict, parent: Revision | None) -> Draft:
    """The form as it was sent."""
    rows = [
        {"role": role, "content": text}
        for role, text in zip(sent.getlist("role"), sent.getlist("content"), strict=False)
    ]
    return Draft(parent, RevisionForm(sent), _message_forms(rows, is_bound=True))


def rearranged(sent: QueryDict, parent: Revision | None) -> Draft | None:
    """The form with a message more or less, where a button for that was pressed; nothing is checked yet."""
    asked, _, place = sent.get("do", "").partition(":")
    if asked not in ("add", "remove"):
        return None
    rows = [
        {"role": role, "content": text}
        for role, text in zip(sent.getlist("role"), sent.getlist("content"), strict=False)
    ]
    if asked == "add":
        rows.append({"role": "assistant" if rows and rows[-1]["role"] == "user" else "user", "content": ""})
    elif place.isascii() and place.isdigit() and len(rows) > 1:
        rows = [row for at, row in enumerate(rows) if at != int(place)]
    return Draft(parent, RevisionForm(initial=sent.dict()), _message_forms(rows))


def _message_forms(rows: Sequence[dict[str, str]], *, is_bound: bool = False) -> list[MessageForm]:
    return [
        MessageForm(
            data=row if is_bound else None, initial=row, auto_id=f"message-{at}-%s", use_required_attribute=False
        )
        for at, row in enumerate(rows)
    ]


def _json(parameters: dict[str, Any]) -> str:
    return markup.pretty(parameters) if parameters else ""
