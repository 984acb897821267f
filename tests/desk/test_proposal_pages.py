"""Pages of proposals: why, what, on what evidence; a person's approval moves no label."""

from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core import clock
from improvement import services
from improvement.models import Proposal
from projects.models import Role
from prompts.models import Label
from releases import services as releases
from tests import factories
from tests.desk import loops
from tests.desk.loops import Loop

pytestmark = pytest.mark.django_db


@pytest.fixture
def loop() -> Loop:
    return loops.a_loop()


def signed_in(loop: Loop, role: str) -> Client:
    client = Client()
    client.force_login(factories.a_member(loop.project, role))
    return client


@pytest.fixture
def engineer(loop: Loop) -> Client:
    return signed_in(loop, Role.ENGINEER)


@pytest.fixture
def manager(loop: Loop) -> Client:
    return signed_in(loop, Role.MANAGER)


def url(loop: Loop, name: str, *args: object) -> str:
    return reverse(f"desk:{name}", args=[loop.project.slug, *args])


def detail(loop: Loop) -> str:
    return url(loop, "proposal-detail", loop.proposal.pk)


def text_of(answer: HttpResponse) -> str:
    return answer.content.decode()


def state(loop: Loop) -> str:
    return Proposal.objects.get(pk=loop.proposal.pk).state


def released(loop: Loop) -> None:
    releases.release_initially(
        prompt=loop.prompt, label_name="canary", revision=loop.candidate, reason="a try", by=loop.by, now=clock.now()
    )


class TestProposalList:
    def test_shows_states_and_reasons_and_filters_by_them(self, loop: Loop, manager: Client) -> None:
        failed = loops.a_proposal(loop.prompt, loop.by)
        page = text_of(manager.get(url(loop, "proposal-list")))
        assert "Waiting for approval 1" in page
        assert "1 correction of part teach joins revision 1" in page
        page = text_of(manager.get(url(loop, "proposal-list") + "?state=failed"))
        assert f"Proposal {failed.pk}" in page
        assert f"Proposal {loop.proposal.pk}<" not in page

    def test_one_whose_revision_was_released_is_shown_as_released(self, loop: Loop, manager: Client) -> None:
        run = loops.a_tested(loop.candidate)
        page = text_of(manager.get(url(loop, "proposal-list")))
        assert reverse("evals:run-detail", args=[loop.project.slug, run.pk]) in page
        released(loop)
        page = text_of(manager.get(url(loop, "proposal-list")))
        assert "Released 1" in page
        assert "Waiting for approval" not in page
        assert f"Proposal {loop.proposal.pk}<" in text_of(manager.get(url(loop, "proposal-list") + "?state=released"))
        assert f"Proposal {loop.proposal.pk} for" not in text_of(manager.get(url(loop, "waiting")))
        page = text_of(manager.get(detail(loop)))
        assert "to canary by" in page
        assert "Approve revision" not in page
        assert "Reject<" not in page

    def test_costs_the_same_with_more_proposals(
        self, loop: Loop, manager: Client, django_assert_num_queries: Any
    ) -> None:
        n = statements(manager, url(loop, "proposal-list"))
        for _ in range(60):
            loops.a_proposal(loop.prompt, loop.by)
        with django_assert_num_queries(n):
            assert "Older proposals" in text_of(manager.get(url(loop, "proposal-list")))

    def test_an_empty_list_says_where_proposals_come_from(self, client: Client) -> None:
        project = factories.a_project()
        client.force_login(factories.a_member(project, Role.MANAGER))
        page = text_of(client.get(reverse("desk:proposal-list", args=[project.slug])))
        assert "No proposal yet" in page


