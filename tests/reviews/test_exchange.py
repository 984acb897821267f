"""What goes out and comes in whole: exports, reviews made elsewhere, precedents."""

import csv
import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from core import clock
from outputs.models import Output
from projects.models import AuditEvent, Project, Role
from reviews import elsewhere, export_queries, precedents
from reviews.export_queries import Sight
from reviews.models import Item, Part, PartSplit, Queue, Review, Verdict
from tests import factories
from tests.reviews import desk
from tests.reviews.test_api import Caller

pytestmark = pytest.mark.django_db

MORE = (
    {"key": "tone", "type": "scale", "range": [-2, 2]},
    {"key": "kinds", "type": "tags", "options": ["late", "lost"]},
    {"key": "why", "type": "text"},
    {"key": "right", "type": "correction", "show_if": {"question": "correct", "is": "no"}},
)
AT = "2026-01-31T12:00:00Z"


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def queue(project: Project) -> Queue:
    return desk.a_queue(project, rubric=desk.a_rubric(project, "", *MORE), overlap=2)


@pytest.fixture
def admin(project: Project) -> Caller:
    return Caller(project)


def row(output: Output | str, reviewer: str = "ann", **said: Any) -> dict[str, Any]:
    external_id = output if isinstance(output, str) else output.external_id
    return {"output_id": external_id, "reviewer": reviewer, "answers": {"correct": "yes"}, "at": AT, **said}


def exported(caller: Caller, queue: Queue, form: str = "jsonl") -> bytes:
    answer = caller.get(f"queues/{queue.name}/export?format={form}")
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content)


def records(caller: Caller, queue: Queue) -> list[dict[str, Any]]:
    return [json.loads(line) for line in exported(caller, queue).splitlines()]


