"""Agreement and aggregation of a queue, by HTTP and on its page."""

import csv
import datetime as dt
import json
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client

from core import clock
from projects.access import Actor
from projects.models import Project, Role
from reviews import agreement, answer_queries, dawid_skene
from reviews.agreement import Answers, Level
from reviews.models import Item, Queue, Review
from reviews.services import adjudication
from tests import factories
from tests.reviews import desk

pytestmark = pytest.mark.django_db

MORE = (
    {"key": "tone", "type": "scale", "range": [1, 5]},
    {"key": "minutes", "type": "number"},
    {"key": "why", "type": "text"},
)


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def manager(project: Project) -> Client:
    """Reads, and reviews nothing."""
    return signed_in(project, Role.MANAGER)


def signed_in(project: Project, role: str) -> Client:
    client = Client()
    client.force_login(factories.a_member(project, role))
    return client


def a_queue(project: Project, *, overlap: int = 2) -> Queue:
    return desk.a_queue(project, rubric=desk.a_rubric(project, "", *MORE), overlap=overlap)


def judged(queue: Queue, *said: str, by: list[Actor] | None = None) -> list[Actor]:
    """One item for each text: a letter per reviewer, y and n in their order; a full stop is nobody."""
    people = by or [desk.a_reviewer(queue.project) for _ in range(max(map(len, said)))]
    desk.filled(queue, *(f"Number {uuid.uuid4()}?" for _ in said))
    items = list(queue.items.order_by("-pk")[: len(said)])[::-1]
    for item, letters in zip(items, said, strict=True):
        for person, letter in zip(people, letters, strict=False):
            if letter != ".":
                answered(item, person, {"correct": {"y": "yes", "n": "no"}[letter]})
    return people


def answered(item: Item, by: Actor, answers: dict[str, Any], **also: Any) -> Review:
    """A review as it is stored, without a walk through the desk."""
    given = {"reviewer": by.identity, "user": by.user, "at": clock.now(), "claim_token": uuid.uuid4(), **also}
    return Review.objects.create(item=item, answers=answers, **given)


def by_key(project: Project, *scopes: str) -> dict[str, Any]:
    return factories.bearer(factories.a_key(project, *scopes))