class TestProposalDetail:
    def test_quotes_the_verdicts_with_the_wrong_words_marked(self, loop: Loop, manager: Client) -> None:
        page = text_of(manager.get(detail(loop)))
        assert "Refunds are paid within <mark>45</mark> days" in page
        assert f'href="{url(loop, "verdict-detail", loop.verdict.pk)}"' in page
        assert f'href="{url(loop, "output-detail", loop.output)}"' in page
        assert "by mara@example.org, key:ivo, who agree" in page

    def test_shows_what_joins_the_context(self, loop: Loop, manager: Client) -> None:
        page = text_of(manager.get(detail(loop)))
        assert "1 context item joins, 0 leave" in page
        assert "When is my refund number 0 due?" in page

    def test_shows_the_verdict_of_the_gate_with_its_figure(self, loop: Loop, manager: Client) -> None:
        run = loops.a_tested(loop.candidate)
        page = text_of(manager.get(detail(loop)))
        assert "Revision 2 does better than revision 1 by exact_match: 5.3 points more" in page
        assert "+5.3" in page
        assert "n 412" in page
        assert reverse("evals:run-detail", args=[loop.project.slug, run.pk]) in page

    def test_without_a_run_an_engineer_may_start_one(self, loop: Loop, engineer: Client, manager: Client) -> None:
        loops.a_policy(loop.prompt)
        assert "Start gate run" in text_of(engineer.get(detail(loop)))
        assert "Start gate run" not in text_of(manager.get(detail(loop)))

    def test_asks_again_by_itself_while_it_is_being_built(self, loop: Loop, engineer: Client) -> None:
        loops.a_correction(loop.prompt, 7)
        answer = engineer.post(url(loop, "propose", loop.prompt.name))
        made = Proposal.objects.latest("pk")
        assert answer["Location"] == url(loop, "proposal-detail", made.pk)
        assert 'hx-trigger="every 2s"' in text_of(engineer.get(answer["Location"]))
        part = engineer.get(answer["Location"], headers={"HX-Request": "true"})
        assert "<html" not in text_of(part)
        services.build(proposal_id=made.pk, now=clock.now())
        assert engineer.get(answer["Location"], headers={"HX-Request": "true"})["HX-Refresh"] == "true"

    def test_a_second_press_leads_to_the_one_that_is_being_built(self, loop: Loop, engineer: Client) -> None:
        answers = [engineer.post(url(loop, "propose", loop.prompt.name)) for _ in range(2)]
        assert answers[0]["Location"] == answers[1]["Location"]

    def test_one_that_failed_says_why(self, loop: Loop, manager: Client) -> None:
        failed = loops.a_proposal(loop.prompt, loop.by)
        page = text_of(manager.get(url(loop, "proposal-detail", failed.pk)))
        assert f"Proposal {loop.proposal.pk} is this very revision (2), and is ready." in page

    def test_costs_the_same_with_more_verdicts(
        self, loop: Loop, manager: Client, django_assert_num_queries: Any
    ) -> None:
        n = statements(manager, detail(loop))
        bigger = loops.a_loop(n_corrections=30)
        client = signed_in(bigger, Role.MANAGER)
        with django_assert_num_queries(n):
            page = text_of(client.get(detail(bigger)))
        assert "More of the 30 verdicts" in page
        assert "More items" in page
        after = page.split("?quotes=")[1].split("#")[0]
        assert "The first ones" in text_of(client.get(f"{detail(bigger)}?quotes={after}"))

    def test_says_when_the_output_is_no_longer_kept(self, loop: Loop, manager: Client) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM outputs_outputbody")
        assert "no longer kept" in text_of(manager.get(detail(loop)))

    def test_a_stranger_finds_nothing(self, loop: Loop, client: Client) -> None:
        client.force_login(factories.a_member(factories.a_project(), Role.ADMIN))
        assert client.get(detail(loop)).status_code == 404


class TestProposalApprove:
    def test_a_manager_approves_and_an_engineer_releases(self, loop: Loop, manager: Client, engineer: Client) -> None:
        at = url(loop, "proposal-approve", loop.proposal.pk)
        answers = [manager.post(at, {"reason": "reads well"}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [302, 302]
        assert state(loop) == "approved"
        assert Label.objects.get(prompt=loop.prompt, name="production").revision == loop.first
        page = text_of(engineer.get(detail(loop)))
        assert "reads well" in page
        assert "Release on evidence" in page

    def test_an_engineer_may_not(self, loop: Loop, engineer: Client) -> None:
        assert engineer.post(url(loop, "proposal-approve", loop.proposal.pk)).status_code == 403
        assert "Approve revision" not in text_of(engineer.get(detail(loop)))
        assert state(loop) == "ready"

    def test_one_that_was_decided_meanwhile_is_a_409(self, loop: Loop, manager: Client) -> None:
        services.reject(proposal=loop.proposal, reason="the old wording is law", by=loop.by, now=clock.now())
        answer = manager.post(url(loop, "proposal-approve", loop.proposal.pk))
        assert answer.status_code == 409
        assert f"is rejected by {loop.by.name}" in text_of(answer)


class TestProposalReject:
    def test_needs_a_reason_and_keeps_the_page(self, loop: Loop, manager: Client) -> None:
        answer = manager.post(url(loop, "proposal-reject", loop.proposal.pk), {"reason": ""})
        assert answer.status_code == 422
        assert "say why this is not wanted" in text_of(answer)

    def test_says_why_on_the_page_and_in_the_list(self, loop: Loop, manager: Client) -> None:
        manager.post(url(loop, "proposal-reject", loop.proposal.pk), {"reason": "the old wording is law"})
        assert state(loop) == "rejected"
        assert "the old wording is law" in text_of(manager.get(detail(loop)))
        assert "the old wording is law" in text_of(manager.get(url(loop, "proposal-list")))


def statements(client: Client, at: str) -> int:
    """How many statements a page costs once everything that is kept in memory is there."""
    client.get(at)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(at).status_code == 200
    return len(captured)
