"""Sign-in and sign-out, by the real form."""

import pytest
from django.test import Client

from core import clock
from projects.models import User
from projects.services import members
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def mara() -> tuple[str, str]:
    password = members.create_user(
        email="mara@example.org", project=factories.a_project("Shop"), role="reviewer", now=clock.now()
    )
    return "mara@example.org", password


class TestSignIn:
    def test_opens_home_to_who_knows_the_password(self, client: Client, mara: tuple[str, str]) -> None:
        answer = client.post("/login/", {"username": mara[0].upper(), "password": mara[1]}, follow=True)
        assert answer.redirect_chain == [("/", 302)]
        assert "Shop" in answer.content.decode()

    @pytest.mark.parametrize("case", ["wrong password", "unknown address", "disabled account"])
    def test_says_the_same_to_whoever_guesses(self, client: Client, mara: tuple[str, str], case: str) -> None:
        email, password = mara
        if case == "disabled account":
            User.objects.update(is_active=False)
        sent = {
            "wrong password": (email, "not this one"),
            "unknown address": ("nobody@example.org", password),
            "disabled account": (email, password),
        }[case]
        answer = client.post("/login/", {"username": sent[0], "password": sent[1]})
        assert answer.status_code == 422
        assert "do not belong together" in answer.content.decode()
        assert "sessionid" not in answer.cookies

    def test_limits_guessing(self, client: Client, mara: tuple[str, str]) -> None:
        for _ in range(10):
            client.post("/login/", {"username": mara[0], "password": "a guess"})
        answer = client.post("/login/", {"username": mara[0], "password": mara[1]})
        assert answer.status_code == 422
        assert "sessionid" not in answer.cookies

    @pytest.mark.parametrize(
        "elsewhere", ["https://evil.example", "//evil.example", "\\\\evil.example", "/\\evil.example", "java\tscript:x"]
    )
    def test_leads_only_to_pages_of_ours(self, client: Client, mara: tuple[str, str], elsewhere: str) -> None:
        answer = client.post("/login/", {"username": mara[0], "password": mara[1], "next": elsewhere})
        assert answer["Location"] == "/"

    def test_gives_the_session_a_new_key(self, client: Client, mara: tuple[str, str]) -> None:
        client.session.save()
        before = client.session.session_key
        client.post("/login/", {"username": mara[0], "password": mara[1]})
        assert client.session.session_key != before

    def test_needs_its_csrf_token(self, mara: tuple[str, str]) -> None:
        client = Client(enforce_csrf_checks=True)
        assert client.post("/login/", {"username": mara[0], "password": mara[1]}).status_code == 403


class TestSignOut:
    def test_ends_the_session_at_once(self, client: Client, mara: tuple[str, str]) -> None:
        client.post("/login/", {"username": mara[0], "password": mara[1]})
        stolen = client.cookies["sessionid"].value
        client.post("/logout/")
        client.cookies["sessionid"] = stolen
        assert client.get("/").status_code == 302

    def test_is_no_link(self, client: Client) -> None:
        assert client.get("/logout/").status_code == 405
