"""The adjudicator's page, without any JavaScript."""

from typing import Any

import pytest
from django.test import Client

from core import clock
from projects.access import ROLE_SCOPES, Actor
from projects.models import Project, Role, User
from reviews.models import Item, Queue, Verdict
from reviews.services import adjudication, withdrawals
from reviews.services.withdrawals import BuiltUpon
from tests import factories
from tests.reviews import desk
from tests.reviews.desk import NO, YES

pytestmark = pytest.mark.django_db

FIX = {
    "key": "fix",
    "type": "correction",
    "text": "Right would be",
    "show_if": {"question": "correct", "is": "no"},
}
WHY = {"key": "why", "type": "text", "text": "Why?"}


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def lead(project: Project) -> User:
    return factories.a_member(project, Role.REVIEWER, "lead@example.org")


@pytest.fixture
def queue(project: Project, lead: User) -> Queue:
    rubric = desk.a_rubric(project, "", FIX, WHY)
    return desk.a_queue(project, rubric=rubric, overlap=2, adjudicators=[lead.email])


@pytest.fixture
def adjudicator(client: Client, lead: User) -> Client:
    client.force_login(lead)
    return client


def dispute(queue: Queue, text: str = "Where is my bike?") -> Item:
    """Two reviewers differ: one says yes, the other no and why."""
    desk.filled(queue, text, prompt=queue.project.prompts.first() or factories.a_prompt(queue.project))
    desk.reviewed(queue, desk.a_reviewer(queue.project), YES)
    desk.reviewed(queue, desk.a_reviewer(queue.project), {**NO, "why": "Late, not lost."}, correction="delivery")
    return Item.objects.order_by("-pk")[0]


def url_of(queue: Queue) -> str:
    return f"/{queue.project.slug}/queues/{queue.name}/adjudicate/"


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_shows_the_oldest_dispute_with_what_everybody_said(adjudicator: Client, queue: Queue) -> None:
    first = dispute(queue)
    dispute(queue, "Another?")
    answer = adjudicator.get(url_of(queue))
    assert answer.context["found"].task.item == first
    page = text(answer)
    for shown in ("Where is my bike?", "Late, not lost.", "delivery", "2 disputes wait"):
        assert shown in page


def test_shows_differing_questions_first_and_marked(adjudicator: Client, queue: Queue) -> None:
    dispute(queue)
    lines = adjudicator.get(url_of(queue)).context["lines"]
    assert [(line.question["key"], line.is_disputed) for line in lines] == [("correct", True), ("why", True)]
    assert all(line.chosen is None for line in lines)


def test_chooses_beforehand_what_all_agree_on(adjudicator: Client, project: Project, queue: Queue) -> None:
    desk.filled(queue, "One?", prompt=factories.a_prompt(project))
    for correction in ("refund", "delivery"):
        desk.reviewed(queue, desk.a_reviewer(project), NO, correction=correction)
    context = adjudicator.get(url_of(queue)).context
    chosen = {line.question["key"]: (line.chosen, line.is_disputed) for line in context["lines"]}
    assert chosen == {"correct": ("no", False), "why": (None, False)}
    assert context["are_corrections_disputed"]
    assert context["chosen_correction"] == ""


@pytest.mark.parametrize("source", ["reviewer's", "own", "none"])
def test_settles_with_a_correction_taken_or_written(adjudicator: Client, queue: Queue, source: str) -> None:
    item = dispute(queue)
    taken = item.reviews.exclude(correction=None).get()
    chosen = {"reviewer's": str(taken.pk), "own": "own", "none": "none"}[source]
    sent = {"correction_from": chosen, "own_correction": "my words", "answer-correct": "no", "answer-why": "Late."}
    answer = adjudicator.post(url_of(queue), {**sent, "item": item.pk, "rationale": "The bike is late."})
    assert answer["Location"] == url_of(queue)
    verdict = Verdict.objects.get()
    assert verdict.correction == {"reviewer's": "delivery", "own": "my words", "none": None}[source]
    assert (verdict.answers, verdict.rationale) == ({"correct": "no", "why": "Late."}, "The bike is late.")
    assert (verdict.settled_by, verdict.by) == ("adjudicator", "lead@example.org")
    assert "Nothing is disputed" in text(adjudicator.get(answer["Location"]))


