"""Outputs read back: filters, pages, counts, one whole."""

import datetime as dt
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from outputs import queries
from outputs.models import Feedback, Output, OutputBody
from projects.models import Project
from tests import factories

pytestmark = pytest.mark.django_db

LIST = "/api/v1/outputs"
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def reader(project: Project) -> Client:
    return Client(headers=factories.bearer(factories.a_key(project, "read")))


def stored(project: Project, external_id: str, *, body: dict[str, Any] | None = None, **fields: Any) -> Output:
    at = fields.setdefault("received_at", NOON)
    output = Output.objects.create(
        project=project, external_id=external_id, body_hash=b"", received_on=at.date(), **fields
    )
    said = {"input": "q", "output": "a", **(body or {})}
    OutputBody.objects.create(output_id=output.pk, received_on=output.received_on, **said)
    return output


def ids(client: Client, query: str = "") -> list[str]:
    answer = client.get(f"{LIST}?{query}")
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


class TestList:
    def test_shows_the_newest_first_with_all_they_say(self, project: Project, reader: Client) -> None:
        revision = factories.a_revision(factories.a_prompt(project, "intent"))
        stored(project, "old")
        stored(
            project,
            "new",
            body={"input": [{"role": "user", "content": "hi"}], "metadata": {"a": 1}},
            prompt=revision.prompt,
            revision=revision,
            model="m",
            tags=["t"],
            cost_usd="0.000000001",
            end_user="somebody",
        )
        new, old = reader.get(LIST).json()["results"]
        assert (new["id"], old["id"]) == ("new", "old")
        assert (new["prompt"], new["revision"], new["status"]) == ("intent", 1, "ok")
        assert (new["input"], new["metadata"]) == ([{"role": "user", "content": "hi"}], {"a": 1})
        assert (new["tags"], new["cost_usd"], new["user_id"]) == (["t"], 1e-9, "somebody")
        assert (old["prompt"], old["revision"], old["latency_ms"]) == (None, None, None)

    def test_shows_a_prompt_that_nobody_knows_as_it_was_sent(self, project: Project, reader: Client) -> None:
        stored(project, "a", body={"prompt_name": "gone", "revision_ref": "7"})
        (row,) = reader.get(LIST).json()["results"]
        assert (row["prompt"], row["revision"]) == ("gone", "7")

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("prompt=intent", ["c", "b"]),
            ("prompt=nobody", []),
            ("prompt=intent&revision=2", ["c"]),
            ("revision=1", ["b"]),
            ("revision=99", []),
            ("model=m1", ["b", "a"]),
            ("environment=staging", ["d"]),
            ("tag=x", ["d", "a"]),
            ("tag=x&model=m1", ["a"]),
            ("status=error", ["d"]),
            ("status=ok", ["c", "b", "a"]),
            ("since=2026-03-01T12:00:00Z", ["d", "c", "b"]),
            ("since=2026-03-01", ["d", "c", "b"]),
            ("since=2026-03-01T14:30:00%2B01:00", ["d"]),
            ("since=2026-03-01T14:30:00+01:00", ["d"]),
            ("until=2026-03-01T12:00:00", ["a"]),
            ("since=2026-03-01&until=2026-03-02", ["c", "b"]),
        ],
    )
    def test_filters(self, project: Project, reader: Client, query: str, expected: list[str]) -> None:
        prompt = factories.a_prompt(project, "intent")
        first, second = factories.a_revision(prompt), factories.a_revision(prompt, ("a", "b"))
        stored(project, "a", model="m1", tags=["x", "y"], received_at=NOON - dt.timedelta(days=1))
        stored(project, "b", model="m1", prompt=prompt, revision=first)
        stored(project, "c", prompt=prompt, revision=second)
        late = NOON + dt.timedelta(days=1)
        stored(project, "d", tags=["x"], environment="staging", status=Output.Status.ERROR, received_at=late)
        assert ids(reader, query) == expected
        assert reader.get(f"{LIST}/count?{query}").json() == {"count": len(expected)}

    def test_finds_a_revision_by_its_hash(self, project: Project, reader: Client) -> None:
        revision = factories.a_revision(factories.a_prompt(project))
        stored(project, "a", prompt=revision.prompt, revision=revision)
        assert ids(reader, f"revision={revision.content_hash}") == ["a"]

    def test_goes_through_all_pages_without_gap_or_repeat(self, project: Project, reader: Client) -> None:
        expected = [stored(project, f"o{number}").external_id for number in range(7)][::-1]
        address, found = f"{LIST}?limit=3", []
        while address:
            page = reader.get(address).json()
            found.append([row["id"] for row in page["results"]])
            address = page["next"]
        assert [len(page) for page in found] == [3, 3, 1]
        assert sum(found, []) == expected  # noqa: RUF017 # three pages

    def test_a_page_ends_early_when_its_texts_are_long(
        self, project: Project, reader: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queries, "PAGE_BYTES", 250)
        for number in range(5):
            stored(project, f"o{number}", body_bytes=100 if number else 300)
        sizes, address = [], LIST
        while address:
            page = reader.get(address).json()
            sizes.append(len(page["results"]))
            address = page["next"]
        assert sizes == [2, 2, 1]

    def test_costs_the_same_statements_for_any_number(
        self, project: Project, reader: Client, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for number in range(3):
            stored(project, f"o{number}")
        with django_assert_num_queries(3):  # the key, the rows, their texts
            assert len(ids(reader)) == 3
        for number in range(3, 9):
            stored(project, f"o{number}")
        with django_assert_num_queries(3):
            assert len(ids(reader)) == 9

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("colour=red", "colour"),
            ("q=%21%3F", "q"),
            ("q=a%00b", "q"),
            ("days=many", "days"),
            ("feedback=meh", "feedback"),
            ("score_min=1", "score"),
            ("score=a&score_min=much", "score_min"),
            ("project_id=1", "project_id"),
            ("prompt__project__name=x", "prompt__project__name"),
            ("status=fine", "status"),
            ("since=yesterday", "since"),
            ("until=2026-13-01", "until"),
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("cursor=x", "cursor"),
            ("prompt=", "prompt"),
            ("model=a%00b", "model"),
            ("tag=" + "x" * 201, "tag"),
        ],
    )
    def test_refuses_what_it_does_not_know(self, reader: Client, query: str, field: str) -> None:
        answer = reader.get(f"{LIST}?{query}")
        assert answer.status_code == 400
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["errors"][0]["field"] == field


