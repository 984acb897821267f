"""The reviewer's pages: the way through a queue, with and without the script."""

import datetime as dt
import html
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from core import clock
from outputs.models import OutputBody
from projects.models import Project, Role, User
from reviews.models import Claim, Draft, Item, Queue, Review, Verdict
from reviews.services import items
from tests import factories
from tests.reviews import desk

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
LATER = dt.timedelta(minutes=16)


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def reviewer(project: Project) -> User:
    return factories.a_member(project, Role.REVIEWER)


@pytest.fixture
def queue(project: Project) -> Queue:
    queue = desk.a_queue(project)
    desk.filled(queue, "Where is my order?", "What does it cost?", "Who are you?")
    return queue


@pytest.fixture
def client(reviewer: User) -> Client:
    client = Client()
    client.force_login(reviewer)
    return client


class Desk:
    """One reviewer before a queue."""

    def __init__(self, client: Client, queue: Queue) -> None:
        self.client, self.queue, self.slug = client, queue, queue.project.slug

    def url(self, name: str, *path: Any) -> str:
        return reverse(f"reviews:review-{name}", args=[self.slug, self.queue.name, *path])

    def post(self, name: str, *path: Any, data: Any = None, **options: Any) -> Any:
        return self.client.post(self.url(name, *path), data or {}, **options)

    def begin(self) -> int:
        """The item that Start leads to."""
        answer = self.post("next")
        assert answer.status_code == 302
        return int(answer["Location"].rstrip("/").rpartition("/")[2])

    def page(self, item: int, **options: Any) -> Any:
        return self.client.get(self.url("item", item), **options)

    def filled_in(self, item: int, **said: Any) -> dict[str, Any]:
        """A whole form, as the page sends it."""
        claim = Claim.objects.get(item=item, reviewer=f"user:{self.client.session['_auth_user_id']}")
        return {"lease": str(claim.token), "rubric_version": "1", "answer-correct": "yes", **said}

    def others_waiting(self, *names: str) -> None:
        """More queues of the project, with two items in each."""
        for name in names:
            queue = desk.a_queue(self.queue.project)
            Queue.objects.filter(pk=queue.pk).update(name=name)
            desk.filled(queue, f"{name} one", f"{name} two")


@pytest.fixture
def at(client: Client, queue: Queue) -> Desk:
    return Desk(client, queue)


class TestReviewHome:
    def test_says_what_waits_in_each_queue_and_how_to_start(self, at) -> None:
        page = at.client.get(reverse("reviews:review-home", args=[at.slug]))
        text = page.content.decode()
        assert page.status_code == 200
        assert at.queue.name in text
        assert "<strong>3</strong> wait for you" in text
        assert at.url("next") in text

    def test_counts_down_as_items_are_done(self, at) -> None:
        at.post("submit", (item := at.begin()), data=at.filled_in(item))
        text = at.client.get(reverse("reviews:review-home", args=[at.slug])).content.decode()
        assert "<strong>2</strong> wait for you" in text
        assert "1 done today" in text

    def test_gives_the_menu_of_queues_beside_an_item_with_what_waits_in_each(self, at) -> None:
        at.others_waiting("billing")
        home = reverse("reviews:review-home", args=[at.slug])
        text = at.client.get(home, {"here": at.queue.name}, headers=HTMX).content.decode()
        assert "<html" not in text
        assert 'billing <span class="muted">2</span>' in text
        assert f'aria-current="true">{at.queue.name} <span class="muted">3</span>' in text

    def test_says_what_to_do_where_there_is_no_queue(self, client, project) -> None:
        text = client.get(reverse("reviews:review-home", args=[project.slug])).content.decode()
        assert "No queue has been set up yet" in text


