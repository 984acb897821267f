"""Connections are saved once per name, their secrets go nowhere else, and models find them."""

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from connections import queries
from connections.models import Connection
from connections.services import connections as services
from core import clock, sealing
from core.problems import Invalid
from ledger.models import Allowance
from projects.access import Actor
from projects.models import AuditEvent, Project
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def admin(project: Project) -> Actor:
    return factories.an_actor(project)


def save(by: Actor, base_url: str = "https://api.example.org/v1", **options: Any) -> Connection:
    values: dict[str, Any] = {"name": "main", "base_url": base_url, "secret": None, **options}
    return services.save_connection(**values, by=by, now=clock.now())[0]


class TestSaveConnection:
    def test_the_same_name_again_changes_the_connection(self, admin: Actor) -> None:
        first = save(admin, secret="sk-canary", concurrency=3)
        second = save(admin, "https://api.example.org/v2", concurrency=4)
        assert first.pk == second.pk
        assert (second.base_url, second.concurrency, second.has_secret) == (
            "https://api.example.org/v2",
            4,
            True,
        )

    @pytest.mark.parametrize(
        "address", ["https://evil.example/v1", "http://api.example.org/v1", "https://api.example.org:8443/v1"]
    )
    def test_another_place_empties_the_secret(self, admin: Actor, address: str) -> None:
        save(admin, secret="sk-canary")
        moved = save(admin, address)
        assert not moved.has_secret
        assert not save(admin).has_secret

    def test_another_place_with_a_new_secret_keeps_the_new_one(self, admin: Actor, project: Project) -> None:
        save(admin, secret="sk-old")
        save(admin, "https://other.example/v1", secret="sk-new")
        assert queries.resolve(project.pk, "main/gpt-x").secret() == "sk-new"

    def test_an_empty_secret_takes_it_away(self, admin: Actor) -> None:
        save(admin, secret="sk-canary")
        assert not save(admin, secret="").has_secret

    def test_a_row_whose_address_was_edited_still_sends_its_secret_nowhere_else(
        self, admin: Actor, project: Project
    ) -> None:
        save(admin, secret="sk-canary")
        Connection.objects.update(base_url="https://evil.example/v1", secret_host="https://evil.example:443")
        with pytest.raises(sealing.SealBroken):
            queries.resolve(project.pk, "main/gpt-x").secret()

    def test_leaves_an_audit_event_without_the_secret(self, admin: Actor) -> None:
        save(admin, secret="sk-canary-1")
        save(admin, secret="sk-canary-2")
        save(admin)
        save(admin, "https://other.example")
        events = list(AuditEvent.objects.filter(verb__startswith="connection.").order_by("pk"))
        assert [event.verb for event in events] == [
            "connection.create",
            "connection.update",
            "connection.update",
        ]
        assert events[0].before is None
        assert events[1].after is not None
        assert events[1].after["secret_replaced"] is True
        assert events[2].before is not None
        assert events[2].after is not None
        assert (events[2].before["has_secret"], events[2].after["has_secret"]) == (True, False)
        assert "canary" not in str([vars(event) for event in events])

    def test_no_secret_is_stored_in_clear(self, admin: Actor) -> None:
        row = save(admin, secret="sk-canary")
        assert b"canary" not in bytes(row.secret_sealed or b"")
        assert "canary" not in repr(vars(row))

    def test_opens_the_limit_that_all_processes_share(self, admin: Actor) -> None:
        row = save(admin, concurrency=7)
        save(admin, concurrency=9)
        assert Allowance.objects.get(key=queries.allowance_key(row.pk)).capacity == 9

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", "has/slash"),
            ("name", ""),
            ("name", "x" * 81),
            ("concurrency", 0),
            ("concurrency", 1_001),
            ("kind", "anthropic"),
            ("base_url", "https://u:p@example.org"),
            ("secret", "line\nbreak"),
            ("secret", "ünicode"),
            ("secret", "x" * 4_001),
        ],
    )
    def test_refuses_a_bad_value_by_the_name_of_its_field(self, admin: Actor, field: str, value: Any) -> None:
        with pytest.raises(Invalid) as caught:
            save(admin, **{field: value})
        assert [error.field for error in caught.value.errors] == [field]
        assert not Connection.objects.exists()


class TestResolve:
    def test_finds_the_connection_of_a_model_in_one_statement(
        self, admin: Actor, project: Project, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        row = save(admin, secret="sk-canary", concurrency=5)
        with django_assert_num_queries(1):
            found = queries.resolve(project.pk, "main/org/model-x")
        assert (found.connection_id, found.base_url, found.model) == (row.pk, row.base_url, "org/model-x")
        assert (found.concurrency, found.allowance_key) == (5, f"connection:{row.pk}")
        assert found.secret() == "sk-canary"

    def test_shows_no_secret_in_its_repr_and_has_none_in_its_identity(self, admin: Actor, project: Project) -> None:
        save(admin, secret="sk-canary")
        found = queries.resolve(project.pk, "main/x")
        assert "canary" not in repr(found)
        assert "sealed" not in repr(found)
        assert found.identity == "openai https://api.example.org/v1 x"

    def test_another_projects_connection_does_not_exist(self, admin: Actor, settings: Settings) -> None:
        save(admin, secret="sk-canary")
        settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = "", ""
        with pytest.raises(queries.NoConnection):
            queries.resolve(factories.a_project().pk, "main/x")

    def test_falls_back_to_the_default_connection(self, project: Project, settings: Settings) -> None:
        settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = "http://127.0.0.1:9/v1/", "sk-canary"
        found = queries.resolve(project.pk, "meta-llama/Llama-3")
        assert (found.connection_id, found.base_url, found.model) == (
            None,
            "http://127.0.0.1:9/v1",
            "meta-llama/Llama-3",
        )
        assert found.secret() == "sk-canary"
        assert "canary" not in repr(found)

    def test_a_key_alone_means_the_public_endpoint(self, project: Project, settings: Settings) -> None:
        settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = "", "sk-canary"
        assert queries.resolve(project.pk, "gpt-x").base_url == "https://api.openai.com/v1"

    def test_a_connection_without_a_secret_never_borrows_the_default_one(
        self, admin: Actor, project: Project, settings: Settings
    ) -> None:
        settings.OPENAI_API_KEY = "sk-canary"
        save(admin)
        assert queries.resolve(project.pk, "main/x").secret() is None

    def test_says_what_to_do_where_nothing_answers(self, project: Project, settings: Settings) -> None:
        settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = "", ""
        with pytest.raises(queries.NoConnection, match="OPENAI_BASE_URL"):
            queries.resolve(project.pk, "gpt-x")
