"""How allauth meets our accounts: nobody signs up alone; people are invited by command or by an admin."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedDoorAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """Registration is closed."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