def test_goes_on_with_the_next_dispute(adjudicator: Client, queue: Queue) -> None:
    first, second = dispute(queue), dispute(queue, "Another?")
    sent = {"answer-correct": "yes", "correction_from": "none", "rationale": "It is."}
    answer = adjudicator.post(url_of(queue), {**sent, "item": first.pk}, follow=True)
    assert answer.context["found"].task.item == second


def test_a_dispute_can_be_left_for_now(adjudicator: Client, queue: Queue) -> None:
    dispute(queue)
    second = dispute(queue, "Another?")
    left = adjudicator.get(adjudicator.get(url_of(queue)).context["skip"])
    assert left.context["found"].task.item == second
    assert adjudicator.get(left.context["skip"]).context["found"].following == second.pk


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rationale": "  "}, "rationale"),
        ({"answer-correct": ""}, "answers.correct"),
        ({"answer-correct": "perhaps"}, "answers.correct"),
        ({"correction_from": ""}, "correction"),
        ({"correction_from": "own", "own_correction": " "}, "correction"),
        ({"correction_from": "4711"}, "correction"),
        ({"answer-correct": "yes", "correction_from": "own", "own_correction": "x"}, "answers.fix"),
    ],
)
def test_keeps_what_was_typed_and_names_what_is_wrong(
    adjudicator: Client, queue: Queue, change: dict[str, str], field: str
) -> None:
    item = dispute(queue)
    sent = {"answer-correct": "no", "answer-why": "kept why", "correction_from": "none", "rationale": "kept words"}
    answer = adjudicator.post(url_of(queue), {**sent, "item": item.pk, **change})
    assert answer.status_code == 422
    assert field in text(answer)
    assert "kept why" in text(answer)
    assert not Verdict.objects.exists()


def test_says_that_somebody_was_faster_and_keeps_the_words(adjudicator: Client, project: Project, queue: Queue) -> None:
    item = dispute(queue)
    admin = factories.an_actor(project)
    adjudication.adjudicate(item_id=item.pk, answers=YES, correction=None, rationale="first", by=admin, now=clock.now())
    sent = {"answer-correct": "no", "answer-why": "an answer to keep", "correction_from": "own", "item": item.pk}
    sent |= {"own_correction": "a correction to keep", "rationale": "words to keep"}
    answer = adjudicator.post(url_of(queue), sent)
    assert answer.status_code == 409
    page = text(answer)
    for kept in ("settled meanwhile", "words to keep", "a correction to keep", "an answer to keep", ">no</textarea>"):
        assert kept in page
    assert "Late, not lost." not in page
    assert Verdict.objects.get().rationale == "first"


def test_a_double_click_settles_once(adjudicator: Client, queue: Queue, lead: User, project: Project) -> None:
    item = dispute(queue)
    by = Actor(project=project, scopes=ROLE_SCOPES[Role.REVIEWER], user=lead)
    for _ in range(2):
        adjudication.adjudicate(
            item_id=item.pk, answers=NO, correction=None, rationale="So.", by=by, now=clock.now(), only_disputed=True
        )
    assert Verdict.objects.count() == 1


@pytest.mark.parametrize("source", ["none", "own", "reviewer's"])
def test_a_double_click_is_told_twice_that_the_item_is_settled(adjudicator: Client, queue: Queue, source: str) -> None:
    item = dispute(queue)
    chosen = str(item.reviews.exclude(correction=None).get().pk) if source == "reviewer's" else source
    sent = {"answer-correct": "no", "correction_from": chosen, "own_correction": "mine", "rationale": "So."}
    answers = [adjudicator.post(url_of(queue), {**sent, "item": item.pk}) for _ in range(2)]
    assert [(answer.status_code, answer["Location"]) for answer in answers] == [(302, url_of(queue))] * 2
    assert Verdict.objects.count() == 1


