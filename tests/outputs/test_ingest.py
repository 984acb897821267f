"""What comes in by the ingest face: stored once, told exactly, handed over in the same transaction."""

import asyncio
import datetime as dt
import json
import time
from typing import Any

import pytest
from django.db import connection, connections
from psycopg import AsyncConnection

from ledger import handovers
from ledger.models import Handover, IdempotentAnswer
from outputs.ingest import lines
from outputs.ingest.app import Ingest
from outputs.ingest.batcher import Widths
from outputs.models import Output, OutputBody
from projects.models import Project
from tests import factories
from tests.outputs import face
from tests.outputs.face import FEEDBACK, NDJSON, Reply, an_output, post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

FULL = {
    "id": "all/of it",
    "model": "small-1",
    "provider": "example",
    "input": [
        {"role": "system", "content": "Sort."},
        {"role": "user", "content": "Wo bleibt es? 😀", "name": "a"},
    ],
    "output": {"role": "assistant", "content": "versand"},
    "started_at": "2026-01-31T13:00:00.25+01:00",
    "latency_ms": 12.5,
    "input_tokens": 7,
    "output_tokens": 3,
    "cost_usd": 0.000012,
    "trace_id": "t",
    "span_id": "s",
    "parent_span_id": "p",
    "session_id": "session",
    "user_id": "somebody",
    "environment": "production",
    "confidence": 0.25,
    "tags": ['quote " and \\ backslash', "{a,b}", "tab\there", "NULL"],
    "metadata": {"a": [1, 2.5, None, True], "b\\n": "line\nbreak\ttab \\ end"},
    "variables": {"input": "x"},
}


class TestStored:
    def test_everything_a_row_says_is_kept(self, project: Project, key: str) -> None:
        now = dt.datetime(2026, 2, 1, 23, 30, tzinfo=dt.timezone(dt.timedelta(hours=-1)))
        assert face.ask(post(FULL, key), now=lambda: now).counts == (1, 0, 0)
        row = project.outputs.get()
        body = OutputBody.objects.get(output_id=row.pk)
        same = "model provider environment trace_id span_id parent_span_id session_id tags".split()
        assert {name: getattr(row, name) for name in same} == {name: FULL[name] for name in same}
        assert (row.project, row.external_id, row.end_user) == (project, FULL["id"], FULL["user_id"])
        assert (row.input_tokens, row.output_tokens, float(row.cost_usd or 0)) == (7, 3, 0.000012)
        assert (row.confidence, row.latency_ms) == (0.25, 12.5)
        assert row.started_at == dt.datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=dt.UTC)
        assert row.status == Output.Status.OK
        assert (row.received_at, row.received_on) == (now, dt.date(2026, 2, 2))
        texts = ("input", "output", "metadata", "variables")
        assert {name: getattr(body, name) for name in texts} == {name: FULL[name] for name in texts}
        assert (body.error, body.received_on) == (None, row.received_on)

    def test_a_row_that_says_little_has_no_invented_values(self, project: Project, key: str) -> None:
        assert face.ask(post({"input": "q", "output": None, "error": "timeout"}, key)).status == 201
        row = project.outputs.get()
        assert len(row.external_id) == 36
        assert (row.status, row.model, row.latency_ms, row.tags, row.prompt) == (
            Output.Status.ERROR,
            "",
            None,
            [],
            None,
        )
        body = OutputBody.objects.get(output_id=row.pk)
        assert (body.output, body.error, body.metadata, body.variables) == (None, "timeout", None, None)

    @pytest.mark.parametrize("form", ["one", "array", "lines", "gzip", "pieces"])
    def test_every_form_of_body_says_the_same(self, project: Project, key: str, form: str) -> None:
        rows = [an_output(number) for number in range(1 if form == "one" else 5)]
        request = {
            "one": lambda: post(rows[0], key),
            "array": lambda: post(rows, key),
            "lines": lambda: post(face.lines(rows) + b"\n\n  \n", key, Content_Type=NDJSON),
            "gzip": lambda: post(rows, key, Content_Encoding="gzip"),
            "pieces": lambda: post(rows, key),
        }[form]()
        if form == "pieces":
            request.pieces = [bytes([byte]) for byte in json.dumps(rows).encode()]
        assert face.ask(request).counts == (len(rows), 0, 0)
        assert sorted(project.outputs.values_list("external_id", flat=True)) == [row["id"] for row in rows]
        # The same rows once more by the usual way: word for word the same.
        assert face.ask(post(rows, key)).counts == (0, len(rows), 0)

    def test_an_empty_array_stores_nothing_and_says_so(self, key: str) -> None:
        assert face.ask(post([], key)).counts == (0, 0, 0)

    def test_is_handed_over_to_each_consumer_in_one_row(self, project: Project, key: str, settings: Any) -> None:
        settings.HANDOVER_CONSUMERS = {"outputs.stored": ["first", "second"]}
        settings.HANDOVER_BELLS = {"first": "no.task", "second": "no.task"}
        face.ask(post([an_output(1), an_output(2)], key), post([an_output(2), an_output(3)], key))
        ids = dict(project.outputs.values_list("external_id", "pk"))
        found = sorted(
            Handover.objects.filter(project_id=project.pk).values_list("consumer", "topic", "project_id", "ids")
        )
        assert found == [
            (consumer, "outputs.stored", project.pk, expected)
            for consumer in ("first", "second")
            for expected in ([ids["o1"], ids["o2"]], [ids["o3"]])
        ]

    def test_the_same_id_in_two_projects_is_two_outputs(self, project: Project, key: str) -> None:
        second = factories.a_project()
        other = factories.a_key(second, "ingest")
        assert face.ask(post(an_output(), key), post(an_output(output="else"), other)).counts == (1, 0, 0)
        assert (project.outputs.count(), second.outputs.count()) == (1, 1)


