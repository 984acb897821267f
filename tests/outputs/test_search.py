"""Words that outputs are found by: made by a worker, once each, of the project's own."""

import datetime as dt
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from core import clock
from ledger import handovers
from ledger.models import Handover
from outputs import queries, tasks, words
from outputs.models import Output, OutputBody, SearchText
from projects.models import Project
from tests import factories


class TestWords:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Where's my H-20931?", {"where", "s", "my", "h", "20931"}),
            ("ＦＵＬＬ Straße", {"full", "strasse"}),
            ("out_9f3c a:b", {"out_9f3c", "a", "b"}),
            ("東京都", {"東京", "京都", "都"}),
            ("أهلا 😀", {"أهلا", "😀"}),
            ("x" * 100, {"x" * 64}),
            ("…", set()),
        ],
    )
    def test_are_folded_and_cut(self, text: str, expected: set[str]) -> None:
        assert words.of_text(text) == expected

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ("Refund Days", "'7:refund' & '7:days'"),
            ("refun*", "'7:refun':*"),
            ("H-209*", "'7:h' & '7:209':*"),
            ("東京都", "'7:東京' & '7:京都'"),
            ("都", "'7:都':*"),
            ("' | ! & ( \\ :*", None),
            ("it's'); DROP", "'7:it' & '7:s' & '7:drop'"),
            ("a a a", "'7:a'"),
        ],
    )
    def test_of_a_search_all_must_occur(self, asked: str, expected: str | None) -> None:
        assert words.query_of(asked, project_id=7) == expected

    def test_no_more_than_twenty_are_looked_at(self) -> None:
        asked = " ".join(f"w{number}" for number in range(50))
        assert (words.query_of(asked, project_id=1) or "").count("&") == 19


@pytest.fixture
def project(db: None) -> Project:
    return factories.a_project()


def arrived(project: Project, **body: Any) -> Output:
    """An output that waits to be looked at, as ingest leaves it."""
    output = factories.an_output(project)
    OutputBody.objects.filter(output_id=output.pk).update(**{"input": "", "output": "", **body})
    handovers.announce("outputs.stored", project_id=project.pk, ids=[output.pk])
    return output


def found(project: Project, q: str) -> list[Output]:
    return list(queries.wanted_of(project.pk, queries.Wanted(q=q)))


class TestIndexing:
    @pytest.mark.parametrize(
        "body",
        [
            {"input": "the needle"},
            {"output": "the needle"},
            {"error": "the needle"},
            {"input": [{"role": "user", "content": "the needle"}]},
            {"input": [{"role": "user", "content": [{"type": "text", "text": "the needle"}]}]},
            {"input": {"question": "the needle"}},
            {"output": {"role": "assistant", "content": "the needle"}},
            {"input": "x " * 50_000 + "needle"},
        ],
    )
    def test_finds_what_was_said(self, project: Project, body: dict[str, Any]) -> None:
        output = arrived(project, **body)
        assert found(project, "needle") == []
        tasks.index_texts()
        assert found(project, "needle") == [output]
        assert found(project, output.external_id) == [output]

    def test_says_nothing_of_how_messages_are_meant(self, project: Project) -> None:
        arrived(project, input=[{"role": "user", "content": "hi"}])
        tasks.index_texts()
        assert found(project, "user") == []
        assert found(project, "role") == []

    def test_keeps_a_long_text_short(self, project: Project) -> None:
        output = arrived(project, input=" ".join(f"w{number}" for number in range(100_000)))
        tasks.index_texts()
        with connection.cursor() as cursor:
            cursor.execute("SELECT length(words) FROM outputs_searchtext WHERE output_id = %s", [output.pk])
            assert cursor.fetchone()[0] < 3_000

    def test_a_repeat_stores_nothing(self, project: Project) -> None:
        output = arrived(project, input="needle")
        tasks.index_texts()
        before = list(SearchText.objects.values_list())
        handovers.announce("outputs.stored", project_id=project.pk, ids=[output.pk, output.pk])
        tasks.index_texts()
        assert list(SearchText.objects.values_list()) == before
        assert not Handover.objects.filter(consumer=queries.SEARCH_CONSUMER).exists()

    def test_passes_over_what_is_gone_and_what_is_anothers(self, project: Project) -> None:
        output = arrived(project, input="needle")
        textless = arrived(project)
        OutputBody.objects.filter(output_id=textless.pk).delete()
        other = factories.a_project()
        handovers.announce("outputs.stored", project_id=other.pk, ids=[output.pk])
        handovers.announce("outputs.stored", project_id=project.pk, ids=[987654321])
        Handover.objects.filter(project_id=project.pk, ids=[output.pk]).delete()
        tasks.index_texts()
        assert not SearchText.objects.exists()
        assert not Handover.objects.filter(consumer=queries.SEARCH_CONSUMER).exists()

    def test_finds_only_what_is_ones_own(self, project: Project) -> None:
        arrived(factories.a_project(), input="needle")
        mine = arrived(project, input="needle")
        tasks.index_texts()
        assert found(project, "needle") == [mine]

    def test_words_go_with_their_output(self, project: Project) -> None:
        output = arrived(project, input="needle")
        tasks.index_texts()
        output.delete()
        assert not SearchText.objects.exists()


