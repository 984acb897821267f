"""The API of connections: admins save, readers see, nobody is shown a secret."""

import threading
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from connections.models import Connection
from projects.access import Scope
from projects.models import Project
from tests import factories

URL = "/api/v1/connections"
GOOD = {"name": "main", "base_url": "https://api.example.org/v1", "secret": "sk-canary", "concurrency": 4}


@pytest.fixture
def project(db: None) -> Project:
    return factories.a_project()


def post(client: Client, key: str, body: Any) -> Any:
    return client.post(URL, body, content_type="application/json", headers=factories.bearer(key))


def get(client: Client, key: str) -> Any:
    return client.get(URL, headers=factories.bearer(key))


def test_saves_a_connection_and_never_shows_its_secret(client: Client, project: Project) -> None:
    key = factories.a_key(project)
    made = post(client, key, GOOD)
    assert made.status_code == 201
    assert made.json()["has_secret"] is True
    again = post(client, key, {**GOOD, "secret": None, "base_url": "https://evil.example/v1"})
    assert (again.status_code, again.json()["has_secret"]) == (200, False)
    listed = get(client, key)
    assert [row["base_url"] for row in listed.json()["results"]] == ["https://evil.example/v1"]
    for answer in (made, again, listed):
        assert b"canary" not in answer.content


def test_has_a_fixed_number_of_statements(
    client: Client, project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    key = factories.a_key(project)
    for number in range(5):
        post(client, key, {**GOOD, "name": f"c{number}"})
    with django_assert_num_queries(2):
        assert len(get(client, key).json()["results"]) == 5


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**GOOD, "name": "a/b"}, "name"),
        ({**GOOD, "name": 7}, "name"),
        ({**GOOD, "base_url": "file:///etc/passwd"}, "base_url"),
        ({**GOOD, "base_url": "https://u:p@example.org/"}, "base_url"),
        ({**GOOD, "base_url": ["x"]}, "base_url"),
        ({**GOOD, "secret": 5}, "secret"),
        ({**GOOD, "secret": "a\r\nX-Evil: 1"}, "secret"),
        ({**GOOD, "concurrency": 0}, "concurrency"),
        ({**GOOD, "concurrency": "5"}, "concurrency"),
        ({**GOOD, "kind": "http"}, "kind"),
        ({**GOOD, "project": 1}, "project"),
        ({"name": "main"}, "base_url"),
        ([GOOD], "body"),
    ],
)
def test_names_the_field_that_is_wrong(client: Client, project: Project, body: Any, field: str) -> None:
    answer = post(client, factories.a_key(project), body)
    assert answer.status_code == 400
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert b"canary" not in answer.content
    assert not Connection.objects.exists()


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope not in (Scope.ADMIN, Scope.APPROVE)])
def test_only_admins_save(client: Client, project: Project, scope: Scope) -> None:
    assert post(client, factories.a_key(project, scope), GOOD).status_code == 403
    assert not Connection.objects.exists()


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope not in (Scope.READ, Scope.APPROVE)])
def test_only_readers_see(client: Client, project: Project, scope: Scope) -> None:
    assert get(client, factories.a_key(project, scope)).status_code == 403


def test_strangers_see_and_change_nothing(client: Client, project: Project) -> None:
    post(client, factories.a_key(project), GOOD)
    stranger = factories.a_key(factories.a_project())
    assert get(client, stranger).json()["results"] == []
    assert post(client, stranger, {**GOOD, "base_url": "https://evil.example"}).status_code == 201
    assert Connection.objects.get(project=project).base_url == GOOD["base_url"]
    assert client.get(URL).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_the_same_name_saved_by_many_at_once_is_one_connection(client: Client) -> None:
    project = factories.a_project()
    key = factories.a_key(project)
    statuses: list[int] = []

    def save() -> None:
        statuses.append(post(Client(), key, GOOD).status_code)
        database.close()

    threads = [threading.Thread(target=save) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 5 + [201]
    assert Connection.objects.count() == 1