class TestAgreement:
    def test_of_two_people_is_cohens(self, project: Project) -> None:
        queue = a_queue(project)
        judged(queue, *["yy"] * 20, *["yn"] * 5, *["ny"] * 10, *["nn"] * 15, "y.")
        found = answer_queries.agreement_of(queue)["correct"]
        assert (found.measured, found.kappa.n, found.raw.value) == (Level.NOMINAL, 50, pytest.approx(0.7))
        assert found.kappa.value == pytest.approx(0.4)
        assert found.kappa.method.startswith("Cohen's κ, unweighted")
        assert found.alpha.value == pytest.approx(1 - 99 * 30 / (100**2 - 55**2 - 45**2))

    def test_of_more_people_is_that_of_fleiss_where_it_is_defined(self, project: Project) -> None:
        queue = a_queue(project, overlap=3)
        people = judged(queue, "yyy", "ynn", "nnn", "yyn")
        even = answer_queries.agreement_of(queue)["correct"].kappa
        assert even.value == pytest.approx(1 / 3)
        assert even.method.startswith("Fleiss' κ")
        judged(queue, "yy.", by=people)
        uneven = answer_queries.agreement_of(queue)["correct"]
        assert (uneven.kappa.value, uneven.alpha.n) == (None, 5)
        assert "same number" in str(uneven.kappa.reason)

    def test_two_people_to_an_item_are_not_one_pair_of_raters(self, project: Project) -> None:
        queue = a_queue(project)
        judged(queue, "yy", "nn", "yn")
        judged(queue, "yy")
        assert answer_queries.agreement_of(queue)["correct"].kappa.method.startswith("Fleiss' κ")

    def test_compares_each_question_by_its_kind(self, project: Project) -> None:
        queue = a_queue(project)
        first, second = judged(queue, *["yy"] * 4)
        steps = [(1, 2), (3, 3), (5, 4), (2, 2)]
        for item, pair in zip(queue.items.order_by("pk"), steps, strict=True):
            for person, step in zip((first, second), pair, strict=True):
                review = item.reviews.get(reviewer=person.identity)
                review.answers = {**review.answers, "tone": step, "minutes": step / 2, "why": "because"}
                review.save()
        found = answer_queries.agreement_of(queue)
        assert [one.measured for one in found.values()] == [Level.NOMINAL, Level.ORDINAL, Level.INTERVAL, None]
        assert found["correct"].alpha.reason == agreement.NO_VARIANCE
        first_said, second_said = zip(*steps, strict=True)
        assert found["tone"].kappa == agreement.cohen_kappa(first_said, second_said, weights="quadratic")
        of_numbers = agreement.krippendorff_alpha(Answers.of_rows(steps, [1] * 4), Level.INTERVAL)
        assert found["minutes"].alpha.value == pytest.approx(of_numbers.value)
        assert found["minutes"].kappa.value is None
        assert found["why"].raw.reason == "answers of type text are not compared"

    def test_counts_what_stands_and_of_repeats_the_last(self, project: Project) -> None:
        queue = a_queue(project)
        judged(queue, *["yy"] * 3, *["nn"] * 3)
        item = queue.items.latest("pk")
        item.reviews.filter(pk=item.reviews.latest("pk").pk).update(withdrawn_at=clock.now())
        for attempt, answer in enumerate(("no", "no", "yes"), start=1):
            also = {"reviewer": "elsewhere:ann", "user": None, "made_elsewhere": True, "attempt": attempt}
            answered(item, desk.a_reviewer(project), {"correct": answer}, **also)
        raw = answer_queries.agreement_of(queue)["correct"].raw
        assert (raw.n, raw.value) == (6, pytest.approx(5 / 6))

    def test_leaves_out_versions_that_asked_something_else(self, project: Project) -> None:
        queue = a_queue(project)
        judged(queue, "yn", "yy")
        other = desk.a_rubric(project, queue.rubric.name, {"key": "tone", "type": "scale", "range": [1, 3]})
        queue.rubric = other
        queue.save()
        judged(queue, "yy", "nn", "yn")
        for item in queue.items.all():
            for review in item.reviews.all():
                review.answers = {**review.answers, "tone": 3}
                review.save()
        found = answer_queries.agreement_of(queue)
        assert (found["correct"].raw.n, found["tone"].raw.n) == (5, 3)

    def test_speaks_of_the_newest_items(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(answer_queries, "NEWEST", 2)
        queue = a_queue(project)
        judged(queue, "yn", "yn", "yy", "y.", "nn")
        raw = answer_queries.agreement_of(queue)["correct"].raw
        assert (raw.n, raw.value) == (2, 1.0)

    def test_by_http_is_figures(self, project: Project) -> None:
        queue = a_queue(project)
        judged(queue, "yy", "nn", "yn")
        answer = Client().get(f"/api/v1/queues/{queue.name}/agreement", headers=by_key(project, "read"))
        assert answer.status_code == 200
        found = answer.json()
        assert set(found) == {"correct", "tone", "minutes", "why"}
        assert set(found["correct"]) == {"raw", "kappa", "alpha", "level"}
        assert found["correct"]["level"] == "nominal"
        assert found["correct"]["raw"] == answer_queries.agreement_of(queue)["correct"].raw.as_dict()
        assert (found["tone"]["alpha"]["value"], found["tone"]["alpha"]["reason"]) == (None, agreement.NO_PAIR)
        assert found["why"]["level"] is None

    def test_costs_two_statements(self, project: Project) -> None:
        queue = a_queue(project)
        judged(queue, "yy", "nn", "yn")
        with desk.statements() as found:
            answer_queries.agreement_of(queue)
        assert len(found) == 2


class TestAggregate:
    @staticmethod
    def ask(project: Project, queue: Queue, *scopes: str, **query: str) -> Any:
        headers = by_key(project, *(scopes or ("read",)))
        return Client().get(f"/api/v1/queues/{queue.name}/aggregate", query, headers=headers)

    def test_by_majority_leaves_ties_undecided(self, project: Project) -> None:
        queue = a_queue(project, overlap=3)
        judged(queue, "yyn", "yn.", "..n")
        found = self.ask(project, queue).json()
        assert [(one["answer"], one["posterior"]) for one in found["items"]] == [
            ("yes", None),
            (None, None),
            ("no", None),
        ]
        outputs = queue.items.order_by("pk").values_list("item_outputs__output__external_id", flat=True)
        assert [one["output_id"] for one in found["items"]] == list(outputs)
        assert {one["confusion"] for one in found["reviewers"]} == {None}

    def test_by_dawid_and_skene_has_posteriors_and_confusions(self, project: Project) -> None:
        queue = a_queue(project, overlap=3)
        ann, bob, cy = judged(queue, *["yyn", "nny"] * 6, "yn.", "y..")
        found = self.ask(project, queue, method="dawid_skene").json()
        assert [one["answer"] for one in found["items"]][:3] == ["yes", "no", "yes"]
        assert all(0.5 < one["posterior"] <= 1 for one in found["items"] if one["answer"])
        matrices = {one["reviewer"]: one["confusion"] for one in found["reviewers"]}
        assert list(matrices) == sorted(person.user.email for person in (ann, bob, cy))
        assert matrices[ann.user.email]["yes"]["yes"] > 0.8
        assert matrices[cy.user.email]["yes"]["yes"] < 0.6
        assert sum(matrices[bob.user.email]["no"].values()) == pytest.approx(1)

    def test_of_a_scale_gives_its_numbers(self, project: Project) -> None:
        queue = a_queue(project)
        desk.filled(queue, "One?")
        for step in (4, 4, 2):
            answered(queue.items.get(), desk.a_reviewer(project), {"correct": "yes", "tone": step})
        found = self.ask(project, queue, question="tone").json()
        assert [one["answer"] for one in found["items"]] == [4]

    def test_says_how_often_a_reviewer_was_right_before_an_adjudicator(self, project: Project) -> None:
        queue = a_queue(project)
        ann, bob = judged(queue, "yn", "yn", "yy")
        lead = factories.an_actor(project)
        said = {"correction": None, "rationale": "It is.", "by": lead, "now": clock.now()}
        for item in queue.items.order_by("pk")[:2]:
            Item.objects.filter(pk=item.pk).update(state=Item.State.DISPUTED)
            adjudication.adjudicate(item_id=item.pk, answers={"correct": "yes"}, **said)
        rows = self.ask(project, queue).json()["reviewers"]
        found = {one["reviewer"]: one["accuracy"] for one in rows}
        assert (found[ann.user.email]["value"], found[ann.user.email]["n"]) == (1.0, 2)
        assert (found[bob.user.email]["value"], found[bob.user.email]["n"]) == (0.0, 2)
        assert 0 < found[ann.user.email]["low"] < 1
        other = a_queue(project)
        judged(other, "yy")
        undefined = self.ask(project, other).json()["reviewers"][0]["accuracy"]
        assert undefined["value"] is None
        assert "adjudicator" in undefined["reason"]

    def test_an_empty_queue_has_nothing(self, project: Project) -> None:
        assert self.ask(project, a_queue(project), method="dawid_skene").json() == {"items": [], "reviewers": []}

    def test_is_narrowed_by_when_items_came_in(self, project: Project) -> None:
        queue = a_queue(project)
        judged(queue, "yy", "nn")
        queue.items.filter(pk=queue.items.earliest("pk").pk).update(created_at=clock.now() - dt.timedelta(days=3))
        day_ago = (clock.now() - dt.timedelta(days=1)).isoformat()
        assert [one["answer"] for one in self.ask(project, queue, since=day_ago).json()["items"]] == ["no"]
        assert [one["answer"] for one in self.ask(project, queue, until=day_ago).json()["items"]] == ["yes"]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"method": "mean"}, "method"),
            ({"question": "why"}, "question"),
            ({"question": "nothing"}, "question"),
            ({"since": "soon"}, "since"),
            ({"metod": "majority"}, "metod"),
        ],
    )
    def test_names_what_is_wrong(self, project: Project, query: dict[str, str], field: str) -> None:
        answer = self.ask(project, a_queue(project), **query)
        assert answer.status_code == 400
        assert [error["field"] for error in answer.json()["errors"]] == [field]

    def test_refuses_what_nobody_would_wait_for(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        queue = a_queue(project)
        judged(queue, "yy", "nn")
        for name, most in (("MOST_ANSWERS", 3), ("MOST_CELLS", 7), ("MOST_SHOWN", 7)):
            with monkeypatch.context() as limit:
                limit.setattr(answer_queries, name, most)
                answer = self.ask(project, queue, method="dawid_skene")
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "since")

    def test_costs_the_same_at_any_size(self, project: Project) -> None:
        queue = a_queue(project)
        asked = answer_queries.Asked(is_whole=True)
        spent = []
        for _ in range(2):
            judged(queue, "yy", "nn", "yn")
            with desk.statements() as found:
                answer_queries.aggregate(queue, method="dawid_skene", asked=asked)
            spent.append(len(found))
        assert spent == [4, 4]


