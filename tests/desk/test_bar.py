"""The bar above every page."""

import pytest
from django.test import Client

from desk import bar
from projects.models import Role
from tests import factories

pytestmark = pytest.mark.django_db


class TestBar:
    @pytest.mark.parametrize("role", Role.values)
    def test_holds_the_pages_of_the_role_and_each_of_them_opens(self, client: Client, role: str) -> None:
        project = factories.a_project()
        client.force_login(factories.a_member(project, role))
        links = client.get(f"/{project.slug}/").context["bar"].links
        assert [link.words for link in links] == [place.words for place in bar.PLACES[role]]
        assert [client.get(link.url).status_code for link in links] == [200] * len(links)

    def test_marks_the_page_that_one_is_on(self, client: Client) -> None:
        project = factories.a_project()
        client.force_login(factories.a_member(project, Role.ADMIN))
        for page, words, inside in (("members", "Settings", "Members"), ("audit", "Settings", "Audit trail")):
            here = client.get(f"/{project.slug}/{page}/").context["bar"]
            assert [link.words for link in here.links if link.is_here] == [words]
            assert [link.words for link in here.settings if link.is_here] == [inside]

    def test_leads_everybody_to_the_first_settings_page_of_theirs(self, client: Client) -> None:
        project = factories.a_project()
        client.force_login(factories.a_member(project, Role.ENGINEER))
        here = client.get(f"/{project.slug}/ingest/").context["bar"]
        assert [(link.words, link.url) for link in here.links if link.is_here] == [
            ("Settings", f"/{project.slug}/ingest/")
        ]

    @pytest.mark.parametrize(("page", "words"), [("imports", "Outputs"), ("costs", "Trends")])
    def test_marks_what_a_page_belongs_to(self, client: Client, page: str, words: str) -> None:
        project = factories.a_project()
        client.force_login(factories.a_member(project, Role.ENGINEER))
        here = client.get(f"/{project.slug}/{page}/").context["bar"]
        assert [link.words for link in here.links if link.is_here] == [words]

    def test_shows_nobody_a_settings_page_that_is_not_theirs(self, client: Client) -> None:
        project = factories.a_project()
        client.force_login(factories.a_member(project, Role.ENGINEER))
        words = [link.words for link in client.get(f"/{project.slug}/").context["bar"].settings]
        assert {"Ingest", "Connections"} <= set(words)
        assert not {"Members", "API keys", "Audit trail", "Redaction"} & set(words)

    def test_is_none_outside_a_project(self, client: Client) -> None:
        client.force_login(factories.a_member(factories.a_project()))
        assert client.get("/").context["bar"] is None