class TestRejected:
    def test_bad_rows_do_not_cost_the_good_ones(self, project: Project, key: str) -> None:
        rows = [an_output(0), {"id": "x"}, 7, an_output(3, latency_ms=-1, colour="red"), an_output(4)]
        reply = face.ask(post(rows, key))
        assert (reply.status, reply.counts) == (201, (2, 0, 3))
        assert reply.rejected == {1: ["input"], 2: ["row"], 3: ["latency_ms", "colour"]}
        assert set(project.outputs.values_list("external_id", flat=True)) == {"o0", "o4"}

    def test_a_broken_line_does_not_cost_the_others(self, key: str) -> None:
        body = face.lines([an_output(0)]) + b'\n{"id":\n' + face.lines([an_output(2)])
        reply = face.ask(post(body, key, Content_Type=NDJSON))
        assert (reply.counts, reply.rejected) == ((2, 0, 1), {1: ["row"]})

    def test_no_good_row_is_a_problem_that_names_each(self, key: str) -> None:
        reply = face.ask(post([{"id": ""}, {"input": "q"}], key))
        assert (reply.status, reply.headers["content-type"]) == (400, "application/problem+json")
        assert reply.rejected == {0: ["id", "input"], 1: ["output"]}
        assert [error["index"] for error in reply.document["errors"]] == [0, 0, 1]

    def test_another_body_under_a_known_id_is_a_conflict(self, project: Project, key: str) -> None:
        changed = an_output(1, output="changed")
        reply = face.ask(post(an_output(1), key), post([changed, an_output(2)], key))
        assert (reply.counts, reply.rejected) == ((1, 0, 1), {0: ["id"]})
        alone = face.ask(post(changed, key))
        assert (alone.status, alone.rejected) == (400, {0: ["id"]})
        assert OutputBody.objects.get(output_id=project.outputs.get(external_id="o1").pk).output == "answer 1"

    def test_of_one_id_twice_in_a_body_the_first_counts(self, key: str) -> None:
        reply = face.ask(post([an_output(1), an_output(1), an_output(1, output="else")], key))
        assert (reply.counts, reply.rejected) == ((1, 1, 1), {2: ["id"]})
        again = face.ask(post([an_output(1, output="else"), an_output(1)], key))
        assert (again.counts, again.rejected) == ((0, 1, 1), {0: ["id"]})