class TestReviewItem:
    def test_shows_what_was_asked_and_answered(self, at) -> None:
        item = at.begin()
        text = at.page(item).content.decode()
        assert "Where is my order?" in text
        assert "refund" in text
        assert "Is the intent right?" in text

    def test_is_the_same_404_for_unknown_and_foreign_items(self, at) -> None:
        foreign = desk.a_queue(factories.a_project())
        desk.filled(foreign, "Theirs?")
        theirs = foreign.items.get().pk
        for item in (theirs, 987_654_321):
            assert at.page(item).status_code == 404
            for name in ("submit", "skip", "release", "take", "draft", "heartbeat"):
                assert at.post(name, item, data={"reason": "x"}).status_code == 404

    def test_says_that_an_item_is_not_on_the_desk_and_lets_it_be_taken(self, at) -> None:
        item = at.queue.items.last().pk
        assert b"not on your desk" in at.page(item).content
        assert at.post("take", item)["Location"] == at.url("item", item)
        assert b"Yours until" in at.page(item).content

    def test_shows_what_was_retrieved(self, at, project) -> None:
        output = factories.an_output(project, text="How long?")

        OutputBody.objects.filter(output_id=output.pk).update(
            metadata={"context": [{"title": "Returns policy", "text": "Within 14 days."}, "Plain passage"]}
        )

        items.add_outputs(queue=at.queue, external_ids=[output.external_id])
        item = at.queue.items.last().pk
        at.post("take", item)
        text = at.page(item).content.decode()
        assert "2 passages · Returns policy, Passage 2" in text
        assert "Within 14 days." in text

    def test_links_the_trace_for_those_who_may_read_alone(self, at, project, queue) -> None:
        item = at.begin()
        assert b"Full trace" not in at.page(item).content
        engineer = Client()
        engineer.force_login(factories.a_member(project))
        theirs = Desk(engineer, queue)
        assert b"Full trace" in theirs.page(theirs.begin()).content

    def test_runs_no_script_of_any_text_and_fetches_nothing(self, at, project) -> None:
        evil = "<script>alert(1)</script><img src=x onerror=alert(1)> ![x](//a.example/x) [a](javascript:alert(1))"
        output = factories.an_output(project, text=evil, said=evil)
        OutputBody.objects.filter(output_id=output.pk).update(metadata={"context": [{"title": evil, "text": evil}]})
        items.add_outputs(queue=at.queue, external_ids=[output.external_id])
        item = at.queue.items.last().pk
        at.post("take", item)
        at.post("draft", item, data={"correction": evil, "comment": evil, "tags": evil})
        text = at.page(item).content.decode()
        for sign in ("<script>alert", "<img src", "onerror=alert(1)>", 'href="javascript'):
            assert sign not in text

    @pytest.mark.parametrize(
        "said", ["x " * 100_000, "שלום עולם", "你好，世界", "👩‍👩‍👧‍👦 ok", '{"intent": "refund"}', ""]
    )
    def test_shows_every_kind_of_text(self, at, project, said: str) -> None:

        output = factories.an_output(project, text=said or "?", said=said)
        items.add_outputs(queue=at.queue, external_ids=[output.external_id])
        item = at.queue.items.last().pk
        at.post("take", item)
        answer = at.page(item)
        assert answer.status_code == 200
        assert said[:5].strip().strip("{") in html.unescape(answer.content.decode())


