"""What exists stands in the docs: every route, task, setting and command."""

import re
from pathlib import Path

import pytest
from celery import current_app
from django.core.management import get_commands

from config.environment import Environment
from evals.scorers import registry
from tests.conventions import access_table, routes

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def said_in(page: str) -> str:
    return (DOCS / page).read_text()


@pytest.mark.parametrize("route", sorted(access_table.API), ids=" ".join)
def test_every_route_stands_in_the_contract(route: tuple[str, str]) -> None:
    method, path = route
    assert f"{method} {routes.address(path)}" in said_in("contract.md")


@pytest.mark.parametrize("route", sorted(access_table.API), ids=" ".join)
def test_every_route_stands_in_the_access_table(route: tuple[str, str]) -> None:
    method, path = route
    line = next(row for row in said_in("access.md").splitlines() if row.startswith(f"| `{routes.address(path)}` |"))
    assert f"{method} {access_table.API[route]}" in line.replace("\\|", "|")


def test_the_schema_holds_every_route() -> None:
    known = {(method, routes.without_names(path)) for method, path in routes.of_schema()}
    assert {(method, routes.without_names(path)) for method, path in access_table.API} == known


def test_every_task_stands_in_the_architecture() -> None:
    current_app.loader.import_default_modules()
    ours = {name for name in current_app.tasks if not name.startswith("celery.")}
    assert ours
    assert not [name for name in sorted(ours) if f"`{name}`" not in said_in("architecture.md")]


@pytest.mark.parametrize("name", sorted(Environment.model_fields))
def test_every_setting_stands_in_the_operations(name: str) -> None:
    assert f"`{name.upper()}`" in said_in("operations.md")


def test_every_command_stands_in_the_contract() -> None:
    rooms = {"config", "demo", "projects", "outputs", "reviews", "evals", "prompts", "connections", "ledger"}
    ours = [name for name, app in get_commands().items() if app in rooms]
    assert "up" in ours
    assert not [name for name in ours if f"manage.py {name}" not in said_in("contract.md")]


def test_every_scorer_stands_in_the_contract() -> None:
    assert not [name for name in registry.names() if f"`{name}`" not in said_in("contract.md")]


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *DOCS.rglob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#]+)\)", page.read_text())]
    ours = [(page, link) for page, link in links if "://" not in link]
    assert not [f"{page.name} → {link}" for page, link in ours if not (page.parent / link).exists()]