class TestLinks:
    @pytest.fixture
    def revision(self, project: Project) -> Any:
        prompt = factories.a_prompt(project, "intent")
        factories.a_revision(prompt)
        return factories.a_revision(prompt, ("a", "b"))

    @pytest.mark.parametrize("reference", ["number", "number as text", "hash"])
    def test_a_revision_is_named_by_number_or_hash(
        self, project: Project, key: str, revision: Any, reference: str
    ) -> None:
        said = {"number": 2, "number as text": "2", "hash": revision.content_hash}[reference]
        face.ask(post(an_output(prompt="intent", revision=said), key))
        row = project.outputs.get()
        assert (row.prompt, row.revision) == (revision.prompt, revision)

    def test_what_is_unknown_costs_the_link_and_not_the_output(self, project: Project, key: str, revision: Any) -> None:
        rows = [
            an_output(1, prompt="intent", revision=99),
            an_output(2, prompt="nobody knows", revision=1),
            an_output(3, revision=revision.content_hash),
        ]
        assert face.ask(post(rows, key)).counts == (3, 0, 0)
        rows_stored = list(project.outputs.order_by("external_id"))
        assert [row.prompt for row in rows_stored] == [revision.prompt, None, None]
        assert [row.revision for row in rows_stored] == [None, None, None]
        said = [(body.prompt_name, body.revision_ref) for body in (_body(row.pk) for row in rows_stored)]
        assert said == [("intent", "99"), ("nobody knows", "1"), ("", revision.content_hash)]

    def test_the_prompts_of_others_are_unknown(self, revision: Any) -> None:
        other = factories.a_project()
        face.ask(post(an_output(prompt="intent", revision=1), factories.a_key(other, "ingest")))
        assert other.outputs.get().prompt is None


class TestFeedback:
    def test_is_stored_with_all_it_says_before_its_output_comes(self, project: Project, key: str) -> None:
        said = {
            "id": "f1",
            "output_id": "not here yet",
            "kind": "score",
            "name": "toxicity",
            "value": 0.5,
            "label": "low",
            "comment": "tab\tand \\",
            "user_id": "u",
            "source": "judge",
        }
        assert face.ask(post(said, key, path=FEEDBACK)).counts == (1, 0, 0)
        row = project.feedback.get()
        assert (row.project, row.external_id, row.output_external_id) == (project, "f1", "not here yet")
        assert (row.kind, row.name, row.value, row.label) == ("score", "toxicity", 0.5, "low")
        assert (row.comment, row.end_user, row.source) == ("tab\tand \\", "u", "judge")

    def test_repeats_conflicts_and_bad_rows_are_told_as_for_outputs(self, key: str) -> None:
        thumb = {"id": "f", "output_id": "o", "kind": "thumb", "value": True}
        rows = [
            thumb,
            {**thumb, "value": 1},
            {**thumb, "value": False},
            {"id": "g", "output_id": "o", "kind": "thumb"},
        ]
        reply = face.ask(post(rows, key, path=FEEDBACK))
        assert (reply.counts, reply.rejected) == ((1, 1, 2), {2: ["id"], 3: ["value"]})
        assert face.ask(post(thumb, key, path=FEEDBACK)).counts == (0, 1, 0)