class TestReviewSubmit:
    def test_keeps_the_review_and_leads_to_the_next_item(self, at) -> None:
        item = at.begin()
        answer = at.post("submit", item, data=at.filled_in(item, comment="fine", tags="odd, new"))
        following = at.queue.items.order_by("pk")[1].pk
        assert answer["Location"] == f"{at.url('item', following)}?after={item}"
        review = Review.objects.get()
        assert (review.answers, review.comment, review.tags) == ({"correct": "yes"}, "fine", ["odd", "new"])
        text = at.client.get(answer["Location"]).content.decode()
        assert f"Item {item:,} submitted." in text
        assert text.count(f'action="{at.url("undo")}"') == text.count(f'name="item" value="{item}"') == 2

    def test_leads_to_the_queues_after_the_last_item(self, at) -> None:
        for _ in range(3):
            answer = at.post("submit", (item := at.begin()), data=at.filled_in(item))
        assert answer["Location"].startswith(reverse("reviews:review-home", args=[at.slug]))
        assert (
            f"Nothing in <strong>{at.queue.name}</strong> waits for you"
            in at.client.get(answer["Location"]).content.decode()
        )

    def test_keeps_everything_and_names_the_field_where_an_answer_is_missing(self, at) -> None:
        item = at.begin()
        said = {**at.filled_in(item, correction="Delivery", comment="look"), "answer-correct": ""}
        answer = at.post("submit", item, data=said)
        text = answer.content.decode()
        assert answer.status_code == 422
        assert "is required: Is the intent right?" in text
        assert "Delivery</textarea>" in text
        assert "look</textarea>" in text
        assert not Review.objects.exists()
        assert Draft.objects.get().comment == "look"

    def test_is_the_same_review_when_it_is_sent_twice(self, at) -> None:
        item = at.begin()
        said = at.filled_in(item)
        first, second = (at.post("submit", item, data=said) for _ in range(2))
        assert first["Location"] == second["Location"]
        assert Review.objects.count() == 1

    def test_keeps_what_was_typed_where_somebody_else_took_the_place(self, at, project, queue) -> None:
        item = at.begin()
        said = at.filled_in(item, comment="mine")
        Claim.objects.update(lease_until=clock.now())
        assert desk.next_of(queue, desk.a_reviewer(project)).task.item.pk == item
        answer = at.post("submit", item, data=said)
        assert answer.status_code == 409
        assert b"somebody else has the item" in answer.content
        assert b"mine</textarea>" in answer.content
        page = at.page(item).content
        assert b"Somebody else has this item now" in page
        assert b"mine</textarea>" in page

    def test_says_so_where_the_item_was_settled_meanwhile(self, at, project, queue) -> None:
        item = at.begin()
        said = at.filled_in(item, comment="mine")
        Claim.objects.update(lease_until=clock.now())
        desk.reviewed(queue, desk.a_reviewer(project))
        answer = at.post("submit", item, data=said)
        assert answer.status_code == 409
        assert b"settled" in answer.content
        assert b"needs no more reviews" in at.page(item).content

    def test_gives_the_script_the_next_item_and_its_address(self, at) -> None:
        item = at.begin()
        answer = at.post("submit", item, data=at.filled_in(item), headers=HTMX)
        following = at.queue.items.order_by("pk")[1].pk
        assert answer["HX-Push-Url"] == at.url("item", following)
        assert f'data-item="{following}"'.encode() in answer.content
        assert b"<html" not in answer.content

    def test_leaves_out_the_next_item_where_the_page_shows_it_already(self, at) -> None:
        item = at.begin()
        ahead = at.post("ahead", headers=HTMX)["Ratchet-Item"]
        answer = at.post("submit", item, data=at.filled_in(item, ahead=ahead), headers=HTMX)
        assert answer["Ratchet-Item"] == ahead
        assert b'class="work"' not in answer.content
        assert b'class="rail"' in answer.content

    def test_takes_every_type_of_question(self, client, project) -> None:
        rubric = desk.a_rubric(
            project,
            "all",
            {"key": "kind", "type": "choice", "options": ["a b", "c"]},
            {"key": "tone", "type": "scale", "range": [1, 5]},
            {"key": "share", "type": "number", "range": [0, 1]},
            {"key": "why", "type": "text"},
            {"key": "modes", "type": "tags", "options": ["x", "y"]},
            {"key": "free", "type": "tags"},
            {"key": "right", "type": "correction", "show_if": {"question": "correct", "is": "no"}},
        )
        queue = desk.a_queue(project, rubric=rubric)
        desk.filled(queue, "one")
        at = Desk(client, queue)
        item = at.begin()
        said = {
            "answer-correct": "no", "answer-kind": "a b", "answer-tone": "4", "answer-share": "0.25",
            "answer-why": "so", "answer-modes": ["x", "y"], "answer-free": "p, q", "correction": "delivery",
        }  # fmt: skip
        assert at.post("submit", item, data=at.filled_in(item, **said)).status_code == 302
        review = Review.objects.get()
        assert review.correction == "delivery"
        assert review.answers == {
            "correct": "no", "kind": "a b", "tone": 4, "share": 0.25, "why": "so",
            "modes": ["x", "y"], "free": ["p", "q"],
        }  # fmt: skip


