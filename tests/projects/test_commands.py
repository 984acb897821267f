"""The commands an administrator types."""

import io

import pytest
from django.core.management import CommandError, call_command

from projects import authentication
from projects.models import Project, User
from tests import factories

pytestmark = pytest.mark.django_db


def said(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue().strip()


def test_a_project_a_person_and_a_key_are_made_and_the_key_revoked() -> None:
    assert said("create_project", "Support Desk") == "support-desk"
    password = said("create_user", "mara@example.org", "--project", "Support Desk", "--role", "engineer")
    assert User.objects.get().check_password(password)
    key = said(
        "create_api_key", "support-desk", "--scopes", "read, ingest", "--name", "ci", "--user", "mara@example.org"
    )
    actor = authentication.actor_of_key(key)
    assert actor is not None
    assert actor.user == User.objects.get()
    said("revoke_api_key", "support-desk", "--name", "ci")
    assert authentication.actor_of_key(key) is None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("create_project", "API"), "cannot be used"),
        (("create_user", "nobody", "--project", "known", "--role", "admin"), "no e-mail address"),
        (("create_user", "a@b.example", "--project", "unknown", "--role", "admin"), "is no project"),
        (("create_api_key", "known", "--scopes", "approve", "--name", "x"), "no scope of a key"),
        (("create_api_key", "known", "--scopes", "read", "--name", "x", "--user", "a@b.example"), "no member"),
        (("revoke_api_key", "known", "--name", "x"), "no live key"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_said_in_a_line(words: tuple[str, ...], why: str) -> None:
    factories.a_project("known")
    before = (Project.objects.count(), User.objects.count())
    with pytest.raises(CommandError, match=why):
        said(*words)
    assert (Project.objects.count(), User.objects.count()) == before