class TestIdempotencyKey:
    def test_a_repeat_gets_the_stored_answer_byte_for_byte(self, project: Project, key: str) -> None:
        request = post({"input": "q", "output": "a"}, key, Idempotency_Key="once")
        first, second = face.ask(request), face.ask(request)
        assert (first.status, first.body, first.headers) == (second.status, second.body, second.headers)
        assert first.counts == (1, 0, 0)
        assert project.outputs.count() == 1

    def test_another_body_under_the_key_is_refused(self, project: Project, key: str) -> None:
        reply = face.ask(
            post(an_output(1), key, Idempotency_Key="once"), post(an_output(2), key, Idempotency_Key="once")
        )
        assert (reply.status, reply.document["errors"][0]["field"]) == (422, "Idempotency-Key")
        assert project.outputs.get().external_id == "o1"

    def test_a_request_that_stored_nothing_may_be_tried_again(self, project: Project, key: str) -> None:
        assert face.ask(post(an_output(1, output="else"), key)).status == 201
        assert face.ask(post(an_output(1), key, Idempotency_Key="again")).status == 400
        assert not IdempotentAnswer.objects.filter(project_id=project.pk).exists()

    def test_is_its_senders_own(self, project: Project, key: str) -> None:
        other = factories.a_key(project, "ingest")
        reply = face.ask(post(an_output(1), key, Idempotency_Key="k"), post(an_output(2), other, Idempotency_Key="k"))
        assert reply.counts == (1, 0, 0)

    def test_many_at_once_are_stored_once(self, project: Project, key: str) -> None:
        request = post({"input": "q", "output": "a"}, key, Idempotency_Key="once")
        replies = _at_once([request] * 20)
        assert {(reply.status, reply.body) for reply in replies} == {(201, replies[0].body)}
        assert project.outputs.count() == 1

    @pytest.mark.parametrize("wrong", ["x" * 201, "a\x07b"])
    def test_a_key_that_is_none_is_named(self, key: str, wrong: str) -> None:
        reply = face.ask(post(an_output(), key, Idempotency_Key=wrong))
        assert (reply.status, reply.document["errors"][0]["field"]) == (400, "Idempotency-Key")


