"""Rows are redacted before they are stored, by every way in; repeats are told by what was sent."""

import asyncio
import time
from typing import Any

import pytest
from django.db import connections

from core import clock
from outputs import filters, queries
from outputs.ingest.app import Ingest
from outputs.ingest.known import REMEMBERED_SECONDS
from outputs.models import Feedback, Output
from outputs.reception import Reception
from outputs.records import FeedbackRecord, OutputRecord, SayingRecord, StepRecord
from outputs.redaction import policy
from outputs.redaction.policy import Policy
from outputs.services import contents, feedback, outputs, redaction, steps
from projects import access
from projects.models import Project
from tests.outputs import face

MAIL, MARK = "john@example.com", "[email]"


def save(project: Project, environment: str = "", **said: Any) -> Policy:
    wanted = policy.checked(detectors=said.pop("detectors", {}), **said)
    by = access.system(project)
    redaction.save_policy(environment=environment, policy=wanted, by=by, now=clock.now())
    return wanted


def stored(project: Project, external_id: str = "o1") -> tuple[Output, Any]:
    output = Output.objects.get(project=project, external_id=external_id)
    return output, queries.bodies([output])[output.pk]


def test_every_text_of_an_output_is_redacted(project: Project, key: str) -> None:
    row = face.an_output(
        input=[{"role": "user", "content": f"I am {MAIL}"}],
        output={"role": "assistant", "content": f"Hello {MAIL}"},
        error=f"no {MAIL}",
        variables={MAIL: [MAIL]},
        metadata={"deep": [{"er": MAIL}]},
        tags=[MAIL, "plain"],
        user_id=MAIL,
        session_id=MAIL,
    )
    assert face.ask(face.post(row, key)).counts == (1, 0, 0)
    output, body = stored(project)
    assert body.input == [{"role": "user", "content": f"I am {MARK}"}]
    assert body.output == {"role": "assistant", "content": f"Hello {MARK}"}
    assert body.error == f"no {MARK}"
    assert body.variables == {MARK: [MARK]}
    assert body.metadata == {"deep": [{"er": MARK}]}
    assert output.tags == [MARK, "plain"]
    assert output.end_user == output.session_id != MARK
    assert output.end_user.startswith("[email:")


def test_ids_stay(project: Project, key: str) -> None:
    face.ask(face.post(face.an_output(id=MAIL, trace_id=MAIL, span_id=MAIL), key))
    output, _ = stored(project, MAIL)
    assert (output.trace_id, output.span_id) == (MAIL, MAIL)


def test_a_repeat_is_known_by_what_was_sent(project: Project, key: str) -> None:
    mine, other = (face.an_output(output=f"write to {mail}") for mail in (MAIL, "jane@example.com"))
    assert face.ask(face.post(mine, key), face.post(mine, key)).counts == (0, 1, 0)
    assert face.ask(face.post(other, key)).status == 400  # stored alike, but another row under the same id


def test_the_text_of_feedback_is_redacted(project: Project, key: str) -> None:
    said = {"id": "f1", "output_id": MAIL, "kind": "comment", "comment": f"ask {MAIL}", "label": MAIL, "user_id": MAIL}
    assert face.ask(face.post(said, key, path=face.FEEDBACK)).counts == (1, 0, 0)
    found = Feedback.objects.get(project=project)
    assert (found.comment, found.label, found.output_external_id) == (f"ask {MARK}", MARK, MAIL)
    assert found.end_user.startswith("[email:")


def test_the_policy_of_an_environment_comes_first(project: Project, key: str) -> None:
    save(project, detectors={"email": "drop"})
    save(project, "staging", detectors={"email": "keep"})
    rows = [face.an_output(1, output=f"a {MAIL}"), face.an_output(2, output=f"a {MAIL}", environment="staging")]
    assert face.ask(face.post(rows, key)).counts == (2, 0, 0)
    assert [stored(project, id_)[1].output for id_ in ("o1", "o2")] == ["a ", f"a {MAIL}"]


