"""The room by HTTP."""

import json
import uuid
from typing import Any

import pytest
from django.test import Client

from projects.models import Project, Role
from reviews.models import Claim, Item, Match, Queue, Review, Rubric, SamplingRule, Skip, Verdict
from tests import factories
from tests.reviews import desk

pytestmark = pytest.mark.django_db

RUBRIC = {
    "name": "intent",
    "questions": [
        {"key": "correct", "type": "yes_no", "text": "Is the intent right?", "required": True},
        {"key": "right", "type": "correction", "show_if": {"question": "correct", "is": "no"}},
    ],
    "quality": {"question": "correct", "map": {"yes": 1, "no": 0}},
}
QUEUE = {"name": "intents", "rubric": "intent"}


class Caller:
    """Somebody with a key."""

    def __init__(self, project: Project, *scopes: str, role: str | None = None) -> None:
        self.user = factories.a_member(project, role) if role else None
        self.headers = factories.bearer(factories.a_key(project, *scopes, user=self.user))
        self.client = Client()

    def get(self, path: str) -> Any:
        return self.client.get(f"/api/v1/{path}", headers=self.headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        sent = "" if body is None else json.dumps(body)
        return self.client.post(
            f"/api/v1/{path}", sent, content_type="application/json", headers={**self.headers, **headers}
        )


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def engineer(project: Project) -> Caller:
    return Caller(project)


@pytest.fixture
def reviewer(project: Project) -> Caller:
    return Caller(project, "review", role=Role.REVIEWER)


@pytest.fixture
def queue(project: Project, engineer: Caller) -> Queue:
    assert engineer.post("rubrics", RUBRIC).status_code == 201
    assert engineer.post("queues", QUEUE).status_code == 201
    return Queue.objects.get(name="intents", project=project)


def review_of(item: dict[str, Any], **said: Any) -> dict[str, Any]:
    return {
        "lease": item["lease"],
        "rubric_version": item["rubric_version"],
        "answers": {"correct": "yes"},
        **said,
    }


class TestSetUp:
    def test_walks_from_rubric_to_rule(self, engineer: Caller, project: Project) -> None:
        prompt = factories.a_prompt(project)
        made = engineer.post("rubrics", RUBRIC)
        assert (made.status_code, made.json()["version"]) == (201, 1)
        assert engineer.post("rubrics", RUBRIC).status_code == 200
        wanted = {
            **QUEUE,
            "overlap": 2,
            "lease_minutes": 5,
            "adjudicators": [factories.a_member(project).email],
        }
        queue = engineer.post("queues", wanted)
        assert queue.status_code == 201
        assert wanted.items() <= queue.json().items()
        assert queue.json()["rubric_version"] == 1
        again = engineer.post("queues", wanted)
        assert (again.status_code, again.json()) == (200, queue.json())
        rule = {"kind": "probability", "rate": 0.25, "filter": {"prompt": prompt.name}}
        kept = engineer.post("queues/intents/rules", rule)
        assert kept.status_code == 201
        assert rule.items() <= kept.json().items()
        assert "salt" not in kept.json()
        assert engineer.post("queues/intents/rules", rule).json() == kept.json()
        for path in ("rubrics", "rubrics?name=intent", "queues", "queues/intents/rules"):
            assert len(engineer.get(path).json()["results"]) == 1, path
        assert engineer.get("rubrics?name=other").json()["results"] == []

    def test_counts_the_items_of_a_queue(self, engineer: Caller, reviewer: Caller, queue: Queue) -> None:
        desk.filled(queue, "one", "two")
        item = reviewer.post("queues/intents/next").json()
        reviewer.post(f"items/{item['id']}/review", review_of(item))
        found = engineer.get("queues/intents").json()
        assert found["counters"] == {"open": 1, "disputed": 0, "settled": 1, "mine": 0}
        assert found["name"] == "intents"

    def test_adds_outputs_by_hand(self, engineer: Caller, project: Project, queue: Queue) -> None:
        output = factories.an_output(project)
        sent = {"outputs": [output.external_id, "never"]}
        added = engineer.post("queues/intents/items", sent)
        assert added.status_code == 201
        assert (added.json()["added"], added.json()["duplicates"]) == (1, 0)
        assert [row["index"] for row in added.json()["rejected"]] == [1]
        assert engineer.post("queues/intents/items", sent).json()["duplicates"] == 1
        refused = engineer.post("queues/intents/items", {"outputs": ["never"]})
        assert refused.status_code == 400
        assert refused.json()["rejected"][0]["errors"][0]["field"] == "outputs"
        assert not Match.objects.exists()

    @pytest.mark.parametrize(
        ("path", "body", "field"),
        [
            ("rubrics", {**RUBRIC, "name": "a/b"}, "name"),
            ("rubrics", {**RUBRIC, "name": ""}, "name"),
            ("rubrics", {**RUBRIC, "name": "x\n"}, "name"),
            ("rubrics", {**RUBRIC, "name": 7}, "name"),
            ("rubrics", {**RUBRIC, "questions": {}}, "questions"),
            ("rubrics", {**RUBRIC, "quality": []}, "quality"),
            ("rubrics", {**RUBRIC, "quality": {"question": "correct", "map": []}}, "quality.map"),
            ("rubrics", {**RUBRIC, "colour": 1}, "colour"),
            (
                "rubrics",
                {**RUBRIC, "questions": [{"key": "correct", "type": "pairwise"}]},
                "questions[0].type",
            ),
            ("queues", {**QUEUE, "rubric": "nobody"}, "rubric"),
            ("queues", {**QUEUE, "overlap": 0}, "overlap"),
            ("queues", {**QUEUE, "overlap": "2"}, "overlap"),
            ("queues", {**QUEUE, "overlap": 10**30}, "overlap"),
            ("queues", {**QUEUE, "lease_minutes": 1.5}, "lease_minutes"),
            ("queues", {**QUEUE, "adjudicators": ["nobody@example.org"]}, "adjudicators[0]"),
            ("queues", {**QUEUE, "adjudicators": "a@example.org"}, "adjudicators"),
            ("queues/intents/items", {}, "body"),
            ("queues/intents/items", {"outputs": []}, "outputs"),
            ("queues/intents/items", {"outputs": [1]}, "outputs[0]"),
            ("queues/intents/items", {"outputs": ["x" * 201]}, "outputs[0]"),
            ("queues/intents/rules", {"rate": 0}, "rate"),
            ("queues/intents/rules", {"rate": 1.1}, "rate"),
            ("queues/intents/rules", {"rate": True}, "rate"),
            ("queues/intents/rules", {"rate": 0.5, "kind": "purposive"}, "kind"),
            ("queues/intents/rules", {"rate": 0.5, "filter": []}, "filter"),
            ("queues/intents/rules", {"rate": 0.5, "filter": {"project": 1}}, "filter.project"),
            ("queues/intents/next", {"skip": 1}, "skip"),
        ],
    )
    def test_refuses_bad_input_and_names_the_field(self, engineer, queue, path: str, body: Any, field: str) -> None:
        before = [model.objects.count() for model in (Rubric, Queue, Item, SamplingRule)]
        answer = engineer.post(path, body)
        assert answer.status_code == 400
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert field in {error["field"] for error in answer.json()["errors"]}
        assert [model.objects.count() for model in (Rubric, Queue, Item, SamplingRule)] == before


class TestDesk:
    def test_walks_from_item_to_verdict(self, engineer, reviewer, project: Project, queue: Queue) -> None:
        (output,) = desk.filled(queue, "Where is it?", prompt=factories.a_prompt(project))
        given = reviewer.post("queues/intents/next")
        assert given.status_code == 200
        item = given.json()
        assert set(item) == {"id", "queue", "lease", "lease_until", "rubric_version", "rubric", "outputs"}
        assert (item["queue"], item["rubric_version"]) == ("intents", 1)
        assert item["rubric"]["questions"][0]["key"] == "correct"
        shown = item["outputs"][0]
        assert shown["id"] == output.external_id
        assert (shown["input"], shown["output"], shown["prompt"]) == ("Where is it?", "refund", "intent")
        body = review_of(item, answers={"correct": "no"}, correction="delivery", tags=["odd"], comment="hm")
        kept = reviewer.post(f"items/{item['id']}/review", body)
        assert kept.status_code == 201
        assert set(kept.json()) == {
            "id",
            "item",
            "rubric_version",
            "answers",
            "correction",
            "tags",
            "comment",
            "at",
        }
        again = reviewer.post(f"items/{item['id']}/review", body)
        assert (again.status_code, again.json()) == (201, kept.json())
        assert reviewer.post("queues/intents/next").status_code == 204
        (verdict,) = engineer.get("verdicts").json()["results"]
        assert (
            verdict
            | {
                "item": item["id"],
                "queue": "intents",
                "output": output.external_id,
                "prompt": "intent",
                "answers": {"correct": "no"},
                "quality": 0.0,
                "correction": "delivery",
                "settled_by": "agreement",
                "by": reviewer.user.email,
            }
            == verdict
        )
        assert verdict["part"] in ("gate", "dev", "teach")

    def test_says_nothing_of_other_reviews(self, engineer, reviewer, project, queue: Queue) -> None:
        engineer.post("queues", {**QUEUE, "overlap": 2})
        desk.filled(Queue.objects.get(), "one")
        other = Caller(project, "review", role=Role.REVIEWER)
        item = other.post("queues/intents/next").json()
        other.post(f"items/{item['id']}/review", review_of(item, comment="my secret view"))
        assert "secret" not in reviewer.post("queues/intents/next").content.decode()

    @pytest.mark.parametrize(
        ("change", "status", "field"),
        [
            ({"lease": "mine"}, 400, "lease"),
            ({"lease": None}, 400, "lease"),
            ({"answers": []}, 400, "answers"),
            ({"answers": {"correct": "perhaps"}}, 400, "answers.correct"),
            ({"answers": {"colour": "red", "correct": "yes"}}, 400, "answers.colour"),
            ({"answers": {}}, 400, "answers.correct"),
            ({"correction": 7}, 400, "correction"),
            ({"correction": "x"}, 400, "answers.right"),
            ({"tags": "x"}, 400, "tags"),
            ({"tags": [1]}, 400, "tags[0]"),
            ({"comment": None}, 400, "comment"),
            ({"rubric_version": "1"}, 400, "rubric_version"),
            ({"rubric_version": 2}, 409, None),
            ({"lease": str(uuid.uuid4())}, 409, None),
            ({"reviewer": "key:other"}, 400, "reviewer"),
        ],
    )
    def test_refuses_a_bad_review(self, reviewer, queue: Queue, change, status: int, field: str | None) -> None:
        desk.filled(queue, "one")
        item = reviewer.post("queues/intents/next").json()
        answer = reviewer.post(f"items/{item['id']}/review", {**review_of(item), **change})
        assert answer.status_code == status
        if field is not None:
            assert field in {error["field"] for error in answer.json()["errors"]}
        assert not Review.objects.exists()
        assert Claim.objects.count() == 1

    def test_keeps_what_was_sent_byte_for_byte(self, engineer, reviewer, queue: Queue) -> None:
        desk.filled(queue, "one")
        item = reviewer.post("queues/intents/next").json()
        odd = "  \u202eevil\u200b\ufeff 'x' <script> é e\u0301 \n"
        body = review_of(item, answers={"correct": "no"}, correction=odd, comment=odd)
        kept = reviewer.post(f"items/{item['id']}/review", body).json()
        assert (kept["correction"], kept["comment"]) == (odd, odd)
        assert engineer.get("verdicts").json()["results"][0]["correction"] == odd

    def test_answers_a_repeated_idempotency_key_byte_for_byte(self, reviewer, queue: Queue) -> None:
        desk.filled(queue, "one", "two")
        key = {"Idempotency-Key": "once"}
        given = [reviewer.post("queues/intents/next", **key) for _ in range(2)]
        assert given[0].content == given[1].content
        item = given[0].json()
        kept = [
            reviewer.post(f"items/{item['id']}/review", review_of(item), **{"Idempotency-Key": "two"}) for _ in "ab"
        ]
        assert kept[0].content == kept[1].content
        assert Review.objects.count() == 1

    def test_skips_and_releases(self, reviewer, queue: Queue) -> None:
        desk.filled(queue, "one", "two")
        first = reviewer.post("queues/intents/next").json()
        assert reviewer.post(f"items/{first['id']}/release", {"reason": "lunch"}).status_code == 200
        assert reviewer.post(f"items/{first['id']}/release").status_code == 200
        assert not Claim.objects.exists()
        skipped = [reviewer.post(f"items/{first['id']}/skip", {"reason": "mine"}) for _ in range(2)]
        assert skipped[0].status_code == 200
        assert skipped[0].json() == skipped[1].json()
        assert reviewer.post("queues/intents/next").json()["id"] != first["id"]
        assert reviewer.post(f"items/{first['id']}/skip", {}).status_code == 400
        assert Skip.objects.count() == 1

    def test_costs_at_most_six_and_ten_statements(self, reviewer, project, queue: Queue) -> None:
        desk.filled(queue, "one", prompt=factories.a_prompt(project))
        with desk.statements() as asked:
            item = reviewer.post("queues/intents/next").json()
        with desk.statements() as handed_in:
            assert reviewer.post(f"items/{item['id']}/review", review_of(item)).status_code == 201
        assert Verdict.objects.count() == 1
        assert len(asked) == 6
        assert len(handed_in) == 10


class TestVerdict:
    def test_is_given_by_an_adjudicator_with_a_rationale(self, engineer, reviewer, project, queue: Queue) -> None:
        engineer.post("queues", {**QUEUE, "adjudicators": [reviewer.user.email]})
        desk.filled(queue, "one")
        item = Item.objects.get()
        body = {"answers": {"correct": "no"}, "correction": "delivery", "rationale": "late"}
        for rationale in ("", "  ", None, 7):
            assert reviewer.post(f"items/{item.pk}/verdict", {**body, "rationale": rationale}).status_code == 400
        other = Caller(project, "review", role=Role.REVIEWER)
        assert other.post(f"items/{item.pk}/verdict", body).status_code == 403
        given = [reviewer.post(f"items/{item.pk}/verdict", body) for _ in range(2)]
        assert given[0].status_code == 201
        assert given[0].json() == given[1].json()
        assert given[0].json()["rationale"] == "late"
        assert Verdict.objects.count() == 1

    def test_is_listed_by_what_is_asked_for(self, engineer, reviewer, project, queue: Queue) -> None:
        prompt = factories.a_prompt(project)
        desk.filled(queue, "Where is it?", prompt=prompt)
        desk.filled(queue, "What does it cost?")
        for _ in range(2):
            item = reviewer.post("queues/intents/next").json()
            reviewer.post(f"items/{item['id']}/review", review_of(item))
        first, second = Verdict.objects.order_by("pk")

        def found(query: str) -> list[int]:
            return [row["id"] for row in engineer.get(f"verdicts?{query}").json()["results"]]

        assert found("") == [second.pk, first.pk]
        assert found("prompt=intent") == [first.pk]
        assert found("queue=intents") == [second.pk, first.pk]
        assert found(f"since={second.settled_at:%Y-%m-%dT%H:%M:%S.%fZ}") == [second.pk]
        assert found("since=2100-01-01T00:00:00Z") == []
        for part in ("gate", "dev", "teach"):
            assert found(f"part={part}") == [one.pk for one in (second, first) if one.part == part]

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("since=yesterday", 400),
            ("part=exam", 400),
            ("queue=other", 404),
            ("prompt=other", 404),
            ("item__queue__project=1", 400),
            ("limit=0", 400),
        ],
    )
    def test_list_refuses_what_it_does_not_know(self, engineer, query: str, status: int) -> None:
        assert engineer.get(f"verdicts?{query}").status_code == status

    def test_list_costs_the_same_however_long(self, engineer, project, queue: Queue) -> None:
        reviewer = desk.a_reviewer(project)
        counts = []
        for n in (1, 5):
            desk.filled(queue, *[f"Text {n} {number}" for number in range(n)])
            for _ in range(n):
                desk.reviewed(queue, reviewer)
            with desk.statements() as found:
                assert engineer.get("verdicts").status_code == 200
            counts.append(len(found))
        assert counts[0] == counts[1]