def test_shows_no_review_to_whoever_comes_when_the_item_is_open_again(
    adjudicator: Client, queue: Queue, project: Project
) -> None:
    item = dispute(queue)
    second = item.reviews.exclude(correction=None).get()
    by = Actor(project=project, scopes=ROLE_SCOPES[Role.REVIEWER], user=second.user)
    withdrawals.withdraw(queue_name=queue.name, item_id=item.pk, by=by, now=clock.now())
    for rationale in ("kept words", " "):
        sent = {"answer-correct": "no", "answer-why": "kept", "correction_from": str(second.pk), "item": item.pk}
        answer = adjudicator.post(url_of(queue), {**sent, "rationale": rationale})
        assert answer.status_code == 409
        assert "open again" in text(answer)
        assert ">kept</textarea>" in text(answer)
        assert "Late, not lost." not in text(answer)
        assert "delivery" not in text(answer)
    assert not Verdict.objects.exists()


def test_whoever_may_settle_a_dispute_takes_no_review_of_it_back(
    adjudicator: Client, queue: Queue, project: Project, lead: User
) -> None:
    desk.filled(queue, "One?", prompt=factories.a_prompt(project))
    by = Actor(project=project, scopes=ROLE_SCOPES[Role.REVIEWER], user=lead)
    other = desk.a_reviewer(project)
    desk.reviewed(queue, by, YES)
    item = desk.reviewed(queue, other, {**NO, "why": "Late, not lost."}, correction="delivery")
    with pytest.raises(BuiltUpon, match="settle it instead"):
        withdrawals.withdraw(queue_name=queue.name, item_id=item.pk, by=by, now=clock.now())
    assert withdrawals.withdraw(queue_name=queue.name, item_id=item.pk, by=other, now=clock.now()) == item


def test_an_item_that_never_was_changes_nothing(adjudicator: Client, queue: Queue) -> None:
    dispute(queue)
    for item in ("0", "987654321", "x", ""):
        sent = {"answer-correct": "no", "correction_from": "none", "rationale": "So.", "item": item}
        assert adjudicator.post(url_of(queue), sent).status_code == 409
    assert not Verdict.objects.exists()


def test_shows_somebody_else_who_settles_here_and_no_review(client: Client, project: Project, queue: Queue) -> None:
    item = dispute(queue)
    client.force_login(factories.a_member(project, Role.REVIEWER))
    page = text(client.get(url_of(queue)))
    assert "lead@example.org and every admin" in page
    assert "Late, not lost." not in page
    sent = {"answer-correct": "no", "correction_from": "none", "rationale": "So.", "item": item.pk}
    assert client.post(url_of(queue), sent).status_code == 403


def test_a_stranger_finds_nothing(client: Client, queue: Queue) -> None:
    dispute(queue)
    client.force_login(factories.a_member(factories.a_project(), Role.ADMIN))
    assert client.get(url_of(queue)).status_code == 404
    assert client.post(url_of(queue), {"rationale": "x"}).status_code == 404


def test_script_in_any_text_stays_text(adjudicator: Client, project: Project, queue: Queue) -> None:
    bad = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    desk.filled(queue, bad, prompt=factories.a_prompt(project), said=bad)
    desk.reviewed(queue, desk.a_reviewer(project), YES, comment=bad)
    desk.reviewed(queue, desk.a_reviewer(project), {**NO, "why": bad}, correction=bad, comment=bad)
    page = text(adjudicator.get(url_of(queue)))
    assert "<script>alert" not in page
    assert "<img" not in page


def test_costs_the_same_at_any_size(adjudicator: Client, queue: Queue) -> None:
    costs = []
    for number in range(4):
        dispute(queue, f"Number {number}?")
        adjudicator.get(url_of(queue))
        with desk.statements() as found:
            adjudicator.get(url_of(queue))
        costs.append(len(found))
    assert len(set(costs)) == 1
