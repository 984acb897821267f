"""The forms of people and of a project's settings."""

import zoneinfo
from itertools import groupby
from typing import Any

from allauth.account.adapter import get_adapter
from django import forms
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpRequest

from projects.access import KEY_SCOPES, Scope
from projects.models import LIKE_THE_SYSTEM, Project, Role, Theme, User

# What a scope lets a key do, in the words of the form.
SCOPE_WORDS = {
    Scope.INGEST: "ingest: send outputs, traces and feedback",
    Scope.READ: "read: see everything in the project",
    Scope.EVALUATE: "evaluate: make prompts, queues, golden sets, runs and proposals",
    Scope.REVIEW: "review: take items and hand in reviews",
    Scope.RELEASE: "release: move labels on evidence, and roll back",
    Scope.ADMIN: "admin: change connections, policies and parts",
}


class SignInForm(forms.Form):
    """Asks allauth's adapter, so that its rate limit on failed sign-ins holds here too.

    The fields are called `username` and `password`, as password managers expect.
    """

    username = forms.EmailField(
        label="E-mail",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True}),
    )
    password = forms.CharField(
        max_length=1024, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.request = request
        self.user: User | None = None
        super().__init__(*args, **kwargs)

    def clean(self) -> dict[str, Any]:
        """Signs nobody in; afterwards `user` is who may be.

        One message for an unknown address, a wrong password and a disabled account: guessing reveals nothing.
        """
        given = self.cleaned_data
        if "username" in given and "password" in given:
            user = get_adapter(self.request).authenticate(
                self.request, email=given["username"].lower(), password=given["password"]
            )
            if user is None or not user.is_active:
                raise forms.ValidationError("This e-mail and password do not belong together.")
            self.user = user
        return given


def time_zones() -> list[tuple[str, Any]]:
    """The zones this machine knows, as choices in groups of regions, UTC first."""
    names = sorted(name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith("Etc/"))
    regions = groupby(names, key=lambda name: name.partition("/")[0])
    return [
        ("UTC", "UTC"),
        *((region, [(name, name.partition("/")[2].replace("_", " ")) for name in zones]) for region, zones in regions),
    ]


class PreferencesForm(forms.Form):
    """How pages suit a person."""

    name = forms.CharField(max_length=200, required=False, help_text="As others see you; else they see your e-mail.")
    theme = forms.TypedChoiceField(
        choices=[(value or LIKE_THE_SYSTEM, words) for value, words in Theme.choices],
        coerce=lambda value: Theme.SYSTEM if value == LIKE_THE_SYSTEM else Theme(value),
        widget=forms.RadioSelect,
    )
    time_zone = forms.ChoiceField(
        choices=time_zones, help_text="Moments are told in it. Charts always count days of UTC, and say so."
    )
    single_keys = forms.BooleanField(
        label="Keys without Ctrl or Cmd",
        required=False,
        help_text="1 to 9 answer, e corrects, s skips, ? shows all. Turn them off if you dictate or often slip.",
    )


class PasswordForm(PasswordChangeForm):
    """Django's own, which asks for the old one and runs the validators."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].label = "Present password"
        self.fields["old_password"].widget.attrs.pop("autofocus", None)
        self.fields["new_password1"].label = "New password"
        self.fields["new_password1"].help_text = "At least 12 characters, and none that everybody uses."
        self.fields["new_password2"].label = "New password, once more"
        self.fields["new_password2"].help_text = ""


class MemberForm(forms.Form):
    """Somebody who shall be in the project."""

    email = forms.EmailField(label="E-mail", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    role = forms.ChoiceField(choices=Role.choices)


class KeyForm(forms.Form):
    """A key to be made."""

    name = forms.CharField(
        max_length=100,
        help_text="What it is for: the program or the machine that will hold it.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, SCOPE_WORDS[scope]) for scope in Scope if scope in KEY_SCOPES],
        widget=forms.CheckboxSelectMultiple,
    )
    user = forms.ModelChoiceField(
        queryset=User.objects.none(),
        required=False,
        empty_label="nobody: it is itself",
        label="Acts for",
        help_text="A key for a person never may more than the person, and its reviews count as theirs.",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["user"].queryset = User.objects.filter(memberships__project=project).order_by("email")  # type: ignore[attr-defined]  # Django's fields are told apart while running