class TestMadeElsewhere:
    def test_a_crowds_labels_come_to_what_is_known_of_them(self, project: Project, real_data: Path) -> None:
        folder = real_data / "crowd_labels" / "bluebird"
        labels, truth = (
            list(csv.reader((folder / f"{name}.csv").read_text().splitlines()))[1:] for name in ("label", "truth")
        )
        queue = a_queue(project)
        outputs = [factories.an_output(project, text=f"Picture {item}?").external_id for item, _ in truth]
        rows = [
            {
                "output_id": outputs[int(item)],
                "reviewer": worker,
                "answers": {"correct": "yes" if label == "1" else "no"},
                "at": "2026-01-31T12:00:00Z",
            }
            for item, worker, label in labels
        ]
        key = by_key(project)
        url = f"/api/v1/queues/{queue.name}/reviews/import"
        answer = Client().post(url, json.dumps(rows), content_type="application/json", headers=key)
        assert answer.json()["added"] == len(labels)
        found = Client().get(f"/api/v1/queues/{queue.name}/agreement", headers=key).json()["correct"]
        assert (found["alpha"]["value"], found["alpha"]["n"]) == (pytest.approx(0.1255, abs=5e-5), 108)
        right = {outputs[int(item)]: "yes" if label == "1" else "no" for item, label in truth}
        for method, share in (("majority", 0.7593), ("dawid_skene", 0.8981)):
            items = TestAggregate.ask(project, queue, "read", method=method).json()["items"]
            assert np.mean([one["answer"] == right[one["output_id"]] for one in items]) == pytest.approx(
                share, abs=5e-5
            )