def test_a_change_is_known_within_two_seconds(project: Project, key: str) -> None:
    async def talk(app: Ingest) -> None:
        await face.post(face.an_output(1, output=MAIL), key).to(app)
        await save_in_thread(project)
        deadline = time.monotonic() + 2 * REMEMBERED_SECONDS
        number = 1
        while time.monotonic() < deadline:
            number += 1
            await face.post(face.an_output(number, output=MAIL), key).to(app)
            await asyncio.sleep(0.2)

    face.during(talk)
    newest = Output.objects.filter(project=project).latest("pk")
    assert stored(project)[1].output == MARK
    assert stored(project, newest.external_id)[1].output == MAIL


async def save_in_thread(project: Project) -> None:
    await asyncio.to_thread(save_and_hang_up, project)


def save_and_hang_up(project: Project) -> None:
    save(project, detectors={"email": "keep"})
    connections.close_all()


def test_whoever_knows_an_id_finds_what_stands_under_its_mark(project: Project, key: str) -> None:
    said = {"user_id": "joe@example.org", "session_id": "mail of ann@example.org"}
    rows = [face.an_output(1, **said), face.an_output(2, user_id="jim@example.org", session_id="s2")]
    assert face.ask(face.post(rows, key)).counts == (2, 0, 0)
    output, _ = stored(project)
    assert "joe" not in output.end_user
    for field, value in (("user", said["user_id"]), ("user", output.end_user), ("session", said["session_id"])):
        wanted = filters.read({field: value}, now=clock.now())
        assert [found.pk for found in queries.selected(project.pk, wanted).rows] == [output.pk]


def test_marks_fit_the_columns(project: Project, key: str) -> None:
    """A mark may be longer than what it stands for."""
    save(project, detectors={"email": "hash"})
    many = "a@b.co " * 14
    row = face.an_output(tags=[many.strip()], error=("a@b.co " * 2_857)[:20_000], output=None)
    assert face.ask(face.post(row, key)).counts == (1, 0, 0)
    output, body = stored(project)
    assert len(output.tags[0]) == 100
    assert len(body.error) == 20_000
    assert "@" not in output.tags[0] + body.error


def test_a_tag_that_is_dropped_is_gone(project: Project, key: str) -> None:
    save(project, detectors={"email": "drop"})
    face.ask(face.post(face.an_output(tags=[MAIL, "plain"], user_id=MAIL), key))
    output, _ = stored(project)
    assert (output.tags, output.end_user) == (["plain"], "")


def test_a_pattern_of_the_project_holds_for_its_rows(project: Project, key: str) -> None:
    save(project, patterns=[{"name": "order", "pattern": r"ORD-\d{4}", "action": "replace"}])
    face.ask(face.post(face.an_output(output="your ORD-1234", metadata={"ORD-9999": 1}), key))
    _, body = stored(project)
    assert (body.output, body.metadata) == ("your [order]", {"[order]": 1})


@pytest.mark.parametrize(
    ("record", "arrival_of", "taken"),
    [
        (OutputRecord(input=MAIL, output=f"{MAIL} {MAIL}"), outputs.arrival_of, {"email": 3}),
        (FeedbackRecord(output_id="o", kind="comment", comment=MAIL), feedback.arrival_of, {"email": 1}),
        (StepRecord(id="s", trace_id="t", span_id="s", input={MAIL: MAIL}), steps.arrival_of, {"email": 2}),
        (
            SayingRecord(id="m", output_id="o", side=0, said_ns=1, content=[{"role": "user", "content": MAIL}]),
            contents.arrival_of,
            {"email": 1},
        ),
        (OutputRecord(input="clean", output="clean"), outputs.arrival_of, {}),
    ],
)
def test_an_arrival_tells_how_much_was_taken_out_of_it(record: Any, arrival_of: Any, taken: dict[str, int]) -> None:
    reception = Reception(1, b"key")
    arrival = arrival_of(record, reception=reception)
    assert dict(arrival.redacted) == taken
    assert MAIL not in repr(arrival)
    assert arrival.body_hash == record.body_hash(b"key")
