"""Rows of files that people and programs write: each good one is stored, each bad one named with its place."""

import asyncio
import datetime as dt
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core import clock
from ledger.models import Handover
from outputs import importers, importing, previews, redaction_queries
from outputs.importers.columns import Mapper
from outputs.importers.rows import Cursor, Row, Unreadable
from outputs.ingest import lines
from outputs.models import Feedback, Import, Output, OutputBody, Step
from outputs.redaction import policy
from outputs.services import imports, limits, redaction, rows_of_imports
from outputs.services.limits import Limit
from projects.models import Project
from tests import factories
from tests.outputs.importing import files

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


def read(name: str, body: bytes, start: Cursor | None = None) -> list[Row]:
    return list(importers.named(name).rows(io.BytesIO(body), start or Cursor()))


def imported(body: bytes, key: str, query: str) -> Import:
    return files.worked(files.sent(body, key, query))


def an_output(project: Project, **which: Any) -> tuple[Output, OutputBody]:
    output = Output.objects.get(project=project, **which)
    return output, OutputBody.objects.get(output_id=output.pk)


class TestColumns:
    def test_become_what_their_fields_are(self, project: Project, key: str) -> None:
        body = (
            b"\xef\xbb\xbfuser_query;chatgpt_response;model_name;latency;timestamp;tags;shop;n;empty\r\n"
            b'"\'=1+1";"line one\nline two";gpt;1.5;1700000000;a|b;north;7;\r\n'
        )
        assert files.counts(imported(body, key, "format=csv")) == (1, 0, 0)
        output, texts = an_output(project)
        assert (texts.input, texts.output) == ("=1+1", "line one\nline two")
        assert (output.model, output.latency_ms, output.tags) == ("gpt", 1500.0, ["a", "b"])
        assert output.started_at == dt.datetime.fromtimestamp(1_700_000_000, tz=dt.UTC)
        assert texts.metadata == {"shop": "north", "n": "7"}

    def test_of_json_in_cells_are_messages_and_objects(self, project: Project, key: str) -> None:
        messages = [{"role": "user", "content": "hello"}]
        row = {"messages": json.dumps(messages), "response": "x", "metadata": '{"a": 1}', "input_tokens": "3"}
        assert files.counts(imported(files.as_csv([row]), key, "format=csv")) == (1, 0, 0)
        output, texts = an_output(project)
        assert (texts.input, texts.metadata, output.input_tokens) == (messages, {"a": 1}, 3)

    def test_that_mean_nothing_needed_fail_the_import_and_say_so(self, key: str) -> None:
        found = imported(b"a,b\n1,2\n", key, "format=csv")
        assert (found.state, files.counts(found)) == ("failed", (0, 0, 0))
        assert "'input'" in found.error
        assert "'a', 'b'" in found.error

    @pytest.mark.parametrize("body", [b"id,input,output\n", "input,output\nfür,x\n".encode("latin-1")])
    def test_of_no_row_that_can_be_read_are_not_blamed(self, body: bytes, key: str) -> None:
        found = imported(body, key, "format=csv")
        assert found.state == "failed"
        assert "holds no row that can be read" in found.error

    def test_of_feedback(self, project: Project, key: str) -> None:
        rows = [{"output_id": "o1", "kind": "thumb", "value": "up", "comment": "fine"}]
        assert files.counts(imported(files.as_csv(rows), key, "format=csv&kind=feedback")) == (1, 0, 0)
        assert Feedback.objects.get(project=project).value == 1.0

    def test_first_met_late_mean_the_same_to_whoever_goes_on(self) -> None:
        mapper = Mapper("outputs", {"question": "input"})
        assert [mapper.target(name) for name in ("model", "latency", "model")] == ["model", "metadata.latency", "model"]


def test_equal_rows_without_ids_are_each_kept_and_found_again(project: Project, key: str) -> None:
    body = b"input,output\n" + b"same,row\n" * 3 + b"other,row\n"
    assert files.counts(imported(body, key, "format=csv")) == (4, 0, 0)
    assert files.counts(imported(body, key, "format=csv")) == (0, 4, 0)


def test_an_import_is_handed_over_like_any_other_output(project: Project, key: str) -> None:
    imported(files.as_jsonl(files.rows(3)), key, "format=jsonl")
    ids = set(Output.objects.of(project.pk).values_list("pk", flat=True))
    handed = Handover.objects.filter(project_id=project.pk, consumer="outputs.search", topic="outputs.stored")
    assert {id_ for row in handed for id_ in row.ids} == ids


