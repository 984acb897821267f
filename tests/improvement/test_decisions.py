"""Somebody approves or rejects what is ready, once; no label moves by it."""

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from core import clock
from core.problems import Conflict, Invalid
from improvement import services
from improvement.models import Proposal
from projects.access import Actor
from projects.models import AuditEvent, Role
from prompts.models import Label, Prompt
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def prompt() -> Prompt:
    return factories.a_prompt(factories.a_project())


@pytest.fixture
def ready(prompt: Prompt) -> Proposal:
    factories.a_revision(prompt, ("Hello", "greeting"))
    factories.a_verdict(prompt, text="Where is my bike?", correction="lost")
    made = factories.a_proposal(prompt)
    services.build(proposal_id=made.pk, now=clock.now())
    made.refresh_from_db()
    return made


@pytest.fixture
def by(prompt: Prompt) -> Actor:
    return factories.an_actor(prompt.project, Role.MANAGER)


def n_decisions() -> int:
    return AuditEvent.objects.filter(verb__startswith="proposal.").count()


class TestApprove:
    def test_says_who_when_and_why(self, ready: Proposal, by: Actor) -> None:
        now = clock.now()
        made = services.approve(proposal=ready, reason=" reads well ", by=by, now=now)
        assert (made.state, made.decided_at, made.decided_by) == ("approved", now, by.name)
        assert made.decided_reason == "reads well"
        event = AuditEvent.objects.get(verb="proposal.approved")
        assert event.after == {"state": "approved", "reason": "reads well"}

    def test_moves_no_label(self, ready: Proposal, by: Actor) -> None:
        services.approve(proposal=ready, by=by, now=clock.now())
        assert not Label.objects.filter(revision__isnull=False).exists()

    def test_again_by_the_same_person_changes_nothing(self, ready: Proposal, by: Actor) -> None:
        first = services.approve(proposal=ready, by=by, now=clock.now())
        again = services.approve(proposal=ready, by=by, now=clock.now())
        assert (again.decided_at, n_decisions()) == (first.decided_at, 1)

    def test_by_somebody_else_is_a_conflict(self, ready: Proposal, by: Actor) -> None:
        services.approve(proposal=ready, by=by, now=clock.now())
        other = factories.an_actor(by.project, Role.MANAGER)
        with pytest.raises(Conflict, match=f"approved by {by.name}"):
            services.approve(proposal=ready, by=other, now=clock.now())

    @pytest.mark.parametrize("state", ["building", "failed"])
    def test_takes_only_what_is_ready(self, state: str, ready: Proposal, by: Actor) -> None:
        Proposal.objects.filter(pk=ready.pk).update(state=state)
        with pytest.raises(Conflict, match=f"is {state}"):
            services.approve(proposal=ready, by=by, now=clock.now())


class TestReject:
    def test_needs_a_reason(self, ready: Proposal, by: Actor) -> None:
        with pytest.raises(Invalid, match="reason"):
            services.reject(proposal=ready, reason="  ", by=by, now=clock.now())

    def test_ends_the_proposal(self, ready: Proposal, by: Actor) -> None:
        services.reject(proposal=ready, reason="the old wording is law", by=by, now=clock.now())
        with pytest.raises(Conflict, match="rejected"):
            services.approve(proposal=ready, by=by, now=clock.now())
        assert n_decisions() == 1


class TestTable:
    @pytest.mark.parametrize(
        "fields",
        [
            {"state": "approved"},
            {"state": "approved", "decided_by": "somebody"},
            {"decided_by": "somebody"},
            {"state": "rejected", "decided_by": "somebody", "decided_at": clock.now()},
        ],
    )
    def test_refuses_half_a_decision(self, fields: dict[str, object], ready: Proposal) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            Proposal.objects.filter(pk=ready.pk).update(**fields)


class TestApi:
    def url(self, proposal: Proposal, verb: str) -> str:
        return f"/api/v1/proposals/{proposal.pk}/{verb}"

    def test_a_manager_approves_and_a_repeat_is_harmless(self, ready: Proposal, client: Client) -> None:
        client.force_login(factories.a_member(ready.prompt.project, Role.MANAGER))
        url = self.url(ready, "approve")
        first = client.post(url, {"reason": "reads well"}, content_type="application/json")
        again = client.post(url, {}, content_type="application/json")
        assert (first.status_code, first.json()["state"]) == (200, "approved")
        assert again.json() == first.json()

    def test_rejecting_without_a_reason_names_the_field(self, ready: Proposal, client: Client) -> None:
        client.force_login(factories.a_member(ready.prompt.project, Role.MANAGER))
        answer = client.post(self.url(ready, "reject"), {}, content_type="application/json")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "reason")

    @pytest.mark.parametrize("verb", ["approve", "reject"])
    def test_no_key_decides_not_even_a_managers(self, verb: str, ready: Proposal, client: Client) -> None:
        project = ready.prompt.project
        key = factories.a_key(project, user=factories.a_member(project, Role.ADMIN))
        answer = client.post(
            self.url(ready, verb), {"reason": "x"}, content_type="application/json", headers=factories.bearer(key)
        )
        assert answer.status_code == 403

    @pytest.mark.parametrize("verb", ["approve", "reject"])
    def test_a_strangers_proposal_is_not_there(self, verb: str, ready: Proposal, client: Client) -> None:
        client.force_login(factories.a_member(factories.a_project(), Role.ADMIN))
        answer = client.post(self.url(ready, verb), {"reason": "x"}, content_type="application/json")
        assert answer.status_code == 404