ROUTES = [
    ("GET", "rubrics", "read"),
    ("POST", "rubrics", "evaluate"),
    ("GET", "queues", "read"),
    ("POST", "queues", "evaluate"),
    ("GET", "queues/intents", "read"),
    ("POST", "queues/intents/items", "evaluate"),
    ("GET", "queues/intents/rules", "read"),
    ("POST", "queues/intents/rules", "evaluate"),
    ("POST", "queues/intents/next", "review"),
    ("POST", "items/{item}/review", "review"),
    ("POST", "items/{item}/skip", "review"),
    ("POST", "items/{item}/release", "review"),
    ("POST", "items/{item}/verdict", "review"),
    ("GET", "verdicts", "read"),
]
BODIES = {
    "items": {"outputs": ["x"]},
    "rules": {"rate": 0.5},
    "review": {"lease": str(uuid.uuid4()), "rubric_version": 1, "answers": {"correct": "yes"}},
    "skip": {"reason": "x"},
    "verdict": {"answers": {"correct": "yes"}, "rationale": "x"},
}


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
class TestRights:
    def call(self, caller: Caller, method: str, path: str, item: int) -> Any:
        address = path.format(item=item)
        if method == "GET":
            return caller.get(address)
        return caller.post(address, BODIES.get(path.rsplit("/", 1)[-1], {}))

    def test_need_their_scope(self, project, queue, method: str, path: str, scope: str) -> None:
        desk.filled(queue, "one")
        item = Item.objects.get().pk
        others = sorted({"ingest", "read", "evaluate", "review", "release", "admin"} - {scope})
        assert self.call(Caller(project, *others), method, path, item).status_code == 403
        assert self.call(Caller(project, scope), method, path, item).status_code != 403 or path.endswith("verdict")
        assert Client().generic(method, f"/api/v1/{path.format(item=item)}").status_code == 401

    def test_show_a_stranger_nothing(self, project, queue, method: str, path: str, scope: str) -> None:
        desk.filled(queue, "one")
        item = Item.objects.get().pk
        stranger = Caller(factories.a_project())
        foreign, unknown = (self.call(stranger, method, path, pk) for pk in (item, 987654321))
        if "/" in path:
            assert foreign.status_code == unknown.status_code == 404
            assert foreign.content == unknown.content
        elif method == "GET":
            assert foreign.json()["results"] == []
        assert Item.objects.count() == 1
        assert not any(model.objects.exists() for model in (Claim, Review, Skip, Verdict, SamplingRule))


def test_ids_beyond_the_range_of_the_database_are_unknown(reviewer: Caller) -> None:
    assert reviewer.post(f"items/{2**70}/skip", {"reason": "x"}).status_code == 404


def test_a_key_without_a_person_reviews_under_its_own_name(project: Project, queue: Queue) -> None:
    desk.filled(queue, "one")
    key = Caller(project, "review")
    item = key.post("queues/intents/next").json()
    key.post(f"items/{item['id']}/review", review_of(item))
    assert Review.objects.get().reviewer.startswith("key:")
    assert Verdict.objects.get().by == Review.objects.get().reviewer
