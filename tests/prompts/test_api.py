"""The API of prompts: what production asks, what engineers save, and who may not."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from projects.access import ROLE_SCOPES, Actor, Scope
from projects.models import Project, Role
from prompts import services, tasks
from prompts.content import ContextLine
from prompts.models import ContextItem, Prompt, Revision
from tests import factories
from tests.prompts.conftest import MESSAGES, a_revision, examples, point

URL = "/api/v1/prompts"
REVISION = {"messages": MESSAGES, "model": "main/gpt-x"}


@pytest.fixture
def key(project: Project) -> str:
    return factories.a_key(project)


@pytest.fixture
def released(prompt: Prompt, admin: Actor) -> Revision:
    lessons = [ContextLine("lesson", text="Be brief", tags=("tone",))]
    context = [*examples(30), *lessons]
    revision = a_revision(prompt, admin, context=context, strategy="similar", k=2, parameters={"temperature": 0})
    point(prompt, revision)
    return revision


def send(client: Client, method: str, path: str, key: str, body: Any = None, **headers: str) -> Any:
    options: dict[str, Any] = {"headers": {**factories.bearer(key), **headers}}
    if body is not None:
        options |= {"data": body, "content_type": "application/json"}
    return getattr(client, method)(f"{URL}{path}", **options)


def fields(answer: Any) -> list[str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return [error["field"] for error in answer.json()["errors"]]


class TestPrompts:
    def test_are_created_once(self, client: Client, key: str) -> None:
        first = send(client, "post", "", key, {"name": "intent", "description": "Sorts messages"})
        again = send(client, "post", "", key, {"name": "intent"})
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert first.json()["parts"] == {"gate": 20, "dev": 20, "teach": 60}
        assert [row["name"] for row in send(client, "get", "", key).json()["results"]] == ["intent"]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "name"),
            ({"name": "a/b"}, "name"),
            ({"name": ""}, "name"),
            ({"name": 5}, "name"),
            ({"name": "a", "description": None}, "description"),
            ({"name": "a", "gate_share": 100}, "gate_share"),
            ([], "body"),
        ],
    )
    def test_refuses_bad_bodies_by_field(self, client: Client, key: str, body: Any, field: str) -> None:
        answer = send(client, "post", "", key, body)
        assert answer.status_code == 400
        assert field in fields(answer)
        assert not Prompt.objects.exists()

    def test_shows_its_labels_and_newest_revision(
        self, client: Client, key: str, released: Revision, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        services.label_named(prompt=released.prompt, name="staging")
        with django_assert_num_queries(4):
            shown = send(client, "get", "/intent", key).json()
        assert shown["labels"] == [
            {"name": "production", "revision": 1},
            {"name": "staging", "revision": None},
        ]
        assert (shown["name"], shown["newest"]) == ("intent", 1)


class TestRevisions:
    def test_are_saved_once(self, client: Client, key: str, prompt: Prompt) -> None:
        context = [
            {"kind": "example", "input": " lost card ", "output": "card_lost", "tags": ["b", "a"]},
            {"kind": "fact", "text": "Open until six"},
        ]
        body = {**REVISION, "context": context, "selection": {"strategy": "similar", "k": 3}, "note": "first"}
        first = send(client, "post", "/intent/revisions", key, body)
        again = send(client, "post", "/intent/revisions", key, {**body, "note": "second"})
        other = send(client, "post", "/intent/revisions", key, REVISION)
        assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
        assert first.json() == again.json()
        assert (first.json()["number"], first.json()["parent"]) == (1, None)
        assert (other.json()["number"], other.json()["parent"]) == (2, 1)
        assert len(first.json()["hash"]) == 64
        shown = send(client, "get", "/intent?revision=1", key).json()
        assert shown["context"][0] | {"id": 0} == {
            "id": 0,
            "kind": "example",
            "input": " lost card ",
            "output": "card_lost",
            "text": "",
            "tags": ["a", "b"],
        }
        assert shown["selection"] == {"strategy": "similar", "k": 3}
        assert (shown["prompt"], shown["note"], shown["hash"]) == ("intent", "first", first.json()["hash"])

    def test_of_another_prompt_with_the_same_words_count_on_their_own(
        self, client: Client, key: str, prompt: Prompt
    ) -> None:
        send(client, "post", "", key, {"name": "other"})
        assert send(client, "post", "/other/revisions", key, REVISION).json()["number"] == 1

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"messages": "hello"}, "messages"),
            ({"messages": []}, "messages"),
            ({"messages": None}, "messages"),
            ({"messages": [{"role": "user"}]}, "messages[0].content"),
            ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content"),
            ({"messages": [{"role": "user", "content": "{{ ''.__class__ }}"}]}, "messages[0].content"),
            ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, "messages[0].name"),
            ({"messages": ["x"]}, "messages[0]"),
            ({"model": 5}, "model"),
            ({"model": ""}, "model"),
            ({"parameters": [1]}, "parameters"),
            ({"parameters": {"stream": True}}, "parameters.stream"),
            ({"context": {"kind": "fact"}}, "context"),
            ({"context": [{"kind": "joke", "text": "x"}]}, "context[0].kind"),
            ({"context": [{"kind": "fact", "text": 5}]}, "context[0].text"),
            ({"context": [{"kind": "fact", "text": "x", "weight": 2}]}, "context[0].weight"),
            ({"context": [{"kind": "fact", "text": "x", "tags": "y"}]}, "context[0].tags"),
            ({"context": [{"kind": "fact", "text": "x"}] * 2}, "context[1]"),
            ({"selection": {"strategy": "tags"}}, "selection.strategy"),
            ({"selection": {"strategy": "similar"}}, "selection.k"),
            ({"selection": {"strategy": "similar", "k": "3"}}, "selection.k"),
            ({"selection": {"strategy": "similar", "k": True}}, "selection.k"),
            ({"selection": []}, "selection"),
            ({"number": 7}, "number"),
            ({"content_hash": "x"}, "content_hash"),
        ],
    )
    def test_refuses_bad_bodies_by_field(
        self, client: Client, key: str, prompt: Prompt, change: dict[str, Any], field: str
    ) -> None:
        answer = send(client, "post", "/intent/revisions", key, {**REVISION, **change})
        assert answer.status_code == 400
        assert fields(answer) == [field]
        assert not Revision.objects.exists()
        assert not ContextItem.objects.exists()

    @pytest.mark.parametrize(
        "text",
        [
            "{% load x %}{% debug %}",
            "{m.__class__}",
            "%s ${x}",
            "<script>alert(1)</script>",
            "\u202e\u2066\u200b",
        ],
    )
    def test_hostile_text_is_text(self, client: Client, key: str, prompt: Prompt, text: str) -> None:
        body = {**REVISION, "messages": [{"role": "user", "content": text}]}
        assert send(client, "post", "/intent/revisions", key, body).status_code == 201
        rendered = send(client, "post", "/intent/render", key, {"revision": 1})
        assert rendered.json()["messages"] == [{"role": "user", "content": text}]

    def test_of_more_examples_than_a_request_indexes_answer_409_until_a_worker_came(
        self,
        client: Client,
        key: str,
        prompt: Prompt,
        monkeypatch: pytest.MonkeyPatch,
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        """2,001 of them; the bell is rung after the commit, and the broker may be down."""
        rung: list[tuple[str, tuple[int, ...]]] = []
        monkeypatch.setattr("core.bells.ring_now", lambda name, *ids: rung.append((name, ids)))
        context = [{"kind": "example", "input": f"question {i}", "output": f"answer {i}"} for i in range(2_001)]
        body = {**REVISION, "context": context, "selection": {"strategy": "similar", "k": 2}}
        with django_capture_on_commit_callbacks(execute=True):
            made = send(client, "post", "/intent/revisions", key, body)
        assert (made.status_code, made.json()["index_state"]) == (201, "waiting")
        revision = Revision.objects.get()
        assert rung == [("prompts.tasks.build_index", (revision.pk,))]
        asked = {"revision": 1, "variables": {"input": "question 1500"}}
        early = send(client, "post", "/intent/render", key, asked)
        assert (early.status_code, early.headers["Retry-After"]) == (409, "5")
        assert send(client, "get", "/intent?revision=1", key).status_code == 200
        tasks.build_index(revision.pk)
        assert send(client, "post", "/intent/render", key, asked).json()["messages"][-2]["content"] == "answer 1500"

    def test_are_listed_newest_first_without_their_context(
        self,
        client: Client,
        key: str,
        released: Revision,
        admin: Actor,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        for number in range(5):
            a_revision(released.prompt, admin, model=f"m{number}")
        with django_assert_num_queries(3):
            page = send(client, "get", "/intent/revisions?limit=4", key).json()
        assert [row["number"] for row in page["results"]] == [6, 5, 4, 3]
        rest = client.get(page["next"], headers=factories.bearer(key)).json()
        assert [row["number"] for row in rest["results"]] == [2, 1]
        assert rest["results"][1]["n_context"] == 31
        assert "context" not in rest["results"][1]


class TestReading:
    def test_a_label_gives_its_revision_and_asks_again_with_an_etag(
        self, client: Client, key: str, released: Revision, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        with django_assert_num_queries(3):
            first = send(client, "get", "/intent?label=production", key)
        assert (first.status_code, first.json()["number"], len(first.json()["context"])) == (200, 1, 31)
        assert first.headers["Cache-Control"] == "private, no-cache"
        assert "Authorization" in first.headers["Vary"]
        etag = first.headers["ETag"]
        assert etag.startswith('"')
        with django_assert_num_queries(2):
            again = send(client, "get", "/intent?label=production", key, **{"If-None-Match": etag})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
        assert again.headers["Cache-Control"] == "private, no-cache"

    def test_a_moved_label_has_another_etag(self, client: Client, key: str, released: Revision, admin: Actor) -> None:
        etag = send(client, "get", "/intent?label=production", key).headers["ETag"]
        point(released.prompt, a_revision(released.prompt, admin, model="b"))
        moved = send(client, "get", "/intent?label=production", key, **{"If-None-Match": etag})
        assert (moved.status_code, moved.json()["number"]) == (200, 2)

    def test_a_label_and_a_number_give_the_same_revision(self, client: Client, key: str, released: Revision) -> None:
        by_label = send(client, "get", "/intent?label=production", key)
        by_number = send(client, "get", "/intent?revision=1", key)
        assert by_label.content == by_number.content
        assert by_label.headers["ETag"] == by_number.headers["ETag"]

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("label=nothing", 404),
            ("label=%00", 404),
            ("label=", 404),
            ("label=" + "x" * 5_000, 404),
            ("revision=2", 404),
            ("revision=2147483647", 404),
            ("revision=2147483648", 400),
            ("revision=0", 400),
            ("revision=-1", 400),
            ("revision=x", 400),
            ("label=production&revision=1", 400),
            ("lable=production", 400),
        ],
    )
    def test_says_what_is_wrong(self, client: Client, key: str, released: Revision, query: str, status: int) -> None:
        assert send(client, "get", f"/intent?{query}", key).status_code == status

    @pytest.mark.parametrize("name", ["nothing", "%00", "x" * 5_000, "a%20b", "intent%0a"])
    def test_unknown_names_are_404(self, client: Client, key: str, released: Revision, name: str) -> None:
        for query in ("", "?label=production", "?revision=1"):
            assert send(client, "get", f"/{name}{query}", key).status_code == 404

    def test_a_label_that_points_nowhere_says_so(self, client: Client, key: str, prompt: Prompt) -> None:
        services.label_named(prompt=prompt, name="staging")
        answer = send(client, "get", "/intent?label=staging", key)
        assert answer.status_code == 409
        assert "points nowhere yet" in answer.json()["detail"]


class TestRender:
    def test_chooses_the_context_for_this_input(
        self, client: Client, key: str, released: Revision, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        asked = {"label": "production", "variables": {"input": "question number 17"}, "unit": "customer 5"}
        with django_assert_num_queries(4):
            answer = send(client, "post", "/intent/render", key, asked)
        with django_assert_num_queries(2):
            assert send(client, "post", "/intent/render", key, asked).content == answer.content
        rendered = answer.json()
        assert set(rendered) == {"revision", "messages", "model", "parameters", "context_ids"}
        assert (rendered["revision"], rendered["model"], rendered["parameters"]) == (
            1,
            "main/gpt-x",
            {"temperature": 0},
        )
        assert rendered["messages"][0]["content"] == "Sort it.\n\n- Be brief"
        assert rendered["messages"][-3:] == [
            {"role": "user", "content": "question number 17"},
            {"role": "assistant", "content": "answer 17"},
            {"role": "user", "content": "question number 17"},
        ]
        assert len(rendered["context_ids"]) == 3

    def test_a_missing_variable_is_named(self, client: Client, key: str, released: Revision) -> None:
        answer = send(client, "post", "/intent/render", key, {"label": "production", "variables": {"inputs": "x"}})
        assert answer.status_code == 400
        assert fields(answer) == ["variables.input"]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "label"),
            ({"label": "production", "revision": 1}, "label"),
            ({"label": 5}, "label"),
            ({"label": None}, "label"),
            ({"revision": "1"}, "revision"),
            ({"revision": 0}, "revision"),
            ({"revision": 1, "variables": []}, "variables"),
            ({"revision": 1, "variables": "x"}, "variables"),
            ({"revision": 1, "unit": "x" * 201}, "unit"),
            ({"revision": 1, "history": []}, "history"),
        ],
    )
    def test_refuses_bad_bodies_by_field(
        self, client: Client, key: str, released: Revision, body: Any, field: str
    ) -> None:
        answer = send(client, "post", "/intent/render", key, body)
        assert answer.status_code == 400
        assert fields(answer) == [field]

    @pytest.mark.parametrize("body", [{"label": "nothing"}, {"revision": 9}])
    def test_what_is_not_there_is_404(self, client: Client, key: str, released: Revision, body: Any) -> None:
        assert send(client, "post", "/intent/render", key, body).status_code == 404

    def test_of_a_prompt_that_is_not_there_is_404_whatever_the_body(self, client: Client, key: str) -> None:
        assert send(client, "post", "/nothing/render", key, {"label": 5}).status_code == 404

    def test_a_value_that_grows_without_end_is_refused(self, client: Client, key: str, prompt: Prompt) -> None:
        many = {**REVISION, "messages": [{"role": "user", "content": "{{input}}" * 10_000}]}
        send(client, "post", "/intent/revisions", key, many)
        body = {"revision": 1, "variables": {"input": "x" * 1_000_000}}
        answer = send(client, "post", "/intent/render", key, body)
        assert answer.status_code == 400
        assert fields(answer) == ["variables"]


class TestParts:
    def test_are_set(self, client: Client, key: str, prompt: Prompt) -> None:
        shares = {"gate": 0, "dev": 10, "teach": 90}
        answer = send(client, "put", "/intent/parts", key, shares)
        assert (answer.status_code, answer.json()) == (200, shares)
        assert send(client, "get", "/intent", key).json()["parts"] == shares

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"gate": 0, "dev": 10}, "teach"),
            ({"gate": 0, "dev": 10, "teach": 91}, "teach"),
            ({"gate": -1, "dev": 10, "teach": 91}, "gate"),
            ({"gate": 2**40, "dev": 10, "teach": 90}, "gate"),
            ({"gate": "0", "dev": 10, "teach": 90}, "gate"),
            ({"gate": 0.0, "dev": 10, "teach": 90}, "gate"),
            ({"gate": 0, "dev": 10, "teach": 90, "anchor": 0}, "anchor"),
        ],
    )
    def test_refuses_bad_bodies_by_field(self, client: Client, key: str, prompt: Prompt, body: Any, field: str) -> None:
        answer = send(client, "put", "/intent/parts", key, body)
        assert answer.status_code == 400
        assert fields(answer) == [field]


ROUTES: list[tuple[str, str, Any, Scope]] = [
    ("get", "", None, Scope.READ),
    ("post", "", {"name": "another"}, Scope.EVALUATE),
    ("get", "/intent", None, Scope.READ),
    ("get", "/intent?label=production", None, Scope.READ),
    ("get", "/intent/revisions", None, Scope.READ),
    ("post", "/intent/revisions", {"messages": MESSAGES, "model": "z"}, Scope.EVALUATE),
    ("put", "/intent/parts", {"gate": 0, "dev": 10, "teach": 90}, Scope.ADMIN),
    ("post", "/intent/render", {"revision": 1, "variables": {"input": "x"}}, Scope.READ),
]


@pytest.mark.parametrize(("method", "path", "body", "scope"), ROUTES)
class TestAccess:
    def test_takes_the_scope_and_nothing_else(
        self,
        client: Client,
        project: Project,
        released: Revision,
        method: str,
        path: str,
        body: Any,
        scope: Scope,
    ) -> None:
        for held in set(Scope) - {Scope.APPROVE}:
            answer = send(client, method, path, factories.a_key(project, held), body)
            assert (answer.status_code < 300) == (held == scope), held

    def test_takes_the_roles_that_have_the_scope(
        self,
        client: Client,
        project: Project,
        released: Revision,
        method: str,
        path: str,
        body: Any,
        scope: Scope,
    ) -> None:
        for role in Role.values:
            client.force_login(factories.a_member(project, role))
            options = {} if body is None else {"data": body, "content_type": "application/json"}
            answer = getattr(client, method)(f"{URL}{path}", **options)
            assert (answer.status_code < 300) == (scope in ROLE_SCOPES[role]), role

    def test_a_stranger_finds_nothing(
        self, client: Client, released: Revision, method: str, path: str, body: Any, scope: Scope
    ) -> None:
        stranger = factories.a_key(factories.a_project())
        before = list(Prompt.objects.values_list()), list(Revision.objects.values_list())
        answer = send(client, method, path, stranger, body)
        if path:
            unknown = send(client, method, path.replace("intent", "unknown"), stranger, body)
            assert (answer.status_code, answer.content) == (404, unknown.content)
            assert (list(Prompt.objects.values_list()), list(Revision.objects.values_list())) == before
        else:
            assert answer.json().get("results", []) == []

    def test_nobody_is_asked_to_sign_in(
        self, client: Client, released: Revision, method: str, path: str, body: Any, scope: Scope
    ) -> None:
        options = {} if body is None else {"data": body, "content_type": "application/json"}
        assert getattr(client, method)(f"{URL}{path}", **options).status_code == 401
