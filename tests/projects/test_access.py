"""Roles, scopes and keys."""

import pytest
from django.test import Client

from core import clock
from projects import access, authentication, secrets
from projects.models import ApiKey, AuditEvent, Membership, Role
from projects.services import keys
from tests import factories

pytestmark = pytest.mark.django_db


class TestKeys:
    def test_are_stored_as_a_hash_alone(self) -> None:
        text = factories.a_key(factories.a_project(), "read")
        row = ApiKey.objects.get()
        assert bytes(row.digest) == secrets.digest(text)
        assert text not in str(row.__dict__)
        assert len(text) >= 43 + len(secrets.MARK)

    def test_open_exactly_their_scopes(self) -> None:
        actor = authentication.actor_of_key(factories.a_key(factories.a_project(), "read", "ingest"))
        assert actor is not None
        assert actor.scopes == {access.Scope.READ, access.Scope.INGEST}
        assert not actor.is_person

    def test_never_exceed_the_present_role_of_their_person(self) -> None:
        project = factories.a_project()
        person = factories.a_member(project, Role.ADMIN)
        text = factories.a_key(project, "read", "admin", "review", user=person)
        Membership.objects.filter(user=person).update(role=Role.REVIEWER)
        actor = authentication.actor_of_key(text)
        assert actor is not None
        assert actor.scopes == {access.Scope.REVIEW}

    @pytest.mark.parametrize("how", ["revoked", "person disabled", "person left"])
    def test_open_nothing_once(self, how: str) -> None:
        project = factories.a_project()
        person = factories.a_member(project)
        text = factories.a_key(project, "read", user=person)
        assert authentication.actor_of_key(text) is not None
        if how == "revoked":
            keys.revoke_api_key(key=ApiKey.objects.get(), by=access.system(project), now=clock.now())
        elif how == "person disabled":
            person.is_active = False
            person.save()
        else:
            Membership.objects.filter(user=person).delete()
        assert authentication.actor_of_key(text) is None

    def test_are_refused_with_a_scope_for_people_alone(self) -> None:
        with pytest.raises(Exception, match="'approve' is no scope of a key"):
            factories.a_key(factories.a_project(), "approve")

    def test_say_the_same_for_every_reason_of_refusal(self, client: Client) -> None:
        project = factories.a_project()
        revoked = factories.a_key(project, "read")
        keys.revoke_api_key(key=ApiKey.objects.get(), by=access.system(project), now=clock.now())
        answers = {
            client.get("/api/v1/prompts", headers={"Authorization": header}).content
            for header in (f"Bearer {revoked}", "Bearer rk_unknown", "Bearer é", "Basic abc", "Bearer")
        }
        assert len(answers) == 1


class TestAudit:
    def test_records_who_did_what_with_before_and_after(self) -> None:
        project = factories.a_project()
        person = factories.a_member(project, Role.REVIEWER, "mara@example.org")
        factories.members.create_user(email=person.email, project=project, role=Role.MANAGER, now=clock.now())
        event = AuditEvent.objects.filter(verb="member.role").latest("id")
        assert (event.before, event.after, event.actor) == ({"role": "reviewer"}, {"role": "manager"}, "system")

    @pytest.mark.parametrize("change", ["update", "delete"])
    def test_cannot_be_changed_or_removed(self, change: str) -> None:
        factories.a_project()
        events = AuditEvent.objects.all()
        with pytest.raises(Exception, match="append-only"):
            events.update(actor="nobody") if change == "update" else events.delete()
