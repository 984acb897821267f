"""Where the palette leads: pages of one's role, and things of the project by name, number or id."""

from dataclasses import dataclass
from typing import Any

from django.db import connection

from desk.bar import PLACES, SETTINGS_PLACES, address
from projects.access import Actor, Scope

# Of each kind of thing.
MOST_OF_A_KIND = 6
LONGEST = 200


@dataclass(frozen=True)
class Hit:
    """One place to go: its name, what kind of thing it is, and its address."""

    words: str
    kind: str
    url: str


def hits(actor: Actor, text: str) -> list[Hit]:
    """What this member may see and the text may mean, pages first; one statement at any size.

    A word finds names that hold it, whatever its case; a number (`42`, `#42`, `run 42`) the run or proposal that has
    it; an output is found by its exact id.
    """
    wanted = " ".join(text.split())[:LONGEST]
    if not wanted or "\0" in wanted:
        return pages(actor, "")
    return [*pages(actor, wanted), *_things(actor, wanted)]


def pages(actor: Actor, wanted: str) -> list[Hit]:
    """The pages of this role whose name holds the text; no statement."""
    slug = actor.project.slug
    places = [(place, "page") for place in PLACES.get(actor.role, ())]
    places += [(place, "settings") for place in SETTINGS_PLACES if place.scope is None or actor.may(place.scope)]
    found = [Hit(place.words, kind, address(place.page, slug)) for place, kind in places]
    found.append(Hit("What waits for me", "page", address("desk:waiting", slug)))
    found.append(Hit("Your settings: theme, keys, password", "settings", address("projects:settings")))
    return [hit for hit in found if wanted.casefold() in hit.words.casefold()]


_NAMED = """
    (SELECT %(kind{n})s::text, name::text, 0::bigint FROM {table}
     WHERE project_id = %(project)s AND name ILIKE %(like)s ORDER BY name LIMIT %(most)s)
"""
_QUEUES = ("reviews_queue", "queue", "reviews:queue-detail")
_FOR_READERS = (
    ("prompts_prompt", "prompt", "desk:prompt-detail"),
    _QUEUES,
    ("evals_goldenset", "golden set", "evals:golden-set-detail"),
)
_NUMBERED = """
    (SELECT 'run', id::text, id FROM evals_run WHERE project_id = %(project)s AND id = %(number)s)
    UNION ALL
    (SELECT 'proposal', t.id::text, t.id FROM improvement_proposal t JOIN prompts_prompt p ON p.id = t.prompt_id
     WHERE p.project_id = %(project)s AND t.id = %(number)s)
"""
_OUTPUT = """
    (SELECT 'output', external_id, id FROM outputs_output WHERE project_id = %(project)s AND external_id = %(exact)s)
"""


def _things(actor: Actor, wanted: str) -> list[Hit]:
    if not actor.may(Scope.READ):
        return []
    parts = [_NAMED.format(table=table, n=n) for n, (table, _, _) in enumerate(_FOR_READERS)]
    named: dict[str, Any] = {f"kind{n}": kind for n, (_, kind, _) in enumerate(_FOR_READERS)}
    named |= {
        "project": actor.project.pk,
        "like": f"%{_escaped(wanted)}%",
        "most": MOST_OF_A_KIND,
        "exact": wanted,
        "number": _number(wanted),
    }
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join([*parts, _NUMBERED, _OUTPUT]), named)
        rows = cursor.fetchall()
    return [_hit(actor, kind, name, number) for kind, name, number in rows]


def _hit(actor: Actor, kind: str, name: str, number: int) -> Hit:
    slug = actor.project.slug
    if kind == "run":
        return Hit(f"Run {number}", kind, address("evals:run-detail", slug, number))
    if kind == "proposal":
        return Hit(f"Proposal {number}", kind, address("desk:proposal-detail", slug, number))
    if kind == "output":
        return Hit(name, kind, address("desk:output-detail", slug, name))
    page = next(page for _, known, page in _FOR_READERS if known == kind)
    return Hit(name, kind, address(page, slug, name))


def _number(wanted: str) -> int | None:
    """The number that somebody means by `42`, `#42`, `run 42` or `proposal 42`."""
    digits = wanted.lower().removeprefix("run").removeprefix("proposal").strip().removeprefix("#")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
