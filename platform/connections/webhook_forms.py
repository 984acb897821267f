"""The form of a webhook."""

from django import forms

from connections import addresses
from connections.models import Webhook
from connections.services.connections import LONGEST_SECRET
from connections.services.webhooks import SHORTEST_SECRET


class WebhookForm(forms.Form):
    """An address and what it is told of. The secret is never shown."""

    url = forms.CharField(
        label="Address",
        max_length=addresses.LONGEST,
        help_text="Posted to as it stands. An address that is there already is changed.",
        widget=forms.URLInput(attrs={"autocomplete": "off"}),
    )
    topics = forms.MultipleChoiceField(
        label="Told of",
        choices=[(topic, topic) for topic in Webhook.Topic.values],
        initial=Webhook.Topic.values,
        widget=forms.CheckboxSelectMultiple,
    )
    secret = forms.CharField(
        required=False,
        max_length=LONGEST_SECRET,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=f"Signs what is sent; {SHORTEST_SECRET} characters or more. It is sealed and never shown again."
        " Leave it empty to keep that of an address that is there.",
    )
