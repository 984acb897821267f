"""What was said beside a span reaches its output, whichever comes first, once."""

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from core import clock
from ledger.models import Handover
from outputs import queries, tasks
from outputs.models import Feedback, Output, OutputBody, Saying, Tally
from outputs.services import contents
from projects.models import Project
from tests.outputs.otlp import bodies
from tests.outputs.otlp.bodies import LOGS, PROTOBUF, TRACE, a_log_request, a_record, a_request, a_span

pytestmark = pytest.mark.django_db(transaction=True)

SPAN = a_request(a_span(attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}))
ASKED = a_record("gen_ai.user.message", {"content": "where is my needle?"}, at=1)
SYSTEM = a_record("gen_ai.system.message", {"content": "be kind"}, at=0)
CHOICE = a_record(
    "gen_ai.choice",
    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "in the haystack"}},
    at=2,
)


def body_of(project: Project) -> OutputBody:
    output = Output.objects.of(project.pk).get(external_id=f"{TRACE}:{1:016x}")
    return OutputBody.objects.get(output_id=output.pk)


def send_logs(key: str, *records: dict[str, Any]) -> tuple[int, str]:
    return bodies.rejected_in(bodies.send(a_log_request(*records), key, path=LOGS))


def found(project: Project, q: str) -> int:
    return queries.wanted_of(project.pk, queries.Wanted(q=q)).count()


class TestContent:
    @pytest.mark.parametrize("span_first", [True, False])
    def test_reaches_its_output_in_either_order(self, project: Project, key: str, span_first: bool) -> None:
        if span_first:
            bodies.send(SPAN, key)
        assert send_logs(key, CHOICE, ASKED, SYSTEM) == (0, "")
        if not span_first:
            bodies.send(SPAN, key)
        tasks.fill_contents()
        body = body_of(project)
        assert body.input == [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "where is my needle?"},
        ]
        assert body.output == {
            "role": "assistant",
            "content": "in the haystack",
            "index": 0,
            "finish_reason": "stop",
        }
        assert not Saying.objects.filter(project=project).exclude(content=None).exists()

    def test_is_found_by_a_search_also_where_the_output_was_indexed_before(self, project: Project, key: str) -> None:
        bodies.send(SPAN, key)
        tasks.index_texts()
        assert found(project, "needle") == 0
        send_logs(key, ASKED)
        tasks.fill_contents()
        tasks.index_texts()
        assert found(project, "needle") == 1
        assert not Handover.objects.filter(project_id=project.pk, consumer__startswith="outputs.").exists()

    def test_is_given_once_however_often_it_is_sent(self, project: Project, key: str) -> None:
        bodies.send(SPAN, key)
        for _ in range(2):
            assert send_logs(key, ASKED, CHOICE) == (0, "")
            tasks.fill_contents()
        assert len(body_of(project).input) == 1
        assert Saying.objects.filter(project=project).count() == 2

    def test_that_comes_in_pieces_stands_in_the_order_in_which_it_was_said(self, project: Project, key: str) -> None:
        bodies.send(SPAN, key)
        later = a_record("gen_ai.user.message", {"content": "and my thread?"}, at=9)
        for record in (ASKED, later, SYSTEM):
            send_logs(key, record)
            tasks.fill_contents()
        said = [message["content"] for message in body_of(project).input]
        assert said == ["be kind", "where is my needle?", "and my thread?"]

    def test_said_twice_in_one_call_stands_twice(self, project: Project, key: str) -> None:
        bodies.send(SPAN, key)
        send_logs(key, ASKED, ASKED)
        tasks.fill_contents()
        assert len(body_of(project).input) == 2

    def test_of_several_choices_is_kept_whole(self, project: Project, key: str) -> None:
        bodies.send(SPAN, key)
        second = a_record("gen_ai.choice", {"index": 1, "message": {"content": "on the floor"}}, at=3)
        send_logs(key, CHOICE)
        tasks.fill_contents()
        send_logs(key, second)
        tasks.fill_contents()
        output = body_of(project).output
        assert output["content"] == "in the haystack"
        assert [each["content"] for each in output["other_choices"]] == ["on the floor"]

    def test_does_not_replace_what_the_span_told_itself(self, project: Project, key: str) -> None:
        attributes = {"gen_ai.operation.name": "chat", "gen_ai.prompt.0.content": "hello"}
        bodies.send(a_request(a_span(attributes=attributes)), key)
        send_logs(key, ASKED, CHOICE)
        tasks.fill_contents()
        body = body_of(project)
        assert body.input == [{"role": "user", "content": "hello"}]
        assert body.output["content"] == "in the haystack"

    def test_of_another_projects_span_stays_apart(self, project: Project, key: str) -> None:
        from tests import factories

        bodies.send(SPAN, key)
        other = factories.a_project()
        send_logs(factories.a_key(other, "ingest"), ASKED)
        tasks.fill_contents()
        assert body_of(project).input is None

    def test_waits_for_an_output_that_never_comes_and_holds_up_none(self, project: Project, key: str) -> None:
        send_logs(key, ASKED)
        tasks.fill_contents()
        assert Saying.objects.get(project=project).content == [{"role": "user", "content": "where is my needle?"}]
        assert not contents.fill_waiting(now=clock.now())

    def test_in_the_current_names_is_one_record_for_both_sides(self, project: Project, key: str) -> None:
        bodies.send(SPAN, key)
        details = a_record(
            "gen_ai.client.inference.operation.details",
            {},
            attributes=bodies.attributes_of(
                {
                    "gen_ai.system_instructions": [{"type": "text", "content": "be kind"}],
                    "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}],
                    "gen_ai.output.messages": '[{"role": "assistant", "parts": [{"type": "text", "content": "hey"}]}]',
                }
            ),
        )
        assert send_logs(key, details) == (0, "")
        tasks.fill_contents()
        body = body_of(project)
        assert [message["content"] for message in body.input] == ["be kind", "hi"]
        assert body.output == {"role": "assistant", "content": "hey"}