class TestAtOnce:
    def test_the_same_id_from_many_is_one_row(self, project: Project, key: str) -> None:
        replies = _at_once([post([an_output(1)], key) for _ in range(20)])
        assert sorted(reply.counts for reply in replies) == [(0, 1, 0)] * 19 + [(1, 0, 0)]
        assert (
            project.outputs.count()
            == OutputBody.objects.filter(output_id__in=project.outputs.values("pk")).count()
            == 1
        )
        told = Handover.objects.filter(project_id=project.pk).values_list("consumer", flat=True)
        assert sorted(told) == sorted(handovers.consumers_of("outputs.stored"))

    def test_different_bodies_under_one_id_leave_one_and_tell_the_others(self, project: Project, key: str) -> None:
        replies = _at_once([post([an_output(1, output=str(number))], key) for number in range(20)])
        assert sorted(reply.status for reply in replies) == [201] + [400] * 19
        assert project.outputs.count() == 1

    def test_rows_in_opposite_order_do_not_block_each_other(
        self, project: Project, key: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", logger="outputs.ingest.batcher")
        rows = [an_output(number) for number in range(300)]
        requests = [post(rows[:: 1 if turn % 2 else -1], key) for turn in range(8)]
        replies = _at_once(requests, widths=Widths(n_writers=4, rows=1))
        assert [reply.status for reply in replies] == [201] * 8
        assert sum(reply.counts[0] for reply in replies) == project.outputs.count() == 300
        assert caplog.messages == [], "a deadlock was found and done again"

    def test_projects_share_a_transaction_and_nothing_else(self) -> None:
        projects = [factories.a_project() for _ in range(5)]
        keys = [factories.a_key(project, "ingest") for project in projects]
        requests = [post(an_output(number, output=key[:9]), key) for number in range(4) for key in keys]
        assert {reply.counts for reply in _at_once(requests)} == {(1, 0, 0)}
        assert [Output.objects.of(project.pk).count() for project in projects] == [4] * 5
        for handover in Handover.objects.filter(project_id__in=[project.pk for project in projects]):
            owners = set(Output.objects.filter(pk__in=handover.ids).values_list("project_id", flat=True))
            assert owners == {handover.project_id}

    def test_a_row_the_database_refuses_costs_only_its_own_request(self, project: Project, key: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE outputs_output ADD CONSTRAINT poison CHECK (external_id <> 'poison')")
        try:
            requests = [post(an_output(number), key) for number in range(10)]
            replies = _at_once([*requests[:5], post(an_output(id="poison"), key), *requests[5:]])
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE outputs_output DROP CONSTRAINT poison")
        assert [reply.status for reply in replies] == [201] * 5 + [503] + [201] * 5
        assert project.outputs.count() == 10

    def test_few_wait_for_one_transaction_but_not_for_one_that_is_held_up(self, project: Project, key: str) -> None:
        async def talk(app: Ingest) -> list[int]:
            async with asyncio.timeout(15), await AsyncConnection.connect(lines.address()) as other:
                await other.execute(TAKE_KEY, [project.pk])
                held = asyncio.create_task(post(an_output(1), key, Idempotency_Key="held").to(app))
                while (await (await other.execute(WAITING)).fetchone()) == (0,):
                    pass
                replies = [await post(an_output(2), key).to(app)]
                assert not held.done()
                await other.rollback()
                return [reply.status for reply in [*replies, await held] if reply]

        assert face.during(talk) == [201, 201]
        assert project.outputs.count() == 2

    def test_fifty_thousand_bad_rows_are_each_named_and_cost_little(self, project: Project, key: str) -> None:
        began = time.process_time()
        reply = face.ask(post([{}] * 50_000, key))
        assert time.process_time() - began < 3  # it took 4.2 s of the event loop; here it is 0.7 s, in a thread
        told = reply.document["rejected"]
        assert (reply.status, len(told), len(reply.document["errors"])) == (400, 50_000, 1_000)
        assert (told[0]["errors"][0]["field"], told[-1]["index"]) == ("input", 49_999)
        assert "in full" in told[-1]["errors"][0]["message"]
        assert len(reply.body) < 8_000_000

    def test_a_server_that_was_away_costs_no_request(self, project: Project, key: str) -> None:
        async def talk(app: Ingest) -> list[int]:
            first = await post(an_output(1), key).to(app)
            async with await AsyncConnection.connect(lines.address(), autocommit=True) as other:
                await other.execute(END_OTHERS)
            second = await post(an_output(2), key).to(app)
            return [reply.status for reply in (first, second) if reply]

        assert face.during(talk) == [201, 201]

    def test_many_rows_through_one_writer_all_stand(self, project: Project, key: str) -> None:
        batches = [[an_output(1_000 * turn + number) for number in range(700)] for turn in range(4)]
        widths = Widths(n_writers=1)
        assert face.ask(*(post(batch, key) for batch in batches), widths=widths).counts == (700, 0, 0)
        assert project.outputs.count() == 2_800

    def test_what_was_removed_does_not_come_back_from_there(self, project: Project, key: str) -> None:
        async def talk(app: Ingest) -> None:
            await post(an_output(1), key).to(app)
            await asyncio.to_thread(_remove, project)
            await post(an_output(2), key).to(app)

        face.during(talk, widths=Widths(n_writers=1))
        assert list(project.outputs.values_list("external_id", flat=True)) == ["o2"]


# As a restart does, seen from the ingest face's connections.
END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'ratchet-ingest' AND pid <> pg_backend_pid() AND datname = current_database()"""

# As a request of this key does, that is not answered yet.
TAKE_KEY = """
    INSERT INTO ledger_idempotentanswer (project_id, actor, key, request_digest, headers)
    SELECT project_id, 'key:' || name, 'held', '', '{}' FROM projects_apikey WHERE project_id = %s"""

# Those that wait for whoever asks.
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"


def _remove(project: Project) -> None:
    """In a thread, whose connection ends with it."""
    project.outputs.all().delete()
    connections.close_all()


def _at_once(requests: list[face.Request], **settings: Any) -> list[Reply]:
    async def talk(app: Ingest) -> list[Reply | None]:
        return await asyncio.gather(*(request.to(app) for request in requests))

    found = face.during(talk, **settings)
    return [reply for reply in found if reply is not None]


def _body(output_id: int) -> OutputBody:
    return OutputBody.objects.get(output_id=output_id)