class TestReviewSkip:
    def test_passes_over_the_item_with_its_reason(self, at) -> None:
        item = at.begin()
        answer = at.post("skip", item, data={"reason": "not my language"})
        assert answer["Location"] == at.url("item", at.queue.items.order_by("pk")[1].pk)
        assert b"not my language" in at.page(item).content

    def test_asks_for_a_reason(self, at) -> None:
        item = at.begin()
        assert at.post("skip", item, data={"reason": " "})["Location"] == at.url("item", item)
        assert b"Say why you skip" in at.page(item).content


class TestReviewRelease:
    def test_puts_the_item_back_and_keeps_what_was_typed(self, at) -> None:
        item = at.begin()
        at.post("draft", item, data={"comment": "half"})
        at.post("release", item)
        assert not Claim.objects.exists()
        assert b"half</textarea>" in at.page(item).content

    def test_keeps_what_was_typed_since_the_last_draft(self, at) -> None:
        item = at.begin()
        at.post("draft", item, data={"comment": "half"})
        at.post("release", item, data=at.filled_in(item, comment="half a thought"))
        assert Draft.objects.get().comment == "half a thought"
        assert b"half a thought</textarea>" in at.page(item).content

    def test_is_a_button_of_the_form_of_answers(self, at) -> None:
        text = at.page(at.begin()).content.decode()
        button = next(line for line in text.splitlines() if "Put it back instead" in line)
        assert f'formaction="{at.url("release", at.queue.items.order_by("pk")[0].pk)}" formnovalidate' in button

    def test_waits_where_what_was_typed_does_not_fit(self, at) -> None:
        item = at.begin()
        answer = at.post("release", item, data=at.filled_in(item, comment="x" * 100_001))
        assert answer.status_code == 422
        assert Claim.objects.exists()


class TestReviewNext:
    def test_keeps_what_was_typed_about_the_item_that_is_left(self, at, project, queue) -> None:
        item = at.begin()
        said = at.filled_in(item, comment="mine")
        at.post("draft", item, data=said)
        Claim.objects.update(lease_until=clock.now())
        desk.next_of(queue, desk.a_reviewer(project))
        page = at.page(item).content.decode()
        assert f'name="from" value="{item}" formaction="{at.url("next")}" formnovalidate' in page
        at.post("next", data={**said, "comment": "mine still", "from": str(item)})
        assert Draft.objects.get().comment == "mine still"

    def test_makes_no_draft_of_an_empty_form(self, at) -> None:
        item = at.begin()
        at.post("next", data={"from": str(item), "rubric_version": "1"})
        at.post("next", data={"from": "x"})
        assert not Draft.objects.exists()


class TestReviewTake:
    def test_keeps_what_was_typed(self, at) -> None:
        item = at.begin()
        at.post("draft", item, data={"comment": "mine"})
        at.post("release", item)
        at.post("take", item, data={"rubric_version": "1", "comment": "mine still"})
        assert Draft.objects.get().comment == "mine still"

    def test_tells_nobody_who_reviewed_the_item_what_became_of_it(self, at, project) -> None:
        at.queue = desk.a_queue(project, overlap=2)
        desk.filled(at.queue, "one")
        desk.reviewed(at.queue, desk.a_reviewer(project), desk.NO)
        item = at.begin()
        at.post("submit", item, data=at.filled_in(item))
        for name in ("take", "skip"):
            text = at.client.post(at.url(name, item), {"reason": "x"}, follow=True).content.decode()
            assert "already reviewed this item" in text
            assert "disputed" not in text