class TestBlindness:
    def test_who_may_review_learns_of_settled_items_alone(self, project: Project) -> None:
        queue = a_queue(project)
        judged(queue, "y", "nn", "yy")
        first, _, last = queue.items.order_by("pk")
        Item.objects.filter(pk=last.pk).update(state=Item.State.SETTLED)
        engineer = factories.a_member(project, Role.ENGINEER)
        for path, n_seen in (("read", 3), ("read review", 1), ("read admin review", 3)):
            found = TestAggregate.ask(project, queue, *path.split(), method="dawid_skene").json()
            assert len(found["items"]) == n_seen
        key = factories.bearer(factories.a_key(project, "read", user=engineer))
        url = f"/api/v1/queues/{queue.name}/aggregate?method=dawid_skene"
        seen = Client().get(url, headers=key).json()
        assert [one["answer"] for one in seen["items"]] == ["yes"]
        first.reviews.update(answers={"correct": "no"})
        assert Client().get(url, headers=key).json() == seen

    def test_those_who_only_review_see_neither(self, project: Project) -> None:
        queue = a_queue(project)
        judged(queue, "yy", "nn", "yn")
        key = by_key(project, "review")
        for path in ("agreement", "aggregate"):
            assert Client().get(f"/api/v1/queues/{queue.name}/{path}", headers=key).status_code == 403
        page = signed_in(project, Role.REVIEWER).get(f"/{project.slug}/queues/{queue.name}/")
        assert page.status_code == 200
        assert "reviewers agree" not in page.content.decode()

    def test_a_stranger_finds_nothing(self, project: Project) -> None:
        queue = a_queue(project)
        key = by_key(factories.a_project(), "read")
        for path in ("agreement", "aggregate"):
            assert Client().get(f"/api/v1/queues/{queue.name}/{path}", headers=key).status_code == 404
            assert Client().get(f"/api/v1/queues/%00/{path}", headers=key).status_code == 404


class TestPage:
    def test_shows_each_question_and_says_what_is_undefined(self, manager: Client, project: Project) -> None:
        queue = a_queue(project)
        judged(queue, *["yy"] * 20, *["yn"] * 5, *["ny"] * 10, *["nn"] * 15)
        text = " ".join(manager.get(f"/{project.slug}/queues/{queue.name}/").content.decode().split())
        assert "<strong>0.40</strong>" in text
        assert "n 50 · Cohen&#x27;s κ, unweighted; bootstrap over items" in text
        assert "Undefined: needs at least two reviewers on the same item." in text
        assert "Undefined: answers of type text are not compared." in text
        assert "nan" not in text.lower().replace("nano", "")

    def test_says_that_nothing_can_be_compared(self, manager: Client, project: Project) -> None:
        queue = a_queue(project, overlap=1)
        judged(queue, "y")
        text = manager.get(f"/{project.slug}/queues/{queue.name}/").content.decode()
        assert "Nothing to compare" in text
        assert "a greater overlap" in text


class TestSpeed:
    def test_alpha_of_123_raters_and_350_items_takes_less_than_2_s(self) -> None:
        rng = np.random.default_rng(1)
        rated = np.clip(rng.integers(1, 6, (350, 1)) + rng.integers(-1, 2, (350, 123)), 1, 5)
        begun = time.perf_counter()
        for measured in Level:
            agreement.krippendorff_alpha(Answers.of_rows(rated.tolist(), [1] * 350), measured)
        assert time.perf_counter() - begun < 2

    def test_dawid_skene_of_90_000_answers_takes_less_than_20_s(self) -> None:
        rng = np.random.default_rng(2)
        item, reviewer = rng.integers(0, 30_000, 90_000), rng.integers(0, 300, 90_000)
        truth = rng.integers(0, 5, 30_000)
        said = np.where(rng.random(90_000) < 0.8, truth[item], rng.integers(0, 5, 90_000))
        begun = time.perf_counter()
        answers = dawid_skene.Answers.of(item.tolist(), reviewer.tolist(), said.tolist(), range(5))
        fitted = dawid_skene.fit(answers)
        assert time.perf_counter() - begun < 20
        assert np.mean(truth[answers.items] == fitted.posterior.argmax(axis=1)) > 0.85
