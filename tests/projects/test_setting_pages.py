"""Members, keys and the audit trail: the settings of a project."""

import base64
import datetime as dt
import threading
import uuid
from collections.abc import Callable

import pytest
import time_machine
from django.db import connection
from django.test import Client
from pytest_django.fixtures import DjangoAssertNumQueries

from core import clock
from projects import access, authentication, once
from projects.models import ApiKey, AuditEvent, Membership, Project, Role, User
from projects.services import members
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.a_project("Shop")


@pytest.fixture
def me(project: Project) -> User:
    return factories.a_member(project, Role.ADMIN, "me@example.org")


@pytest.fixture
def admin(client: Client, me: User) -> Client:
    client.force_login(me)
    return client


def role_of(user: User) -> str | None:
    return Membership.objects.filter(user=user).values_list("role", flat=True).first()


class TestMemberList:
    def test_adds_a_person_and_shows_the_first_password_once(self, admin: Client, project: Project) -> None:
        answer = admin.post(f"/{project.slug}/members/", {"email": "Ned@Example.org", "role": "engineer"})
        password = answer.context["password"]
        assert answer.status_code == 200
        assert password in answer.content.decode()
        assert "no-store" in answer["Cache-Control"]
        assert User.objects.get(email="ned@example.org").check_password(password)
        assert password not in admin.get(f"/{project.slug}/members/").content.decode()
        assert AuditEvent.objects.filter(actor="me@example.org", verb="member.role").exists()

    def test_a_double_click_adds_one_and_shows_the_same_password(self, admin: Client, project: Project) -> None:
        url = f"/{project.slug}/members/"
        sent = {"email": "ned@example.org", "role": "engineer", "once": str(admin.get(url).context["once"])}
        first, second = admin.post(url, sent), admin.post(url, sent)
        assert second.status_code == 200
        assert first.context["password"] == second.context["password"] != ""
        assert Membership.objects.filter(project=project).count() == 2
        assert not {first.context["once"], second.context["once"]} & {sent["once"]}

    def test_remembers_no_refusal(self, admin: Client, project: Project) -> None:
        url = f"/{project.slug}/members/"
        sent = {"email": "me@example.org", "role": "engineer", "once": str(uuid.uuid4())}
        assert admin.post(url, sent).status_code == 422
        assert admin.post(url, {**sent, "email": "ned@example.org"}).context["password"]

    def test_tells_that_an_account_there_is_keeps_its_password(self, admin: Client, project: Project) -> None:
        other = factories.a_member(factories.a_project(), email="ned@example.org")
        answer = admin.post(f"/{project.slug}/members/", {"email": other.email, "role": "engineer"})
        assert answer.status_code == 302
        assert other.memberships.count() == 2

    def test_a_double_click_adds_a_known_person_once(self, admin: Client, project: Project) -> None:
        other = factories.a_member(factories.a_project(), email="ned@example.org")
        sent = {"email": other.email, "role": "engineer", "once": str(uuid.uuid4())}
        assert [admin.post(f"/{project.slug}/members/", sent).status_code for _ in range(2)] == [302, 302]
        assert other.memberships.count() == 2

    @pytest.mark.parametrize(
        ("sent", "field"),
        [
            ({"email": "nobody", "role": "engineer"}, "email"),
            ({"email": "a@b.example", "role": "king"}, "role"),
            ({"email": "me@example.org", "role": "reviewer"}, "email"),
        ],
    )
    def test_says_what_is_wrong_and_keeps_what_was_typed(
        self, admin: Client, project: Project, sent: dict[str, str], field: str
    ) -> None:
        answer = admin.post(f"/{project.slug}/members/", sent)
        assert answer.status_code == 422
        assert field in answer.context["form"].errors
        assert sent["email"] in answer.content.decode()

    def test_costs_the_same_for_many(
        self, admin: Client, project: Project, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for _ in range(12):
            factories.a_member(project)
        with django_assert_num_queries(5):
            admin.get(f"/{project.slug}/members/")


class TestMemberRole:
    def test_changes_a_role_with_a_trace(self, admin: Client, project: Project) -> None:
        ned = factories.a_member(project, Role.REVIEWER)
        admin.post(f"/{project.slug}/members/{ned.memberships.get().pk}/role/", {"role": "manager"})
        assert role_of(ned) == "manager"
        event = AuditEvent.objects.latest("id")
        assert (event.verb, event.before, event.after) == ("member.role", {"role": "reviewer"}, {"role": "manager"})

    def test_refuses_an_unknown_role(self, admin: Client, project: Project) -> None:
        ned = factories.a_member(project, Role.REVIEWER)
        answer = admin.post(f"/{project.slug}/members/{ned.memberships.get().pk}/role/", {"role": "king"})
        assert (answer.status_code, role_of(ned)) == (422, "reviewer")

    def test_leaves_my_own_rights_to_others(self, admin: Client, project: Project, me: User) -> None:
        factories.a_member(project, Role.ADMIN)
        answer = admin.post(f"/{project.slug}/members/{me.memberships.get().pk}/role/", {"role": "reviewer"})
        assert (answer.status_code, role_of(me)) == (409, "admin")


class TestMemberRemove:
    def test_asks_once_more_then_takes_the_person_out(self, admin: Client, project: Project) -> None:
        ned = factories.a_member(project, Role.ENGINEER)
        url = f"/{project.slug}/members/{ned.memberships.get().pk}/remove/"
        assert "Remove" in admin.get(url).content.decode()
        assert role_of(ned) == "engineer"
        admin.post(url)
        assert role_of(ned) is None
        assert AuditEvent.objects.latest("id").before == {"role": "engineer"}
        theirs = Client()
        theirs.force_login(ned)
        assert theirs.get(f"/{project.slug}/").status_code == 404

    def test_never_takes_myself_out(self, admin: Client, project: Project, me: User) -> None:
        answer = admin.post(f"/{project.slug}/members/{me.memberships.get().pk}/remove/")
        assert (answer.status_code, role_of(me)) == (409, "admin")

    def test_leaves_the_last_admin(self, project: Project, me: User) -> None:
        with pytest.raises(members.LastAdmin):
            members.remove_member(membership=me.memberships.get(), by=access.system(project), now=clock.now())
        with pytest.raises(members.LastAdmin):
            members.change_role(
                membership=me.memberships.get(), role="reviewer", by=access.system(project), now=clock.now()
            )
        assert role_of(me) == "admin"

    def test_is_harmless_twice(self, project: Project, me: User) -> None:
        ned = factories.a_member(project).memberships.get()
        by = factories.an_actor(project)
        members.remove_member(membership=ned, by=by, now=clock.now())
        n_events = AuditEvent.objects.count()
        ned.pk = ned.pk or 10**9
        members.remove_member(membership=ned, by=by, now=clock.now())
        assert AuditEvent.objects.count() == n_events


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_remove_each_other_at_once_leave_one() -> None:
    project = factories.a_project()
    both = [factories.a_member(project, Role.ADMIN).memberships.get() for _ in range(2)]
    gate = threading.Barrier(2)

    def removing(victim: Membership) -> Callable[[], None]:
        def run() -> None:
            gate.wait(10)
            try:
                members.remove_member(membership=victim, by=access.system(project), now=clock.now())
            except members.LastAdmin:
                pass
            finally:
                connection.close()

        return run

    threads = [threading.Thread(target=removing(victim)) for victim in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert Membership.objects.filter(project=project, role=Role.ADMIN).count() == 1


class TestKeyList:
    def test_makes_a_key_that_works_and_is_shown_once(self, admin: Client, project: Project) -> None:
        sent = {"name": "ci", "scopes": ["read", "ingest"], "user": ""}
        answer = admin.post(f"/{project.slug}/keys/", sent)
        text = answer.context["text"]
        assert text in answer.content.decode()
        assert "no-store" in answer["Cache-Control"]
        actor = authentication.actor_of_key(text)
        assert actor is not None
        assert actor.scopes == {"read", "ingest"}
        later = admin.get(f"/{project.slug}/keys/").content.decode()
        assert text not in later
        assert text[:10] in later

    @pytest.mark.parametrize(
        ("sent", "field"),
        [
            ({"name": "ci", "scopes": []}, "scopes"),
            ({"name": "", "scopes": ["read"]}, "name"),
            ({"name": "taken", "scopes": ["read"]}, "name"),
            ({"name": "ci", "scopes": ["approve"]}, "scopes"),
        ],
    )
    def test_says_what_is_wrong(self, admin: Client, project: Project, sent: dict[str, object], field: str) -> None:
        admin.post(f"/{project.slug}/keys/", {"name": "taken", "scopes": ["read"]})
        answer = admin.post(f"/{project.slug}/keys/", sent)
        assert answer.status_code == 422
        assert field in answer.context["form"].errors
        assert ApiKey.objects.count() == 1

    def test_gives_no_key_that_acts_for_a_stranger(self, admin: Client, project: Project) -> None:
        stranger = factories.a_member(factories.a_project())
        answer = admin.post(f"/{project.slug}/keys/", {"name": "x", "scopes": ["read"], "user": stranger.pk})
        assert answer.status_code == 422
        assert stranger.email not in answer.content.decode()

    def test_a_double_click_makes_one_and_shows_the_same_text(self, admin: Client, project: Project) -> None:
        url = f"/{project.slug}/keys/"
        sent = {"name": "ci", "scopes": ["read"], "once": str(admin.get(url).context["once"])}
        first, second = admin.post(url, sent), admin.post(url, sent)
        assert second.status_code == 200
        assert first.context["text"] == second.context["text"] != ""
        assert ApiKey.objects.count() == 1

    def test_shows_the_text_to_nobody_else_and_not_for_long(self, admin: Client, project: Project, me: User) -> None:
        url, sent = f"/{project.slug}/keys/", {"name": "ci", "scopes": ["read"], "once": str(uuid.uuid4())}
        text = admin.post(url, sent).context["text"]
        theirs = Client()
        theirs.force_login(factories.a_member(project, Role.ADMIN))
        assert theirs.post(url, sent).status_code == 422
        with connection.cursor() as cursor:
            cursor.execute("SELECT string_agg(value, ' ') FROM site_cache")
            (kept,) = cursor.fetchone()
        assert text not in base64.b64decode(kept.split()[0]).decode("latin-1")
        with time_machine.travel(clock.now() + dt.timedelta(seconds=once.REMEMBERED_S + 1)):
            admin.force_login(me)
            assert admin.post(url, sent).status_code == 422


class TestKeyRevoke:
    def test_the_key_opens_nothing_any_more(self, admin: Client, project: Project) -> None:
        text = factories.a_key(project, "read")
        answer = admin.post(f"/{project.slug}/keys/{ApiKey.objects.get().pk}/revoke/")
        assert answer.status_code == 302
        assert authentication.actor_of_key(text) is None
        assert "revoked" in admin.get(f"/{project.slug}/keys/").content.decode()


class TestAuditList:
    def test_shows_who_did_what_newest_first_with_hostile_words_as_text(self, admin: Client, project: Project) -> None:
        evil = "<script>x()</script>"
        AuditEvent.objects.create(
            project=project, at=clock.now(), actor=evil, verb="key.create", subject=evil, after={evil: evil}
        )
        page = admin.get(f"/{project.slug}/audit/").content.decode()
        assert "<script>x" not in page
        assert page.index("&lt;script") < page.index("project.create")

    def test_filters_by_actor_and_verb(self, admin: Client, project: Project) -> None:
        admin.post(f"/{project.slug}/keys/", {"name": "ci", "scopes": ["read"]})
        found = admin.get(f"/{project.slug}/audit/", {"actor": "ME@example", "verb": "KEY"}).context["trail"].events
        assert [event.verb for event in found] == ["key.create"]
        empty = admin.get(f"/{project.slug}/audit/", {"actor": "nobody%"})
        assert "Nothing like that" in empty.content.decode()

    def test_walks_a_long_trail_by_cursor_at_the_same_cost(
        self, admin: Client, project: Project, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        rows = [AuditEvent(project=project, at=clock.now(), actor="x", verb="v", subject=str(n)) for n in range(130)]
        AuditEvent.objects.bulk_create(rows)
        foreign = factories.a_project()
        seen: list[int] = []
        url = f"/{project.slug}/audit/"
        while url:
            with django_assert_num_queries(5):
                answer = admin.get(url)
            trail = answer.context["trail"]
            seen += [event.pk for event in trail.events]
            url = f"/{project.slug}/audit/?{trail.older}" if trail.older else ""
        assert seen == sorted(seen, reverse=True)
        assert len(seen) == AuditEvent.objects.filter(project=project).count()
        assert not AuditEvent.objects.filter(pk__in=seen, project=foreign).exists()

    def test_gives_htmx_the_rows_alone(self, admin: Client, project: Project) -> None:
        rows = admin.get(f"/{project.slug}/audit/", headers={"HX-Request": "true"}).content.decode().strip()
        assert rows.startswith("<tr>")

    def test_has_no_page_for_a_cursor_that_is_none(self, admin: Client, project: Project) -> None:
        assert admin.get(f"/{project.slug}/audit/", {"before": "١٢"}).status_code == 200