def test_each_bad_row_is_named_with_its_place_and_costs_no_other(project: Project, key: str) -> None:
    body = b'id,input,output,latency_ms\n1,a,b,5\n2,a,b\n3,"a\nb",c,x\n4,\xff,b,1\n5,ok,b,1\n1,other,b,5\n6,,b,1\n'
    found = imported(body, key, "format=csv")
    assert (found.state, files.counts(found)) == ("done", (2, 0, 5))
    told = {(row["index"], row["line"]): [error["field"] for error in row["errors"]] for row in files.flaws(found)}
    assert told == {(1, 3): ["row"], (2, 4): ["latency_ms"], (3, 6): ["input"], (5, 8): ["id"], (6, 9): ["input"]}


JSON_LINES = b'{"input":"a","output":"b","id":"1"}\n\n'  # a blank line is no row
JSON_LINES += b'{"input":\n{"input":"a","output":"\\u0000"}\nnull\n{"input":"c","output":"d"}'


def test_a_bad_line_in_the_middle_of_json_lines_costs_itself(project: Project, key: str) -> None:
    found = imported(JSON_LINES, key, "format=jsonl")
    assert (found.state, files.counts(found)) == ("done", (2, 0, 3))
    assert [(row["index"], row["line"]) for row in files.flaws(found)] == [(1, 3), (2, 4), (3, 5)]


MALFORMED: dict[str, tuple[str, bytes]] = {
    "an open quote": ("csv", b'input,output\na,b\n"never closed,\n' + b"x,y\n" * 100),
    "an open quote over the limit": ("csv", b'input,output\n"' + b"x" * 9_000_000),
    "a NUL": ("csv", b"input,output\n" + b"a,b\n" * 400 + b"a,\x00\n"),
    "a long line": ("jsonl", b'{"input":"' + b"x" * 9_000_000 + b'"}\n{"input":"a","output":"b"}\n'),
    "an array": ("jsonl", b'[\n{"input": "a"}\n]'),
    "no columns": ("csv", b"\n\n"),
    "a column twice": ("csv", b"input,input\na,b\n"),
    "carriage returns alone": ("csv", b"input,output\ra,b\r"),
    "a truncated file": ("parquet", files.as_parquet(files.rows(50))[:-100]),
    "a lying footer": ("parquet", b"PAR1" + b"\x00" * 20 + b"\xff\xff\xff\x7fPAR1"),
    "a torn footer": ("parquet", files.as_parquet(files.rows(50))[:-40] + b"\x00" * 32 + b"\x20\x00\x00\x00PAR1"),
    "no trace": ("langfuse", b'{"observations": 1}'),
    "half a trace": ("langfuse", b'{"trace": {"id": "t"}, "observations": ['),
    "CSV as JSON Lines": ("jsonl", b"input,output\na,b\n"),
}


@pytest.mark.parametrize("case", MALFORMED.values(), ids=list(MALFORMED))
def test_a_malformed_file_is_told_and_never_a_fault(case: tuple[str, bytes], key: str) -> None:
    name, body = case
    found = imported(body, key, f"format={name}")
    assert found.state in ("done", "failed")
    assert "fault" not in found.error
    assert found.n_rejected or found.error
    files.counts(found)


