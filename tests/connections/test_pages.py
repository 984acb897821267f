"""Connections as an admin keeps them."""

import pytest
from django.test import Client
from pytest_django.fixtures import DjangoAssertNumQueries

from connections.models import Connection
from projects.models import AuditEvent, Project, Role
from tests import factories

pytestmark = pytest.mark.django_db

ADDRESS = "https://api.example.org/v1"
GOOD = {"name": "local", "kind": "openai", "base_url": ADDRESS, "secret": "sk-123456", "concurrency": "5"}


@pytest.fixture
def project() -> Project:
    return factories.a_project("Shop")


@pytest.fixture
def admin(client: Client, project: Project) -> Client:
    client.force_login(factories.a_member(project, Role.ADMIN))
    return client


class TestConnectionList:
    def test_adds_one_and_never_shows_its_secret(self, admin: Client, project: Project) -> None:
        answer = admin.post(f"/{project.slug}/connections/", GOOD, follow=True)
        assert "local is saved" in answer.content.decode()
        assert "sk-123456" not in answer.content.decode()
        assert "sealed" in answer.content.decode()
        assert "sk-123456" not in str(AuditEvent.objects.latest("id").after)

    def test_is_read_by_engineers_without_a_form(self, client: Client, project: Project) -> None:
        client.force_login(factories.a_member(project, Role.ENGINEER))
        page = client.get(f"/{project.slug}/connections/").content.decode()
        assert "Add a connection" not in page
        assert "An admin of the project can add" in page

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"name": "a b"}, "name"),
            ({"base_url": "ftp://x"}, "base_url"),
            ({"base_url": "https://u:p@x/v1"}, "base_url"),
            ({"concurrency": "0"}, "concurrency"),
            ({"kind": "magic"}, "kind"),
            ({"secret": "é"}, "secret"),
        ],
        ids=str,
    )
    def test_says_what_is_wrong_and_keeps_what_was_typed_but_the_secret(
        self, admin: Client, project: Project, change: dict[str, str], field: str
    ) -> None:
        answer = admin.post(f"/{project.slug}/connections/", {**GOOD, **change})
        assert answer.status_code == 422
        assert field in answer.context["form"].errors
        assert "sk-123456" not in answer.content.decode()
        assert 'value="5"' in answer.content.decode() or field == "concurrency"
        assert not Connection.objects.exists()

    def test_does_not_change_one_that_is_there(self, admin: Client, project: Project) -> None:
        admin.post(f"/{project.slug}/connections/", GOOD)
        answer = admin.post(f"/{project.slug}/connections/", {**GOOD, "base_url": "https://other.example/v1"})
        assert answer.status_code == 422
        assert Connection.objects.get().base_url == ADDRESS

    def test_costs_the_same_for_many(
        self, admin: Client, project: Project, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for n in range(8):
            admin.post(f"/{project.slug}/connections/", {**GOOD, "name": f"c{n}"})
        admin.get(f"/{project.slug}/connections/")
        with django_assert_num_queries(5):
            admin.get(f"/{project.slug}/connections/")


class TestConnectionEdit:
    @pytest.mark.parametrize(
        ("change", "has_secret", "said"),
        [
            ({"concurrency": "9"}, True, "is saved"),
            ({"base_url": "https://api.example.org/v2"}, True, "is saved"),
            ({"base_url": "https://other.example/v1"}, False, "its secret was emptied"),
            ({"base_url": "https://other.example/v1", "secret": "new"}, True, "is saved"),
            ({"forgets_secret": "on"}, False, "is saved"),
        ],
        ids=str,
    )
    def test_keeps_a_secret_for_its_own_place_alone(
        self, admin: Client, project: Project, change: dict[str, str], has_secret: bool, said: str
    ) -> None:
        admin.post(f"/{project.slug}/connections/", GOOD)
        admin.get(f"/{project.slug}/connections/")
        answer = admin.post(f"/{project.slug}/connections/local/", {**GOOD, "secret": "", **change}, follow=True)
        assert Connection.objects.get().has_secret is has_secret
        assert said in answer.content.decode()

    def test_never_changes_the_name(self, admin: Client, project: Project) -> None:
        admin.post(f"/{project.slug}/connections/", GOOD)
        admin.post(f"/{project.slug}/connections/local/", {**GOOD, "name": "other"})
        assert [row.name for row in Connection.objects.all()] == ["local"]

    def test_shows_what_is_wrong(self, admin: Client, project: Project) -> None:
        admin.post(f"/{project.slug}/connections/", GOOD)
        answer = admin.post(f"/{project.slug}/connections/local/", {**GOOD, "base_url": "nonsense"})
        assert answer.status_code == 422
        assert "nonsense" in answer.content.decode()
