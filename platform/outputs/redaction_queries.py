"""What is taken out of a project's rows, and rows to try a policy on."""

import json
from typing import Any

from outputs import queries
from outputs.models import Output, RedactionPolicy
from outputs.redaction import policy as policies
from outputs.redaction import redactor as redactors
from outputs.redaction import rows
from outputs.redaction.policy import Policy
from outputs.redaction.redactor import Redactor
from outputs.redaction.rows import Redaction
from projects.models import Project

SAMPLE = 20
_LONGEST_SAMPLE = 4_000


def stored(project_id: int) -> list[RedactionPolicy]:
    """The project's policies, that of every environment first."""
    return list(RedactionPolicy.objects.of(project_id).order_by("environment"))


def in_force(found: list[RedactionPolicy], environment: str) -> Policy:
    """What holds for rows of an environment, among the policies of a project."""
    said = {row.environment: row.said for row in found}
    holds = said.get(environment) or said.get(rows.EVERYWHERE)
    return policies.from_stored(holds) if holds else policies.DEFAULT


def redactor(project: Project, policy: Policy) -> Redactor:
    """The policy with the project's key."""
    return redactors.redactor(policy, bytes(project.hash_key))


def redaction(project: Project) -> Redaction:
    """What is taken out of the rows of the project before they are stored."""
    said = ((row.environment, row.said) for row in stored(project.pk))
    return rows.of_project(said, bytes(project.hash_key))


def sample(project_id: int, environment: str) -> list[tuple[str, str]]:
    """(external id, texts) of the newest outputs of an environment (of any for ""), as they are stored."""
    wanted = Output.objects.of(project_id).order_by("-pk")
    newest = list((wanted.filter(environment=environment) if environment else wanted)[:SAMPLE])
    bodies = queries.bodies(newest)
    return [(output.external_id, _text(bodies.get(output.pk))) for output in newest]


def _text(body: Any) -> str:
    if body is None:
        return ""
    said = (body.input, body.output, body.error, body.variables, body.metadata)
    return "\n".join(_shown(one) for one in said if one)[:_LONGEST_SAMPLE]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