class TestReviewDraft:
    def test_comes_back_as_it_was_typed_with_the_reason_where_it_is_refused(self, at) -> None:
        item = at.begin()
        long = "long " * 20_001
        answer = at.post("draft", item, data=at.filled_in(item, correction=long, comment="short"))
        text = answer.content.decode()
        assert answer.status_code == 422
        assert "This is not saved." in text
        assert "has 100005 characters" in text
        assert f"{long}</textarea>" in text
        assert "short</textarea>" in text
        assert 'value="yes" checked' in text

    def test_says_to_the_script_what_is_refused(self, at) -> None:
        item = at.begin()
        answer = at.post("draft", item, data={"comment": "x" * 100_001}, headers=HTMX)
        assert answer.status_code == 422
        assert b"<p data-flaw>comment has 100001 characters" in answer.content

    def test_stands_in_the_rail_until_the_item_is_done(self, at) -> None:
        item = at.begin()
        at.post("submit", item, data=at.filled_in(item))
        Draft.objects.create(item_id=item, reviewer=Review.objects.get().reviewer, saved_at=clock.now())
        assert b"draft, " not in at.page(at.begin()).content

    def test_is_there_again_when_the_page_is_opened(self, at) -> None:
        item = at.begin()
        answer = at.post("draft", item, data={"answer-correct": "no", "correction": "Delivery\r\nnow", "comment": "c"})
        assert answer["Location"] == at.url("item", item)
        text = at.page(item).content.decode()
        assert "Delivery\nnow</textarea>" in text
        assert 'value="no" checked' in text
        assert "Saved " in text
        assert "<ins>" in text

    def test_answers_the_script_with_the_time_and_the_difference(self, at) -> None:
        item = at.begin()
        text = at.post("draft", item, data={"correction": "refund please"}, headers=HTMX).content.decode()
        assert "Saved " in text
        assert "<ins>" in text
        assert "<html" not in text


class TestReviewHeartbeat:
    def test_moves_the_end_of_the_lease(self, at) -> None:
        item = at.begin()
        Claim.objects.update(lease_until=clock.now() + dt.timedelta(seconds=5))
        answer = at.post("heartbeat", item, headers=HTMX)
        assert b'class="lease"' in answer.content
        assert Claim.objects.get().lease_until > clock.now() + dt.timedelta(minutes=14)

    def test_says_that_the_place_is_gone(self, at, project, queue) -> None:
        item = at.begin()
        Claim.objects.update(lease_until=clock.now())
        desk.next_of(queue, desk.a_reviewer(project))
        assert at.post("heartbeat", item, headers=HTMX).status_code == 409


class TestReviewUndo:
    def test_brings_the_last_item_back_with_its_answers(self, at) -> None:
        item = at.begin()
        at.post("submit", item, data=at.filled_in(item, comment="hasty"))
        answer = at.post("undo", data={"item": item, "here": "1"})
        assert answer["Location"] == at.url("item", item)
        text = at.page(item).content.decode()
        assert "hasty</textarea>" in text
        assert "Yours until" in text

    def test_says_why_it_is_too_late(self, at) -> None:
        item = at.begin()
        at.post("submit", item, data=at.filled_in(item))
        Review.objects.update(at=clock.now() - dt.timedelta(minutes=11))
        answer = at.client.post(at.url("undo"), {"item": item}, follow=True)
        assert b"in the last 10 minutes" in answer.content

    def test_twice_is_once(self, at) -> None:
        done = []
        for _ in range(2):
            done.append(at.begin())
            at.post("submit", done[-1], data=at.filled_in(done[-1]))
        answers = [at.post("undo", data={"item": done[1], "here": "1"}) for _ in range(2)]
        assert {answer["Location"] for answer in answers} == {at.url("item", done[1])}
        assert Review.objects.standing().get().item_id == done[0]

    def test_is_offered_on_the_page_of_an_earlier_item_and_concerns_that_one(self, at) -> None:
        done = []
        for _ in range(2):
            done.append(at.begin())
            at.post("submit", done[-1], data=at.filled_in(done[-1]))
        assert "Undo, and answer again" in at.page(done[0]).content.decode()
        at.post("undo", data={"item": done[0], "here": done[0]})
        assert Review.objects.standing().get().item_id == done[1]

    @pytest.mark.parametrize("item", ["", "x", "9" * 30])
    def test_takes_nothing_back_that_is_not_named(self, at, item: str) -> None:
        at.post("submit", (first := at.begin()), data=at.filled_in(first))
        answer = at.client.post(at.url("undo"), {"item": item}, follow=True)
        assert b"Say which item" in answer.content
        assert Review.objects.standing().exists()