class TestImport:
    def test_keeps_reviews_that_settle_nothing(self, admin: Caller, queue: Queue) -> None:
        output = desk.filled(queue, "one")[0]
        sent = [
            row(output, name, at=f"2026-01-3{day}T12:00:00+02:00") for day, name in ((0, "ann"), (1, "bob"), (0, "cy"))
        ]
        answer = admin.post(f"queues/{queue.name}/reviews/import", sent)
        assert (answer.status_code, answer.json()) == (201, {"added": 3, "duplicates": 0, "items": 0, "rejected": []})
        item = queue.items.get()
        assert (item.state, item.n_reviews, item.verdicts.count()) == (Item.State.OPEN, 0, 0)
        assert {review.reviewer for review in item.reviews.all()} == {"elsewhere:ann", "elsewhere:bob", "elsewhere:cy"}
        assert not item.reviews.standing().exists()
        assert item.reviews.comparable().count() == 3
        assert AuditEvent.objects.filter(verb="reviews.import", after={"added": 3, "items": 0}).count() == 1

    def test_people_here_settle_the_item_as_if_they_were_alone(self, admin: Caller, queue: Queue) -> None:
        output = desk.filled(queue, "one")[0]
        admin.post(f"queues/{queue.name}/reviews/import", [row(output, name, answers=desk.NO) for name in "abc"])
        first, second = (desk.a_reviewer(queue.project) for _ in "12")
        assert desk.reviewed(queue, first).state == Item.State.OPEN
        item = desk.reviewed(queue, second)
        assert (item.state, item.n_reviews) == (Item.State.SETTLED, 2)
        assert "elsewhere" not in item.verdicts.get().by

    def test_a_repeat_adds_nothing(self, admin: Caller, queue: Queue) -> None:
        output = desk.filled(queue, "one")[0]
        sent = [row(output), row(output), row(output, answers={"correct": True}), row(output, answers=desk.NO)]
        path = f"queues/{queue.name}/reviews/import"
        first = admin.post(path, sent).json()
        assert (first["added"], first["duplicates"]) == (2, 2)
        assert admin.post(path, sent).json() == {"added": 0, "duplicates": 4, "items": 0, "rejected": []}
        assert AuditEvent.objects.filter(verb="reviews.import").count() == 1

    def test_one_reviewer_may_judge_an_output_again_and_again(self, admin: Caller, queue: Queue) -> None:
        output = desk.filled(queue, "one")[0]
        for hour in (10, 11, 12):
            sent = [row(output, at=f"2026-01-31T{hour}:00:00Z", comment=word) for word in ("a", "b")]
            assert admin.post(f"queues/{queue.name}/reviews/import", sent).json()["added"] == 2
        assert sorted(Review.objects.values_list("attempt", flat=True)) == [1, 2, 3, 4, 5, 6]

    def test_an_output_that_the_queue_has_not_had_gets_an_item(self, admin: Caller, queue: Queue) -> None:
        known = desk.filled(queue, "one")[0]
        other = factories.an_output(queue.project, text="two")
        sent = [row(known), row(other), row(other, "bob"), row(other, "cy", answers={"correct": "maybe"})]
        answer = admin.post(f"queues/{queue.name}/reviews/import", sent).json()
        assert (answer["added"], answer["items"], [one["index"] for one in answer["rejected"]]) == (3, 1, [3])
        assert queue.items.get(subject_key=str(other.pk)).reviews.count() == 2

    def test_a_row_that_is_refused_opens_no_item(self, admin: Caller, queue: Queue) -> None:
        other = factories.an_output(queue.project)
        answer = admin.post(f"queues/{queue.name}/reviews/import", [row(other, answers={})])
        assert (answer.status_code, queue.items.count()) == (400, 0)
        assert answer.json()["rejected"][0]["errors"][0]["field"] == "answers.correct"

    @pytest.mark.parametrize(
        ("said", "field"),
        [
            ({"output_id": "never"}, "output_id"),
            ({"output_id": None}, "output_id"),
            ({"output_id": 7}, "output_id"),
            ({"reviewer": None}, "reviewer"),
            ({"reviewer": " "}, "reviewer"),
            ({"reviewer": "a" * 201}, "reviewer"),
            ({"reviewer": "ann\u202enhoj"}, "reviewer"),
            ({"answers": None}, "answers"),
            ({"answers": "yes"}, "answers"),
            ({"answers": {"correct": "maybe"}}, "answers.correct"),
            ({"answers": {"correct": "yes", "tone": 7}}, "answers.tone"),
            ({"answers": {"correct": "yes", "colour": "red"}}, "answers.colour"),
            ({"answers": {"correct": "yes"}, "correction": "refund"}, "answers.right"),
            ({"at": None}, "at"),
            ({"at": "yesterday"}, "at"),
            ({"at": "0001-01-01T00:00:00+14:00"}, "at"),
            ({"at": "2199-01-01T00:00:00Z"}, "at"),
            ({"comment": "x" * 1_048_576}, "comment"),
            ({"tags": ["x" * 101]}, "tags"),
            ({"tags": "late"}, "tags"),
            ({"pair": ["1", "2"]}, "pair"),
            ({"colour": "red"}, "colour"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_names_row_and_field_and_keeps_the_others(
        self, admin: Caller, queue: Queue, said: dict[str, Any], field: str
    ) -> None:
        output = desk.filled(queue, "one")[0]
        answer = admin.post(f"queues/{queue.name}/reviews/import", [row(output), row(output) | said])
        assert (answer.status_code, answer.json()["added"]) == (201, 1)
        (refused,) = answer.json()["rejected"]
        assert refused["index"] == 1
        assert field in [error["field"] for error in refused["errors"]]
        assert Review.objects.count() == 1

    def test_a_half_filled_row_names_all_that_is_missing(self, admin: Caller, queue: Queue) -> None:
        desk.filled(queue, "one")
        answer = admin.post(f"queues/{queue.name}/reviews/import", [{"reviewer": "ann"}, 7])
        assert answer.status_code == 400
        found = [[error["field"] for error in refused["errors"]] for refused in answer.json()["rejected"]]
        assert found == [["output_id", "answers", "at"], ["row"]]

    @pytest.mark.parametrize("body", [None, [], {}])
    def test_nothing_is_no_import(self, admin: Caller, queue: Queue, body: Any) -> None:
        answer = admin.post(f"queues/{queue.name}/reviews/import", body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "body")

    def test_takes_lines_and_a_bad_one_costs_itself(self, admin: Caller, queue: Queue) -> None:
        output = desk.filled(queue, "one")[0]
        lines = [json.dumps(row(output)), '{"a": "\\u0000"}', "", "{nonsense", json.dumps(row(output, "bob"))]
        answer = admin.client.post(
            f"/api/v1/queues/{queue.name}/reviews/import",
            "\n".join(lines),
            content_type="application/x-ndjson",
            headers=admin.headers,
        )
        assert (answer.status_code, answer.json()["added"]) == (201, 2)
        assert [refused["index"] for refused in answer.json()["rejected"]] == [1, 2]

    def test_nul_in_an_array_is_refused_with_its_place(self, admin: Caller, queue: Queue) -> None:
        output = desk.filled(queue, "one")[0]
        answer = admin.post(f"queues/{queue.name}/reviews/import", [row(output), row(output, comment="a\x00b")])
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "[1].comment")

    def test_too_many_rows_are_refused_whole(
        self, monkeypatch: pytest.MonkeyPatch, admin: Caller, queue: Queue
    ) -> None:
        monkeypatch.setattr(elsewhere, "MOST_ROWS", 2)
        output = desk.filled(queue, "one")[0]
        answer = admin.post(f"queues/{queue.name}/reviews/import", [row(output, name) for name in "abc"])
        assert (answer.status_code, Review.objects.count()) == (400, 0)

    def test_a_name_is_nobody_here(self, admin: Caller, queue: Queue) -> None:
        """Not even where it is somebody's address or identity."""
        output = desk.filled(queue, "one")[0]
        member = factories.a_member(queue.project, Role.REVIEWER)
        names = [member.email, f"user:{member.pk}", "key:ci", "elsewhere:ann"]
        admin.post(f"queues/{queue.name}/reviews/import", [row(output, name) for name in names])
        found = Review.objects.order_by("pk")
        assert [review.reviewer for review in found] == [f"elsewhere:{name}" for name in names]
        assert {review.user_id for review in found} == {None}
        review = found[0]
        for change in ({"user": member}, {"reviewer": member.email}, {"made_elsewhere": False}):
            with pytest.raises(IntegrityError), transaction.atomic():
                Review.objects.filter(pk=review.pk).update(**change)

    def test_an_output_of_another_project_is_unknown(self, admin: Caller, queue: Queue) -> None:
        foreign = factories.an_output(factories.a_project())
        answer = admin.post(f"queues/{queue.name}/reviews/import", [row(foreign)])
        assert (answer.status_code, answer.json()["rejected"][0]["errors"][0]["field"]) == (400, "output_id")

    def test_costs_the_same_statements_for_few_and_many(self, admin: Caller, queue: Queue) -> None:
        outputs = desk.filled(queue, *(f"text {number}" for number in range(30)))
        counted = []
        for sent in (outputs[:2], outputs[2:]):
            with desk.statements() as found:
                admin.post(f"queues/{queue.name}/reviews/import", [row(output) for output in sent])
            counted.append(len(found))
        assert counted[0] == counted[1]

    def test_takes_what_a_crowd_said(self, admin: Caller, project: Project, real_data: Path) -> None:
        """5 items of the bluebird set: 39 workers on each."""
        with (real_data / "crowd_labels" / "bluebird" / "label.csv").open() as file:
            labels = [label for label in csv.DictReader(file) if label["item"] in {"0", "1", "2", "3", "4"}]
        ids = sorted({label["item"] for label in labels})
        queue = desk.a_queue(project)
        outputs = dict(zip(ids, desk.filled(queue, *ids), strict=True))
        sent = [
            row(outputs[label["item"]], label["worker"], answers={"correct": label["label"] == "1"}) for label in labels
        ]
        answer = admin.post(f"queues/{queue.name}/reviews/import", sent).json()
        assert (len(ids), answer["added"], answer["rejected"]) == (5, 195, [])
        assert {name.count("elsewhere:") for name in Review.objects.values_list("reviewer", flat=True)} == {1}


class TestExport:
    @pytest.fixture
    def settled(self, queue: Queue) -> Item:
        """One item that two agreed on."""
        desk.filled(queue, "Where is <b>it</b>?", said="=cmd()")
        first, second = (desk.a_reviewer(queue.project) for _ in "12")
        said = {"correct": "no", "tone": -2, "kinds": ["late", "lost"], "why": "+1"}
        desk.reviewed(queue, first, said, correction="refund", comment="<script>alert(1)</script>", tags=["a", "b"])
        return desk.reviewed(queue, second, said, correction="refund")

    def test_gives_reviews_and_verdicts_line_by_line(self, admin: Caller, queue: Queue, settled: Item) -> None:
        first, second, verdict = records(admin, queue)
        assert [one["kind"] for one in (first, second, verdict)] == ["review", "review", "verdict"]
        assert (first["input"], first["output"], first["state"]) == ("Where is <b>it</b>?", "=cmd()", "settled")
        assert first["answers"] == {"correct": "no", "tone": -2, "kinds": ["late", "lost"], "why": "+1"}
        assert first["comment"] == "<script>alert(1)</script>"
        assert first["reviewer"].endswith("@example.org")
        assert (verdict["quality"], verdict["correction"], verdict["settled_by"]) == (0.0, "refund", "agreement")
        assert verdict["part"] == settled.verdicts.get().part
        assert first.keys() == verdict.keys()

    def test_history_is_marked(self, admin: Caller, queue: Queue, settled: Item) -> None:
        moment = clock.now()
        settled.verdicts.update(replaced_at=moment)
        settled.reviews.filter(pk=settled.reviews.latest("pk").pk).update(withdrawn_at=moment)
        assert [one["ended_at"] is not None for one in records(admin, queue)] == [False, True, True]
        (task,) = json.loads(exported(admin, queue, "label-studio"))
        assert [one["ground_truth"] for one in task["annotations"]] == [False]

    def test_no_cell_is_a_formula(self, admin: Caller, queue: Queue, settled: Item) -> None:
        lines = list(csv.DictReader(io.StringIO(exported(admin, queue, "csv").decode(), newline="")))
        assert [line["kind"] for line in lines] == ["review", "review", "verdict"]
        assert lines[0]["output"] == "'=cmd()"
        assert lines[0]["answers.why"] == "'+1"
        assert (lines[0]["answers.tone"], lines[0]["answers.kinds"]) == ("-2", '["late","lost"]')
        assert not [cell for line in lines for cell in line.values() if cell.startswith(("=", "+", "@", "\t", "\r"))]

    def test_gives_tasks_that_label_studio_takes(self, admin: Caller, queue: Queue, settled: Item) -> None:
        (task,) = json.loads(exported(admin, queue, "label-studio"))
        assert task["data"]["input"] == "Where is <b>it</b>?"
        assert [one["ground_truth"] for one in task["annotations"]] == [False, False, True]
        assert task["meta"]["annotators"] == [one["reviewer"] for one in task["annotations"]]
        regions = task["annotations"][0]["result"]
        assert all(region.keys() == {"id", "from_name", "to_name", "type", "value"} for region in regions)
        assert len({region["id"] for one in task["annotations"] for region in one["result"]}) == 17
        assert {region["from_name"]: (region["type"], region["value"]) for region in regions} == {
            "correct": ("choices", {"choices": ["no"]}),
            "tone": ("number", {"number": -2}),
            "kinds": ("choices", {"choices": ["late", "lost"]}),
            "why": ("textarea", {"text": ["+1"]}),
            "_correction": ("textarea", {"text": ["refund"]}),
            "_comment": ("textarea", {"text": ["<script>alert(1)</script>"]}),
            "_tags": ("choices", {"choices": ["a", "b"]}),
        }

    @pytest.mark.parametrize(("form", "found"), [("jsonl", b""), ("label-studio", b"[\n]\n")])
    def test_an_empty_queue_is_an_empty_file(self, admin: Caller, queue: Queue, form: str, found: bytes) -> None:
        desk.filled(queue, "one")
        assert exported(admin, queue, form) == found

    def test_refuses_other_formats_and_parameters(self, admin: Caller, queue: Queue) -> None:
        for asked, field in (("format=xlsx", "format"), ("frmat=csv", "frmat")):
            answer = admin.get(f"queues/{queue.name}/export?{asked}")
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)

    def test_whoever_may_review_finds_what_others_said_once_it_is_settled(self, project: Project, queue: Queue) -> None:
        desk.filled(queue, "one")
        desk.reviewed(queue, desk.a_reviewer(project))
        engineer = Caller(project, role=Role.ENGINEER)
        lead = Caller(project, role=Role.ENGINEER)
        assert lead.user is not None
        queue.adjudicators.add(lead.user)
        narrow = Caller(project, "read", role=Role.ENGINEER)
        machine = Caller(project, "read")
        seen = {"engineer": engineer, "narrow": narrow, "lead": lead, "machine": machine, "admin": Caller(project)}
        found = {name: len(records(caller, queue)) for name, caller in seen.items()}
        assert found == {"engineer": 0, "narrow": 0, "lead": 1, "machine": 1, "admin": 1}
        desk.reviewed(queue, desk.a_reviewer(project))
        assert {len(records(caller, queue)) for caller in seen.values()} == {3}

    def test_the_own_review_is_always_there(self, project: Project, queue: Queue) -> None:
        desk.filled(queue, "one")
        engineer = factories.an_actor(project, Role.ENGINEER)
        desk.reviewed(queue, desk.a_reviewer(project))
        item = desk.reviewed(queue, engineer, desk.NO)
        assert item.state == Item.State.DISPUTED
        factories.a_verdict(factories.a_prompt(project), text="before")
        Verdict.objects.update(item=item, replaced_at=clock.now())
        (one,) = export_queries.judged(queue, Sight(False, engineer.identity))
        assert [review.reviewer for review in one.reviews] == [engineer.identity]
        assert one.verdicts == []

    def test_what_was_said_elsewhere_is_no_secret(self, project: Project, queue: Queue) -> None:
        outputs = desk.filled(queue, "one")
        desk.reviewed(queue, desk.a_reviewer(project))
        engineer = Caller(project, role=Role.ENGINEER)
        engineer.post(f"queues/{queue.name}/reviews/import", [row(outputs[0])])
        assert [one["reviewer"] for one in records(engineer, queue)] == ["elsewhere:ann"]

    def test_goes_on_portion_by_portion(self, monkeypatch: pytest.MonkeyPatch, admin: Caller, queue: Queue) -> None:
        outputs = desk.filled(queue, *(f"text {number}" for number in range(7)))
        admin.post(f"queues/{queue.name}/reviews/import", [row(output) for output in outputs])
        monkeypatch.setattr(export_queries, "AT_ONCE", 3)
        with desk.statements() as found:
            told = [one.subjects[0].external_id for one in export_queries.judged(queue, Sight(True, ""))]
        assert sorted(told) == sorted(output.external_id for output in outputs)
        # Per portion: keys, items, reviews, verdicts, outputs, texts; the rubric once; and the look that finds no more.
        assert len(found) == 3 * 6 + 1 + 1


class TestPrecedents:
    @pytest.fixture
    def decided(self, project: Project) -> list[Verdict]:
        prompt = factories.a_prompt(project)
        texts = ("My card has not arrived", "How do I change my PIN?", "The exchange rate is wrong")
        return [factories.a_verdict(prompt, text=text) for text in texts]

    def test_finds_decided_cases_like_this_one(self, admin: Caller, decided: list[Verdict]) -> None:
        Verdict.objects.filter(pk=decided[0].pk).update(rationale="it is on its way")
        answer = admin.post("precedents/search", {"input": "why has my new card not arrived?", "k": 2})
        assert answer.status_code == 200
        first, *others = answer.json()["results"]
        assert (first["id"], first["rationale"]) == (decided[0].pk, "it is on its way")
        assert (first["input"], first["output_text"]) == ("My card has not arrived", "wrong")
        assert 0.5 < first["similarity"] <= 1
        assert all(one["similarity"] < first["similarity"] for one in others)

    def test_the_same_words_are_wholly_alike(self, admin: Caller, decided: list[Verdict]) -> None:
        messages = [{"role": "system", "content": "x"}, {"role": "user", "content": "How do I change my PIN?"}]
        (first, *_) = admin.post("precedents/search", {"input": messages}).json()["results"]
        assert first["id"] == decided[1].pk

    @pytest.mark.parametrize("part", [Part.GATE, Part.DEV])
    def test_an_exam_is_no_precedent(self, admin: Caller, project: Project, decided: list[Verdict], part: str) -> None:
        asked = {"input": "My card has not arrived", "k": 50}
        before = admin.post("precedents/search", asked).json()["results"]
        factories.a_verdict(project.prompts.get(), text="My card has not arrived yet", part=part)
        assert admin.post("precedents/search", asked).json()["results"] == before

    def test_what_was_replaced_is_none(self, admin: Caller, decided: list[Verdict]) -> None:
        Verdict.objects.filter(pk=decided[0].pk).update(replaced_at=clock.now())
        found = admin.post("precedents/search", {"input": "My card has not arrived", "k": 1}).json()["results"]
        assert [one["id"] == decided[0].pk for one in found] == [False]

    def test_another_project_has_none_of_them(self, decided: list[Verdict]) -> None:
        stranger = Caller(factories.a_project())
        assert stranger.post("precedents/search", {"input": "My card has not arrived"}).json() == {"results": []}

    def test_says_nothing_where_nothing_is_alike(self, admin: Caller, decided: list[Verdict]) -> None:
        assert admin.post("precedents/search", {"input": "жжж"}).json() == {"results": []}

    def test_looks_at_the_newest_and_at_what_nearly_equals(
        self, monkeypatch: pytest.MonkeyPatch, project: Project
    ) -> None:
        queue = desk.a_queue(project)
        texts = [f"Question number {number} about {word} cards" for number, word in enumerate("abcdefgh")]
        desk.filled(queue, *texts, prompt=factories.a_prompt(project))
        by = desk.a_reviewer(project)
        for _ in texts:
            desk.reviewed(queue, by)
        PartSplit.objects.update(part=Part.TEACH)
        Verdict.objects.update(part=Part.TEACH)
        monkeypatch.setattr(precedents, "MOST_LOOKED_AT", 2)
        found = [one.verdict.pk for one in precedents.like(project.pk, texts[0], k=8)]
        everything = list(Verdict.objects.order_by("pk").values_list("pk", flat=True))
        assert found[0] == everything[0]
        assert set(everything[-2:]) <= set(found)
        monkeypatch.setattr(precedents, "MOST_COMPARED", len(texts[0]))
        assert len(precedents.like(project.pk, texts[0], k=8)) == 1

    def test_costs_the_same_statements_for_few_and_many(self, project: Project, decided: list[Verdict]) -> None:
        counted = []
        for n_more in (0, 20):
            for number in range(n_more):
                factories.a_verdict(project.prompts.get(), text=f"My card number {number}")
            with desk.statements() as found:
                precedents.like(project.pk, "my card", k=10)
            counted.append(len(found))
        assert counted == [5, 5]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "input"),
            ({"input": ""}, "input"),
            ({"input": 7}, "input"),
            ({"input": "x" * 100_001}, "input"),
            ({"input": "x", "k": 0}, "k"),
            ({"input": "x", "k": 51}, "k"),
            ({"input": "x", "k": "5"}, "k"),
            ({"input": "x", "n": 5}, "n"),
            ([], "body"),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_names_what_is_wrong(self, admin: Caller, body: Any, field: str) -> None:
        answer = admin.post("precedents/search", body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_times_without_an_offset_are_utc() -> None:
    rows, _ = elsewhere.read([row("1", at="2026-01-31T12:00:00")], now=clock.now())
    assert rows[0].at == dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
