"""Sign-in by e-mail and password; the fields are called `username` and `password`, as password managers expect."""

from typing import Any

from allauth.account.adapter import get_adapter
from django import forms
from django.http import HttpRequest

from projects.models import User


class SignInForm(forms.Form):
    """Asks allauth's adapter, so that its rate limit on failed sign-ins holds here too."""

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