class TestLag:
    def test_is_the_age_of_what_waits_longest(self, project: Project) -> None:
        now = clock.now()
        assert queries.search_lag(now=now) == dt.timedelta()
        arrived(project)
        arrived(project)
        oldest = Handover.objects.filter(consumer=queries.SEARCH_CONSUMER).earliest("pk")
        Handover.objects.filter(pk=oldest.pk).update(created_at=now - dt.timedelta(minutes=3))
        assert queries.search_lag(now=now) == dt.timedelta(minutes=3)
        Handover.objects.filter(pk=oldest.pk).update(parked_at=now)
        assert queries.search_lag(now=now) < dt.timedelta(minutes=1)


@pytest.mark.django_db(transaction=True)
def test_outputs_that_were_there_before_are_handed_over() -> None:
    project = factories.a_project()
    outputs = [factories.an_output(project, text="needle").pk for _ in range(3)]
    try:
        call_command("migrate", "outputs", "0002", verbosity=0)
        Handover.objects.all().delete()
        call_command("migrate", "outputs", "0003", verbosity=0)
        waiting = Handover.objects.get(consumer=queries.SEARCH_CONSUMER)
        assert (waiting.project_id, waiting.ids) == (project.pk, outputs)
    finally:
        call_command("migrate", verbosity=0)  # with whatever depends on these
    tasks.index_texts()
    assert len(found(project, "needle")) == 3


class TestApi:
    @pytest.fixture
    def reader(self, project: Project) -> Client:
        return Client(headers=factories.bearer(factories.a_key(project, "read")))

    def test_searches(self, project: Project, reader: Client) -> None:
        output = arrived(project, input="My pink bike")
        arrived(project, input="My blue bike")
        tasks.index_texts()
        answer = reader.get("/api/v1/outputs?q=bike+pink").json()
        assert [row["id"] for row in answer["results"]] == [output.external_id]
        assert reader.get("/api/v1/outputs/count?q=bike").json() == {"count": 2}

    def test_gives_a_trace_as_a_tree(self, project: Project, reader: Client) -> None:
        for name, parent in (("a", ""), ("b", "a"), ("c", "gone")):
            output = arrived(project, input=name)
            Output.objects.filter(pk=output.pk).update(
                external_id=name, trace_id="t/1", span_id=name, parent_span_id=parent
            )
        found = reader.get("/api/v1/traces/t%2F1").json()
        assert [(row["id"], row["depth"], row["is_orphan"]) for row in found["outputs"]] == [
            ("a", 0, False),
            ("b", 1, False),
            ("c", 0, True),
        ]
        assert (found["trace_id"], found["is_whole"]) == ("t/1", True)
        stranger = Client(headers=factories.bearer(factories.a_key(factories.a_project(), "read")))
        assert stranger.get("/api/v1/traces/t%2F1").status_code == 404