class TestDetail:
    @pytest.mark.parametrize(
        "external_id", ["plain", "with/slash/es", "trace:span", "ünï 😀", "a%2Fb", "count/it", ".."]
    )
    def test_is_found_by_the_id_it_was_sent_with(self, project: Project, reader: Client, external_id: str) -> None:
        stored(project, external_id)
        assert reader.get(f"{LIST}/{quote(external_id, safe='')}").json()["id"] == external_id

    def test_has_its_feedback_oldest_first(self, project: Project, reader: Client) -> None:
        stored(project, "o")
        for number, output in enumerate(["o", "other", "o"]):
            Feedback.objects.create(
                project=project,
                external_id=f"f{number}",
                body_hash=b"",
                output_external_id=output,
                kind="thumb",
                value=number,
            )
        Feedback.objects.create(
            project=factories.a_project(), external_id="x", body_hash=b"", output_external_id="o", kind="thumb"
        )
        found = reader.get(f"{LIST}/o").json()["feedback"]
        assert [(row["id"], row["value"]) for row in found] == [("f0", 0.0), ("f2", 2.0)]

    def test_stays_readable_when_its_texts_are_gone(self, project: Project, reader: Client) -> None:
        output = stored(project, "o", model="m")
        OutputBody.objects.filter(output_id=output.pk).delete()
        found = reader.get(f"{LIST}/o").json()
        assert (found["model"], found["input"], found["output"]) == ("m", None, None)

    def test_a_strangers_is_missing_in_the_same_words_as_none(self, reader: Client) -> None:
        stored(factories.a_project(), "theirs")
        answers = [reader.get(f"{LIST}/{name}") for name in ("theirs", "nobodys", "a%00b")]
        assert [answer.status_code for answer in answers] == [404, 404, 404]
        assert len({answer.content for answer in answers}) == 1
        assert ids(reader) == []
        assert reader.get(f"{LIST}/count").json() == {"count": 0}

    def test_needs_the_scope(self, project: Project) -> None:
        stored(project, "o")
        sender = Client(headers=factories.bearer(factories.a_key(project, "ingest")))
        for path in (LIST, f"{LIST}/count", f"{LIST}/o"):
            assert sender.get(path).status_code == 403
            assert Client().get(path).status_code == 401
