"""The palette: pages and things, as far as somebody may see them."""

import pytest
from django.test import Client
from pytest_django.fixtures import DjangoAssertNumQueries

from desk import search
from projects.models import Role
from tests import factories
from tests.conventions.world import World, a_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return a_world()


def found(world: World, text: str, role: str = Role.ENGINEER) -> list[tuple[str, str]]:
    return [(hit.kind, hit.words) for hit in search.hits(factories.an_actor(world.project, role), text)]


class TestSearch:
    def test_finds_things_by_a_part_of_their_name(self, world: World) -> None:
        assert ("prompt", "intent") in found(world, "INT")
        assert ("golden set", "intent-exam") in found(world, "exam")
        assert ("queue", world.ids["queue"]) in found(world, world.ids["queue"][1:])

    @pytest.mark.parametrize("words", ["{run}", "#{run}", "run {run}", " Run  #{run} "])
    def test_finds_a_run_by_its_number(self, world: World, words: str) -> None:
        assert ("run", f"Run {world.ids['run']}") in found(world, words.format(**world.ids))

    def test_finds_an_output_by_its_exact_id_alone(self, world: World) -> None:
        external = world.ids["output"]
        assert ("output", external) in found(world, external)
        assert "output" not in {kind for kind, _ in found(world, external[:-1] + "%")}

    def test_finds_pages_of_the_role(self, world: World) -> None:
        assert ("settings", "Members") in found(world, "memb", Role.ADMIN)
        assert ("settings", "Members") not in found(world, "memb", Role.ENGINEER)

    def test_shows_a_reviewer_nothing_that_needs_read(self, world: World) -> None:
        for text in ("intent", world.ids["run"], world.ids["output"]):
            kinds = {kind for kind, _ in found(world, text, Role.REVIEWER)}
            # A run's number may stand in the name of a queue, which a reviewer does see.
            assert kinds <= {"page", "settings", "queue"}

    def test_shows_nothing_of_other_projects(self, world: World) -> None:
        other = a_world()
        for name in ("output", "run", "proposal"):
            # A run's number may stand in the name of something of ours.
            assert name not in {kind for kind, _ in found(world, other.ids[name])}

    @pytest.mark.parametrize("text", ["%", "_", "\\", "'", '"', "\0", "9" * 40, "x" * 5_000, "<script>", "\u202eا"])
    def test_takes_any_text_as_text(self, world: World, client: Client, text: str) -> None:
        client.force_login(factories.a_member(world.project))
        answer = client.get(f"/{world.project.slug}/search/", {"q": text})
        assert answer.status_code == 200
        assert b"<script>" not in answer.content.replace(b'<script src="', b"")
        assert not [hit for hit in answer.context["hits"] if hit.kind not in ("page", "settings")]

    def test_gives_htmx_the_links_alone(self, world: World, client: Client) -> None:
        client.force_login(factories.a_member(world.project))
        url = f"/{world.project.slug}/search/"
        said = client.get(url, {"q": "intent"}, headers={"HX-Request": "true"}).content.decode()
        assert said.strip().startswith("<a href=")
        nothing = client.get(url, {"q": "zzz"}, headers={"HX-Request": "true"}).content.decode()
        assert "Nothing of this name" in nothing
        assert not client.get(url, {"q": " "}, headers={"HX-Request": "true"}).content.strip()

    def test_costs_one_statement(self, world: World, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        actor = factories.an_actor(world.project)
        for n in range(10):
            factories.a_prompt(world.project, f"intent-{n}")
        with django_assert_num_queries(1):
            hits = search.hits(actor, "intent")
        assert len([hit for hit in hits if hit.kind == "prompt"]) == search.MOST_OF_A_KIND
