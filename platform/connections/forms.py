"""The form of a connection."""

from django import forms

from connections import addresses, queries
from connections.models import Connection
from connections.services.connections import LONGEST_SECRET, MOST_AT_ONCE


class ConnectionForm(forms.Form):
    """A model endpoint and how to reach it. The secret is never shown; an empty field leaves it as it is."""

    name = forms.CharField(
        max_length=80,
        help_text="Revisions call their models name/model.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    kind = forms.ChoiceField(choices=Connection.Kind.choices)
    base_url = forms.CharField(
        label="Address",
        max_length=addresses.LONGEST,
        help_text="As in https://api.example.org/v1; /chat/completions is added.",
        widget=forms.URLInput(attrs={"autocomplete": "off"}),
    )
    secret = forms.CharField(
        required=False,
        max_length=LONGEST_SECRET,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Sent as a bearer token, to this address alone. It is sealed and never shown again.",
    )
    forgets_secret = forms.BooleanField(required=False, label="Take the secret away")
    concurrency = forms.IntegerField(
        label="Calls at once",
        min_value=1,
        max_value=MOST_AT_ONCE,
        initial=queries.DEFAULT_CONCURRENCY,
        help_text="Over all workers together.",
    )

    def fix_name(self) -> None:
        """For one that exists: its name is how revisions call it, so it stays."""
        self.fields["name"].disabled = True
        self.fields["name"].help_text = "Revisions call it so; it stays."
        self.fields[
            "secret"
        ].help_text = (
            "Leave it empty to keep the one that is there. Another host or port empties it: enter it anew then."
        )