class TestOtherRecords:
    def test_are_rejected_one_by_one_with_the_reason(self, project: Project, key: str) -> None:
        plain = a_record("", "GET / 200")
        nowhere = {**ASKED, "traceId": "", "spanId": ""}
        n, why = send_logs(key, plain, ASKED, nowhere)
        assert n == 2
        assert "record 0 event_name: is no GenAI event; only" in why
        assert "record 2 trace_id, span_id: are missing" in why
        assert Saying.objects.filter(project=project).count() == 1

    @pytest.mark.parametrize("others", [[], [ASKED], [a_record("", "GET / 200")]], ids=["alone", "good", "bad"])
    def test_events_of_which_no_content_was_captured_are_accepted_and_not_kept(
        self, project: Project, key: str, others: list[dict[str, Any]]
    ) -> None:
        empty = [a_record("gen_ai.user.message", {"role": "user"}), a_record("gen_ai.choice", {"index": 0})]
        n_bad, _ = send_logs(key, *empty, *others)
        assert n_bad == int(others not in ([], [ASKED]))
        tally = Tally.objects.get(project=project)
        assert (tally.accepted, tally.duplicates, tally.rejected) == (2 + len(others) - n_bad, 0, n_bad)
        assert Saying.objects.filter(project=project).count() == int(others == [ASKED])

    def test_evaluations_are_scores_of_their_output(self, project: Project, key: str) -> None:
        said = {
            "gen_ai.evaluation.name": "relevance",
            "gen_ai.evaluation.score.value": 0.75,
            "gen_ai.evaluation.score.label": "good",
            "gen_ai.evaluation.explanation": "to the point",
        }
        record = a_record("gen_ai.evaluation.result", {}, attributes=bodies.attributes_of(said))
        for _ in range(2):
            assert send_logs(key, record) == (0, "")
        score = Feedback.objects.get(project=project)
        told = (score.kind, score.name, score.value, score.label, score.comment)
        assert told == ("score", "relevance", 0.75, "good", "to the point")
        assert score.output_external_id == f"{TRACE}:{1:016x}"
        assert "relevance" not in score.external_id  # a name may hold what is taken out of it


def test_protobuf_is_the_same_record(project: Project, key: str) -> None:
    import base64

    send_logs(key, ASKED)
    ids = {"traceId": base64.b64encode(bytes.fromhex(TRACE)).decode(), "spanId": base64.b64encode(bytes(7) + b"\1")}
    record = {**ASKED, **ids, "spanId": ids["spanId"].decode()}  # type: ignore[union-attr]
    body = ParseDict(a_log_request(record), ExportLogsServiceRequest()).SerializeToString()
    reply = bodies.send(body, key, path=LOGS, content_type=PROTOBUF)
    assert (reply.status, ExportLogsServiceResponse.FromString(reply.body)) == (200, ExportLogsServiceResponse())
    assert Saying.objects.filter(project=project).count() == 1
