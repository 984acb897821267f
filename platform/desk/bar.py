"""What stands above every page: the project, its pages for one's role, and who is signed in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from projects import queries
from projects.access import Actor, Scope
from projects.models import Role
from projects.queries import MyProject


@dataclass(frozen=True)
class Place:
    """One entry of the navigation: its words, the name of its page, and the right that it needs beyond a role."""

    words: str
    page: str
    scope: Scope | None = None


@dataclass(frozen=True)
class Link:
    """An entry as it stands in the bar; `is_here` on the page itself and on all below it.

    `key` names the element that says how much waits behind it.
    """

    words: str
    url: str
    is_here: bool
    key: str = ""


REVIEW = Place("Review", "reviews:review-home")
MY_WORK = Place("My work", "desk:my-work")
OUTPUTS = Place("Outputs", "desk:output-list")
QUEUES = Place("Queues", "reviews:queue-list")
GOLDEN_SETS = Place("Golden sets", "evals:golden-set-list")
RUNS = Place("Runs", "evals:run-list")
PROMPTS = Place("Prompts", "desk:prompt-list")
PROPOSALS = Place("Proposals", "desk:proposal-list")
TRENDS = Place("Trends", "insights:trends")
SETTINGS = Place("Settings", "projects:member-list")
# What belongs to a page without standing below its address: the first word of the path in a project.
BESIDE = {OUTPUTS: ("imports", "traces", "sessions"), TRENDS: ("costs",)}
# The pages of the settings of a project, in the order of their side menu.
SETTINGS_PLACES = (
    Place("Members", "projects:member-list", Scope.ADMIN),
    Place("API keys", "projects:key-list", Scope.ADMIN),
    Place("Feedback doors", "desk:door-list", Scope.ADMIN),
    Place("Ingest", "desk:ingest", Scope.READ),
    Place("Connections", "connections:connection-list", Scope.READ),
    Place("Webhooks", "connections:webhook-list", Scope.ADMIN),
    Place("Prices", "connections:price-list", Scope.READ),
    Place("Redaction", "outputs:redaction-policy", Scope.ADMIN),
    Place("Audit trail", "projects:audit-list", Scope.ADMIN),
)

# The pages of one role, its main one first.
PLACES: Mapping[str, tuple[Place, ...]] = MappingProxyType(
    {
        Role.REVIEWER: (REVIEW, MY_WORK),
        Role.ENGINEER: (OUTPUTS, QUEUES, REVIEW, GOLDEN_SETS, RUNS, PROMPTS, PROPOSALS, TRENDS, SETTINGS),
        Role.MANAGER: (TRENDS, PROPOSALS, PROMPTS, RUNS, OUTPUTS, SETTINGS),
        Role.ADMIN: (OUTPUTS, QUEUES, REVIEW, GOLDEN_SETS, RUNS, PROMPTS, PROPOSALS, TRENDS, SETTINGS),
    }
)


@dataclass(frozen=True)
class Bar:
    """The bar of one page."""

    actor: Actor
    links: list[Link]
    settings: list[Link]
    projects: list[MyProject]


def bar(request: HttpRequest) -> dict[str, Any]:
    """The context processor: `bar` is None outside a project, and costs a statement only where it is drawn."""
    actor = getattr(request, "actor", None)
    if actor is None:
        return {"bar": None}
    return {"bar": SimpleLazyObject(lambda: _bar(request, actor)), "project": actor.project, "actor": actor}


def _bar(request: HttpRequest, actor: Actor) -> Bar:
    return Bar(
        actor=actor,
        links=_links(PLACES[actor.role], request.path, actor),
        settings=_links(SETTINGS_PLACES, request.path, actor),
        projects=queries.projects_of(actor.user) if actor.user else [],
    )


def _links(places: Iterable[Place], path: str, actor: Actor) -> list[Link]:
    return [_link(place, path, actor) for place in _theirs(places, actor)]


def _theirs(places: Iterable[Place], actor: Actor) -> list[Place]:
    return [place for place in places if place.scope is None or actor.may(place.scope)]


def _link(place: Place, path: str, actor: Actor) -> Link:
    inside = _theirs(SETTINGS_PLACES, actor) if place is SETTINGS else [place]
    url = address(inside[0].page, actor.project.slug)
    is_here = any(path.startswith(address(page.page, actor.project.slug)) for page in inside)
    is_beside = any(path.startswith(f"/{actor.project.slug}/{word}/") for word in BESIDE.get(place, ()))
    return Link(place.words, url, is_here or is_beside, key_of(place.page))


def key_of(page: str) -> str:
    """The id of the number at a page's entry in the bar: `waits-reviews-review-home`."""
    return f"waits-{page.replace(':', '-')}"


def address(page: str, *path: object) -> str:
    """The address of a page by its name and what its path leaves open."""
    return reverse(page, args=path)
