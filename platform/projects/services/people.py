"""What a person says about themselves."""

from projects.models import User


def save_preferences(*, user: User, name: str, theme: str, time_zone: str, single_keys: bool) -> None:
    """Pages suit this person so from now on."""
    User.objects.filter(pk=user.pk).update(name=name, theme=theme, time_zone=time_zone, single_keys=single_keys)


def change_password(*, user: User, password: str) -> None:
    """Only this password opens the account from now on; sessions of the old one are dead."""
    user.set_password(password)
    user.save(update_fields=["password"])
