"""A project with one of everything, so that every route has something to point at."""

import string
from dataclasses import dataclass

from core import clock
from projects.models import Project
from prompts import services as prompts
from releases import services as releases
from tests import factories


@dataclass(frozen=True)
class World:
    """A project and, for each name in a path, an id that exists in it."""

    project: Project
    ids: dict[str, str]

    def url(self, path: str) -> str:
        """The address of something of this world."""
        return "/api/v1/" + path.format(**self.ids)

    def unknown_url(self, path: str) -> str:
        """The same address for something that never was anywhere."""
        unknown = {name: "987654321" if value.isdigit() else "never-was" for name, value in self.ids.items()}
        return "/api/v1/" + path.format(**unknown)


def names_in(path: str) -> set[str]:
    """The names that a path leaves open."""
    return {name for _, name, _, _ in string.Formatter().parse(path) if name}


def a_world() -> World:
    """One of everything, in one project."""
    project = factories.a_project()
    prompt = factories.a_prompt(project)
    first, second = (factories.a_revision(prompt, system=f"Sort this, way {number}.") for number in (1, 2))
    by = factories.an_actor(project)
    release = releases.release_initially(
        prompt=prompt, label_name="production", revision=first, reason="first", by=by, now=clock.now()
    )
    verdict = factories.a_verdict(prompt, text="Where is my bike?")
    proposal = factories.a_proposal(prompt)
    run = factories.a_passed_run(second)
    golden = run.golden_version
    prompts.label_named(prompt=prompt, name="production")
    return World(
        project,
        {
            "output": verdict.item.item_outputs.get().output.external_id,
            "prompt": prompt.name,
            "label": "production",
            "release": str(release.pk),
            "proposal": str(proposal.pk),
            "queue": verdict.item.queue.name,
            "item": str(verdict.item.pk),
            "golden_set": golden.golden_set.name,
            "version": str(golden.number),
            "a": str(golden.number),
            "b": str(golden.number),
            "run": str(run.pk),
        },
    )
