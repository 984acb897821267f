"""One verdict with everything before and after it."""

from typing import Any

import pytest
from django.test import Client

from core import clock
from improvement.models import Origin, Proposal
from projects.models import Project, Role
from prompts.models import Label, Prompt, RevisionContext
from reviews.models import Item, Part, Queue, Review, Verdict
from reviews.services import adjudication, withdrawals
from tests import factories
from tests.reviews import desk
from tests.reviews.desk import NO, YES

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def prompt(project: Project) -> Prompt:
    return factories.a_prompt(project)


@pytest.fixture
def engineer(client: Client, project: Project) -> Client:
    client.force_login(factories.a_member(project, Role.ENGINEER))
    return client


def url_of(verdict: Verdict) -> str:
    return f"/{verdict.project.slug}/verdicts/{verdict.pk}/"


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def taught(verdict: Verdict, *, label: str = "") -> RevisionContext:
    """A line of context that came from the verdict, in a new revision of its prompt."""
    assert verdict.prompt is not None
    revision = factories.a_revision(verdict.prompt, ("Where is it?", "delivery"))
    place = revision.places.get()
    Origin.objects.create(item=place.item, verdict=verdict)
    if label:
        Label.objects.create(prompt=verdict.prompt, name=label, revision=revision, pointed_at=clock.now())
    return place


