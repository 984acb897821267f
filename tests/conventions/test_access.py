"""Every route × everybody, from the start: the declared table is what really happens."""

from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client

from core import clock
from projects import access
from projects.access import ROLE_SCOPES, Scope
from projects.models import ApiKey, Project, Role
from projects.services import keys
from tests import factories
from tests.conventions import access_table, routes
from tests.conventions.world import World, a_world, names_in

INGEST = sorted(
    (method, path)
    for method, path in access_table.API
    if (method, routes.without_names(path)) in routes.of_ingest_face()
)
ROUTES = sorted(route for route in access_table.API if route not in INGEST)
OBJECT_ROUTES = [route for route in ROUTES if "{" in route[1]]


@dataclass(frozen=True)
class Person:
    """Somebody who asks: a label, what they may do, and how they say who they are."""

    label: str
    scopes: frozenset[str]
    headers: dict[str, Any]
    client: Client
    refusal: int = 403


@pytest.fixture
def world(db: None) -> World:
    return a_world()


def ask(client: Client, method: str, url: str, headers: dict[str, Any] | None = None) -> HttpResponse:
    """The answer to an empty request."""
    return client.generic(method, url, b"{}", content_type="application/json", headers=headers)


def people_of(project: Project) -> list[Person]:
    """Everybody the table speaks of, in this project."""
    return [*_members(project), *_key_holders(project), *_nobodies(project)]


def _members(project: Project) -> list[Person]:
    people = []
    for role in Role.values:
        client = Client()
        client.force_login(factories.a_member(project, role))
        people.append(Person(f"signed-in {role}", frozenset(ROLE_SCOPES[role]), {}, client))
    return people


def _key_holders(project: Project) -> list[Person]:
    scopes = [scope for scope in Scope if scope != Scope.APPROVE]
    return [
        Person(f"{scope} key", frozenset({scope}), factories.bearer(factories.a_key(project, scope)), Client())
        for scope in scopes
    ]


def _nobodies(project: Project) -> list[Person]:
    """None of these may do anything: 401, or for a stranger's session the 404 of a project that is not theirs."""
    revoked = factories.a_key(project)
    keys.revoke_api_key(key=ApiKey.objects.latest("id"), by=access.system(project), now=clock.now())
    disabled = factories.a_member(project, Role.ADMIN)
    of_disabled = factories.a_key(project, user=disabled)
    disabled.is_active = False
    disabled.save()
    stranger = Client()
    stranger.force_login(factories.a_member(factories.a_project(), Role.ADMIN))
    return [
        Person("anonymous", frozenset(), {}, Client(), 401),
        Person("revoked key", frozenset(), factories.bearer(revoked), Client(), 401),
        Person("disabled person's key", frozenset(), factories.bearer(of_disabled), Client(), 401),
        Person("stranger naming the project", frozenset(), {"Ratchet-Project": project.slug}, stranger, 404),
    ]


def test_the_table_names_every_route() -> None:
    declared = {(method, routes.without_names(path)) for method, path in access_table.API}
    assert declared == {(method, routes.without_names(path)) for method, path in routes.of_api()}


def test_the_table_names_every_page() -> None:
    declared = {routes.without_names(path) for _, path in access_table.PAGES}
    assert declared == {routes.without_names(path) for path in routes.of_pages()}


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_opens_for_whom_the_table_says_and_nobody_else(route: tuple[str, str], world: World) -> None:
    method, path = route
    found = {}
    for person in people_of(world.project):
        status = _undone(person, method, world.url(path))
        found[person.label] = "open" if status not in (401, 403, 404, 500) else status
        is_open = not person.scopes.isdisjoint(access_table.API[route].split("|"))
        expected = "open" if is_open else person.refusal
        assert found[person.label] == expected, f"{person.label}: {status} for {method} {world.url(path)}"


def _undone(person: Person, method: str, url: str) -> int:
    """What this person is answered; whatever it did is undone, so that the next one finds everything there."""
    with transaction.atomic():
        status = ask(person.client, method, url, headers=person.headers).status_code
        transaction.set_rollback(True)
    return status


@pytest.mark.parametrize("route", OBJECT_ROUTES, ids=" ".join)
def test_answers_a_stranger_as_if_the_thing_never_was(route: tuple[str, str], world: World) -> None:
    method, path = route
    headers = factories.bearer(factories.a_key(factories.a_project()))
    foreign = ask(Client(), method, world.url(path), headers=headers)
    unknown = ask(Client(), method, world.unknown_url(path), headers=headers)
    # A write may be refused for its empty body before anything is looked up; the rooms' tests send whole ones.
    assert foreign.status_code == unknown.status_code
    # No key may approve, wherever the thing is.
    refused = {403} if access_table.API[route] == "approve" else {404} if method == "GET" else {400, 404, 415}
    assert foreign.status_code in refused
    assert foreign.content == unknown.content


REFUSED = (401, 403, 404)
# Signing out comes last.
PAGES = sorted(access_table.PAGES.items(), key=lambda page: (page[0][1] == "logout/", page))


