"""Prompts to test with."""

from collections.abc import Iterator
from typing import Any

import pytest

from core import clock
from projects.access import Actor
from projects.models import Project
from prompts import retrieval, services
from prompts.content import ContextLine
from prompts.models import Prompt, Revision
from tests import factories

MESSAGES = [{"role": "system", "content": "Sort it."}, {"role": "user", "content": "{{input}}"}]


@pytest.fixture
def project(db: None) -> Project:
    return factories.a_project()


@pytest.fixture
def admin(project: Project) -> Actor:
    return factories.an_actor(project)


@pytest.fixture
def prompt(admin: Actor) -> Prompt:
    return services.create_prompt(name="intent", by=admin, now=clock.now())[0]


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Each test is a fresh process, as far as revisions kept in memory go."""
    kept, retrieval.recent = retrieval.recent, retrieval.Recent(64 * 1024 * 1024)
    yield
    retrieval.recent = kept


def examples(n: int, start: int = 0) -> list[ContextLine]:
    return [ContextLine("example", input=f"question number {i}", output=f"answer {i}") for i in range(start, start + n)]


def a_revision(prompt: Prompt, by: Actor, **options: Any) -> Revision:
    values: dict[str, Any] = {"messages": MESSAGES, "model": "main/gpt-x", **options}
    return services.create_revision(prompt=prompt, **values, by=by, now=clock.now())[0]


def point(prompt: Prompt, revision: Revision, name: str = "production") -> None:
    label = services.label_named(prompt=prompt, name=name)
    services.point_label(label=label, revision=revision, now=clock.now())
