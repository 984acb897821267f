"""Forms that were sent after the session had ended: nothing that was typed is lost, and nothing is sent twice."""

import re
from typing import Any

import pytest
from django.test import Client

from core import clock
from projects import unsent
from projects.models import Membership, Project, User
from projects.services import members
from tests import factories

pytestmark = pytest.mark.django_db

TYPED = 'She wrote:\r\n\r\n  "why?" & <b>left</b> \u202e' + "x" * 2_000
PASSWORD = "correct horse battery"


@pytest.fixture
def project() -> Project:
    return factories.a_project("Shop")


@pytest.fixture
def mara(project: Project) -> User:
    user = factories.a_member(project, "admin", "mara@example.org")
    user.set_password(PASSWORD)
    user.save()
    return user


def hidden(page: str) -> str:
    """What the sign-in form carries."""
    found = re.search(r'name="unsent" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


def posted(answer: Any) -> tuple[str, list[tuple[str, str]]]:
    """Where the form of the page goes and what it would send, as a browser reads it."""
    held = answer.context["unsent"]
    return held.path, [(field.name, field.value) for field in held.fields]


class TestAtTheDoor:
    def test_what_was_typed_comes_back_after_signing_in_and_can_be_sent(
        self, client: Client, project: Project, mara: User
    ) -> None:
        url = f"/{project.slug}/keys/?from=here"
        sent = {"name": TYPED, "scopes": ["read", "ingest"], "csrfmiddlewaretoken": "old", "a_password": "secret"}
        door = client.post(url, sent, headers={"Referer": f"http://testserver/{project.slug}/keys/?q=1"})
        assert door.status_code == 401
        assert "You were signed out meanwhile" in door.content.decode()
        carried = {"username": mara.email, "password": "wrong", "unsent": hidden(door.content.decode())}
        again = client.post("/login/", carried)
        assert again.status_code == 422
        carried |= {"password": PASSWORD, "unsent": hidden(again.content.decode())}
        back = client.post("/login/", carried)
        assert back.status_code == 200
        assert "This was not sent yet" in back.content.decode()
        assert posted(back) == (url, [("name", TYPED), ("scopes", "read"), ("scopes", "ingest")])
        assert back.context["unsent"].back == f"/{project.slug}/keys/?q=1"
        assert "csrfmiddlewaretoken" in back.content.decode()
        assert "secret" not in back.content.decode()
        assert "no-store" in back["Cache-Control"]

    def test_nothing_runs_that_somebody_typed(self, client: Client, project: Project, mara: User) -> None:
        door = client.post(f"/{project.slug}/keys/", {'"><script>x()</script>': "<script>x()</script> </textarea>"})
        back = client.post(
            "/login/", {"username": mara.email, "password": PASSWORD, "unsent": hidden(door.content.decode())}
        )
        assert b"<script>x" not in back.content
        assert back.content.count(b"</textarea>") == 1

    def test_carries_no_more_than_a_megabyte(self, client: Client, project: Project) -> None:
        door = client.post(f"/{project.slug}/keys/", {"name": "x" * (unsent.LONGEST_BYTES + 1)}).content.decode()
        assert 'name="unsent"' not in door
        assert "Back button" in door

    def test_leaves_out_files_and_says_so(self, client: Client, project: Project) -> None:
        with open(__file__, "rb") as file:  # noqa: PTH123 # a form's file
            door = client.post(f"/{project.slug}/keys/", {"name": "kept", "file": file}).content.decode()
        assert "Files you had chosen" in door
        assert hidden(door)

    @pytest.mark.parametrize("forged", ["x", "eyJhIjoxfQ:1abc:def", ""])
    def test_carries_only_what_it_made_itself(self, client: Client, mara: User, forged: str) -> None:
        answer = client.post("/login/", {"username": mara.email, "password": PASSWORD, "unsent": forged})
        assert (answer.status_code, answer["Location"]) == (302, "/")

    def test_htmx_is_told_and_leaves_the_page_alone(self, client: Client, project: Project) -> None:
        answer = client.post(f"/{project.slug}/keys/", {"name": "x"}, headers={"HX-Request": "true"})
        assert (answer.status_code, answer["HX-Trigger"]) == (401, "signed-out")
        assert "HX-Redirect" not in answer
        said = answer.content.decode()
        assert "<html" not in said
        assert 'target="_blank"' in said
        assert 'href="/login/?next=/signed-in/"' in said

    def test_a_page_that_was_asked_for_is_asked_for_again(self, client: Client, project: Project) -> None:
        answer = client.get(f"/{project.slug}/audit/?verb=key")
        assert answer["Location"] == f"/login/?next=/{project.slug}/audit/%3Fverb%3Dkey"


class TestFormRefused:
    """Somebody signed in anew in another tab: the token of this one's form is old."""

    def test_a_form_of_ours_comes_back_whole_with_a_new_token(self, project: Project, mara: User) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(mara)
        answer = client.post(f"/{project.slug}/keys/", {"name": TYPED}, headers={"Origin": "http://testserver"})
        assert answer.status_code == 403
        assert posted(answer) == (f"/{project.slug}/keys/", [("name", TYPED)])

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
    def test_a_form_of_another_site_is_never_shown_to_be_sent(self, project: Project, mara: User, origin: str) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(mara)
        answer = client.post(f"/{project.slug}/keys/", {"name": "evil"}, headers={"Origin": origin} if origin else {})
        assert answer.status_code == 403
        assert b"evil" not in answer.content

    def test_a_reload_after_signing_in_still_shows_what_was_typed(self, project: Project, mara: User) -> None:
        door = Client().post(f"/{project.slug}/keys/", {"name": TYPED}).content.decode()
        client = Client(enforce_csrf_checks=True)
        client.force_login(mara)
        again = client.post(
            "/login/",
            {"username": mara.email, "password": PASSWORD, "unsent": hidden(door)},
            headers={"Origin": "http://testserver"},
        )
        assert posted(again)[1] == [("name", TYPED)]

    def test_htmx_is_told_to_reload(self, project: Project, mara: User) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(mara)
        headers = {"Origin": "http://testserver", "HX-Request": "true"}
        answer = client.post(f"/{project.slug}/keys/", {"name": "x"}, headers=headers)
        assert answer.status_code == 403
        assert "signed in anew" in answer.content.decode()


class TestSignedIn:
    def test_sends_people_back_to_their_tab(self, client: Client, mara: User) -> None:
        client.force_login(mara)
        assert "Close this tab" in client.get("/signed-in/").content.decode()


class TestSettings:
    def test_keeps_name_theme_time_zone_and_keys(self, client: Client, mara: User) -> None:
        client.force_login(mara)
        sent = {"name": "Mara", "theme": "dark", "time_zone": "Asia/Tokyo"}
        assert client.post("/settings/", sent)["Location"] == "/settings/"
        mara.refresh_from_db()
        assert (mara.name, mara.theme, mara.time_zone, mara.single_keys) == ("Mara", "dark", "Asia/Tokyo", False)
        assert 'data-theme="dark"' in client.get("/settings/").content.decode()

    @pytest.mark.parametrize("wrong", [{"time_zone": "Mars/Olympus"}, {"theme": "pink"}, {"name": "x" * 201}])
    def test_says_what_is_wrong_and_keeps_the_rest(self, client: Client, mara: User, wrong: dict[str, str]) -> None:
        client.force_login(mara)
        answer = client.post("/settings/", {"name": "Kept", "theme": "system", "time_zone": "UTC", **wrong})
        assert answer.status_code == 422
        assert set(answer.context["form"].errors) == set(wrong)

    def test_changes_the_password_and_keeps_this_session_alone(self, client: Client, mara: User) -> None:
        other = Client()
        other.force_login(mara)
        client.force_login(mara)
        sent = {"old_password": PASSWORD, "new_password1": "an even longer one", "new_password2": "an even longer one"}
        assert client.post("/settings/", {**sent, "change-password": "yes"}).status_code == 302
        assert client.get("/settings/").status_code == 200
        assert other.get("/settings/").status_code == 302
        mara.refresh_from_db()
        assert mara.check_password("an even longer one")

    @pytest.mark.parametrize(
        ("sent", "field"),
        [
            ({"old_password": "guess"}, "old_password"),
            ({"new_password1": "short", "new_password2": "short"}, "new_password2"),
            ({"new_password2": "something else entirely"}, "new_password2"),
        ],
    )
    def test_refuses_a_password(self, client: Client, mara: User, sent: dict[str, str], field: str) -> None:
        client.force_login(mara)
        good = {"old_password": PASSWORD, "new_password1": "an even longer one", "new_password2": "an even longer one"}
        answer = client.post("/settings/", {**good, **sent, "change-password": "yes"})
        assert answer.status_code == 422
        assert field in answer.context["password"].errors
        mara.refresh_from_db()
        assert mara.check_password(PASSWORD)

    def test_moments_are_told_in_the_persons_time_zone(self, client: Client, project: Project, mara: User) -> None:
        User.objects.filter(pk=mara.pk).update(time_zone="Asia/Tokyo")
        client.force_login(mara)
        page = client.get(f"/{project.slug}/audit/").content.decode()
        assert "+09:00" in page
        User.objects.filter(pk=mara.pk).update(time_zone="no/zone")
        assert "+00:00" in client.get(f"/{project.slug}/audit/").content.decode()


def test_the_first_password_of_a_new_member_opens_the_door(project: Project, mara: User) -> None:
    by = factories.an_actor(project)
    password = members.add_member(email="new@example.org", role="reviewer", by=by, now=clock.now())
    answer = Client().post("/login/", {"username": "new@example.org", "password": password})
    assert answer.status_code == 302
    assert Membership.objects.filter(user__email="new@example.org", role="reviewer").exists()
