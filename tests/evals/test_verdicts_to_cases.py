"""Settled verdicts of the exam parts become golden cases; what teaches never does."""

import json

import pytest

from core import clock
from evals.models import GoldenCase
from evals.services import golden
from outputs.models import Output, OutputBody
from prompts import services as prompts
from reviews.models import Item, ItemOutput, PartSplit, Queue, Rubric, Verdict
from tests import factories

pytestmark = pytest.mark.django_db


class Room:
    """A prompt whose outputs were judged in one queue; rows are made plainly."""

    def __init__(self, project):
        self.project = project
        self.by = factories.an_actor(project)
        self.prompt, _ = prompts.create_prompt(name="intent", by=self.by, now=clock.now())
        self.rubric = Rubric.objects.create(
            project=project, name="r", version=1, content_hash="1", questions=[], quality={}, created_by="t"
        )
        self.queue = self.a_queue("first")
        self.exam, _ = golden.create_set(name="exam", prompt=self.prompt, description="", by=self.by, now=clock.now())

    def a_queue(self, name):
        return Queue.objects.create(project=self.project, name=name, rubric=self.rubric, created_by="t")

    def an_output(self, name, text):
        now = clock.now()
        output = Output.objects.create(
            project=self.project,
            external_id=name,
            prompt=self.prompt,
            received_at=now,
            received_on=now.date(),
            body_hash=name.encode().ljust(32, b"."),
        )
        OutputBody.objects.create(
            output_id=output.pk,
            received_on=now.date(),
            input=text,
            output="an answer",
        )
        return output

    def a_verdict(self, output, part, correction=None, quality=1.0, queue=None):
        item = Item.objects.create(
            project=self.project, queue=queue or self.queue, rubric=self.rubric, subject_key=str(output.pk)
        )
        ItemOutput.objects.create(item=item, output=output)
        split = PartSplit.objects.create(
            project=self.project,
            prompt=self.prompt,
            text=f"{item.pk}",
            text_hash=str(item.pk).encode(),
            bands=[],
            part=part,
        )
        return Verdict.objects.create(
            project=self.project,
            item=item,
            prompt=self.prompt,
            answers={},
            quality=quality,
            correction=correction,
            part=part,
            split=split,
            settled_by="agreement",
            settled_at=clock.now(),
            by="t",
        )


@pytest.fixture
def room():
    return Room(factories.a_project())


@pytest.fixture
def post(client, room):
    headers = factories.bearer(factories.a_key(room.project))

    def send(body=None, name="exam"):
        path = f"/api/v1/golden-sets/{name}/cases?format=verdicts"
        return client.post(path, json.dumps(body or {}), content_type="application/json", headers=headers)

    return send


def cases(room):
    rows = GoldenCase.objects.in_draft().filter(golden_set=room.exam)
    return sorted(rows.values_list("input", "expected", "part"))


def test_exam_parts_become_cases_with_their_part_and_teach_does_not(room, post):
    room.a_verdict(room.an_output("a", "one"), "gate", correction="right")
    room.a_verdict(room.an_output("b", "two"), "dev")
    room.a_verdict(room.an_output("c", "three"), "teach", correction="right")
    room.a_verdict(room.an_output("d", "four"), "gate", quality=0.0)
    answer = post()
    assert (answer.status_code, answer.json()["added"]) == (201, 2)
    assert cases(room) == [("one", "right", "gate"), ("two", "an answer", "dev")]
    assert not GoldenCase.objects.filter(verdict=None).exists()


def test_a_repeat_changes_nothing(room, post):
    room.a_verdict(room.an_output("a", "one"), "gate")
    post()
    assert post().json() == {"draft": 1, "added": 0, "changed": 0, "unchanged": 1, "rejected": []}


def test_a_later_verdict_on_the_same_output_replaces_the_case(room, post):
    output = room.an_output("a", "one")
    room.a_verdict(output, "gate", correction="first")
    post()
    room.a_verdict(output, "gate", correction="second", queue=room.a_queue("other"))
    assert post().json()["changed"] == 1
    assert cases(room) == [("one", "second", "gate")]


def test_may_be_narrowed_to_a_queue_and_to_what_is_new(room, post):
    room.a_verdict(room.an_output("a", "one"), "gate")
    since = clock.now().isoformat()
    room.a_verdict(room.an_output("b", "two"), "gate", queue=room.a_queue("other"))
    assert post({"queue": "first", "since": since}).json()["added"] == 0
    assert post({"since": since}).json()["added"] == 1
    assert post({"queue": "first"}).json()["added"] == 1


def test_refuses_an_unknown_queue_and_a_set_without_prompt(room, post):
    assert post({"queue": "none"}).status_code == 404
    assert post({"queu": "first"}).status_code == 400
    golden.create_set(name="bare", prompt=None, description="", by=room.by, now=clock.now())
    assert post(name="bare").status_code == 400


def test_verdicts_of_another_project_stay_there(room, post):
    other = Room(factories.a_project())
    other.a_verdict(other.an_output("a", "theirs"), "gate")
    assert post().json()["added"] == 0


def test_a_verdict_on_a_text_that_stands_in_another_part_is_refused_aloud(room, post):
    row = golden.CaseContent(key="mine", input="one", part="dev")
    golden.add_cases(golden_set=room.exam, rows=[golden.Taken(0, row)], by=room.by, now=clock.now())
    output = room.an_output("a", "one")
    room.a_verdict(output, "gate")
    answer = post().json()
    assert answer["added"] == 0
    assert [(row["index"], row["errors"][0]["field"]) for row in answer["rejected"]] == [(0, "part")]
    assert f"output:{output.pk}" in answer["rejected"][0]["errors"][0]["message"]
