"""`manage.py demo_accounts`: a fresh demo project with a login for each role and the keys that the demo plays with."""

import itertools
import json
from typing import Any

from django.core.management.base import BaseCommand

from core import clock
from projects import access, queries
from projects.models import Project, Role
from projects.services import keys, members

# What the scripted parts of the demo may do; each key acts as the person of that role.
KEY_SCOPES = {
    Role.ENGINEER: ["ingest", "read", "evaluate", "review", "release"],
    Role.REVIEWER: ["review"],
    Role.ADMIN: ["admin", "read", "evaluate", "review", "release"],
}


class Command(BaseCommand):
    """Made anew each time, so that no password is ever known from before."""

    help = "Make a demo project; prints its slug, logins and keys as JSON, once."

    def handle(self, *args: Any, **options: Any) -> None:
        """The project and its people exist, and their secrets were printed."""
        project = _new_project()
        logins = [_login(project, role) for role in Role.values]
        made = {role.value: _key(project, role, logins) for role in KEY_SCOPES}
        self.stdout.write(json.dumps({"project": project.slug, "logins": logins, "keys": made}))


def _new_project() -> Project:
    names = itertools.chain(["Demo"], (f"Demo {number}" for number in itertools.count(2)))
    free = next(name for name in names if not Project.objects.filter(name=name).exists())
    return members.create_project(name=free, now=clock.now())


def _login(project: Project, role: str) -> dict[str, str]:
    email = f"{role}@{project.slug}.example"
    password = members.create_user(email=email, project=project, role=role, now=clock.now())
    return {"role": role, "email": email, "password": password}


def _key(project: Project, role: Role, logins: list[dict[str, str]]) -> str:
    email = next(login["email"] for login in logins if login["role"] == role)
    person = queries.member_with_email(project, email)
    return keys.create_api_key(
        name=f"scripted {role}", scopes=KEY_SCOPES[role], user=person, by=access.system(project), now=clock.now()
    )[1]