def test_every_page_declares_what_the_table_says() -> None:
    """The decorator's rights, or for a page of no project whose it is, against the table."""
    declared = {
        (method, routes.without_names(path)): words
        for path, pattern in routes.with_views()
        for method, words in _declared(pattern.callback).items()
    }
    told = {(method, routes.without_names(path)): words for (method, path), words in access_table.PAGES.items()}
    assert declared == {route: _sorted(words) for route, words in told.items() if words != "open"}


def _declared(view: Any) -> dict[str, str]:
    """What a view needs, per method, in the words of the table."""
    if hasattr(view, "own_methods"):
        return dict.fromkeys(view.own_methods, "session")
    words = {}
    for method, needs in getattr(view, "needs", {}).items():
        wanted = () if needs is None else needs if isinstance(needs, tuple) else (needs,)
        words[method] = _sorted("|".join(wanted)) or "member"
    return words


def _sorted(words: str) -> str:
    return "|".join(sorted(words.split("|")))


@pytest.mark.parametrize("role", Role.values)
def test_pages_open_for_whom_the_table_says(role: str, world: World) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(factories.a_member(world.project, role))
    found, expected = {}, {}
    for (method, path), words in PAGES:
        is_open = words in ("open", "session", "member") or not ROLE_SCOPES[role].isdisjoint(words.split("|"))
        expected[f"{method} /{path}"] = "open" if is_open else 403
        found[f"{method} /{path}"] = _opens(client, method, world.page(path))
    assert found == expected


def test_pages_of_a_project_are_nowhere_for_a_stranger(world: World) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(factories.a_member(factories.a_project(), Role.ADMIN))
    found, expected = {}, {}
    for (method, path), words in PAGES:
        expected[f"{method} /{path}"] = "open" if words in ("open", "session") else 404
        found[f"{method} /{path}"] = _opens(client, method, world.page(path))
    assert found == expected


def test_pages_send_whoever_is_not_signed_in_to_the_door(world: World) -> None:
    for (method, path), words in PAGES:
        answer = _asked(Client(), method, world.page(path))
        if words == "open":
            assert answer.status_code not in (*REFUSED, 500), path
        elif method == "GET":
            assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/login/"), path
        else:
            assert answer.status_code == 401, path
            assert b'name="password"' in answer.content, path


@pytest.mark.parametrize("whose", ["foreign", "unknown"])
def test_pages_of_things_that_are_not_here_are_the_same_404(whose: str, world: World) -> None:
    """A foreign number below one's own project, and a name or number that never was."""
    client = Client(raise_request_exception=False)
    client.force_login(factories.a_member(world.project, Role.ADMIN))
    others = world.not_here() if whose == "unknown" else _numbers_of_another(world)
    statuses = {}
    for (method, path), words in PAGES:
        if words not in ("open", "session") and names_in(path) & others.keys():
            answer = _asked(client, method, world.page(path, **others))
            statuses[f"{method} /{path}"] = answer.status_code
            assert answer.status_code != 404 or b"no such page here" in answer.content
    assert statuses == dict.fromkeys(statuses, 404)
    assert statuses


def _numbers_of_another(world: World) -> dict[str, str]:
    """Of each kind of thing that is called by its number in the whole installation: one of another project."""
    found = a_world().ids
    return {name: number for name, number in found.items() if number.isdigit() and number != world.ids[name]}


def _opens(client: Client, method: str, url: str) -> str | int:
    status = _asked(client, method, url).status_code
    return status if status in REFUSED or status >= 500 else "open"


def _asked(client: Client, method: str, url: str) -> HttpResponse:
    """The answer to an empty form, or to a look; what it does is undone."""
    with transaction.atomic():
        answer = client.get(url) if method == "GET" else client.post(url)
        transaction.set_rollback(True)
    return answer


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["nope", "prompts/", "items/abc/review"])
def test_an_unknown_endpoint_is_a_problem_for_every_method(method: str, path: str, db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    answer = ask(client, method, f"/api/v1/{path}")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


def test_what_can_be_read_answers_head(world: World) -> None:
    headers = factories.bearer(factories.a_key(world.project, "read"))
    answer = Client().head("/api/v1/prompts", headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")


def test_admin_is_for_operators_alone_and_changes_nothing(world: World) -> None:
    factories.a_key(world.project)
    admin = Client()
    admin.force_login(factories.a_member(world.project, Role.ADMIN))
    assert admin.get("/admin/").status_code in (302, 403)
    operator = factories.an_operator(world.project)
    admin.force_login(operator)
    assert admin.get("/admin/").status_code == 200
    assert admin.get("/admin/projects/apikey/").status_code == 200
    for action in ("add/", f"{ApiKey.objects.latest('id').pk}/delete/"):
        assert admin.get(f"/admin/projects/apikey/{action}").status_code == 403
    page = admin.get(f"/admin/projects/apikey/{ApiKey.objects.latest('id').pk}/change/").content.decode()
    assert "digest" not in page