class TestWhatOthersSaid:
    def test_stays_hidden_while_the_own_review_can_be_taken_back(self, client, project) -> None:
        queue = desk.a_queue(project, overlap=2)
        desk.filled(queue, "one")
        other = desk.a_reviewer(project)
        desk.reviewed(queue, other, desk.NO, correction="delivery")
        at = Desk(client, queue)
        item = at.begin()
        at.post("submit", item, data=at.filled_in(item))
        text = at.page(item).content.decode()
        assert "can no longer be taken back" in text
        assert "delivery" not in text
        assert "disputed" not in text
        assert "settled" not in text
        Review.objects.update(at=clock.now() - dt.timedelta(minutes=11))
        text = at.page(item).content.decode()
        assert other.user.email in text
        assert "delivery" in text
        assert "The item is disputed" in text


class TestRail:
    def test_counts_its_own_queue_alone(self, at) -> None:
        at.others_waiting("billing", "returns")
        item = at.begin()
        with desk.statements() as found:
            text = at.page(item).content.decode()
        assert "billing" not in text
        counting = [one for one in found if "undone" in one]
        assert len(counting) == 1
        assert f"q.name = '{at.queue.name}'" in counting[0]


class TestCost:
    """Statements of a page; three of them say who asks (session, person, membership), one fills the bar."""

    def test_of_the_pages_is_the_same_at_any_size(self, at, project) -> None:
        def count(url: str) -> int:
            with desk.statements() as found:
                assert at.client.get(url).status_code == 200
            return len(found)

        item = at.begin()
        urls = [reverse("reviews:review-home", args=[at.slug]), at.url("item", item)]
        before = [count(url) for url in urls]
        for number in range(5):
            more = desk.a_queue(project)
            desk.filled(more, *[f"{number} {text}" for text in range(12)])
        desk.filled(at.queue, *[f"more {number}" for number in range(40)])
        assert [count(url) for url in urls] == before
        assert before[1] <= 9

    def test_of_ahead_is_seven_and_of_a_submission_with_the_next_item_twenty_at_most(self, at) -> None:
        item = at.begin()
        with desk.statements() as found:
            ahead = at.post("ahead", headers=HTMX)["Ratchet-Item"]
        assert len(found) <= 7
        said = at.filled_in(item, ahead=ahead)
        with desk.statements() as found:
            at.post("submit", item, data=said, headers=HTMX)
        assert len(found) <= 20


def test_a_rubric_of_hundreds_of_options_is_shown(client, project) -> None:
    rubric = desk.a_rubric(
        project,
        "wide",
        {"key": "many", "type": "choice", "options": [f"option {number}" for number in range(300)]},
        {"key": "long", "type": "scale", "range": [0, 100]},
    )
    queue = desk.a_queue(project, rubric=rubric)
    desk.filled(queue, "one")
    at = Desk(client, queue)
    item = at.begin()
    said = at.filled_in(item, **{"answer-many": "option 7", "answer-long": "55"})
    assert at.page(item).status_code == 200
    assert at.post("submit", item, data=said).status_code == 302
    assert Review.objects.get().answers == {"correct": "yes", "many": "option 7", "long": 55}
    assert Item.objects.get(pk=item).state == Item.State.SETTLED
    assert Verdict.objects.count() == 1