class TestParquet:
    def test_names_a_row_that_is_not_text_and_takes_the_others(self, project: Project, key: str) -> None:
        body = bytearray(files.as_parquet(files.rows(40), compression="none", use_dictionary=False))
        at = body.index(b"question 7")
        body[at] = 0xFF
        found = imported(bytes(body), key, "format=parquet")
        assert files.counts(found) == (39, 0, 1)
        assert files.flaws(found)[0]["index"] == 6

    def test_gives_back_what_was_written(self, project: Project, key: str) -> None:
        moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
        rows = [
            {"input": [{"role": "user", "content": "é"}], "output": "b", "started_at": moment, "n": 1.5, "tags": ["x"]}
        ]
        assert files.counts(imported(files.as_parquet(rows), key, "format=parquet")) == (1, 0, 0)
        output, texts = an_output(project)
        assert (output.started_at, output.tags, texts.metadata) == (moment, ["x"], {"n": 1.5})
        assert texts.input == [{"role": "user", "content": "é"}]

    def test_goes_on_in_the_middle_of_a_row_group(self) -> None:
        body = files.as_parquet(files.rows(1_000), row_group_size=300)
        whole = read("parquet", body)
        assert [row.value["id"] for row in read("parquet", body, whole[649].after)] == [
            f"r{i}" for i in range(651, 1001)
        ]

    @pytest.mark.parametrize("compression", ["snappy", "gzip", "zstd", "none"])
    @pytest.mark.parametrize("version", ["1.0", "2.0"])
    def test_walks_the_pages_of_every_writer(self, compression: str, version: str) -> None:
        body = files.as_parquet(
            files.rows(3_000), compression=compression, data_page_version=version, data_page_size=2_000
        )
        assert len(read("parquet", body)) == 3_000

    def test_a_bomb_is_refused_before_it_is_unpacked(self) -> None:
        row = {"id": "1", "input": "x" * (40 * 1024 * 1024), "output": "b"}
        body = files.as_parquet([row], compression="zstd")
        assert len(body) < 100_000
        with pytest.raises(Unreadable, match="page of"):
            read("parquet", body)

    def test_a_value_that_many_rows_share_is_not_multiplied_in_memory(self) -> None:
        wide = "x" * (4 * 1024 * 1024)
        body = files.as_parquet([{"input": wide, "output": str(i)} for i in range(64)], compression="zstd")
        tracemalloc.start()
        rows = importers.named("parquet").rows(io.BytesIO(body), Cursor())
        assert sum(1 for _ in rows) == 64
        assert tracemalloc.get_traced_memory()[1] < 80 * 1024 * 1024
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet", "langfuse"])
def test_whoever_goes_on_stores_the_rest_and_counts_nothing_twice(
    name: str, project: Project, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies between two batches, at each of them, and once more in the middle of a transaction."""
    from tests.outputs.importing.test_every_importer import WRITERS

    monkeypatch.setattr(importing, "ROWS_AT_ONCE", 100)
    rows = [{**row, "id": None} if i % 3 == 0 and name != "langfuse" else row for i, row in enumerate(files.rows(450))]
    import_id = files.sent(WRITERS[name](rows), key, f"format={name}")
    real, died = rows_of_imports.store, 0

    async def dying(*args: Any, **kwargs: Any) -> int:
        nonlocal died
        if died % 2 == 0:
            died += 1
            raise KeyboardInterrupt
        stored: int = await real(*args, **kwargs)
        died += 1
        return stored

    monkeypatch.setattr(rows_of_imports, "store", dying)
    for _ in range(30):
        try:
            importing.take(import_id, address=lines.address())
        except KeyboardInterrupt:
            # As after the end of its lease.
            Import.objects.filter(pk=import_id, state="running").update(lease_until=clock.now() - dt.timedelta(days=1))
        if Import.objects.get(pk=import_id).is_over:
            break
    found = Import.objects.get(pk=import_id)
    assert (found.state, files.counts(found)) == ("done", (450, 0, 0))
    assert Output.objects.of(project.pk).count() == 450
    assert died > 8


def test_who_lost_the_lease_stores_nothing_more(project: Project, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import_id = files.sent(files.as_jsonl(files.rows(300)), key)
    monkeypatch.setattr(importing, "ROWS_AT_ONCE", 100)
    slow = imports.claim(import_id, now=clock.now())
    assert slow is not None
    Import.objects.filter(pk=import_id).update(lease_until=clock.now() - dt.timedelta(days=1))
    assert files.counts(files.worked(import_id)) == (300, 0, 0)
    with pytest.raises((rows_of_imports.Lost, AssertionError)):
        importing._run(slow, address=lines.address(), longest=60)
    assert files.counts(Import.objects.get(pk=import_id)) == (300, 0, 0)


def test_a_visit_ends_when_its_time_is_up_and_the_next_goes_on(project: Project, key: str) -> None:
    import_id = files.sent(files.as_jsonl(files.rows(1_200)), key)
    assert importing.take(import_id, address=lines.address(), longest=0)
    halfway = Import.objects.get(pk=import_id)
    assert (halfway.state, halfway.n_rows, halfway.attempts) == ("waiting", 500, 0)
    assert files.counts(files.worked(import_id)) == (1_200, 0, 0)


def test_over_the_pace_an_import_leaves_its_worker_and_waits(project: Project, key: str) -> None:
    by = factories.an_actor(project)
    limits.set_limit(limit=Limit(rows_per_second=1), by=by, now=clock.now())
    import_id = files.sent(files.as_jsonl(files.rows(1_200)), key)
    assert not importing.take(import_id, address=lines.address())
    paused = Import.objects.get(pk=import_id)
    assert (paused.state, paused.n_rows, paused.attempts) == ("waiting", 500, 0)
    assert paused.lease_until is not None
    assert imports.claim(import_id, now=paused.lease_until - dt.timedelta(seconds=1)) is None
    assert import_id not in imports.reap(now=paused.lease_until - dt.timedelta(seconds=1))
    assert import_id in imports.reap(now=paused.lease_until + dt.timedelta(seconds=1))
    limits.set_limit(limit=Limit(), by=by, now=clock.now())
    Import.objects.filter(pk=import_id).update(lease_until=clock.now())
    assert files.counts(files.worked(import_id)) == (1_200, 0, 0)


def test_a_quota_below_a_batch_lets_in_what_it_can(project: Project, key: str) -> None:
    limits.set_limit(limit=Limit(rows_per_month=70), by=factories.an_actor(project), now=clock.now())
    import_id = files.sent(files.as_jsonl(files.rows(100)), key)
    assert not importing.take(import_id, address=lines.address())
    found = Import.objects.get(pk=import_id)
    assert (found.state, found.n_stored) == ("waiting", 70)


def test_redaction_that_is_tightened_reaches_an_import_that_runs(
    project: Project, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save_email(project, "keep")
    real, n_stored = rows_of_imports.store, 0

    async def tightening(*args: Any, **kwargs: Any) -> int:
        nonlocal n_stored
        stored: int = await real(*args, **kwargs)
        n_stored += stored
        if n_stored == 10:
            await asyncio.to_thread(_save_email, project, "replace", hangs_up=True)
        return stored

    monkeypatch.setattr(rows_of_imports, "store", tightening)
    monkeypatch.setattr(importing, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(importing, "RECEPTION_SECONDS", 0.0)
    said = [{"id": f"r{n:02}", "input": f"from {n}@example.org", "output": "x"} for n in range(40)]
    files.worked(files.sent(files.as_jsonl(said), key))
    bodies = OutputBody.objects.filter(output_id__in=project.outputs.values("pk")).order_by("output_id")
    texts = [body.input for body in bodies]
    assert texts == [row["input"] for row in said[:10]] + ["from [email]"] * 30


def _save_email(project: Project, action: str, *, hangs_up: bool = False) -> None:
    """In a thread, whose connection ends with it, or here."""
    wanted = policy.checked(detectors={"email": action})
    redaction.save_policy(environment="", policy=wanted, by=factories.an_actor(project), now=clock.now())
    if hangs_up:
        connections.close_all()


def test_many_imports_of_one_project_hide_none_of_another(
    project: Project, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "MOST_REAPED", 3)
    many = [files.sent(files.as_jsonl(files.rows(1)), key) for _ in range(5)]
    other = factories.a_project()
    late = files.sent(files.as_jsonl(files.rows(1)), factories.a_key(other, "ingest"))
    assert imports.reap(now=clock.now()) == [many[0], late, many[1]]


class TestWhatIsKept:
    ROW = {
        "id": "1",
        "input": "I am ann@example.org",
        "output": "x",
        "email": "ann@example.org",
        "user_id": "ann@example.org",
    }

    @pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
    def test_of_the_first_rows_holds_what_would_be_stored(self, name: str, project: Project, key: str) -> None:
        from tests.outputs.importing.test_every_importer import WRITERS

        body = files.as_csv([self.ROW]) if name == "csv" else WRITERS[name]([self.ROW])
        opened = files.ask(files.post(b"", key, f"format={name}&size={len(body)}")).document["id"]
        files.ask(files.put(opened, 0, body, key))
        found = files.worked(opened)
        assert found.state == "ready"
        assert "ann@" not in json.dumps(found.sample)
        _, (said,) = previews.preview(found, None, redaction_queries.redaction(project))
        imports.start(found=found, mapping=None, by=factories.an_actor(project), now=clock.now())
        files.worked(opened)
        output, texts = an_output(project, external_id="1")
        assert said.fields is not None
        shown = [said.fields[field] for field in ("input", "metadata", "user_id")]
        assert shown == [texts.input, texts.metadata, output.end_user]
        assert texts.input == "I am [email]"

    def test_of_a_refused_row_repeats_nothing_of_it(self, key: str) -> None:
        body = (
            b'{"input": "x", "output": "y", "metadata": {}}\n'
            b'{"input": "x", "output": "y", "metadata": {"ann@example.org": "\\u0000"}}\n'
            b'{"input": "x", "ann@example.org": "y"}\n'
        )
        found = imported(body, key, "format=jsonl")
        assert found.n_rejected == 2
        told = json.dumps(list(found.flaws.values_list("rows", flat=True)))
        assert "ann@" not in told
        assert '"[email]"' in told


def test_an_import_that_kills_three_workers_has_failed(key: str) -> None:
    import_id = files.sent(files.as_jsonl(files.rows(3)), key)
    for _ in range(3):
        assert imports.claim(import_id, now=clock.now()) is not None
        Import.objects.filter(pk=import_id).update(lease_until=clock.now() - dt.timedelta(days=1))
    assert import_id not in imports.reap(now=clock.now())
    found = Import.objects.get(pk=import_id)
    assert (found.state, found.error) == ("failed", imports.WORKER_LOST)


def test_a_lost_bell_is_rung_again(key: str) -> None:
    import_id = files.sent(files.as_jsonl(files.rows(3)), key)
    assert import_id in imports.reap(now=clock.now())


class TestRealFiles:
    def test_halueval(self, real_data: Path, project: Project, key: str) -> None:
        body = (real_data / "halueval_general" / "general_data.jsonl").read_bytes()
        first, again = imported(body, key, "format=jsonl"), imported(body, key, "format=jsonl")
        assert first.mapping is not None
        assert (first.mapping["user_query"], first.mapping["chatgpt_response"]) == ("input", "output")
        # One id stands twice in it, under different texts.
        assert files.counts(first) == (2_253, 0, 1)
        assert files.flaws(first)[0]["errors"][0]["field"] == "id"
        assert files.counts(again) == (0, 2_253, 1)
        _, texts = an_output(project, external_id="1")
        row = json.loads(body.split(b"\n")[0])
        assert (texts.input, texts.output) == (row["user_query"], row["chatgpt_response"])

    def test_tofueval(self, real_data: Path, project: Project, key: str) -> None:
        body = (real_data / "tofueval" / "meetingbank_factual_eval_dev.csv").read_bytes()
        query = 'format=csv&mapping={"topic":"input","summ_sent":"output"}'
        found = imported(body, key, query)
        assert files.counts(found) == (1_624, 0, 0), files.flaws(found)[:3]

    def test_langfuse_arrives_whole_and_once(self, real_data: Path, project: Project, key: str) -> None:
        paths = sorted((real_data / "langfuse_traces").glob("*.json"))
        exports = [json.loads(path.read_bytes()) for path in paths]
        observations = [one for export in exports for one in export["observations"]]
        for body in [path.read_bytes() for path in paths] + [json.dumps(exports).encode(), files.as_jsonl(exports)]:
            found = imported(body, key, "format=langfuse")
            assert (found.state, found.n_rejected) == ("done", 0), files.flaws(found)
        n_generations = sum(one["type"] == "GENERATION" for one in observations)
        n_scores = sum(len(export["trace"].get("scores") or []) for export in exports)
        assert Output.objects.of(project.pk).count() == n_generations == 28
        assert Step.objects.filter(project=project).count() == len(observations) - n_generations + len(exports)
        assert Feedback.objects.filter(project=project).count() == n_scores
        assert found.n_duplicates == len(observations)
        priced = [one for one in observations if one["type"] == "GENERATION" and (one.get("totalCost") or 0) > 0]
        told = {f"{one['traceId']}:{one['id']}": one["totalCost"] for one in priced}
        kept = Output.objects.filter(project=project, external_id__in=told).values_list("external_id", "cost_usd")
        assert {name: float(cost) for name, cost in kept} == pytest.approx(told, abs=1e-9)


FUZZED = st.one_of(
    st.binary(max_size=400),
    st.text(alphabet='{}[]",:\n\r;ab1 \\\x00\ud7ff', max_size=200).map(lambda text: text.encode("utf-8", "ignore")),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=FUZZED,
    name=st.sampled_from(["jsonl", "csv", "parquet", "langfuse"]),
    kind=st.sampled_from(["outputs", "feedback"]),
)
def test_no_file_is_a_fault(body: bytes, name: str, kind: str) -> None:
    importer = importers.named(name)
    if importer.refusal(body[:1024]):
        return
    mapper = Mapper(kind, {})
    try:
        rows = read(name, body)
    except Unreadable:
        return
    for row in rows:
        for item in importer.items(row, mapper):
            assert (item.record is None) == bool(item.errors)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(min_value=4), byte=st.integers(0, 255))
@example(at=1218, byte=95)  # sizes of levels that do not fit: the library's own metadata ends the process
@example(at=1304, byte=139)  # a page before the file begins
@example(at=5421, byte=128)  # a column's name that is no UTF-8
def test_no_flipped_byte_of_a_parquet_file_is_a_fault(at: int, byte: int) -> None:
    body = bytearray(files.as_parquet(files.rows(40)))
    body[at % len(body)] = byte
    try:
        read("parquet", bytes(body))
    except Unreadable:
        return