class TestVerdictDetail:
    def test_shows_what_was_settled_by_whom_and_the_output_behind_it(
        self, engineer: Client, project: Project, prompt: Prompt
    ) -> None:
        rubric = desk.a_rubric(project, "", {"key": "fix", "type": "correction", "text": "Right"})
        queue = desk.a_queue(project, rubric=rubric, overlap=2)
        (output,) = desk.filled(queue, "Where is my bike?", prompt=prompt, said="refund")
        people = [desk.a_reviewer(project) for _ in range(2)]
        for by in people:
            desk.reviewed(queue, by, NO, correction="delivery", comment=f"said {by.name}")
        page = text(engineer.get(url_of(Verdict.objects.get())))
        assert "The output was wrong, and this would have been right." in page
        for shown in ("Where is my bike?", "delivery", output.external_id, *(f"said {by.name}" for by in people)):
            assert shown in page
        assert f"agreement of {people[0].name}, {people[1].name}" in page

    def test_shows_all_attempts_also_those_taken_back(self, engineer: Client, project: Project, prompt: Prompt) -> None:
        queue = desk.a_queue(project)
        desk.filled(queue, "One?", prompt=prompt)
        desk.reviewed(queue, desk.a_reviewer(project), YES)
        Review.objects.update(comment="my first thought", withdrawn_at=clock.now())
        page = text(engineer.get(url_of(Verdict.objects.get())))
        assert "my first thought" in page
        assert "taken back" in page

    def test_leads_to_the_lines_of_context_and_says_which_are_live(self, engineer: Client, prompt: Prompt) -> None:
        verdict = factories.a_verdict(prompt, text="Where is it?", correction="delivery")
        place = taught(verdict, label="production")
        found = engineer.get(url_of(verdict)).context["found"]
        (line,) = found.taught
        assert (line.item, line.revisions) == (place.item, [place.revision.number])
        assert [label.name for label in line.labels] == ["production"]
        assert "live at production" in text(engineer.get(url_of(verdict)))

    def test_a_line_that_production_left_behind_is_not_live(self, engineer: Client, prompt: Prompt) -> None:
        verdict = factories.a_verdict(prompt, text="Where is it?", correction="delivery")
        taught(verdict, label="production")
        Label.objects.update(revision=factories.a_revision(prompt, system="Another way."))
        assert "not live" in text(engineer.get(url_of(verdict)))

    def test_leads_to_proposals_and_golden_cases(self, engineer: Client, project: Project, prompt: Prompt) -> None:
        verdict = factories.a_verdict(prompt, text="Where is it?", correction="delivery")
        place = taught(verdict)
        proposal = factories.a_proposal(prompt)
        Proposal.objects.filter(pk=proposal.pk).update(
            state=Proposal.State.READY, revision=place.revision, built_at=clock.now()
        )
        exam = factories.a_golden_version(prompt)
        case = exam.golden_set.cases.first()
        assert case is not None
        case.verdict = verdict
        case.save()
        page = text(engineer.get(url_of(verdict)))
        assert f"proposal {proposal.pk}" in page
        assert case.key in page
        assert exam.golden_set.name in page

    @pytest.mark.parametrize("part", Part.values)
    def test_says_what_its_part_means_and_that_it_went_nowhere(
        self, engineer: Client, prompt: Prompt, part: str
    ) -> None:
        page = text(engineer.get(url_of(factories.a_verdict(prompt, text="One?", part=part))))
        assert "It has gone nowhere yet" in page
        assert ("may enter a context" in page) is (part == Part.TEACH)

    def test_a_replaced_verdict_leads_to_the_one_that_holds(
        self, engineer: Client, project: Project, prompt: Prompt
    ) -> None:
        queue = desk.a_queue(project)
        desk.filled(queue, "One?", prompt=prompt)
        desk.reviewed(queue, desk.a_reviewer(project), YES)
        first = Verdict.objects.get()
        by = factories.an_actor(project)
        second = adjudication.adjudicate(
            item_id=Item.objects.get().pk, answers=NO, correction=None, rationale="No.", by=by, now=clock.now()
        )
        assert f"Verdict {second.pk} holds" in text(engineer.get(url_of(first)))
        assert "No." in text(engineer.get(url_of(second)))

    def test_hides_reviews_and_the_verdicts_words_while_the_item_is_judged_anew(
        self, engineer: Client, project: Project, prompt: Prompt
    ) -> None:
        rubric = desk.a_rubric(project, "", {"key": "fix", "type": "correction", "text": "Right"})
        queue = desk.a_queue(project, rubric=rubric, overlap=2)
        desk.filled(queue, "One?", prompt=prompt)
        first, second = desk.a_reviewer(project), desk.a_reviewer(project)
        for by in (first, second):
            desk.reviewed(queue, by, NO, correction="delivery", comment="what one said")
        verdict = Verdict.objects.get()
        assert "what one said" in text(engineer.get(url_of(verdict)))
        withdrawals.withdraw(queue_name=queue.name, item_id=verdict.item_id, by=second, now=clock.now())
        page = text(engineer.get(url_of(verdict)))
        for hidden in ("what one said", "delivery", "was wrong", "Quality 0"):
            assert hidden not in page
        assert "Reviews are hidden until the item is settled" in page
        assert "the item is open again" in page

    def test_hides_reviews_while_the_item_is_disputed(self, engineer: Client, project: Project, prompt: Prompt) -> None:
        queue = desk.a_queue(project)
        desk.filled(queue, "One?", prompt=prompt)
        desk.reviewed(queue, desk.a_reviewer(project), YES, comment="what one said")
        verdict = Verdict.objects.get()
        Item.objects.update(state=Item.State.DISPUTED)
        page = text(engineer.get(url_of(verdict)))
        assert "what one said" not in page
        assert "its adjudicators see them" in page

    def test_survives_texts_that_are_gone(self, engineer: Client, prompt: Prompt) -> None:
        verdict = factories.a_verdict(prompt, text="One?")
        with desk.connection.cursor() as cursor:
            cursor.execute("DELETE FROM outputs_outputbody")
        assert "no longer kept" in text(engineer.get(url_of(verdict)))

    def test_script_in_any_text_stays_text(self, engineer: Client, prompt: Prompt) -> None:
        bad = "<script>alert(1)</script>"
        verdict = factories.a_verdict(prompt, text=bad, said=bad, correction=bad)
        Verdict.objects.update(rationale=bad, by=bad, answers={"correct": bad})
        assert "<script>alert" not in text(engineer.get(url_of(verdict)))

    def test_costs_the_same_at_any_size(self, engineer: Client, project: Project, prompt: Prompt) -> None:
        verdict = factories.a_verdict(prompt, text="Where is it?")
        place = taught(verdict)
        engineer.get(url_of(verdict))
        costs = []
        for number in range(3):
            with desk.statements() as found:
                engineer.get(url_of(verdict))
            costs.append(len(found))
            by = desk.a_reviewer(project)
            Review.objects.create(
                item=verdict.item,
                reviewer=by.identity,
                user=by.user,
                claim_token=f"00000000-0000-0000-0000-00000000000{number}",
                answers=YES,
                at=clock.now(),
            )
            later = factories.a_revision(prompt, system=f"Way {number}.")
            RevisionContext.objects.create(revision=later, item=place.item, position=0)
        assert len(set(costs)) == 1

    def test_is_for_those_who_may_read(self, client: Client, project: Project, prompt: Prompt) -> None:
        verdict = factories.a_verdict(prompt, text="One?")
        for role, status in ((Role.REVIEWER, 403), (Role.MANAGER, 200), (Role.ADMIN, 200)):
            client.force_login(factories.a_member(project, role))
            assert client.get(url_of(verdict)).status_code == status

    def test_a_stranger_finds_nothing_by_any_path(self, client: Client, prompt: Prompt) -> None:
        verdict = factories.a_verdict(prompt, text="One?")
        elsewhere = factories.a_project()
        client.force_login(factories.a_member(elsewhere, Role.ADMIN))
        assert client.get(url_of(verdict)).status_code == 404
        assert client.get(f"/{elsewhere.slug}/verdicts/{verdict.pk}/").status_code == 404
        assert client.get(f"/{elsewhere.slug}/verdicts/987654321/").status_code == 404


def test_every_queue_of_a_verdict_is_reachable(engineer: Client, prompt: Prompt) -> None:
    verdict = factories.a_verdict(prompt, text="One?")
    queue = Queue.objects.get()
    assert f"/{verdict.project.slug}/queues/{queue.name}/" in text(engineer.get(url_of(verdict)))
